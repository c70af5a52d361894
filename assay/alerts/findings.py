"""Find what people must know of a build that went well: files, sources, quality, drift, the online store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from assay.alerts.runbooks import Runbook
from assay.alerts.states import Alert
from assay.core.places import Places
from assay.core.words import counted, listed
from assay.ledger.account import TroubledFiles
from assay.ledger.rollbacks import read_rollback
from assay.ledger.schema_results import read_source_owners
from assay.project.warehouse import connect, relation_named

if TYPE_CHECKING:
    from assay.online.ahead import StreamParity
    from assay.parity.compare import FeatureParity
    from assay.retraining.due import Verdict

# What is wrong, and all that was looked at.
Looked = tuple[list[Alert], set[tuple[Runbook, str]]]
# Of each table of monitoring: the kind of alert, what it is about, and the query for name, table and message.
_MONITORED = {
    "mon_freshness": (
        Runbook.SOURCE_SILENT,
        "source",
        """
        select
            source_table,
            source_table,
            'its last row came at ' || last_available_at || ', rows of others until ' || known_until
        from {relation}
        where verdict = 'stale'
        order by source_table
        """,
    ),
    "mon_quality": (
        Runbook.QUALITY_BROKEN,
        "table",
        # A silent source has an alert of its own, and what lies in the past is in the report.
        """
        select
            concat_ws(' ', concat_ws('.', table_name, column_name), rule_id),
            table_name,
            concat_ws('; ', rtrim(concat_ws(': ', strftime(period, '%Y-%m-%d'), detail), '.'), remedy)
        from (
            select
                *,
                max(period) filter (where verdict in ('ok', 'broken'))
                    over (partition by table_name) as newest
            from {relation}
        )
        where
            verdict = 'broken'
            and begins_in is null
            and rule_id != 'silent_source'
            and (period is null or period = newest)
        order by all
        """,
    ),
    "mon_feature_drift": (
        Runbook.FEATURE_DRIFTED,
        "feature view",
        """
        select
            "view",
            "view",
            string_agg(feature || ' against ' || reference, ', ' order by feature, reference)
            || ' in ' || "window"
        from (select *, max("window") over (partition by "view") as newest from {relation})
        where verdict = 'drift' and "window" = newest
        group by "view", "window"
        order by "view"
        """,
    ),
}


def find_monitored(
    warehouse: Path, built: Collection[str], owner_of: Callable[[str], str | None]
) -> tuple[list[Alert], set[Runbook]]:
    """Return what the tables of monitoring say that is wrong now, and of which kinds that is all.

    Args:
        warehouse: the file that a build has written.
        built: the names of the tables that it has built.
        owner_of: returns the owner of a model.

    Raises:
        duckdb.Error: the warehouse cannot be opened.
    """
    found: list[Alert] = []
    judged: set[Runbook] = set()
    if not _MONITORED.keys() & built:
        return found, judged
    sources = {f"{source}.{table}": owner for (source, table), owner in read_source_owners().items()}
    with connect(warehouse) as connection:
        for model, (runbook, kind, sql) in _MONITORED.items():
            relation = relation_named(connection, model) if model in built else None
            if relation is None:
                continue
            judged.add(runbook)
            for name, about, message in connection.execute(sql.format(relation=relation)).fetchall():
                owner = sources.get(about) or owner_of(about)
                found.append(Alert(runbook, "broken", name, kind, about, owner, "warn", message))
    return found, judged


def find_files(troubled: Sequence[TroubledFiles]) -> list[Alert]:
    """Return an alert for each landing table with files that are not loaded."""
    owners = read_source_owners() if troubled else {}

    def table_of(files: TroubledFiles) -> tuple[str, ...]:
        return tuple(files.source_file.split("/")[:-1][:2])

    found = []
    for place, files in groupby(sorted(troubled, key=lambda each: each.source_file), table_of):
        several = list(files)
        count = counted(sum(each.files for each in several), "file")
        said = "; ".join(f"{each.named}: {each.error.rstrip('.')}" for each in several)
        name = ".".join(place) or several[0].source_file
        owner = owners.get((place[0], place[1])) if len(place) == 2 else None
        message = f"not loaded: {count}: {said}"
        found.append(Alert(Runbook.FILES_NOT_LOADED, "broken", name, "source", name, owner, "error", message))
    return found


def find_rollback(places: Places) -> list[Alert]:
    """Return an alert while readers have an earlier publication, because somebody took gold back.

    Raises:
        Fault: the file that says so is damaged.
    """
    rollback = read_rollback(places.main_warehouse)
    if rollback is None:
        return []
    return [
        Alert(
            Runbook.GOLD_ROLLED_BACK, "broken", "gold", "product", "gold", None, "warn", f"it was {rollback}"
        )
    ]


def make_online_alert(message: str) -> Alert:
    """Return the alert that the online store could not take what was published."""
    store = ("online store", "online store", "online store")
    return Alert(Runbook.ONLINE_NOT_SYNCED, "broken", *store, None, "error", message)


def find_due(verdicts: Sequence[Verdict]) -> list[Alert]:
    """Return an alert for each training set that needs retraining."""
    return [
        Alert(
            Runbook.RETRAINING_DUE,
            "broken",
            each.training_set,
            "training set",
            each.training_set,
            None,
            "warn",
            each.reason,
        )
        for each in verdicts
        if each.is_due
    ]


def find_parity(differing: Mapping[str, str], compared: Collection[str]) -> Looked:
    """Return an alert for each view whose answers differ, and all that were compared.

    Args:
        differing: what differs, by the name of the comparison, which begins with that of the view.
        compared: the names of all comparisons.
    """
    runbook = Runbook.ONLINE_DIFFERS
    alerts = [
        Alert(runbook, "broken", name, "feature view", name.split()[0], None, "error", message)
        for name, message in differing.items()
    ]
    return alerts, {(runbook, name) for name in compared}


def find_streamed_parity(compared: Sequence[StreamParity]) -> Looked:
    """Return the same of what streams brought online, by the last comparison of each view."""
    # What could not be compared says nothing.
    last = {f"{each.view} (streamed)": each for each in compared if each.compared}
    return find_parity(
        {
            name: f"{each.differing:,} of {counted(each.compared, 'entity', 'entities')} differ from what "
            f"run {each.run_id} made"
            for name, each in last.items()
            if each.differing
        },
        last,
    )


def find_answered_parity(compared: Sequence[FeatureParity], *, logged: bool) -> Looked:
    """Return the same of what a store answers, or has answered with predictions that were logged."""
    suffix = " (logged)" if logged else ""
    differing: dict[str, str] = {}
    for view, several in groupby(compared, lambda each: each.view):
        features = [each.feature for each in several if each.differs]
        if features:
            differing[view + suffix] = f"{listed(features)} differ from the offline join"
    return find_parity(differing, {each.view + suffix for each in compared})
