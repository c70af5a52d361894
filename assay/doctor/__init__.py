"""`assay doctor` and `assay upgrade`: is all well here, and what an upgrade has to change."""
