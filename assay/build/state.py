"""Keep what a build left behind, so that the next one builds what has changed since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from assay.build.inputs import Inputs, identity
from assay.core.disk import replace_private


@dataclass
class State:
    """What the warehouse was built from, and what of it is not up to date.

    Attributes:
        inputs: what the build depended on.
        warehouse: the identity of the warehouse's file after the build.
        run_id: of that build.
        digests: a hash of each node and source as the project declares it, by id.
        reads_outside: whether a node reads what is neither landed nor of the project, such as the clock.
        failed: the nodes that did not succeed, and those whose tests failed.
        waiting: nodes that were not built because their group was not due, by group.
        refreshed_at: when each group was last built whole (ISO 8601, UTC).
        published: the identity of the published file; None if nothing is published.
        unpublished: tables that have been built and not been published since.
        synced: whether the online store holds what is published.
        store: a hash of what that store holds; None if nothing was put online.
        search: the identity of the index of documents; None if there is none, '' if it could not be written.
        are_roles_applied: whether the files of roles hold what is published.
        manifest: the identity of the manifest that dbt wrote of this code; None if it is not there.
    """

    inputs: Inputs
    warehouse: str
    run_id: str
    digests: dict[str, str]
    reads_outside: bool = False
    failed: list[str] = field(default_factory=list)
    waiting: dict[str, list[str]] = field(default_factory=dict)
    refreshed_at: dict[str, str] = field(default_factory=dict)
    published: str | None = None
    unpublished: list[str] = field(default_factory=list)
    synced: bool = True
    store: str | None = None
    search: str | None = None
    are_roles_applied: bool = True
    manifest: str | None = None


def state_file(warehouse: Path) -> Path:
    """Return the file with the state of a warehouse, which lies beside it."""
    return warehouse.with_name(f"{warehouse.name}.state.json")


def read_state(warehouse: Path) -> State | None:
    """Return what the last build left behind; None if nobody knows, and then everything is to be built."""
    try:
        values = json.loads(state_file(warehouse).read_text(encoding="utf-8"))
        return State(**values | {"inputs": Inputs(**values["inputs"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def forget_state(warehouse: Path) -> None:
    """Remove the state before a build changes the warehouse: after a kill, the next builds everything."""
    state_file(warehouse).unlink(missing_ok=True)


def write_state(warehouse: Path, state: State) -> None:
    """Write what a build left behind.

    Raises:
        OSError: the file cannot be written.
    """
    replace_private(state_file(warehouse), json.dumps(asdict(state)).encode())


@contextmanager
def state_kept(warehouse: Path) -> Iterator[None]:
    """Let the next build find a warehouse as up to date as it is, though the block writes to its file.

    The block changes no value. If it fails, the next build builds everything.

    Args:
        warehouse: the file, which is locked.
    """
    state = read_state(warehouse)
    is_as_left = state is not None and state.warehouse == identity(warehouse)
    yield
    if state and is_as_left:
        write_state(warehouse, replace(state, warehouse=identity(warehouse) or ""))
