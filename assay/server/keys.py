"""API keys: kept as hashes, for views, models, documents and experiments, until they end or are revoked."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from assay.core.disk import make_private_folder, open_private, replace_private
from assay.core.fault import MISUSED, Fault
from assay.core.moment import now
from assay.search.visible import Scope
from assay.server.rejected import Rejected
from assay.server.rights import EVERYTHING, Rights, RoleBook

FILE = "api_keys.json"
EVERY = "*"
# Compared with where there is no key of the id, so that both take as long.
_NOBODY = hashlib.sha256(b"").hexdigest()
_REFUSED = "An API key is needed that is valid: send it as Authorization: Bearer KEY."


@dataclass(frozen=True)
class Key:
    """A key as it is kept: `hash` is SHA-256 of its secret, which is 256 bits of chance. Times are UTC.

    It is for reading `views`, for logging predictions of the models `predictions`, for searching the
    documents of `sources` that have one of `tags`, and for assigning to `experiments`. With a `role`,
    it reads of these what the role may read.
    """

    id: str
    name: str
    hash: str
    views: list[str]
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    predictions: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=lambda: [EVERY])
    experiments: list[str] = field(default_factory=list)
    role: str | None = None

    @property
    def state(self) -> str:
        """Whether it is valid, expired or revoked."""
        if self.revoked_at:
            return "revoked"
        expired = self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now()
        return "expired" if expired else "valid"


@dataclass(frozen=True)
class Reader:
    """Who reads, and what they may: None for everything. `rights` are those of the key's role."""

    name: str | None = None
    views: frozenset[str] | None = None
    predictions: frozenset[str] | None = None
    sources: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    experiments: frozenset[str] | None = None
    rights: Rights = EVERYTHING

    @property
    def may_read_all(self) -> bool:
        """Whether they may read every view, and all of it."""
        return self._is_for_all and self.rights.are_whole

    def may_read(self, view: str) -> bool:
        """Tell whether they may read a view, or a part of it."""
        return (self._is_for_all or view in (self.views or ())) and self.rights.may_read(view)

    @property
    def _is_for_all(self) -> bool:
        return self.views is None or EVERY in self.views

    def require(self, views: Iterable[str]) -> None:
        """Check that they may read views, whether or not there are such.

        Raises:
            Rejected: they may not read one of them.
        """
        strange = [view for view in views if not self.may_read(view)]
        if strange:
            why = self.rights.explain_refusal(strange[0])
            raise Rejected(403, f"This API key is not for {', '.join(strange)}{why}.")

    def require_model(self, model: str) -> None:
        """Check that they may log predictions of a model.

        Raises:
            Rejected: they may not.
        """
        if self.predictions is not None and not self.predictions & {model, EVERY}:
            raise Rejected(403, f"This API key is not for predictions of {model}.")

    def require_experiment(self, name: str) -> None:
        """Check that they may assign entities to an experiment, whether or not there is such.

        Raises:
            Rejected: they may not.
        """
        if self.experiments is not None and not self.experiments & {name, EVERY}:
            raise Rejected(403, f"This API key is not for the experiment {name}.")

    def scope(self) -> Scope:
        """Return the documents that they may search.

        Raises:
            Rejected: they may search none.
        """
        if self.sources is not None and not self.sources:
            raise Rejected(403, "This API key is not for documents.")
        self.rights.require_documents()
        return Scope(*(None if each is None or EVERY in each else each for each in (self.sources, self.tags)))


class KeyRing:
    """The keys in a folder; another process may change them at any time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._roles = RoleBook(folder)
        self._read: tuple[int, ...] | None = None
        self._keys: dict[str, Key] = {}

    @property
    def keys(self) -> list[Key]:
        """All keys, the oldest first.

        Raises:
            Fault: the file is broken, or cannot be read.
        """
        self._refresh()
        return list(self._keys.values())

    def create(
        self,
        name: str,
        views: list[str],
        expires_at: datetime | None,
        predictions: Iterable[str] = (),
        sources: Iterable[str] = (),
        tags: Iterable[str] = (EVERY,),
        experiments: Iterable[str] = (),
        role: str | None = None,
    ) -> str:
        """Make a key and return it; it is told this once, and kept nowhere.

        Args:
            name: whose it is; one valid key a name.
            views: the feature views it is for; `*` for all.
            expires_at: UTC, None for never.
            predictions: the models whose predictions it may log; `*` for all.
            sources: the sources whose documents it may search; `*` for all.
            tags: of which a document must have one; `*` for all documents.
            experiments: those it may assign entities to; `*` for all.
            role: the role whose rights it has; all rights without it.

        Raises:
            Fault: the name has a valid key, or the keys cannot be written.
        """
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        expires = expires_at.isoformat() if expires_at else None
        key = Key(
            key_id,
            name,
            _hash(secret),
            views,
            now().isoformat(),
            expires,
            predictions=list(predictions),
            sources=list(sources),
            tags=list(tags),
            experiments=list(experiments),
            role=role,
        )
        with self._changing() as keys:
            if any(other.name == name and other.state == "valid" for other in keys.values()):
                raise Fault(
                    f"{name} has a key that is valid: revoke it first (assay keys revoke {name}).", MISUSED
                )
            keys[key_id] = key
        return f"assay_{key_id}_{secret}"

    def revoke(self, name: str) -> None:
        """Make the valid key of a name invalid, at once for every server that reads this folder.

        Raises:
            Fault: the name has none, or the keys cannot be written.
        """
        with self._changing() as keys:
            valid = [key for key in keys.values() if key.state == "valid"]
            if not any(key.name == name for key in valid):
                known = ", ".join(sorted({key.name for key in valid}))
                raise Fault(f"{name} has no valid key: there are {known or 'none'}.", MISUSED)
            for key in valid:
                if key.name == name:
                    keys[key.id] = replace(key, revoked_at=now().isoformat())

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
        rights = EVERYTHING if key.role is None else self._roles.find(key.role)
        return Reader(
            key.name,
            frozenset(key.views),
            frozenset(key.predictions),
            frozenset(key.sources),
            frozenset(key.tags),
            frozenset(key.experiments),
            rights,
        )

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
            if self._read != state:
                found = [Key(**each) for each in json.loads(self._path.read_text())]
                self._keys, self._read = {key.id: key for key in found}, state
        except FileNotFoundError:
            self._keys, self._read = {}, None
        except OSError as error:
            raise Fault(f"{self._path} cannot be read ({error.strerror}).") from error
        except (ValueError, TypeError) as error:
            raise Fault(f"{self._path} is no file of API keys: {error}") from error

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """Hold the lock of writers; the keys are read again, and written where the block changes them."""
        try:
            make_private_folder(self._path.parent)
            lock = open_private(self._path.with_name(f"{FILE}.lock"), os.O_RDWR)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._read = None
                self._refresh()
                yield self._keys
                content = json.dumps([asdict(key) for key in self._keys.values()], indent=1)
                replace_private(self._path, content.encode())
            finally:
                self._read = None
                os.close(lock)
        except OSError as error:
            raise Fault(
                f"{self._path} cannot be written ({error.strerror}): its keys are as they were."
            ) from error


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
