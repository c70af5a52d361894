"""Let one process at a time write a place: a lock beside it, which ends when its process ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from assay.core.fault import LOCKED, MISUSED, Fault

_SECONDS_BETWEEN_TRIES = 0.1
# `assay status` takes the lock for an instant too, to see whether it is free. That must not refuse a build.
_SECONDS_OF_GRACE = 0.5
#: A process that only copies from the warehouse is waited for so long, whatever the caller's wait is.
SECONDS_FOR_A_COPY = 300.0


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock; `started_at` in UTC. `copies` if it soon gives it back by itself."""

    pid: int
    host: str
    started_at: datetime
    command: str
    copies: bool = False

    def __str__(self) -> str:
        return f"PID {self.pid} on {self.host} since {self.started_at:%Y-%m-%d %H:%M:%S} UTC ({self.command})"


def lock_file(warehouse: Path) -> Path:
    """Return the path of the lock that guards `warehouse`."""
    return warehouse.with_name(f"{warehouse.name}.lock")


@contextmanager
def locked(
    warehouse: Path,
    *,
    command: str,
    wait: float,
    on_wait: Callable[[Holder | None], None],
    copies: bool = False,
) -> Iterator[None]:
    """Hold the lock of `warehouse` while the block runs.

    Args:
        warehouse: the file to guard; its folder is made if it is missing.
        command: the command that other processes are told holds the lock.
        wait: how long to wait for another holder, in seconds.
        on_wait: called once, when the wait begins, with the process that holds the lock.
        copies: whether the block only copies from the warehouse, so that others wait for its end.

    Raises:
        Fault: another process held the lock during the whole wait, or the lock cannot be made.
    """
    path = lock_file(warehouse)
    with hold(
        path,
        command=command,
        wait=max(wait, _SECONDS_OF_GRACE),
        on_wait=on_wait,
        copies=copies,
        refuse=lambda holder: Fault(
            f"Another build has this warehouse: {holder or 'its lock is ' + str(path)}. "
            "Try again when it is done, or wait for it with --wait SECONDS.",
            LOCKED,
        ),
    ):
        yield


@contextmanager
def hold(
    path: Path,
    *,
    command: str,
    wait: float = 0,
    on_wait: Callable[[Holder | None], None] = lambda holder: None,
    copies: bool = False,
    refuse: Callable[[Holder | None], Fault],
) -> Iterator[None]:
    """Hold a lock while the block runs.

    Args:
        path: the lock's file; its folder is made if it is missing.
        command: the command that other processes are told holds the lock.
        wait: how long to wait for another holder, in seconds.
        on_wait: called once, when the wait begins, with the process that holds the lock.
        copies: whether others wait for its end.
        refuse: makes the fault to raise from the process that held the lock during the whole wait.

    Raises:
        Fault: that fault, or the lock cannot be made.
    """
    with _opened(path) as stream:
        _acquire(stream.fileno(), path, wait, on_wait, refuse)
        holder = Holder(os.getpid(), socket.gethostname(), datetime.now(UTC), command, copies)
        stream.truncate(0)
        json.dump(asdict(holder) | {"started_at": holder.started_at.isoformat()}, stream)
        stream.flush()
        # The file is not removed: one process could lock the removed file while another makes a new one.
        yield


def _opened(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+")
    except OSError as error:
        raise Fault(
            f"{path} cannot be written ({error.strerror}): make its folder writable, "
            "or name another place for the warehouse in ASSAY_WAREHOUSE, or for what lands in ASSAY_LANDING.",
            MISUSED,
        ) from error


def _acquire(
    descriptor: int,
    path: Path,
    wait: float,
    on_wait: Callable[[Holder | None], None],
    refuse: Callable[[Holder | None], Fault],
) -> None:
    started = time.monotonic()
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            waited = time.monotonic() - started
        if waited > wait:
            holder = _read(path)
            if not (holder and holder.copies and waited < SECONDS_FOR_A_COPY):
                raise refuse(holder)
        if not told and waited > _SECONDS_OF_GRACE:
            on_wait(_read(path))
            told = True
        time.sleep(_SECONDS_BETWEEN_TRIES)


def current_holder(warehouse: Path) -> Holder | None:
    """Return who holds the lock of `warehouse` now, or None where nobody does."""
    path = lock_file(warehouse)
    try:
        with path.open() as stream:
            fcntl.flock(stream.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return _read(path)
    return None


def _read(path: Path) -> Holder | None:
    """Return the process that the lock file names; None between taking the lock and writing the name."""
    try:
        held = json.loads(path.read_text())
    except ValueError:
        return None
    return Holder(**held | {"started_at": datetime.fromisoformat(held["started_at"])})
