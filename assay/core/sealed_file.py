"""Files of SQLite whose names and values are encrypted, if a key was set when they were made."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from assay.core.disk import make_private
from assay.core.encryption import (
    EncryptionKey,
    find_encryption_key,
    find_key_before,
    key_missing,
    key_of_another,
)
from assay.core.sealing import Seal

_SECONDS_FOR_OTHERS = 60.0
_ENTRY = "encrypted_with"


@dataclass(frozen=True)
class SealedFile:
    """A file of SQLite that is plain, or of one key.

    A file that is there stays as it is, until `reseal` takes it to the key of now. One of the key before is
    read and written as well, so programs that have both keys go on while a rotation runs.

    Args:
        file: the file.
        kind: what it keeps, see `Seal`.
        tables: the statements that make its tables, where they are missing.
        write_anew: writes what is in the tables anew; it gets the connection, what has encrypted it (None if
            it is plain), and what will.
    """

    file: Path
    kind: str
    tables: Sequence[str]
    write_anew: Callable[[sqlite3.Connection, Seal | None, Seal], None]

    @contextmanager
    def open(self) -> Iterator[sqlite3.Connection]:
        """Connect to the file. It is made if it is missing, and encrypted if there is a key.

        Nothing is read or written but within `begin`.

        Raises:
            Fault: a key is too short, or its command fails.
            sqlite3.Error, OSError: the file cannot be used.
        """
        make_private(self.file)
        with closing(sqlite3.connect(self.file, timeout=_SECONDS_FOR_OTHERS, isolation_level=None)) as opened:
            if _is_empty(opened):
                self._make(opened)
            else:
                # Those that a later version of Assay has more.
                for statement in self.tables:
                    opened.execute(statement)
            yield opened

    @contextmanager
    def begin(self, connection: sqlite3.Connection, *, writes: bool) -> Iterator[Seal | None]:
        """Do the block in one transaction, and give it what encrypts the file; None if it is plain.

        Args:
            connection: of `open`.
            writes: whether the block writes.

        Raises:
            Fault: the file is encrypted and there is no key, or another one.
            sqlite3.Error: the file cannot be used.
        """
        connection.execute("begin immediate" if writes else "begin")
        try:
            yield self._seal_of(_fingerprint(connection))
            connection.execute("commit")
        finally:
            if connection.in_transaction:
                connection.execute("rollback")

    def find_fingerprint(self) -> str | None:
        """Return the fingerprint of the file's key, whether it is known here or not; None if it is plain.

        Raises:
            sqlite3.Error: there is no file, or it cannot be read.
        """
        address = f"{self.file.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=_SECONDS_FOR_OTHERS)) as connection:
            return _fingerprint(connection)

    def reseal(self, key: EncryptionKey) -> bool:
        """Write all that is in the file with a key, in one transaction; return whether it was of another.

        Raises:
            Fault: the file's key is not known here.
            sqlite3.Error: the file cannot be used.
            ValueError: a value was changed by another program. The file is as it was.
        """
        with self.open() as connection, self.begin(connection, writes=True) as old:
            if old and old.key == key:
                return False
            self.write_anew(connection, old, Seal(key, self.kind))
            _note(connection, key)
        return True

    def _make(self, connection: sqlite3.Connection) -> None:
        key = find_encryption_key()
        connection.execute("begin immediate")
        try:
            # Another process may have made them meanwhile.
            if _is_empty(connection):
                for statement in self.tables:
                    connection.execute(statement)
                if key:
                    _note(connection, key)
            connection.execute("commit")
        finally:
            if connection.in_transaction:
                connection.execute("rollback")

    def _seal_of(self, fingerprint: str | None) -> Seal | None:
        if fingerprint is None:
            return None
        key = find_encryption_key()
        for each in (key, find_key_before()):
            if each and each.fingerprint == fingerprint:
                return Seal(each, self.kind)
        raise key_of_another(self.file) if key else key_missing(self.file)


def _is_empty(connection: sqlite3.Connection) -> bool:
    return connection.execute("select 1 from sqlite_master limit 1").fetchone() is None


def _fingerprint(connection: sqlite3.Connection) -> str | None:
    if not connection.execute("select 1 from sqlite_master where name = ?", [_ENTRY]).fetchone():
        return None
    [(fingerprint,)] = connection.execute(f"select fingerprint from {_ENTRY}").fetchall()
    return str(fingerprint)


def _note(connection: sqlite3.Connection, key: EncryptionKey) -> None:
    connection.execute(f"create table if not exists {_ENTRY} (fingerprint text not null)")
    connection.execute(f"delete from {_ENTRY}")
    connection.execute(f"insert into {_ENTRY} values (?)", [key.fingerprint])
