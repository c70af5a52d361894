"""What each node of a dbt run costs: `python -m benchmarks.nodes PROJECT MODEL ...` prints it as JSON.

dbt itself takes seconds to start, so processes cannot be compared where a node takes one: here the CPU of
the process, and of all that it has started, is read when a node starts and when it ends, one node at a time.
Where ASSAY_ENGINE names Spark, it has started before.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from dbt.cli.main import dbtRunner
from dbt_common.events.base_types import EventMsg

from assay.core.places import Places
from assay.spark.handover import handed_over
from assay.spark.session import find_master, start
from benchmarks.measure import peak_of_tree, tree_cpu


def main(project: str, *models: str) -> int:
    started: dict[str, tuple[float, float]] = {}
    costs: dict[str, dict[str, float]] = {}

    def note(event: EventMsg) -> None:
        now = tree_cpu(), time.monotonic()
        if event.info.name == "NodeStart":
            started[event.data.node_info.node_name] = now
        elif event.info.name == "NodeFinished":
            name = event.data.node_info.node_name
            cpu, wall = (after - before for after, before in zip(now, started[name], strict=True))
            costs[name] = {"cpu": cpu, "wall": wall}

    os.chdir(project)
    with _engine() as profiles:
        arguments = ["--quiet", "run", "--profiles-dir", profiles, "--threads", "1", "--select", *models]
        outcome = dbtRunner(callbacks=[note]).invoke(arguments)
        task_peak = peak_of_tree("pyspark.daemon")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"costs": costs, "peak_rss": peak, "task_peak": task_peak}))
    return 0 if outcome.success else 1


@contextmanager
def _engine() -> Iterator[str]:
    """Hand nodes over to the engine that the environment names, and yield the folder of dbt's profile."""
    master = find_master()
    if master is None:
        yield "."
        return
    profiles = yaml.safe_load(Path("profiles.yml").read_text(encoding="utf-8"))
    (warehouse,) = (output for each in profiles.values() for output in each["outputs"].values())
    spark = start(master)
    with handed_over(Places(Path("landing"), Path(warehouse["path"])), print) as handover:
        warehouse["plugins"] = [{"module": module} for module in handover.plugins]
        folder = Path("target", "profiles")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "profiles.yml").write_text(yaml.safe_dump(profiles), encoding="utf-8")
        yield str(folder)
    spark.stop()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
