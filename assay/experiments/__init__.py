"""Experiments: who gets which arm, and what is remembered of it."""
