"""Assay in Python: projects, and clients of the feature server."""
