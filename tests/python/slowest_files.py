"""Tell at the end of a run which files of tests took longest, so that one sees where its time goes."""

from __future__ import annotations

from collections import defaultdict

import pytest

_SECONDS_WORTH_TELLING = 20


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the seconds and tests of each file that took long, the longest first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: defaultdict[str, set[str]] = defaultdict(set)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                file = report.nodeid.partition("::")[0]
                seconds[file] += report.duration
                tests[file].add(report.nodeid)
    slow = {file: spent for file, spent in seconds.items() if spent >= _SECONDS_WORTH_TELLING}
    if slow:
        terminalreporter.section("slowest files")
    for file in sorted(slow, key=slow.__getitem__, reverse=True):
        terminalreporter.line(f"{slow[file]:6.0f} s, {len(tests[file]):4} tests: {file}")
