"""Build again and again, within one process that keeps what it has imported and parsed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from assay.alerts.availability_alerts import watch_availability
from assay.build.build import Options, Report
from assay.console.progress import Display
from assay.core.fault import INTERRUPTED, Fault
from assay.core.places import Places, find_places
from assay.ledger.rollbacks import read_rollback
from assay.project.code_files import read_python


def watch(
    options: Options,
    every: timedelta,
    make_display: Callable[[], Display],
    tell: Callable[[Report], None],
    *,
    build: Callable[[Options, Display], Report],
) -> None:
    """Build what has changed, wait, and begin again, until somebody interrupts.

    A fault, such as a file that is just being edited, is told once and does not end the watch. A look that
    finds nothing to do is not recorded as a run. While gold is rolled back it rests, because it would publish
    again what somebody has just taken back. Where a Python module has changed, the watch starts itself
    anew: a process imports each module once.

    Args:
        options: of each build.
        every: the time from the beginning of one build to that of the next, if it does not take longer.
        make_display: returns what shows the progress of a build.
        tell: called with the outcome of each build that had something to do.
        build: does one build.

    Raises:
        Fault: somebody interrupted.
    """
    options = replace(options, records_idle=False)
    places = find_places()
    told, imported = "", read_python()
    while True:
        begun = time.monotonic()
        try:
            with make_display() as display:
                try:
                    _rest_while_rolled_back(places)
                    report = build(options, display)
                except Fault as fault:
                    if fault.exit_code == INTERRUPTED:
                        raise
                    problems = watch_availability(places)
                    if str(fault) != told:
                        display.say(f"{fault}\nThe next look is in {every.total_seconds():g} s.")
                        for problem in problems:
                            display.say(problem)
                    told = str(fault)
                else:
                    told = ""
                    if report.unchanged_since is None:
                        tell(report)
            time.sleep(max(every.total_seconds() - (time.monotonic() - begun), 0))
            if read_python() != imported:
                os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        except KeyboardInterrupt:
            raise Fault("Interrupted: no build was under way.", INTERRUPTED) from None


def _rest_while_rolled_back(places: Places) -> None:
    if rollback := read_rollback(places.warehouse):
        raise Fault(f"Gold was {rollback}. Nothing is built until somebody has: assay build")
