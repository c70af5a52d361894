"""What roles may read, as contracts say it, and as the server finds it in a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Grant:
    """What a role may read of a table of gold.

    `columns` are those that it sees, and `left_out` those that it does not. `shields` says how some columns
    are changed, `hash` or `mask`. `rows` is a condition in SQL; None for all rows.
    """

    table: str
    columns: list[str]
    shields: dict[str, str] = field(default_factory=dict)
    rows: str | None = None
    left_out: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether the role reads all rows and columns as gold has them."""
        return not self.left_out and not self.shields and self.rows is None


@dataclass(frozen=True)
class Role:
    """A role and what it may read, a grant for each table, in the order of their names."""

    name: str
    grants: list[Grant]


def write_grants(roles: Sequence[Role]) -> bytes:
    """Write roles as JSON."""
    return json.dumps({role.name: [asdict(grant) for grant in role.grants] for role in roles}).encode()


def read_grants(content: bytes) -> dict[str, dict[str, Grant]]:
    """Read what `write_grants` wrote: the grants of each role by table.

    Raises:
        ValueError, TypeError: the content is something else.
    """
    return {
        name: {each["table"]: Grant(**each) for each in grants}
        for name, grants in json.loads(content).items()
    }
