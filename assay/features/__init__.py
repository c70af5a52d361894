"""Features that need more than SQL: what their Python models call."""
