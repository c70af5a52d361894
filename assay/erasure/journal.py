"""Keep what an erasure is about to do, so that one that is killed is ended by the next command."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from assay.core.disk import replace_private
from assay.core.fault import Fault
from assay.erasure.old_rows import OldRows, old_rows_of
from assay.erasure.person import Person


@dataclass
class Journal:
    """An erasure that is under way.

    Attributes:
        erasure_id: of the erasure.
        removed: who is removed, or which rows. Nobody else keeps whom, and the journal goes when the erasure
            has ended.
        who: who asked for it.
        reason: why.
        started_at: UTC, naive.
        files: the SHA-256 that each landed file has, or is about to have, without the person, by the SHA-256
            and name that it had, with a space between them.
        rows: how many rows all places together had.
    """

    erasure_id: str
    removed: Person | OldRows
    who: str
    reason: str
    started_at: datetime
    files: dict[str, str] = field(default_factory=dict)
    rows: int = 0

    def keep(self, warehouse: Path) -> None:
        """Write it beside the warehouse.

        Raises:
            OSError: it cannot be written.
        """
        values = asdict(self) | {"started_at": self.started_at.isoformat()}
        del values["removed"]
        if isinstance(self.removed, Person):
            values["person"] = asdict(self.removed)
        else:
            values["old_rows"] = self.removed.as_values()
        replace_private(journal_file(warehouse), json.dumps(values).encode())


def journal_file(warehouse: Path) -> Path:
    """Return the file that stands beside a warehouse while something is being erased."""
    return warehouse.with_name(f"{warehouse.name}.erasure.json")


def read_journal(warehouse: Path) -> Journal | None:
    """Return the erasure that was begun and has not ended.

    Raises:
        Fault: the file that says so is damaged.
    """
    file = journal_file(warehouse)
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if "old_rows" in values:
            values["removed"] = old_rows_of(values.pop("old_rows"))
        else:
            person: dict[str, Any] = values.pop("person")
            values["removed"] = Person(
                **person | {name: tuple(value) for name, value in person.items() if isinstance(value, list)}
            )
        values["started_at"] = datetime.fromisoformat(values["started_at"])
        return Journal(**values)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Fault(
            f"{file} is damaged; it says who is being forgotten, or which rows are being removed. Remove it, "
            "and forget that person again, or run assay retain."
        ) from error
