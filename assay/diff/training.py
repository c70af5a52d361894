"""Say what a change does to training sets: whether their bits change, and how good a model is then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from assay.core.fault import Fault
from assay.core.sql import quoted, text
from assay.diff.code import CodeVersion
from assay.diff.tables import Relation, TableDiff
from assay.project.conventions import SCORE_WITH, is_training_set
from assay.training.content import read_content
from assay.training.store import name_version

_SCORE = "assay.diff.score"
# Sums of several threads differ in their last bits, and of few rows, more threads mostly wait.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class TrainingDiff:
    """What a change does to a training set.

    Attributes:
        name: of the training set.
        before: the name of the version that its rows would be in the base.
        after: the same in the other version of the code; the same name means the same bits.
        scores_before: of the model that is trained on it, by the name of the score.
        scores_after: the same afterwards.
        note: why there are no scores, or no versions.
    """

    name: str
    before: str = ""
    after: str = ""
    scores_before: Mapping[str, float] = field(default_factory=dict)
    scores_after: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def bits_change(self) -> bool:
        """Whether a version taken afterwards would be another one."""
        return self.before != self.after


def compare_training_sets(
    connection: duckdb.DuckDBPyConnection, tables: Sequence[TableDiff], code: CodeVersion, folder: Path
) -> Iterator[TrainingDiff]:
    """Compare the training sets that are on both sides.

    Args:
        connection: has both sides attached.
        tables: that were compared.
        code: the later version, with whose script models are trained on both sides.
        folder: an empty folder for the rows.
    """
    for table in tables:
        pair, node = table.pair, code.tables.get(table.pair.unique_id)
        if node is None or not is_training_set(node) or not (pair.before and pair.after):
            continue
        if not pair.key:
            yield TrainingDiff(node.name, note="it declares no primary key, by which its rows are ordered")
            continue
        files = folder / f"{node.name}.before.parquet", folder / f"{node.name}.after.parquet"
        try:
            before = name_version(node.name, _write(connection, pair.before, pair.key, files[0]))
            after = name_version(node.name, _write(connection, pair.after, pair.key, files[1]))
        except (Fault, duckdb.Error) as error:
            yield TrainingDiff(node.name, note=str(error))
            continue
        found = TrainingDiff(node.name, before, after)
        yield _scored(node, found, files, code.root) if found.bits_change else found


def _write(connection: duckdb.DuckDBPyConnection, relation: Relation, key: Sequence[str], file: Path) -> str:
    """Write rows as a version has them, and return the hash of their content."""
    rows = f"from {'.'.join(map(quoted, relation))} order by {quoted(*key)}"
    connection.execute(f"copy ({rows}) to {text(file)} (format parquet)")
    return read_content(file).hash


def _scored(node: Any, found: TrainingDiff, files: Sequence[Path], root: Path) -> TrainingDiff:
    declared = (node.config.meta or {}).get(SCORE_WITH)
    if not declared:
        return replace(found, note=f"no {SCORE_WITH} is declared, so no model is trained")
    script, _, function = declared.partition(":")
    scores = files[0].with_name(f"{node.name}.scores.json")
    # A process of its own: what the script imports or breaks stays there.
    run = subprocess.run(
        [sys.executable, "-P", "-m", _SCORE, script, function, *map(str, (scores, *files))],
        cwd=root,
        env=os.environ | _ONE_THREAD,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if not scores.is_file():
        last = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        return replace(found, note=f"{declared} gives no scores: {last}")
    before, after = json.loads(scores.read_text())
    return replace(found, scores_before=before, scores_after=after)
