"""A project as assets of Dagster: `definitions(folder)` is all that a code location needs.

`backfill_job` makes a job that lands days of the past; merge it with the definitions.
"""

from __future__ import annotations

from assay.core.fault import extra_needed

with extra_needed("dagster", by="Assay in Dagster"):
    from assay.dagster.backfill import backfill_job
    from assay.dagster.code_location import definitions

__all__ = ["backfill_job", "definitions"]
