"""Remember who was assigned to which arm, so that a changed weight moves nobody."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path

from assay.core.disk import make_private, make_private_folder
from assay.project.experiments import Experiment

FILE = "experiments.sqlite"
_SECONDS_TO_WAIT = 3.0
_SCHEMA = """
create table if not exists assignments (
    unit text primary key, experiment text not null, arm text not null, weights text not null
) strict, without rowid
"""
_Remembered = tuple[str, dict[str, float]]


class Assignments:
    """The file in a folder; several processes may write it. It holds hashes of entities' ids, and no ids.

    Args:
        folder: of the server's files; it and the file are made when something is remembered.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def find(self, experiment: Experiment, entity_id: str) -> _Remembered | None:
        """Return the arm that an entity was assigned to, and the weights of then.

        Raises:
            sqlite3.Error: the file cannot be read.
            OSError: it cannot be made.
        """
        with self._lock:
            return _find(self._opened(), _unit(experiment, entity_id))

    def keep(
        self, experiment: Experiment, entity_id: str, arm: str, weights: Mapping[str, float]
    ) -> _Remembered:
        """Remember an arm, unless one is remembered; it is on the disk when this returns.

        Returns:
            What is remembered now.

        Raises:
            sqlite3.Error: the file cannot be written; nothing is remembered.
            OSError: it cannot be made.
        """
        unit = _unit(experiment, entity_id)
        with self._lock:
            connection = self._opened()
            with connection:
                connection.execute(
                    "insert into assignments values (?, ?, ?, ?) on conflict do nothing",
                    [unit, experiment.name, arm, json.dumps(dict(weights))],
                )
            return _find(connection, unit) or (arm, dict(weights))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            make_private_folder(self._path.parent)
            make_private(self._path)
            connection = sqlite3.connect(self._path, timeout=_SECONDS_TO_WAIT, check_same_thread=False)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute(_SCHEMA)
            self._connection = connection
        return self._connection


def _find(connection: sqlite3.Connection, unit: str) -> _Remembered | None:
    row = connection.execute("select arm, weights from assignments where unit = ?", [unit]).fetchone()
    return None if row is None else (row[0], json.loads(row[1]))


def _unit(experiment: Experiment, entity_id: str) -> str:
    """Return what stands for an entity. Another salt draws anew, and so it is another unit."""
    return hashlib.sha256(f"unit:{experiment.name}:{experiment.salt}:{entity_id}".encode()).hexdigest()
