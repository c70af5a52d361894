"""Land new files, and list every file ever seen."""

import os
from datetime import datetime, timezone
from pathlib import Path

from dbt_common.invocation import get_invocation_id

from assay.landing import load_new_files, progress


def model(dbt, session):
    dbt.config(materialized="table")
    # A connection of its own: each batch of files is a transaction, whatever dbt has under way.
    with session.cursor() as connection:
        load_new_files(
            connection,
            landing=Path(os.environ.get("ASSAY_LANDING") or "data/landing"),
            models=Path("models"),
            run_id=get_invocation_id(),
            loaded_at=datetime.now(timezone.utc).replace(tzinfo=None),
            progress=progress.report,
        )
        files = connection.sql("from landing.files order by source_file, file_version").to_arrow_table()
    return files
