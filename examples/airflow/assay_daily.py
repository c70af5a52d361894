"""A DAG for Airflow 3 that runs Assay each day: build, look for late products, take training sets, report.

Assay lies in an environment of its own, because it and Airflow need different versions of the same packages.
Environment variables say where:

- ASSAY_COMMAND: its command, such as /opt/assay/.venv/bin/assay;
- ASSAY_PROJECT: the folder of dbt_project.yml;
- ASSAY_TRAINING_SETS: the training sets of which versions are taken, with blanks between them.
"""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

LOCKED = 3
TRAINING_SETS = os.environ.get("ASSAY_TRAINING_SETS", "").split()


def assay(*arguments: str) -> None:
    """Run a command of Assay; one that finds the warehouse locked is tried again, no other."""
    command = [os.environ.get("ASSAY_COMMAND", "assay"), *arguments]
    try:
        done = subprocess.run(command, cwd=os.environ.get("ASSAY_PROJECT", "."), check=False)
    except OSError as error:
        raise AirflowFailException(f"{command[0]} cannot be run: {error}") from error
    if done.returncode == LOCKED:
        raise RuntimeError("Another build has the warehouse: Airflow tries again.")
    if done.returncode:
        raise AirflowFailException(
            f"{' '.join(command)} ended with exit code {done.returncode}: its log says why."
        )


@dag(
    schedule="0 5 * * *",
    start_date=datetime(2025, 1, 1),
    catchup=False,
    # The warehouse has one writer.
    max_active_runs=1,
    default_args={"retries": 10, "retry_delay": timedelta(minutes=2)},
)
def assay_daily() -> None:
    """Build, publish and sync, as `assay build` does; then what rests on it."""

    @task
    def build() -> None:
        """Load, build, test, publish, sync the online store, and send alerts: one run in Assay's ledger."""
        assay("build", "--wait", "0")

    @task(trigger_rule="all_done")
    def check_promises() -> None:
        """Fail if a product is later than its contract promises; `alerts.yml` says who is told."""
        assay("alerts", "check")

    @task(trigger_rule="all_done")
    def report() -> None:
        """Write report/index.html: of a failed build too, because it says what broke."""
        assay("report")

    @task
    def take_training_set(name: str) -> None:
        """Take a version of a training set; the same content is the same version."""
        assay("training-set", "create", name)

    built, published = build(), EmptyOperator(task_id="published")
    # Without a last task that needs the build, Airflow would call a run good whose report alone was written.
    built >> [published, check_promises(), report()]
    for name in TRAINING_SETS:
        published >> take_training_set.override(task_id=f"take_{name}")(name)


assay_daily()
