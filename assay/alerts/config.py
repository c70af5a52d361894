"""Read `alerts.yml` in the project's folder, which says where alerts go."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay.alerts.channels import CHANNELS, Channel, send_all
from assay.alerts.states import Alert
from assay.core.fault import MISUSED, Fault
from assay.core.places import ALERTS
from assay.core.yaml_text import read_settings

_REMIND_AFTER = 10
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Config:
    """The channels, and after how many runs an alert about something broken is repeated.

    `problems` says what is wrong with single channels; the other channels work.
    """

    channels: list[Channel]
    remind_after: int = _REMIND_AFTER
    problems: list[str] = field(default_factory=list)

    def tell(self, alerts: Sequence[Alert]) -> tuple[bool, list[str]]:
        """Send alerts through every channel.

        Returns:
            Whether a channel took them, or nobody is to be told; and what is wrong with channels.
        """
        took, failed = send_all(alerts, self.channels) if alerts else ([], [])
        problems = [*self.problems, *failed]
        return not (alerts and problems) or bool(took), problems


def read_config(path: Path = ALERTS) -> Config:
    """Read the file; without it there are no channels.

    Raises:
        Fault: the file is no YAML, or has no list of channels.
    """
    found = read_settings(path)
    if found is None:
        return Config([])
    declared = found.get("channels") or [] if isinstance(found, dict) else None
    if not isinstance(declared, list):
        raise Fault(f"{path} needs a list of channels, such as channels: [{{type: stdout}}].", MISUSED)
    problems = []
    if strange := sorted(str(name) for name in set(found) - {"channels", "remind_after"}):
        problems.append(f"{path} has {', '.join(strange)}: allowed are channels and remind_after.")
    remind_after = found.get("remind_after", _REMIND_AFTER)
    if isinstance(remind_after, bool) or not isinstance(remind_after, int) or remind_after < 1:
        problems.append(f"{path}: remind_after must be a whole number of runs, 1 or more.")
        remind_after = _REMIND_AFTER
    channels = []
    for number, each in enumerate(declared, start=1):
        try:
            channels.append(_channel(path, number, each))
        except Fault as fault:
            problems.append(str(fault))
    return Config(channels, remind_after, problems)


def _channel(path: Path, number: int, declared: Any) -> Channel:
    kinds = ", ".join(CHANNELS)
    if not isinstance(declared, dict) or str(declared.get("type")) not in CHANNELS:
        # The message does not quote the entry, which may hold a secret.
        raise Fault(f"{path}: a channel needs a type, one of {kinds}; number {number} has none.", MISUSED)
    kind = CHANNELS[declared["type"]]
    given = {name: _filled(path, value) for name, value in declared.items() if name != "type"}
    known = kind.__dataclass_fields__
    if strange := sorted(given.keys() - known.keys()):
        raise Fault(
            f"{path}: {declared['type']} has {', '.join(strange)}; allowed are {', '.join(known) or 'none'}.",
            MISUSED,
        )
    try:
        return kind(**given)
    except TypeError as error:
        raise Fault(f"{path}: {declared['type']} needs {', '.join(known)}.", MISUSED) from error


def _filled(path: Path, value: Any) -> Any:
    """Replace `${NAME}` by environment variables, so that secrets need not be in the file."""
    if isinstance(value, list):
        return [_filled(path, each) for each in value]
    if not isinstance(value, str):
        return value
    for name in _VARIABLE.findall(value):
        if name not in os.environ:
            raise Fault(f"{path} needs the environment variable {name}, which is not set.", MISUSED)
    return _VARIABLE.sub(lambda found: os.environ[found[1]], value)
