"""Published tables in open formats, for tools that know nothing of Assay."""
