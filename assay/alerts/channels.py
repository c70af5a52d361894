"""Send alerts through channels; a channel gets all alerts of a run at once."""

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
    """A channel for alerts; `str` names it without its secrets."""

    def send(self, alerts: Sequence[Alert]) -> str | None:
        """Send alerts; return for whom the channel did not take them, if it took them for others.

        Raises:
            Exception: the alerts cannot be sent. The type depends on the library that sends them.
        """


@dataclass(frozen=True)
class Stdout:
    """Standard output."""

    def send(self, alerts: Sequence[Alert]) -> None:
        """Print a line for each alert."""
        for alert in alerts:
            print(f"Alert: {alert}")

    def __str__(self) -> str:
        return "stdout"


@dataclass(frozen=True)
class File:
    """A file of JSON lines."""

    path: str

    def send(self, alerts: Sequence[Alert]) -> None:
        """Append a line for each alert."""
        file = Path(self.path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(asdict(alert)) + "\n" for alert in alerts)

    def __str__(self) -> str:
        return f"file {self.path}"


@dataclass(frozen=True)
class Webhook:
    """A URL that accepts the messages of Slack's incoming webhooks."""

    url: str = field(repr=False)

    def send(self, alerts: Sequence[Alert]) -> None:
        """Post one message with all alerts."""
        text = "\n".join(str(alert) for alert in alerts)
        requests.post(self.url, json={"text": text}, timeout=_SECONDS_TO_WAIT).raise_for_status()

    def __str__(self) -> str:
        # The path of such a URL is secret.
        return f"webhook at {urlsplit(self.url).hostname}"


@dataclass(frozen=True)
class Email:
    """A mail server, reached by SMTP."""

    host: str
    sender: str
    to: list[str]
    port: int = 587
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    starttls: bool = True

    def send(self, alerts: Sequence[Alert]) -> str | None:
        """Send one mail with all alerts; return whom the server refused."""
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
            refused = server.send_message(message)
        said = [f"{each} ({code} {why.decode(errors='replace')})" for each, (code, why) in refused.items()]
        return ", ".join(said)

    def __str__(self) -> str:
        return f"email by {self.host}:{self.port}"


CHANNELS: dict[str, type[Stdout | File | Webhook | Email]] = {
    "stdout": Stdout,
    "file": File,
    "webhook": Webhook,
    "email": Email,
}


def send_all(alerts: Sequence[Alert], channels: Sequence[Channel]) -> tuple[list[Channel], list[str]]:
    """Send alerts through every channel; return the channels that took them, and what went wrong."""
    took, problems = [], []
    for channel in channels:
        try:
            refused = channel.send(alerts)
        except Exception as error:
            why = str(error) if not isinstance(channel, Webhook) else type(error).__name__
            problems.append(f"The alert channel {channel} could not be reached ({why}).")
            continue
        took.append(channel)
        if refused:
            problems.append(f"The alert channel {channel} did not take alerts for {refused}.")
    return took, problems
