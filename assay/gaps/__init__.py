"""Find the intervals that a source misses, and which features and training sets that spoils."""
