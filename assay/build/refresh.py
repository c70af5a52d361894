"""Tell how often monitoring and training sets are built: the variable `refresh_every` of the project."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.moment import length_of
from assay.project.conventions import MONITORING, REFRESH, TRAINING_SET
from assay.project.variables import declared_variable

#: The groups of nodes that are not built each time their inputs change, by the prefix of their names.
GROUPS = {"monitoring": MONITORING, "training_sets": TRAINING_SET}
_EVERY = {"monitoring": "1h", "training_sets": "12h"}


def group_of(node: Any) -> str | None:
    """Return the group of a model; None if it is built whenever its inputs change."""
    if (node.config.meta or {}).get(REFRESH) == "always":
        return None
    return next((group for group, prefix in GROUPS.items() if node.name.startswith(prefix)), None)


def due_at(group: str, refreshed_at: str | None) -> datetime | None:
    """Return when a group is to be built again (UTC); None if that is at each build.

    Args:
        group: a key of `GROUPS`.
        refreshed_at: when it was last built (ISO 8601, UTC).

    Raises:
        Fault: `refresh_every` in dbt_project.yml is no length of time.
    """
    every = _every(group)
    return datetime.fromisoformat(refreshed_at) + every if every and refreshed_at else None


def check_lengths() -> None:
    """Check that `refresh_every` in dbt_project.yml holds lengths of time.

    Raises:
        Fault: it does not.
    """
    for group in GROUPS:
        _every(group)


def _every(group: str) -> timedelta | None:
    declared = {**_EVERY, **(declared_variable("refresh_every") or {})}
    length = declared[group]
    if length is None:
        return None
    try:
        return length_of(str(length))
    except (KeyError, ValueError, OverflowError) as error:
        raise Fault(
            f"dbt_project.yml: refresh_every of {group} is {length!r}: write a length of time such as 30m, "
            "12h or 7d, or null to build it each time.",
            MISUSED,
        ) from error
