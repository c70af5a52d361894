"""The README is short, what it and the guides name exists, and their site builds without a complaint."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from guides import PAGES, PROJECT, blocks, code_in_sentences
from typer.main import get_command

import assay
from assay.cli import app

# Folders of a checkout; guides also name what builds make, and what is the reader's own.
_FOLDERS = "analyses|assay|benchmarks|contracts|dbt_assay|docs|example|macros|models|seeds|snapshots|tests"
_SHELL = ("sh", "bash", "console")
_ASSAY: Any = get_command(app)


@pytest.fixture(scope="module")
def site(builds: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    strict = ("--fresh-env", "--fail-on-warning", "--keep-going", "--quiet")
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            *strict,
            "--doctree-dir",
            folder / "doctrees",
            "docs",
            folder / "html",
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder / "html"


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150


def test_the_site_has_every_guide_and_no_dead_link(site: Path) -> None:
    guides = {page.relative_to(PROJECT / "docs").with_suffix(".html") for page in PAGES[1:]}
    assert {page for page in guides if not (site / page).is_file()} == set()


def test_the_site_asks_nothing_of_any_network(site: Path) -> None:
    loading = re.compile(r"<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
    assert {found for page in site.rglob("*.html") for found in loading.findall(page.read_text())} == set()
    for sheet in site.rglob("*.css"):
        assert re.findall(r"url\([\"']?(?:https?:)?//", sheet.read_text()) == []


def test_the_reference_has_every_command(site: Path) -> None:
    page = (site / "reference" / "commands.html").read_text()
    for path, command in _commands(_ASSAY, ()):
        assert f'id="assay-{"-".join(path)}"' in page
        for parameter in command.params:
            assert all(option in page for option in parameter.opts if option.startswith("--"))


def test_the_reference_has_every_public_macro_with_its_arguments(site: Path) -> None:
    page = (site / "reference" / "macros.html").read_text()
    public = {
        macro["name"]
        for path in PROJECT.glob("macros/*/_*__macros.yml")
        for macro in yaml.safe_load(path.read_text())["macros"]
        if not macro["name"].startswith(("_", "test_", "materialization_", "duckdb__"))
    }
    assert len(public) > 50
    assert {name for name in public if f'id="{name.replace("_", "-")}"' not in page} == set()
    assert "entity_keys" in page


def test_the_reference_has_what_assay_makes_public(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text()
    assert [name for name in getattr(assay, "__all__", ()) if f'id="assay.{name}"' not in page] == []


def test_paths_in_sentences_exist() -> None:
    path = re.compile(rf"(?:{_FOLDERS})/[\w./-]*")
    named = [
        (page, code) for page, code in code_in_sentences() if path.fullmatch(code) and "/own" not in code
    ]
    assert len(named) > 20
    assert [(page, code) for page, code in named if not (PROJECT / code).exists()] == []


def test_tables_in_sentences_exist() -> None:
    name = re.compile(r"(?:gold\.|bronze\.|silver\.)?((?:brz|slv|snp|dim|fct|ftr|doc|lbl|trn|mon|srv)_\w+)")
    folders = ("models", "snapshots", "seeds")
    known = {path.name.partition(".")[0] for folder in folders for path in PROJECT.glob(f"{folder}/**/*.*")}
    named = [(page, found.group(1)) for page, code in code_in_sentences() if (found := name.fullmatch(code))]
    assert len(named) > 20
    assert [(page, table) for page, table in named if table not in known and not table.endswith("_")] == []


def test_the_map_of_the_code_has_every_package() -> None:
    page = (PROJECT / "docs" / "contributing.md").read_text()
    packages = {path.parent.name for path in PROJECT.glob("assay/*/__init__.py")}
    assert {name for name in packages if f"`{name}`" not in page} == set()


def test_environment_variables_that_are_named_exist() -> None:
    read = "".join(
        path.read_text()
        for pattern in ("assay/**/*.py", "examples/**/*.py", "*.yml", "Makefile")
        for path in PROJECT.glob(pattern)
    )
    text = "".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"\bASSAY_[A-Z_]+[A-Z]", text))
    assert len(named) > 5
    # Some are told by the declaration of an option. After these prefixes, names are those of a library.
    families = tuple(re.findall(r'^_PREFIX = "(ASSAY_[A-Z]+_)"', read, re.MULTILINE))
    assert families
    unknown = {variable for variable in named if variable not in read}
    assert {variable for variable in unknown if not variable.startswith(families)} == set()


def test_extras_that_are_named_exist_and_all_are_explained() -> None:
    extras = set(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    named = set(re.findall(r"assay\[([\w-]+)\]", "".join(page.read_text() for page in PAGES)))
    # The others are for work in a checkout.
    assert extras - {"bench", "broker", "dev", "example", "examples"} == named


def test_targets_of_make_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = set(
        re.findall(r"(?:^|`)make ([a-z-]+)", "\n".join(page.read_text() for page in PAGES), re.MULTILINE)
    )
    assert {"build", "test"} <= named <= targets


def _named_commands() -> list[tuple[str, list[str]]]:
    """Return every command of Assay that a page names, as words after `assay`."""
    in_blocks = [(str(block), words) for block in blocks(*_SHELL) for words in block.commands]
    in_sentences = [
        (page, shlex.split(code)) for page, code in code_in_sentences() if code.startswith("assay ")
    ]
    named = []
    for place, words in in_blocks + in_sentences:
        words = [word for word in words if not re.match(r"[A-Z_]+=", word)] or [""]
        if words[0].rsplit("/")[-1] == "assay":
            named.append((place, words[1:]))
    return named


@pytest.mark.parametrize(("place", "words"), _named_commands(), ids=lambda value: str(value))
def test_a_command_that_is_named_exists_with_its_options(place: str, words: list[str]) -> None:
    command = _ASSAY
    if words[0] == "search" and words[1:] and words[1] not in _ASSAY.commands["search"].commands:
        # A query stands where the name of a command would.
        words = ["search", "for", *words[1:]]
    while hasattr(command, "commands") and words:
        assert words[0] in command.commands, f"{place} names a command that does not exist"
        command, words = command.commands[words[0]], words[1:]
    context = command.context_class(command, info_name="assay")
    command.make_parser(context).parse_args(list(words))


def test_messages_that_are_explained_are_those_of_the_code() -> None:
    page = (PROJECT / "docs" / "troubleshooting.md").read_text()
    explained = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    told = "\n".join(_messages())
    assert len(explained) > 20
    pieces = [(message, piece.strip()) for message in explained for piece in message.split("…")]
    assert [(message, piece) for message, piece in pieces if piece not in told] == []


def _messages() -> list[str]:
    """Return the texts of the code, what is put into them as `…`; those of macros as they stand."""
    texts = [
        re.sub(r"['\"]\s*~.*?~\s*['\"]", "", path.read_text(), flags=re.DOTALL)
        for path in PROJECT.glob("macros/**/*.sql")
    ]
    for path in PROJECT.glob("assay/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def _commands(command: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", {})
    below = [found for name, child in inner.items() for found in _commands(child, (*path, name))]
    return below if inner else [(path, command)]
