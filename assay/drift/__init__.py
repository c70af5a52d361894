"""Drift: whether what is now is spread as what was, feature by feature."""
