"""Watch the processes that run tests: tell what has been under way for long, and of one that is lost, why.

A test whose process ends without a word, as the system ends one where memory is short, runs once more.
"""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling

_SECONDS_BETWEEN_LINES = 300
# When each test that is under way has begun.
_begun: dict[str, float] = {}
_lost: set[str] = set()
_ended = threading.Event()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to tell what is under way, where several processes run tests."""
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        threading.Thread(target=_tell_at_times, args=(terminal, time.monotonic()), daemon=True).start()


def pytest_sessionfinish() -> None:
    """Tell no more."""
    _ended.set()


def pytest_runtest_logstart(nodeid: str) -> None:
    """Note that a test begins."""
    _begun[nodeid] = time.monotonic()


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Note that a test has ended."""
    _begun.pop(nodeid, None)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say with which code a process has ended that was not told to, and what the machine has left."""
    if error:
        code = node.gateway._io.popen.wait(timeout=10)
        terminal = node.config.pluginmanager.get_plugin("terminalreporter")
        terminal.write_line(f"\nA process that runs tests ended with code {code}. {_what_is_left()}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Take the scheduler below in place of pytest-xdist's for `--dist loadfile`."""
    return _Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: LoadFileScheduling) -> None:
    """Let a test whose process is lost run once more; the second time it has failed, and its file goes on."""
    _begun.pop(crashitem, None)
    is_first = crashitem not in _lost
    if is_first:
        _lost.add(crashitem)
        report.outcome = "rerun"  # type: ignore[assignment]
    for tests in sched.workqueue.values():
        if crashitem in tests:
            tests[crashitem] = not is_first


class _Scheduling(LoadFileScheduling):
    """Gives each process enough to do.

    A process runs the last test that it knows of only when it knows what comes after. pytest-xdist gives one
    that replaces a lost one a single file, of which one test or none may be left: it would wait for the rest
    of the run, and where no other process is left, for ever. Where two are replaced, it ends the run if one
    of them has collected its tests before the other.
    """

    def _reschedule(self, node: Any) -> None:
        if node not in self.registered_collections:
            return
        super()._reschedule(node)
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


def _tell_at_times(terminal: pytest.TerminalReporter, began: float) -> None:
    while not _ended.wait(_SECONDS_BETWEEN_LINES):
        now = time.monotonic()
        under_way = ", ".join(f"{test} for {now - since:.0f} s" for test, since in sorted(_begun.items()))
        terminal.write_line(f"\n{(now - began) / 60:.0f} min: {under_way or 'no test'}. {_what_is_left()}")


def _what_is_left() -> str:
    memory = Path("/proc/meminfo")
    lines = memory.read_text().splitlines() if memory.exists() else []
    free = [int(line.split()[1]) / 1e6 for line in lines if line.startswith("MemAvailable")]
    disk = shutil.disk_usage("/tmp" if Path("/tmp").exists() else ".").free / 1e9
    return f"{disk:.0f} GB of disk are free" + "".join(f", {each:.1f} GB of memory" for each in free) + "."
