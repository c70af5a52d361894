"""Which columns are made of which: found by DuckDB, told as OpenLineage events and as a page."""
