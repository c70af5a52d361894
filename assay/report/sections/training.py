"""Training sets: whether to train again, and the versions that were taken."""

from __future__ import annotations

from collections.abc import Sequence

from assay.core.words import counted, listed, moment
from assay.report.blocks import Head, Need, Section, Table, Text
from assay.report.docs import Docs
from assay.report.tables import Row, Tables
from assay.training.store import Version


def retraining_section(tables: Tables, docs: Docs) -> Section:
    """Tell of every training set whether it is due, and why.

    Raises:
        Absent: mon_retraining is not there.
    """
    rows = tables.rows("mon_retraining", "training_set", "retrain", "reason")
    due = [row for row in rows if row["retrain"]]
    columns = [Head("training set"), Head("train again"), Head("why")]
    cells = [
        [
            docs.text(row["training_set"]),
            Text("due", "watch") if row["retrain"] else Text("not yet", "good"),
            Text(row["reason"] or ""),
        ]
        for row in rows
    ]
    return Section(
        _due(rows, due),
        [Table("Training sets", columns, cells)] if cells else [],
        [Need("watch", f"Models of {row['training_set']} are due: {row['reason']}") for row in due],
    )


def _due(rows: Sequence[Row], due: Sequence[Row]) -> str:
    if not rows:
        return "There are no training sets."
    if not due:
        return f"None of {counted(len(rows), 'training set')} is due."
    return f"{listed([row['training_set'] for row in due])} {'is' if len(due) == 1 else 'are'} due."


def versions_section(versions: Sequence[Version], docs: Docs) -> Section:
    """List the versions of training sets, oldest first as the store has them, newest first on the page."""
    if not versions:
        lead = "No version of a training set is kept yet. To make one: assay training-set create NAME"
        return Section(lead)
    columns = [
        Head("version"),
        Head("rows", True),
        Head("features", True),
        Head("splits"),
    ]
    columns += [Head("as of (UTC)"), Head("created (UTC)"), Head("made from")]
    rows = []
    for manifest in (version.manifest for version in reversed(versions)):
        splits = listed([f"{split.split} {split.rows:,}" for split in manifest.splits], most=10)
        rows.append(
            [
                Text(manifest.version, href=docs.text(manifest.name).href),
                Text(f"{manifest.rows:,}"),
                Text(f"{len(manifest.features):,}"),
                Text(splits),
                Text(moment(manifest.as_of)),
                Text(moment(manifest.created_at)),
                Text(
                    counted(manifest.input_files, "file"),
                    note=f"run {manifest.run_id[:8]}, code {manifest.code_hash[:12]}",
                ),
            ]
        )
    names = len({version.manifest.name for version in versions})
    lead = f"{counted(len(versions), 'version')} of {counted(names, 'training set')}."
    return Section(lead, [Table("Versions, newest first", columns, rows)])
