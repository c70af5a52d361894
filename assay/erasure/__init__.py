"""Remove a person from everything that a project keeps: warehouse, landed files, publications, versions."""
