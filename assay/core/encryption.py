"""Encrypt files of DuckDB at rest, with a key that stands in no file: AES-256 in Galois/Counter mode."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from assay.core.extensions import find_extension
from assay.core.fault import MISUSED, Fault, extra_needed
from assay.core.sql import quoted, text

VARIABLE = "ASSAY_ENCRYPTION_KEY"
COMMAND, BEFORE = f"{VARIABLE}_COMMAND", f"{VARIABLE}_BEFORE"
_LEAST_LENGTH = 32
_FINGERPRINT_OF = b"assay: which encryption key is this?"
_SECONDS_FOR_COMMAND = 60
# DuckDB reads a key as bytes, and shows one that it cannot read in its error.
_CAN_BE_KEY = re.compile(r"(?:[^\\\x80-\U0010ffff]|\\x[0-9A-Fa-f]{2})*")
# The header of a file of DuckDB: a checksum, DUCK, the version of the format, flags.
_MAGIC, _MAGIC_AT, _FLAGS_AT = b"DUCK", 8, 20
# What DuckDB 2 writes no older one reads, unless that is asked for when the file is made. Readers may have
# DuckDB 1.5, and extras that bring extensions install it.
FORM_OF_NEW_FILES = [] if duckdb.__version__.startswith("1.") else ["storage_version 'v1.5.0'"]
_BY = "Writing encrypted files"
_WRONG_KEY, _DAMAGED = "Wrong encryption key", "AES tag differs"


class DamagedDatabase(Fault):
    """An encrypted file of DuckDB does not hold what was written, though its key is right."""


@dataclass(frozen=True, repr=False)
class EncryptionKey:
    """A key. Its `repr` does not show it, and it is never written anywhere."""

    secret: str

    @property
    def fingerprint(self) -> str:
        """A hash that identifies this key without disclosing it."""
        return self.derive(_FINGERPRINT_OF).hex()[:16]

    def derive(self, purpose: bytes) -> bytes:
        """Return a key of 32 bytes for one purpose, from which neither this key nor others can be found."""
        return hmac.digest(self.secret.encode(), purpose, hashlib.sha256)


def find_encryption_key() -> EncryptionKey | None:
    """Return the key in ASSAY_ENCRYPTION_KEY, or what the command in ASSAY_ENCRYPTION_KEY_COMMAND prints.

    Returns:
        The key; None if neither is set, and then new files are not encrypted.

    Raises:
        Fault: both are set, the command fails, or the key is so short that somebody could guess it.
    """
    secret, command = os.environ.get(VARIABLE, ""), os.environ.get(COMMAND, "")
    if secret and command:
        raise Fault(f"{VARIABLE} and {COMMAND} are both set: set one of them.", MISUSED)
    if command:
        return _checked(_ask(command), COMMAND)
    return _checked(secret, VARIABLE) if secret else None


def find_key_before() -> EncryptionKey | None:
    """Return the key in ASSAY_ENCRYPTION_KEY_BEFORE, from which files are taken to the key of now.

    Raises:
        Fault: it is too short.
    """
    secret = os.environ.get(BEFORE, "")
    return _checked(secret, BEFORE) if secret else None


def is_encrypted(file: Path) -> bool:
    """Tell whether a file of DuckDB is encrypted; false if there is none that can be read."""
    try:
        with file.open("rb") as stream:
            header = stream.read(_FLAGS_AT + 1)
    except OSError:
        # DuckDB, which opens it next, says what is wrong with it.
        return False
    is_of_duckdb = header[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC
    return is_of_duckdb and len(header) > _FLAGS_AT and bool(header[_FLAGS_AT] & 1)


def needs_key(file: Path) -> bool:
    """Tell whether a file is opened with a key: one that is encrypted, or a new one where there is a key.

    Raises:
        Fault: see `find_encryption_key`.
    """
    return is_encrypted(file) if file.exists() else find_encryption_key() is not None


def attach_file(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    name: str,
    *,
    read_only: bool = True,
    options: str = "",
    key: EncryptionKey | None = None,
) -> None:
    """Attach a file of DuckDB under a name. A new one is encrypted if there is a key.

    Args:
        connection: of DuckDB.
        file: the file.
        name: its name in SQL, without quotes.
        read_only: whether it is only read.
        options: more of DuckDB's options, as SQL.
        key: of the file; the key of now without it.

    Raises:
        DamagedDatabase: the file is encrypted, its key is right, and it does not hold what was written.
        Fault: the file is encrypted and there is no key, or another one; or the extra that writes encrypted
            files is not installed.
        duckdb.Error: there is no file to read, it is no file of DuckDB, or another program has it open.
    """
    said = ["read_only" if read_only else "read_write", *filter(None, [options])]
    if not (read_only or "storage_version" in options or file.exists()):
        said += FORM_OF_NEW_FILES
    if needs_key(file):
        key = key or find_encryption_key()
        if key is None:
            raise key_missing(file)
        load_openssl(connection, is_needed=not read_only)
        # What does not fit into memory is on the disk for a while.
        connection.execute("set temp_file_encryption = true")
        said.append(f"encryption_key {text(key.secret)}")
    with _known_errors_told(file):
        connection.execute(f"attach {text(file)} as {quoted(name)} ({', '.join(said)})")


@contextmanager
def _known_errors_told(file: Path) -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        if _DAMAGED in str(error):
            raise DamagedDatabase(
                f"{file} is damaged: put it back from a backup, or move it away; the next build writes a new "
                "one from what has landed."
            ) from None
        if _WRONG_KEY not in str(error):
            raise
        raise key_of_another(file) from None


def key_missing(file: Path) -> Fault:
    """Return the fault of a file that is encrypted where no key is set."""
    return Fault(
        f"{file} is encrypted, and no key is set: set {VARIABLE} or {COMMAND} to what it was when the file "
        "was written.",
        MISUSED,
    )


def key_of_another(file: Path) -> Fault:
    """Return the fault of a file that is encrypted with another key than the one that is set."""
    return Fault(
        f"{file} is encrypted with another key than {VARIABLE} or {COMMAND} gives: set it to what it was "
        "when the file was written. To take files to a new key: assay encrypt rotate, with the old one "
        f"in {BEFORE}.",
        MISUSED,
    )


def check_can_encrypt() -> None:
    """Check that what encrypts files is installed, before work begins whose result is to be encrypted.

    Raises:
        Fault: the extra is not installed.
    """
    _find_openssl()
    with extra_needed("encryption", by=_BY):
        import cryptography  # noqa: F401


def _find_openssl() -> str:
    return str(find_extension("httpfs", extra="encryption", by=_BY))


def load_openssl(connection: duckdb.DuckDBPyConnection, *, is_needed: bool) -> None:
    """Load what encrypts: DuckDB itself can only decrypt, and takes longer for that.

    Args:
        connection: of DuckDB.
        is_needed: whether something is written.

    Raises:
        Fault: it is needed, and the extra is not installed.
    """
    try:
        connection.load_extension(_find_openssl())
    except Fault:
        if is_needed:
            raise


def _checked(secret: str, where: str) -> EncryptionKey:
    if len(secret) < _LEAST_LENGTH:
        raise Fault(
            f"{where} gives a key of {len(secret)} characters: it takes {_LEAST_LENGTH} or more, such as "
            "those of python3 -c 'import secrets; print(secrets.token_hex(32))'.",
            MISUSED,
        )
    if not _CAN_BE_KEY.fullmatch(secret):
        raise Fault(
            f"{where} gives a key with characters that DuckDB takes for none of a key: write letters without "
            "accents, digits and signs other than a backslash.",
            MISUSED,
        )
    return EncryptionKey(secret)


@cache
def _ask(command: str) -> str:
    """Return what a command prints, without white space around it; a process asks once."""
    try:
        done = subprocess.run(
            command, shell=True, check=False, capture_output=True, timeout=_SECONDS_FOR_COMMAND
        )
    except subprocess.TimeoutExpired:
        raise Fault(f"{COMMAND} has not ended after {_SECONDS_FOR_COMMAND} s: no key is known.") from None
    if done.returncode:
        # What it says is not shown, since it may be the key.
        raise Fault(f"{COMMAND} ended with exit code {done.returncode}: no key is known.")
    printed = done.stdout.decode(errors="replace").strip()
    if len(printed.splitlines()) > 1:
        # A warning before the key would be taken for a part of it, today and not tomorrow.
        raise Fault(
            f"{COMMAND} prints several lines: it has to print the key alone. No key is known.", MISUSED
        )
    return printed
