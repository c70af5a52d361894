"""Run all checks on a training set."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from assay.leakage.brute_force import check_by_brute_force
from assay.leakage.declared import TrainingSet, read_training_set
from assay.leakage.erased import Erased, Silent, build_erased, parse
from assay.leakage.erasure import check_erasure
from assay.leakage.findings import Check
from assay.leakage.knowledge import check_knowledge
from assay.leakage.labels import MOMENTS as LABEL_MOMENTS
from assay.leakage.labels import check_labels
from assay.leakage.moment import choose_moment
from assay.leakage.origins import check_origins
from assay.leakage.outcome import check_outcome
from assay.leakage.own_time import MOMENTS, check_own_time
from assay.leakage.splits import check_splits
from assay.leakage.tables import columns_of
from assay.project.dbt_run import Watcher

SAMPLE = 200


def find_leaks(
    training_set: str,
    *,
    warehouse: Path,
    at: datetime | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> list[Check]:
    """Try to find a leak in a training set of the project of the current folder.

    The warehouse is only read; what must be built for the checks is built in a temporary folder.

    Args:
        training_set: the model's name.
        warehouse: the file it was built in, by the code as it is now.
        at: what became available later is erased; by default after three quarters of the training set's
            time, at the instant that tells most: see `choose_moment`.
        sample: how many rows are computed again by brute force.
        seed: another one draws other rows.
        watcher: told of every node that is built.

    Raises:
        Fault: the training set is not declared or not built, or nothing has landed in the warehouse.
    """
    watcher = watcher or Silent()
    with TemporaryDirectory(prefix="assay_leakage_") as temporary:
        folder = Path(temporary)
        manifest = parse(folder, watcher)
        declared = read_training_set(manifest, training_set)
        moment, until = choose_moment(warehouse, [declared])
        at = at or moment
        erased = build_erased(
            manifest,
            [training_set],
            warehouse=warehouse,
            at=at,
            labelled_until=until,
            folder=folder,
            scramble=declared.scramble or [],
            watcher=watcher,
        )
        return check(declared, warehouse=warehouse, erased=erased, sample=sample, seed=seed)


def check(
    training_set: TrainingSet,
    *,
    warehouse: Path,
    erased: Erased,
    sample: int = SAMPLE,
    moments: int = MOMENTS,
    seed: int = 0,
) -> list[Check]:
    """Run all checks on a training set, of which an erased warehouse is at hand."""
    checks = [
        check_erasure(training_set, warehouse, erased.path, erased.at),
        check_own_time(training_set, erased, warehouse, moments=moments, seed=seed),
        check_labels(training_set, erased, warehouse, moments=min(moments, LABEL_MOMENTS)),
    ]
    # Opened by itself: silver's views name the catalog.
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        checks += [
            check_origins(training_set, erased, connection),
            check_by_brute_force(training_set, connection, sample=sample, seed=seed),
            check_knowledge(training_set, connection),
            check_splits(training_set, connection),
        ]
        columns = set(columns_of(connection, training_set.relation))
        checks.append(check_outcome(training_set, connection, columns - _cleared(checks)))
    return checks


def _cleared(checks: list[Check]) -> set[str]:
    """Return the columns that some check has looked at, and in which none has found anything."""
    found = {finding.column for check in checks for finding in check.findings}
    suspected = {column for check in checks for column in check.suspected}
    return {column for check in checks for column in check.cleared} - found - suspected
