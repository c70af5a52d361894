"""Say what a change does to training sets: whether their bits change, and how good a model is then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from assay.core.fault import Fault
from assay.core.sql import quoted, text
from assay.diff.code import CodeVersion
from assay.diff.score import FILES, SCORES
from assay.diff.tables import Pair, TableDiff, as_sql
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
) -> list[TrainingDiff]:
    """Compare the training sets that are on both sides.

    Args:
        connection: has both sides attached.
        tables: that were compared.
        code: the later version, with whose script models are trained on both sides.
        folder: a folder for the rows.
    """
    found: dict[str, TrainingDiff] = {}
    scripts: dict[str, list[Path]] = {}
    for table in tables:
        pair, node = table.pair, code.tables.get(table.pair.unique_id)
        if node is None or not is_training_set(node) or not (pair.before and pair.after):
            continue
        found[node.name] = diff = _compare_bits(connection, pair, node.name, folder / node.name)
        if diff.bits_change:
            declared = (node.config.meta or {}).get(SCORE_WITH)
            if declared:
                scripts.setdefault(declared, []).append(folder / node.name)
            else:
                found[node.name] = replace(diff, note=f"no {SCORE_WITH} is declared, so no model is trained")
    for declared, folders in scripts.items():
        for each, scores in _score(declared, folders, code.root).items():
            if isinstance(scores, str):
                note = f"{declared} gives no scores: {scores}"
                found[each.name] = replace(found[each.name], note=note)
            else:
                before, after = scores
                found[each.name] = replace(found[each.name], scores_before=before, scores_after=after)
    return list(found.values())


def _compare_bits(connection: duckdb.DuckDBPyConnection, pair: Pair, name: str, folder: Path) -> TrainingDiff:
    """Write the rows of both sides into a folder, and compare their hashes."""
    if not pair.key:
        return TrainingDiff(name, note="it declares no primary key, by which its rows are ordered")
    folder.mkdir()
    versions: list[str] = []
    try:
        for relation, file in zip((pair.before, pair.after), FILES, strict=True):
            assert relation
            # As a version has them.
            rows = f"from {as_sql(relation)} order by {quoted(*pair.key)}"
            connection.execute(f"copy ({rows}) to {text(folder / file)} (format parquet)")
            versions.append(name_version(name, read_content(folder / file).hash))
    except (Fault, duckdb.Error) as error:
        return TrainingDiff(name, note=str(error))
    before, after = versions
    return TrainingDiff(name, before, after)


def _score(declared: str, folders: Sequence[Path], root: Path) -> dict[Path, list[dict[str, float]] | str]:
    """Return the scores of both sides by folder, or why there are none.

    A process of its own does it: what the script imports or breaks stays there. It is the same one for all
    folders, because a script mostly imports much; where it ends itself, another goes on after that folder.
    """
    script, _, function = declared.partition(":")
    found: dict[Path, list[dict[str, float]] | str] = {}
    while left := [each for each in folders if each not in found]:
        run = subprocess.run(
            [sys.executable, "-P", "-m", _SCORE, script, function, *map(str, left)],
            cwd=root,
            env=os.environ | _ONE_THREAD,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        for folder in left:
            if not (folder / SCORES).is_file():
                found[folder] = (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
                break
            found[folder] = json.loads((folder / SCORES).read_text())
    return found
