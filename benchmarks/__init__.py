"""Benchmarks: what builds cost, beside a baseline measured in the same run and the limit set for it."""
