"""What every benchmark is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SMALL_EVENTS = 1_000_000
FULL_EVENTS = 10_000_000


@dataclass(frozen=True)
class Settings:
    """`data` keeps landing zones between runs; what is built under `scratch` is removed again."""

    scale: str
    data: Path

    @property
    def scratch(self) -> Path:
        return self.data / "scratch"

    @property
    def is_full(self) -> bool:
        return self.scale == "full"

    @property
    def events(self) -> int:
        return FULL_EVENTS if self.is_full else SMALL_EVENTS

    @property
    def runs(self) -> int:
        """Small measurements are repeated, since others may be using the machine."""
        return 1 if self.is_full else 3
