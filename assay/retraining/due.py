"""Judge which training sets need retraining, counted from their newest versions; dbt's macros judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

import duckdb

from assay.core.fault import Fault
from assay.core.sql import quoted
from assay.ledger.contracts import read_newest_contracts
from assay.project.project import Project
from assay.project.warehouse import attach, relation_named
from assay.retraining.record import Retraining
from assay.training.store import Version

_MODEL = "mon_retraining"
_WHAT_TO_DO = "To see what failed: assay runs list, then assay runs show ID. Mend it, then: assay build"
_EVIDENCE, _PUBLISHED = "assay_evidence", "assay_published"
_VERDICTS = "retrain, reason, is_drifting, has_lost_precision, has_lost_recall, is_old, has_new_rows"


@dataclass(frozen=True)
class Verdict:
    """Whether a training set needs retraining, and why.

    Age and new rows are counted from `version`. `taken` is the version that was taken already for the same
    `known_until`, the latest time that the warehouse knows (UTC, naive). Both are None if there is none.
    """

    training_set: str
    retrain: bool
    reason: str
    version: str | None
    known_until: datetime | None
    age_days: float | None
    new_rows: int
    drifting_count: int | None
    feature_count: int | None
    taken: str | None

    @property
    def is_due(self) -> bool:
        """Whether the training set needs retraining, and no version was taken for that yet."""
        return self.retrain and self.taken is None


_COLUMNS = [column.name for column in fields(Verdict) if column.name != "taken"]


def verdicts(
    project: Project,
    published: Path,
    versions: Sequence[Version],
    recorded: Sequence[Retraining],
    held_back: str | None = None,
) -> list[Verdict]:
    """Judge each training set by the published evidence, counted from its newest version.

    Args:
        project: compiles the macros.
        published: the file a build published.
        versions: all versions of training sets.
        recorded: the versions that were taken because of earlier verdicts.
        held_back: why the newest build did not publish the evidence; None if it did.

    Raises:
        Fault: nothing is published, or the published file lacks the evidence.
    """
    if not published.is_file():
        raise Fault(f"Nothing is published yet in {published}. To publish: assay build")
    newest = {
        version.manifest.name: version
        for version in sorted(versions, key=lambda each: (each.manifest.as_of, each.manifest.created_at))
    }
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        attach(connection, published, _PUBLISHED)
        names = _copy_evidence(connection, published, held_back)
        if not names and held_back:
            raise Fault(
                f"{_said(held_back)} What is published of it is of an earlier build, and knows no "
                f"training set. {_WHAT_TO_DO}"
            )
        if not names:
            return []
        for name in names:
            if name in newest:
                _count_from(connection, newest[name])
            else:
                connection.execute(
                    f"update {_EVIDENCE} set counted_from = 'no version' "
                    "where training_set = ? and counted_from = 'training rows'",
                    [name],
                )
        judged = project.compiled_inline(f"{{{{ assay.retraining_verdicts('{_EVIDENCE}', {names!r}) }}}}")
        rows = connection.execute(
            f"select {', '.join(_COLUMNS)} from ({judged}) as judged order by training_set"
        ).fetchall()
    taken = {(each.training_set, each.known_until): each.version for each in recorded}
    found = [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
    return [Verdict(**each, taken=taken.get((each["training_set"], each["known_until"]))) for each in found]


def why_held_back(project: Project, ledger: Path) -> str | None:
    """Return why the newest build did not publish the evidence; None if it did, or if there is no build.

    Raises:
        Fault: another program keeps the ledger open.
    """
    node = project.named(_MODEL)
    product = (node.config.group or node.alias) if node else _MODEL
    states = [state for state, _ in read_newest_contracts(ledger) if state.contract == product]
    return next((state.why for state in states if state.status != "kept"), None)


def stale_note(why: str) -> str:
    """Return that verdicts rest on evidence of an earlier build, and why."""
    return f"{_said(why)} These verdicts rest on what an earlier build published. {_WHAT_TO_DO}"


def _said(why: str) -> str:
    return f"gold.{_MODEL} is held back: {why}."


def _copy_evidence(
    connection: duckdb.DuckDBPyConnection, published: Path, held_back: str | None
) -> list[str]:
    """Copy dbt's evidence without its verdicts, and return the names of the training sets."""
    relation = relation_named(connection, _MODEL, _PUBLISHED)
    if relation is None:
        if held_back:
            raise Fault(f"{_said(held_back)} No build has published it yet. {_WHAT_TO_DO}")
        raise Fault(f"There is no {_MODEL} in {published}: a build of the whole project publishes it.")
    connection.execute(f"create temp table {_EVIDENCE} as select * exclude ({_VERDICTS}) from {relation}")
    rows = connection.execute(f"select training_set from {_EVIDENCE} order by training_set").fetchall()
    return [name for (name,) in rows]


def _count_from(connection: duckdb.DuckDBPyConnection, version: Version) -> None:
    """Count age and new rows from a version, unless a later training is declared."""
    manifest = version.manifest
    relation = relation_named(connection, manifest.name, _PUBLISHED)
    if relation is None:
        # The training set's product has never been published, so its rows cannot be counted.
        return
    columns = connection.sql(f"from {relation} limit 0").columns
    known_at = quoted("outcome_known_at" if "outcome_known_at" in columns else "prediction_at")
    trained = [split.rows for split in manifest.splits if split.split == "train"]
    connection.execute(
        f"""
        update {_EVIDENCE} set
            version = $version,
            counted_from = 'version',
            trained_until = $as_of,
            age_days = epoch(known_until - $as_of) / 86400,
            trained_rows = $trained_rows,
            new_rows = (select count(*) from {relation} where {known_at} > $as_of),
            new_rows_share = (select count(*) from {relation} where {known_at} > $as_of) / $trained_rows
        where training_set = $name and (counted_from <> 'declared' or trained_until <= $as_of)
        """,
        {
            "name": manifest.name,
            "version": manifest.version,
            "as_of": manifest.as_of,
            "trained_rows": sum(trained) if trained else manifest.rows,
        },
    )
