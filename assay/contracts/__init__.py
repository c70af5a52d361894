"""Contracts in the Open Data Contract Standard: what sources promise, and what gold does."""
