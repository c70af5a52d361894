"""Hash personal data with a key, in Python and in DuckDB."""
