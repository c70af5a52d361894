"""What the role of an API key may read of views and documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.contracts.grants import Grant, read_grants
from assay.core.fault import Fault
from assay.core.places import GRANTS
from assay.online.answer import FeatureAnswer
from assay.online.definition import OnlineColumn, OnlineView
from assay.online.request import ViewRequest
from assay.pii.key import VARIABLE, find_pii_key
from assay.project.conventions import CHUNKS
from assay.server.rejected import Rejected

_SHIELDED = "varchar"
# Their texts are the same in JSON and in gold, so that hashes are, too.
_SHIELDABLE = ("whole", "hugeint", "uhugeint")


@dataclass(frozen=True)
class Rights:
    """What a role may read, by table of gold; None for all."""

    role: str | None = None
    grants: Mapping[str, Grant] | None = None

    @property
    def are_whole(self) -> bool:
        """Whether all may be read."""
        return self.grants is None

    def may_read(self, view: str) -> bool:
        """Tell whether a view may be read, or a part of its columns.

        Rows are told apart by conditions in SQL, which a store cannot tell.
        """
        if self.grants is None:
            return True
        return view in self.grants and self.grants[view].rows is None

    def explain_refusal(self, view: str) -> str:
        """Return why a view may not be read, for the end of a sentence; empty if the role allows it."""
        if self.may_read(view):
            return ""
        if view in (self.grants or ()):
            return f": the role {self.role} reads some of its rows, which the server cannot tell apart"
        return f": the role {self.role} does not read it"

    def sees(self, view: OnlineView, name: str) -> bool:
        """Tell whether a key, column or derived feature of a view is seen, also where it is shielded.

        A derived feature is seen where all columns that it is made of are seen as gold has them.
        """
        if self.grants is None:
            return True
        grant = self.grants[view.name]
        if name in view.derived:
            used = view.selection([name]).needed
            return all(column.name in grant.columns and column.name not in grant.shields for column in used)
        if name not in grant.columns:
            return False
        column = _column_named(view, name)
        return name not in grant.shields or column.type.lower() == "varchar" or column.kind in _SHIELDABLE

    def sees_plain(self, view: OnlineView, name: str) -> bool:
        """Tell whether a column is seen as gold has it."""
        return self.sees(view, name) and (self.grants is None or name not in self.grants[view.name].shields)

    def narrow(self, requests: Sequence[ViewRequest], named: Mapping[str, Any]) -> list[ViewRequest]:
        """Take from requests what the role does not see.

        Args:
            requests: of views that it may read.
            named: by view, the features that were asked for by name; nothing of a view that was asked whole.

        Raises:
            Rejected: the role does not see a feature that was named, or none of a view's.
        """
        return [self._narrow(request, bool(named.get(request.view.name))) for request in requests]

    def _narrow(self, request: ViewRequest, is_named: bool) -> ViewRequest:
        if self.grants is None:
            return request
        view = request.view
        seen = [name for name in request.features if self.sees(view, name)]
        hidden = [name for name in request.features if name not in seen]
        if hidden and (is_named or not seen):
            raise Rejected(
                403, f"The role {self.role} of this API key does not see {', '.join(hidden)} of {view.name}."
            )
        return replace(request, features=seen)

    def shield(self, view: OnlineView, features: Sequence[FeatureAnswer]) -> list[FeatureAnswer]:
        """Return what the role sees of features, with values hashed or masked.

        Raises:
            Fault: a value is to be hashed, and this process has no key.
        """
        if self.grants is None:
            return list(features)
        shields = self.grants[view.name].shields
        return [
            _shielded(feature, shields[feature.name]) if feature.name in shields else feature
            for feature in features
            if self.sees(view, feature.name)
        ]

    def require_documents(self) -> None:
        """Check that documents may be searched.

        Raises:
            Rejected: the role does not read all of their chunks.
        """
        grant = None if self.grants is None else self.grants.get(CHUNKS)
        if self.grants is not None and not (grant and grant.is_whole):
            raise Rejected(
                403,
                f"This API key is not for documents: the role {self.role} does not read all of {CHUNKS}.",
            )


EVERYTHING = Rights()


class RoleBook:
    """What each role may read, as the file beside the API keys says it, which a build may replace."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / GRANTS
        self._read: tuple[int, ...] | None = None
        self._grants: dict[str, dict[str, Grant]] = {}

    def find(self, role: str) -> Rights:
        """Return the rights of a role; none where no contract names it.

        Raises:
            Fault: the file is broken, or cannot be read.
        """
        try:
            status = self._path.stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
            if self._read != state:
                self._grants, self._read = read_grants(self._path.read_bytes()), state
        except FileNotFoundError:
            self._grants, self._read = {}, None
        except OSError as error:
            raise Fault(f"{self._path} cannot be read ({error.strerror}).") from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Fault(f"{self._path} does not say what roles may read: {error}") from error
        return Rights(role, self._grants.get(role, {}))


def _column_named(view: OnlineView, name: str) -> OnlineColumn:
    return next(column for column in (*view.keys, *view.columns.values()) if column.name == name)


def _shielded(feature: FeatureAnswer, shield: str) -> FeatureAnswer:
    key = find_pii_key() if shield == "hash" else None
    if shield == "hash" and key is None:
        raise Fault(f"{feature.name} is to be hashed, and {VARIABLE} is not set.")
    texts = [None if value is None else str(value) for value in feature.raw]
    shown = [None if each is None else key.hashed(each) if key else "*" * len(each) for each in texts]
    return replace(feature, type=_SHIELDED, raw=shown)
