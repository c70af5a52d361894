"""Measure what a command costs: CPU of all its threads and children, wall time, peak memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_KIBIBYTE = 1024
_TICKS = 100


class CommandFailed(Exception):
    """A measured command ended with an error; the message holds what it printed."""


@dataclass(frozen=True)
class Cost:
    """One run of a command.

    `user` and `system` are CPU seconds of the process and its children, `wall` seconds from start to end,
    `peak_rss` bytes of the largest of the processes, `load` the machine's load average just before.
    """

    user: float
    system: float
    wall: float
    peak_rss: int
    load: float
    output: str = ""

    @property
    def cpu(self) -> float:
        return self.user + self.system


def run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, codes: Collection[int] = (0,)
) -> Cost:
    """Run a command to its end.

    Args:
        command: the program and its arguments.
        environment: variables beside those of this process.
        codes: the exit codes that are no failure.

    Raises:
        CommandFailed: it ended with another code.
    """
    load = os.getloadavg()[0]
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command, env={**os.environ, **(environment or {})}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode not in codes:
        raise CommandFailed(f"{' '.join(command)} ended with {process.returncode}:\n{text}")
    # Linux counts the peak in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else _KIBIBYTE
    return Cost(usage.ru_utime, usage.ru_stime, wall, usage.ru_maxrss * unit, load, text)


def run_module(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a Python module in an interpreter of its own."""
    return run([sys.executable, "-m", module, *arguments], environment)


def run_assay(
    *arguments: str, environment: Mapping[str, str] | None = None, codes: Collection[int] = (0,)
) -> Cost:
    """Run the command `assay` of the interpreter that measures."""
    return run([sys.executable, "-c", "from assay.cli import app; app()", *arguments], environment, codes)


def own_cpu() -> float:
    """Return the CPU seconds that this process has used, over all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def tree_cpu() -> float:
    """CPU seconds of this process, of all that it has started, and of those that they have waited for."""
    return sum(sum(map(int, fields[11:15])) for fields in _tree().values()) / _TICKS


def peak_of_tree(named: str) -> int:
    """Return the bytes of the largest of this process and those below it whose command has a word in it."""
    peaks = [0]
    for pid in _tree():
        process = Path("/proc", str(pid))
        try:
            command, status = (process / "cmdline").read_text(), (process / "status").read_text()
        except OSError:
            continue
        peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), "0")
        peaks.append(int(peak) * _KIBIBYTE if named in command else 0)
    return max(peaks)


def _tree() -> dict[int, list[str]]:
    """Return what Linux tells of this process and of those below it, by their number."""
    processes = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            processes[int(path.parent.name)] = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
    own = {int(Path("/proc/self").resolve().name)}
    while more := {pid for pid, fields in processes.items() if int(fields[1]) in own} - own:
        own |= more
    return {pid: fields for pid, fields in processes.items() if pid in own}


def middle(values: Sequence[float]) -> float:
    """The median: the machine may be busy with other things in some of the runs."""
    return median(values)
