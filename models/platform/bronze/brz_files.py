"""Land new files, and list every file ever seen."""

from datetime import UTC, datetime

from dbt_common.invocation import get_invocation_id

from assay.build.cold import cold_files
from assay.core.places import landing_folder
from assay.core.sql import quoted
from assay.landing import progress
from assay.landing.declared import lands_files
from assay.landing.load import load_new_files
from assay.project.paths import all_model_paths, model_paths


def model(dbt, session):
    """Return one row for each file ever seen, after loading those that are new."""
    dbt.config(materialized="table")
    [(database,)] = session.execute("select current_database()").fetchall()
    # A connection of its own: each batch of files is a transaction, whatever dbt has under way.
    with session.cursor() as connection:
        # A lake or an encrypted warehouse is attached, and a new connection begins in memory.
        connection.execute(f"use {quoted(database)}")
        with cold_files(connection, progress.report) as cold:
            load_new_files(
                connection,
                landing=landing_folder(),
                models=all_model_paths(),
                cold=cold.folder,
                are_cold_lacking=cold.are_lacking,
                is_optional=not lands_files(*model_paths()),
                run_id=get_invocation_id(),
                loaded_at=datetime.now(UTC).replace(tzinfo=None),
                progress=progress.report,
            )
        files = connection.sql("from landing.files order by source_file, file_version").to_arrow_table()
    # dbt wants the return at the end of the function.
    return files  # noqa: RET504
