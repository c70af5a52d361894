"""The ways in which alerts reach people. Each is told all alerts of a run at once."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import requests

from assay.alerts.states import Alert

_SECONDS_TO_WAIT = 5.0


class Channel(Protocol):
    """A way to reach people; `str` names it without its secrets."""

    def send(self, alerts: Sequence[Alert]) -> None:
        """Tell people.

        Raises:
            Exception: they cannot be reached; of any kind, for libraries raise what they like.
        """


@dataclass(frozen=True)
class Stdout:
    """Standard output."""

    def send(self, alerts: Sequence[Alert]) -> None:
        """Print a line for each."""
        for alert in alerts:
            print(f"Alert: {alert}")

    def __str__(self) -> str:
        return "stdout"


@dataclass(frozen=True)
class File:
    """A file of JSON lines."""

    path: str

    def send(self, alerts: Sequence[Alert]) -> None:
        """Append a line for each."""
        file = Path(self.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(asdict(alert)) + "\n" for alert in alerts)

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True)
class Webhook:
    """An address that takes what Slack's incoming webhooks take."""

    url: str = field(repr=False)

    def send(self, alerts: Sequence[Alert]) -> None:
        """Post one message."""
        text = "\n".join(str(alert) for alert in alerts)
        requests.post(self.url, json={"text": text}, timeout=_SECONDS_TO_WAIT).raise_for_status()

    def __str__(self) -> str:
        # The path of such an address is its secret.
        return f"webhook at {urlsplit(self.url).hostname}"


@dataclass(frozen=True)
class Email:
    """A mail server that takes SMTP."""

    host: str
    sender: str
    to: list[str]
    port: int = 587
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    starttls: bool = True

    def send(self, alerts: Sequence[Alert]) -> None:
        """Send one message."""
        message = EmailMessage()
        more = f", and {len(alerts) - 1} more" if len(alerts) > 1 else ""
        message["Subject"] = f"Assay: {alerts[0].change}: {alerts[0].name}{more}"
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message.set_content("\n".join(str(alert) for alert in alerts))
        with smtplib.SMTP(self.host, self.port, timeout=_SECONDS_TO_WAIT) as server:
            if self.starttls:
                server.starttls()
            if self.user:
                server.login(self.user, self.password or "")
            server.send_message(message)

    def __str__(self) -> str:
        return f"email by {self.host}:{self.port}"


CHANNELS: dict[str, type[Stdout | File | Webhook | Email]] = {
    "stdout": Stdout,
    "file": File,
    "webhook": Webhook,
    "email": Email,
}


def send_all(alerts: Sequence[Alert], channels: Sequence[Channel]) -> list[str]:
    """Tell every channel, and return what is wrong with those that could not be told."""
    problems = []
    for channel in channels:
        try:
            channel.send(alerts)
        except Exception as error:
            why = str(error) if not isinstance(channel, Webhook) else type(error).__name__
            problems.append(f"The alert channel {channel} could not be told ({why}).")
    return problems
