"""Run all checks on a training set."""

from __future__ import annotations

from collections.abc import Callable
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
from assay.project.warehouse import connect

SAMPLE = 200


def find_leaks(
    training_set: str,
    *,
    warehouse: Path,
    at: datetime | None = None,
    sample: int = SAMPLE,
    seed: int = 0,
    watcher: Watcher | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Check]:
    """Try to find a leak in a training set of the project in the current folder.

    The warehouse is only read; the checks build what they need in a temporary folder.

    Args:
        training_set: the model's name.
        warehouse: the file in which the current code built the training set.
        at: the moment; everything that became available later is erased. By default it is the instant late
            in the training set at which a leak shows best: see `choose_moment`.
        sample: the number of rows to compute again by brute force.
        seed: the same seed draws the same rows.
        watcher: receives what dbt does.
        say: called with a message for people when a check begins.

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
        return check(declared, warehouse=warehouse, erased=erased, sample=sample, seed=seed, say=say)


def check(
    training_set: TrainingSet,
    *,
    warehouse: Path,
    erased: Erased,
    sample: int = SAMPLE,
    moments: int = MOMENTS,
    seed: int = 0,
    say: Callable[[str], None] = lambda _: None,
) -> list[Check]:
    """Run all checks on a training set with an erased warehouse; `say` is called for each check."""
    label_moments = min(moments, LABEL_MOMENTS)
    first: dict[str, Callable[[], Check]] = {
        "erasure": lambda: check_erasure(training_set, warehouse, erased.path, erased.at),
        f"own time, {moments} moments": lambda: check_own_time(
            training_set, erased, warehouse, moments=moments, seed=seed
        ),
        f"labels, {label_moments} moments": lambda: check_labels(
            training_set, erased, warehouse, moments=label_moments
        ),
    }
    then: dict[str, Callable[[duckdb.DuckDBPyConnection], Check]] = {
        "origins": lambda connection: check_origins(training_set, erased, connection),
        f"brute force, {sample} rows": lambda connection: check_by_brute_force(
            training_set, connection, sample=sample, seed=seed
        ),
        "knowledge time": lambda connection: check_knowledge(training_set, connection),
        "splits": lambda connection: check_splits(training_set, connection),
        "outcome": lambda connection: check_outcome(
            training_set,
            connection,
            set(columns_of(connection, training_set.relation)) - _cleared(checks),
        ),
    }
    steps = enumerate([*first, *then], start=1)
    checks: list[Check] = []

    def tell_next() -> None:
        number, name = next(steps)
        say(f"Check {number} of {len(first) + len(then)}: {name}")

    for check_files in first.values():
        tell_next()
        checks.append(check_files())
    # Opened and not attached, because silver's views contain the catalog's name.
    with connect(warehouse) as connection:
        for check_tables in then.values():
            tell_next()
            checks.append(check_tables(connection))
    return checks


def _cleared(checks: list[Check]) -> set[str]:
    """Return the columns that at least one check has examined and none has suspected."""
    found = {finding.column for check in checks for finding in check.findings}
    suspected = {column for check in checks for column in check.suspected}
    return {column for check in checks for column in check.cleared} - found - suspected
