"""People are told when something breaks, stays broken or recovers; a dead channel fails nothing."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from redis_server import free_port
from small_project import MOST_PIECES, SmallProject

from assay.alerts.channels import Email, send_all
from assay.alerts.config import read_config
from assay.alerts.runbooks import Runbook
from assay.alerts.states import Alert
from assay.core.fault import Fault

ALERT = Alert(Runbook.TEST_FAILED, "broken", "t", "test", "gold.x", "sales", "error", "3 failing rows")


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A webhook's receiver, and what it was sent."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/services/secret", received
    server.shutdown()
    server.server_close()


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """As much of a mail server as one message takes, and what it was sent."""
    received: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 hello\r\n")
            while line := self.rfile.readline().decode().strip():
                if line.upper() == "DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(lambda: self.rfile.readline().decode().rstrip("\r\n"), ".")
                    received.append("\n".join(lines))
                answer = b"550 no such user" if "gone@" in line else b"250 good"
                self.wfile.write(b"221 bye\r\n" if line.upper() == "QUIT" else answer + b"\r\n")

    server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], received
    server.shutdown()
    server.server_close()


def configure(project: SmallProject, text: str) -> None:
    (project.root / "alerts.yml").write_text(text)


def limit(project: SmallProject, most: int) -> None:
    models = project.root / "models" / "own" / "gold" / "_gold__models.yml"
    models.write_text(models.read_text().replace(f"max_value: {MOST_PIECES}", f"max_value: {most}"))


def test_only_what_changes_is_told(project: SmallProject) -> None:
    with receiver() as (url, received), mock.patch.dict(os.environ, {"HOOK": url}):
        configure(project, "remind_after: 2\nchannels: [{type: webhook, url: '${HOOK}'}]\n")
        assert project.assay("build").exit_code == 0
        assert received == []
        project.land(5, MOST_PIECES + 1)
        told = []
        for _ in range(4):
            assert project.assay("build").exit_code == 1
            told.append(len(received))
        assert told == [1, 1, 2, 2]
        said = "Broken, error: test quantities_are_plausible of gold.fct_lines.quantity: 1 failing row: "
        assert received[0]["text"].startswith(said)
        assert received[0]["text"].endswith(
            "quantity is 1001; allowed is at most 1000. What to do: assay alerts explain test-failed"
        )
        assert received[1]["text"].startswith("Still broken for 3 runs, error: test quantities_are_plausible")
        limit(project, MOST_PIECES + 1)
        assert project.assay("build").exit_code == 0
        assert received[2]["text"].startswith("Recovered, error: test quantities_are_plausible")
        assert project.assay("build").exit_code == 0
        assert len(received) == 3


def test_a_build_that_dbt_cannot_begin_is_told(project: SmallProject) -> None:
    configure(project, "channels: [{type: file, path: data/alerts.jsonl}]\n")
    broken = project.root / "models" / "own" / "gold" / "_broken__models.yml"
    broken.write_text("models: [")
    assert project.assay("build").exit_code == 1
    broken.unlink()
    assert project.assay("build").exit_code == 0
    told = project.root / "data" / "alerts.jsonl"
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [(line["change"], line["name"]) for line in lines] == [
        ("broken", "assay build"),
        ("recovered", "assay build"),
    ]
    assert "_broken__models.yml" in lines[0]["message"]

    # The same, where the build has nothing to do once the file is gone.
    told.unlink()
    broken.write_text("models: [")
    assert project.assay("build").exit_code == 1
    broken.unlink()
    for _ in range(2):
        rested = project.assay("build")
        assert (rested.exit_code, "nothing to build" in " ".join(rested.stdout.split())) == (0, True)
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert [line["change"] for line in lines] == ["broken", "recovered"]
    metrics = (project.root / "data" / "assay.prom").read_text()
    assert "\nassay_build_succeeded 1.0\n" in metrics


def test_a_dead_channel_fails_no_build_and_silences_no_other(project: SmallProject) -> None:
    port = free_port()
    configure(
        project,
        f"channels: [{{type: webhook, url: 'http://127.0.0.1:{port}/secret'}}, "
        "{type: file, path: /proc/none/alerts.jsonl}, {type: stdout}]\n",
    )
    project.land(5, MOST_PIECES + 1)
    ended = project.assay("build")
    assert ended.exit_code == 1
    output = " ".join(ended.stdout.split())
    assert "Alert: Broken, error: test quantities_are_plausible" in output
    assert "The alert channel webhook at 127.0.0.1 could not be reached" in output
    assert "The alert channel file /proc/none/alerts.jsonl could not be reached" in output
    assert "secret" not in output
    assert [status for status, _ in project.runs()][-1] == "failed"


def test_a_receiver_that_refuses_is_told_of() -> None:
    from assay.alerts.channels import Webhook

    with receiver(status=500) as (url, _):
        took, [problem] = send_all([ALERT], [Webhook(url)])
    assert took == []
    assert problem == "The alert channel webhook at 127.0.0.1 could not be reached (HTTPError)."


def test_mail_is_sent() -> None:
    with mail_server() as (port, received):
        channel = Email("127.0.0.1", "assay@shop.example", ["data@shop.example"], port, starttls=False)
        assert send_all([ALERT, ALERT], [channel]) == ([channel], [])
    [message] = received
    assert "Subject: Assay: broken: t, and 1 more" in message
    assert "To: data@shop.example" in message
    assert message.count("Broken, error: test t of gold.x (owner sales): 3 failing rows") == 2


def test_whom_a_mail_server_refuses_is_told() -> None:
    to = ["data@shop.example", "gone@shop.example"]
    with mail_server() as (port, received):
        channel = Email("127.0.0.1", "assay@shop.example", to, port, starttls=False)
        took, [problem] = send_all([ALERT], [channel])
    assert (len(received), took) == (1, [channel])
    assert problem == (
        f"The alert channel email by 127.0.0.1:{port} did not take alerts for "
        "gone@shop.example (550 no such user)."
    )


def test_every_channel_can_be_tried(project: SmallProject) -> None:
    with receiver() as (url, received):
        configure(project, f"channels: [{{type: stdout}}, {{type: webhook, url: '{url}'}}]\n")
        ended = project.assay("alerts", "test")
        assert ended.exit_code == 0, ended.stderr
        assert "Alert: Broken, warn: alert a test: This is a test." in ended.stdout
        assert "Told webhook at 127.0.0.1." in ended.stdout
        assert len(received) == 1
    ended = project.assay("alerts", "test")
    assert ended.exit_code == 1
    assert "could not be reached" in ended.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("channels: {type: stdout}", "needs a list of channels"),
        ("channels: [{type: [stdout]}]", "a channel needs a type"),
        ("channels: [{type: pigeon}]", "a channel needs a type, one of stdout, file, webhook, email"),
        ("channels: [stdout]", "a channel needs a type"),
        ("channels: [{type: file}]", "file needs path"),
        ("channels: [{type: file, path: x, colour: red}]", "file has colour; allowed are path"),
        ("channels: [{type: webhook, url: '${NOT_THERE}'}]", "the environment variable NOT_THERE"),
        ("remind_after: 0", "remind_after must be a whole number of runs"),
        ("remind_after: 2025-13-01", "remind_after must be a whole number of runs"),
        ("receivers: []", "has receivers: allowed are channels and remind_after"),
        ("[]", "needs a list of channels"),
        ("a: [", "is no YAML"),
        ("a: \udcff", "is no YAML"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "alerts.yml"
    file.write_text(text, errors="surrogateescape")
    try:
        [said] = read_config(file).problems
    except Fault as fault:
        said = str(fault)
    assert said.startswith(str(file))
    assert message in said


@pytest.mark.parametrize("text", ["channels: 1", "channels: [{type: pigeon}]"])
def test_a_build_says_once_what_is_wrong_with_the_file(project: SmallProject, text: str) -> None:
    configure(project, text)
    project.land(5, 7)
    ended = project.assay("build")
    assert ended.exit_code == 0
    assert ended.output.count("alerts.yml") == 1


def test_a_channel_that_cannot_be_used_keeps_no_other_from_being_told(tmp_path: Path) -> None:
    file = tmp_path / "alerts.yml"
    file.write_text(
        "remind_after: never\n"
        "channels: [{type: webhook, url: 'http://x/${NOT_THERE}'}, {type: stdout}, {kind: s3cret}]\n"
    )
    config = read_config(file)
    assert [str(channel) for channel in config.channels] == ["stdout"]
    assert len(config.problems) == 3
    assert "s3cret" not in " ".join(config.problems)


def test_a_broken_file_fails_no_build(project: SmallProject) -> None:
    configure(project, "channels: [{type: pigeon}]")
    ended = project.assay("build")
    assert ended.exit_code == 0
    assert "Warning: alerts.yml: a channel needs a type" in " ".join(ended.stdout.split())
