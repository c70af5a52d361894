"""The feature server: an online store over HTTP."""
