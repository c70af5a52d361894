"""What each node of a dbt run costs: `python -m benchmarks.nodes PROJECT MODEL ...` prints it as JSON.

dbt itself takes seconds to start, so processes cannot be compared where a node takes one: here the CPU of the
process is read when a node starts and when it ends, one node at a time.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

from dbt.cli.main import dbtRunner
from dbt_common.events.base_types import EventMsg


def _now() -> tuple[float, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime, time.monotonic()


def main(project: str, *models: str) -> int:
    started: dict[str, tuple[float, float]] = {}
    costs: dict[str, dict[str, float]] = {}

    def note(event: EventMsg) -> None:
        if event.info.name == "NodeStart":
            started[event.data.node_info.node_name] = _now()
        elif event.info.name == "NodeFinished":
            name = event.data.node_info.node_name
            cpu, wall = (now - then for now, then in zip(_now(), started[name], strict=True))
            costs[name] = {"cpu": cpu, "wall": wall}

    os.chdir(project)
    arguments = ["--quiet", "run", "--profiles-dir", ".", "--threads", "1", "--select", *models]
    outcome = dbtRunner(callbacks=[note]).invoke(arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"costs": costs, "peak_rss": peak * (1 if sys.platform == "darwin" else 1024)}))
    return 0 if outcome.success else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
