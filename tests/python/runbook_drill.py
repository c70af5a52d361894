"""Follow a runbook: read the commands of its page, fill in what the alert says, and run them in order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from guides import PROJECT, Block, blocks_of
from small_project import SmallProject

from assay.alerts.runbooks import Runbook

PAGES = PROJECT / "docs" / "runbooks"
HEADINGS = ["What it means", "See more", "What to do", "Verify"]
_ALERTS = Path("data", "alerts.jsonl")
Drilled = TypeVar("Drilled", bound=Callable[..., None])


def drill(*runbooks: Runbook) -> Callable[[Drilled], Drilled]:
    """Mark a test as the drill of some runbooks."""
    return lambda test: test


@dataclass
class Drill:
    """The page of one kind of alert, followed in a project.

    Args:
        project: the project; its alerts go to a file.
        runbook: the page.
    """

    project: SmallProject
    runbook: Runbook
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.project.root / "alerts.yml").write_text(f"channels: [{{type: file, path: {_ALERTS}}}]\n")

    def alert(self, name: str | None = None) -> dict[str, Any]:
        """Take the one alert of this kind that was sent, and go by its page."""
        found = [each for each in self.sent("broken") if name in (None, each["name"])]
        assert len(found) == 1, self.sent()
        alert = found[0]
        assert f"assay alerts explain {self.runbook}" in self.list()
        self.values = {"NAME": alert["name"], "ABOUT": alert["about"], "RUN": alert["run_id"]}
        return alert

    def sent(self, change: str | None = None) -> list[dict[str, Any]]:
        """The alerts of this kind that were sent."""
        file = self.project.root / _ALERTS
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [
            each for each in lines if each["runbook"] == self.runbook and change in (None, each["change"])
        ]

    def list(self) -> str:
        """What `assay alerts list` tells."""
        return str(self.project.assay("alerts", "list").output)

    def follow(self, heading: str) -> str:
        """Run what a section of the page tells people to run; return what it told."""
        told = ""
        for block in section_blocks(self.runbook, heading):
            if block.language == "sql":
                told += self._query(block.text)
                continue
            for number, words in enumerate(block.commands, 1):
                assert words[0] == "assay"
                ended = self.project.assay(*(self._fill(word) for word in words[1:]))
                expected = block.exit_code if number == len(block.commands) else 0
                # What else stands is no matter of this page.
                if words[1:] != ["alerts", "list"]:
                    assert ended.exit_code == expected, f"{words}\n{ended.output}"
                told += ended.output
        return told

    def verify(self, *, is_closed: bool = False) -> None:
        """Follow the last section: it stands no more, and people were told so if it ended by itself."""
        assert self.runbook not in self.follow("Verify")
        told = [each["change"] for each in self.sent() if each["name"] == self.values["NAME"]]
        assert told == (["broken"] if is_closed else ["broken", "recovered"])

    def _fill(self, word: str) -> str:
        return re.sub("NAME|ABOUT|RUN", lambda found: self.values[found[0]], word)

    def _query(self, sql: str) -> str:
        published = "assay.gold" in sql
        file = self.project.published if published else self.project.warehouse
        rows = self.project.query(sql.replace("assay.gold", "gold"), file=file)
        assert rows, sql
        return "\n".join(map(str, rows))


def page_text(runbook: str) -> str:
    return (PAGES / f"{runbook}.md").read_text()


def section_blocks(runbook: Runbook, heading: str) -> list[Block]:
    """The blocks of a section that can be run, in order."""
    page = PAGES / f"{runbook}.md"
    lines = page.read_text().splitlines()
    begin = lines.index(f"## {heading}") + 1
    end = next(
        (place for place, line in enumerate(lines[begin:], begin) if line.startswith("## ")), len(lines)
    )
    return [block for block in blocks_of(page) if block.is_run and begin < block.line <= end]
