"""Each command of the command line is a call of the Python interface."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import assay
from assay.cli import app


class Reached(Exception):
    """A command has called the interface."""


def commands(group: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield all commands, with the words that call them."""
    inner = getattr(group, "commands", None)
    if inner is None:
        yield names, group
    for name, command in (inner or {}).items():
        yield from commands(command, *names, name)


def arguments(command: Any) -> Iterator[str]:
    """Yield a word for each argument and option that a command cannot do without."""
    for parameter in command.params:
        if parameter.required:
            if parameter.param_type_name == "option":
                yield parameter.opts[0]
            choices = getattr(parameter.type, "choices", ["word:word"])
            yield str(next(iter(choices)))


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_all_commands_are_found() -> None:
    assert len(COMMANDS) > 30
    assert {("build",), ("contracts", "check"), ("training-set", "verify")} <= COMMANDS.keys()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_option_of_one_value_is_refused_where_it_stands_twice(words: tuple[str, ...]) -> None:
    """Else the first would be dropped: a training set would lack the features of a view."""
    command = COMMANDS[words]
    for option in command.params:
        if option.param_type_name == "option" and not (option.is_flag or option.multiple):
            result = CliRunner().invoke(app, [*words, option.opts[0], "1", option.opts[0], "2"])
            assert result.exit_code == 2
            assert f"{option.opts[0]} stands twice" in result.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_calls_the_interface(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else happens: what opens or begins a project raises, in a folder without one."""

    def reach(*_: Any, **__: Any) -> Any:
        raise Reached

    monkeypatch.chdir(tmp_path)
    for name in assay.__all__:
        if inspect.isfunction(function := getattr(assay, name)):
            monkeypatch.setattr(f"{function.__module__}.{function.__name__}", reach)
    ended = CliRunner().invoke(app, [*words, *arguments(COMMANDS[words])])
    assert isinstance(ended.exception, Reached), ended.output


def test_an_error_that_nobody_foresaw_is_one_line_and_its_traceback_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down(*_: Any, **__: Any) -> Any:
        raise KeyError("a\nkey")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DBT_LOG_PATH", raising=False)
    monkeypatch.setattr("sys.argv", ["assay", "status"])
    monkeypatch.setattr("assay.api.project.open_project", break_down)
    for is_project in (False, True):
        if is_project:
            Path("dbt_project.yml").touch()
        with pytest.raises(SystemExit) as ended:
            app()
        assert ended.value.code == 1
        said = capsys.readouterr().err
        assert said.startswith("Error: KeyError: 'a\\nkey'\n")
        assert ("Traceback (most" in said) != is_project
    (file,) = Path("logs").iterdir()
    assert f"The traceback is in {file}" in said
    assert "break_down" in file.read_text()
