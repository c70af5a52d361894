"""Measure drift: whether the distribution of each feature differs from an earlier one."""
