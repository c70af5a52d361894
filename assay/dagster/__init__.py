"""A project as assets of Dagster: `definitions(folder)` is all that a code location needs."""

from __future__ import annotations

from assay.core.fault import extra_needed

with extra_needed("dagster", by="Assay in Dagster"):
    from assay.dagster.code_location import definitions

__all__ = ["definitions"]
