"""Build a project from end to end: run dbt, count rows, publish, and report."""
