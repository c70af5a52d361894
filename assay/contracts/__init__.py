"""Contracts in the Open Data Contract Standard: what sources promise, and what products of gold promise."""
