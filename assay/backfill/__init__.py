"""Land history late, and say from when on it counts."""
