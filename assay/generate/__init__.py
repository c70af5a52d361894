"""What writes files for people: a source from a sample of its data."""
