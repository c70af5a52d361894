"""dbt's packages come from the hub where it can be reached, and else from the stand-in."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from dbt.clients.registry import DEFAULT_REGISTRY_BASE_URL

from assay.project import packages

PACKAGE = Path("dbt_packages/dbt_expectations")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def answer(monkeypatch: pytest.MonkeyPatch, status: int) -> list[str]:
    asked = []

    def head(url: str, **options: Any) -> requests.Response:
        asked.append(url)
        response = requests.Response()
        response.status_code = status
        return response

    monkeypatch.setattr(requests, "head", head)
    return asked


def deps(monkeypatch: pytest.MonkeyPatch, code: int) -> list[list[str]]:
    commands: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if code == 0:
            PACKAGE.mkdir(parents=True)
        return subprocess.CompletedProcess(command, code, "Traceback ...\n  No route to the hub\n\n")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def test_packages_that_are_there_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    PACKAGE.mkdir(parents=True)
    asked, commands = answer(monkeypatch, 200), deps(monkeypatch, 0)
    packages.make_packages_ready()
    assert (asked, commands, list(PACKAGE.iterdir()), capsys.readouterr().out) == ([], [], [], "")


def test_a_hub_that_answers_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, commands = answer(monkeypatch, 200), deps(monkeypatch, 0)
    packages.make_packages_ready()
    assert asked == [DEFAULT_REGISTRY_BASE_URL]
    assert [command[-1] for command in commands] == ["deps"]
    assert list(PACKAGE.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("status", [404, 503])
def test_without_a_hub_the_stand_in_is_put_there_and_explained(
    status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, status)
    commands = deps(monkeypatch, 0)
    other = Path("dbt_packages/another")
    other.mkdir(parents=True)
    packages.make_packages_ready()
    assert commands == []
    assert (PACKAGE / "dbt_project.yml").is_file()
    assert other.is_dir()
    notice = capsys.readouterr().out
    assert "hub cannot be reached" in notice
    assert "stand-in" in notice
    assert "dbt deps" in notice


def test_a_dbt_deps_that_fails_leaves_the_stand_in(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, 200)
    assert deps(monkeypatch, 1) == []
    packages.make_packages_ready()
    assert (PACKAGE / "dbt_project.yml").is_file()
    notice = capsys.readouterr().out
    assert "dbt deps failed (No route to the hub)" in notice
    assert "Traceback" not in notice


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def head(*arguments: Any, **options: Any) -> None:
        time.sleep(5)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", head)
    monkeypatch.setattr(packages, "_SECONDS_TO_REACH", 0.2)
    began = time.monotonic()
    assert not packages.hub_can_be_reached()
    assert time.monotonic() - began < 4
