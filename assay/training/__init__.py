"""Versions of training sets: made, listed, compared, rebuilt to the bit, and exported."""
