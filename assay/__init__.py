"""Assay: a feature platform for machine learning, as a dbt project."""
