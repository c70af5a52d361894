"""Training sets: whether they need retraining, and their versions."""

from __future__ import annotations

from collections.abc import Sequence

from assay.core.words import counted, listed, moment
from assay.report.blocks import Head, Need, Section, Table, Text
from assay.report.docs import Docs
from assay.report.tables import Row, Tables
from assay.training.store import Version, VersionManifest


def retraining_section(tables: Tables, docs: Docs, versions: Sequence[Version]) -> Section:
    """Tell of every training set whether it needs retraining, why, and its newest version.

    Raises:
        Absent: mon_retraining is not there.
    """
    rows = tables.rows("mon_retraining", "training_set", "retrain", "reason")
    newest = {version.manifest.name: version.manifest for version in versions}
    due = [row for row in rows if row["retrain"]]
    columns = [Head("training set"), Head("retrain"), Head("why"), Head("newest version")]
    cells = [
        [
            docs.text(row["training_set"]),
            Text("yes", "watch") if row["retrain"] else Text("no", "good"),
            Text(row["reason"] or ""),
            _newest(row["training_set"], newest.get(row["training_set"])),
        ]
        for row in rows
    ]
    return Section(
        _due(rows, due),
        [Table("Training sets", columns, cells)] if cells else [],
        [Need("watch", f"Models of {row['training_set']} need retraining: {row['reason']}.") for row in due],
    )


def _newest(name: str, manifest: VersionManifest | None) -> Text:
    if manifest is None:
        return Text("none yet", note=f"to create one: assay training-set create {name}")
    return Text(manifest.version, note=f"created {moment(manifest.created_at)} UTC")


def _due(rows: Sequence[Row], due: Sequence[Row]) -> str:
    if not rows:
        return "There are no training sets. To write one: assay training-set add"
    if not due:
        return "No training set needs retraining."
    names = listed([row["training_set"] for row in due])
    return f"{names} {'needs' if len(due) == 1 else 'need'} retraining."


def splits_told(manifest: VersionManifest) -> str:
    """Return how many rows each split has, in the order in which they are used."""
    order = ("train", "validation", "test")
    splits = sorted(manifest.splits, key=lambda each: [*order, each.split].index(each.split))
    return listed([f"{split.split} {split.rows:,}" for split in splits], most=10)


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
        splits = splits_told(manifest)
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
