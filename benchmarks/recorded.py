"""Build, and print what recording the build took, as JSON: `python -m benchmarks.recorded`.

That is what `assay build` does for the run ledger once dbt has ended: it counts rows, keeps rows that failed
tests, and writes all of it down.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from rich.console import Console

from assay.build import run
from assay.build.build import Options, build
from assay.console.progress import display_on
from benchmarks.measure import own_cpu


def main() -> int:
    spent = {"cpu": 0.0, "wall": 0.0}

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            before = _now()
            try:
                return function(*arguments, **named)
            finally:
                for what, now, then in zip(spent, _now(), before, strict=True):
                    spent[what] += now - then

        return call

    with (
        mock.patch.object(run, "make_node_results", timed(run.make_node_results)),
        mock.patch.object(run, "_record", timed(run._record)),
        display_on(Console(stderr=True)) as display,
    ):
        report = build(Options(everything=True), display)
    print(json.dumps(spent))
    return int(report.failed)


def _now() -> tuple[float, float]:
    return own_cpu(), time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
