"""Send what is wrong after a build although no test failed, and what of it is over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from assay.alerts.findings import (
    find_files,
    find_monitored,
    find_rollback,
    find_streamed_parity,
    make_online_alert,
)
from assay.alerts.runbooks import Runbook
from assay.alerts.standing import watch_changes
from assay.build.build import Report
from assay.core.fault import Fault, known_fault
from assay.core.places import Places
from assay.online.ahead import Ahead


def tell_findings(
    places: Places, report: Report, results: Iterable[Any], owners: Mapping[str, str | None]
) -> list[str]:
    """Tell the channels of it, and return what went wrong.

    Args:
        places: of the project.
        report: the outcome of the build.
        results: of dbt's run.
        owners: of models, by their names.
    """
    built = {result.node.name for result in results if str(result.status) == "success"}
    try:
        found, kinds = find_monitored(places.warehouse, built, owners.get)
        found += find_files(report.account.troubled)
        found += find_rollback(places)
    except (Fault, duckdb.Error, OSError) as error:
        return [f"Nobody could look what the build has found: {known_fault(error) or error}"]
    kinds |= {Runbook.FILES_NOT_LOADED, Runbook.GOLD_ROLLED_BACK}
    if report.online_fault:
        found.append(make_online_alert(report.online_fault))
    elif report.online is not None:
        kinds.add(Runbook.ONLINE_NOT_SYNCED)
    streamed, compared = find_streamed_parity(Ahead(places.ahead).parity())
    return watch_changes(places, found + streamed, kinds, compared)
