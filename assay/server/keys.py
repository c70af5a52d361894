"""API keys: kept as hashes, for some feature views, until they expire or are revoked."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from assay.disk import sync
from assay.runs.fault import MISUSED, Fault
from assay.runs.moment import now
from assay.server.rejected import Rejected

FILE = "api_keys.json"
EVERY_VIEW = "*"
# Compared with where there is no key of the id, so that both take as long.
_NOBODY = hashlib.sha256(b"").hexdigest()
_REFUSED = "An API key is needed that is valid: send it as Authorization: Bearer KEY."


@dataclass(frozen=True)
class Key:
    """A key as it is kept: `hash` is SHA-256 of its secret, which is 256 bits of chance. Times are UTC."""

    id: str
    name: str
    hash: str
    views: list[str]
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None

    @property
    def state(self) -> str:
        """Whether it is valid, expired or revoked."""
        if self.revoked_at:
            return "revoked"
        expired = self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now()
        return "expired" if expired else "valid"


@dataclass(frozen=True)
class Reader:
    """Who reads, and what they may: None for everything."""

    name: str | None = None
    views: frozenset[str] | None = None

    def may_read(self, view: str) -> bool:
        """Tell whether they may read a view."""
        return self.views is None or view in self.views or EVERY_VIEW in self.views

    def require(self, views: Iterable[str]) -> None:
        """Check that they may read views, whether or not there are such.

        Raises:
            Rejected: they may not read one of them.
        """
        strange = [view for view in views if not self.may_read(view)]
        if strange:
            raise Rejected(403, f"This API key is not for {', '.join(strange)}.")


class KeyRing:
    """The keys in a folder; another process may change them at any time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._read: tuple[int, int] | None = None
        self._keys: dict[str, Key] = {}

    @property
    def keys(self) -> list[Key]:
        """All keys, the oldest first.

        Raises:
            Fault: the file is broken.
        """
        self._refresh()
        return list(self._keys.values())

    def create(self, name: str, views: list[str], expires_at: datetime | None) -> str:
        """Make a key and return it; it is told this once, and kept nowhere.

        Args:
            name: whose it is; one valid key a name.
            views: the feature views it is for; `*` for all.
            expires_at: UTC, None for never.

        Raises:
            Fault: the name has a valid key.
        """
        if any(key.name == name and key.state == "valid" for key in self.keys):
            raise Fault(
                f"{name} has a key that is valid: revoke it first (assay keys revoke {name}).", MISUSED
            )
        key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        expires = expires_at.isoformat() if expires_at else None
        self._keys[key_id] = Key(key_id, name, _hash(secret), views, now().isoformat(), expires)
        self._write()
        return f"assay_{key_id}_{secret}"

    def revoke(self, name: str) -> None:
        """Make the valid key of a name invalid, at once for every server that reads this folder.

        Raises:
            Fault: the name has none.
        """
        valid = [key for key in self.keys if key.name == name and key.state == "valid"]
        if not valid:
            known = ", ".join(sorted({key.name for key in self._keys.values() if key.state == "valid"}))
            raise Fault(f"{name} has no valid key: there are {known or 'none'}.", MISUSED)
        for key in valid:
            self._keys[key.id] = replace(key, revoked_at=now().isoformat())
        self._write()

    def reader(self, authorization: str | None, api_key: str | None = None) -> Reader:
        """Return who holds the key that a request brings.

        Args:
            authorization: the header of that name, `Bearer KEY`.
            api_key: the header X-API-Key, in its place.

        Raises:
            Rejected: there is no key, or it is unknown, expired or revoked; it is not said which.
        """
        self._refresh()
        scheme, _, bearer = (authorization or "").partition(" ")
        given = api_key or (bearer.strip() if scheme.lower() == "bearer" else "")
        _, _, rest = given.partition("_")
        key_id, _, secret = rest.partition("_")
        key = self._keys.get(key_id)
        matches = hmac.compare_digest(_hash(secret), key.hash if key else _NOBODY)
        if key is None or not matches or key.state != "valid":
            raise Rejected(401, _REFUSED)
        return Reader(key.name, frozenset(key.views))

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._keys, self._read = {}, None
            return
        if self._read != (status.st_mtime_ns, status.st_ino):
            try:
                found = [Key(**each) for each in json.loads(self._path.read_text())]
            except (ValueError, TypeError) as error:
                raise Fault(f"{self._path} is no file of API keys: {error}") from error
            self._keys = {key.id: key for key in found}
            self._read = (status.st_mtime_ns, status.st_ino)

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{FILE}.{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps([asdict(key) for key in self._keys.values()], indent=1))
        sync(temporary)
        temporary.replace(self._path)
        self._read = None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
