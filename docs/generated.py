"""Pages of the site that are made from the README, the command line and the YAML of the macros."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_command

import assay
from assay.cli import app

ROOT = Path(__file__).parents[1]


def front_page() -> str:
    """Return the README as a page of the site: its picture takes on the colours of the page."""
    readme = (ROOT / "README.md").read_text()
    drawn = re.sub(
        r"!\[.*?\]\((.*?\.svg)\)",
        lambda image: f"```{{raw}} html\n<div class=picture>{(ROOT / image.group(1)).read_text()}</div>\n```",
        readme,
    )
    return drawn.replace("](docs/", "](").replace("](LICENSE)", "](../LICENSE)")


def link_pages(text: str) -> str:
    """Return a page, in which links to files that the site has as pages lead to these."""
    return re.sub(r"\]\((?:\.\./)*DECISIONS\.md", "](/decisions.md", text)


def commands_reference() -> str:
    """Return what `--help` tells of every command, as Markdown."""
    return "\n\n".join(_command_lines(get_command(app), None, "assay", 2))


def macros_reference() -> str:
    """Return what the YAML tells of every public macro, folder by folder, as Markdown."""
    return "\n\n".join(
        part for path in sorted(ROOT.glob("macros/*/_*__macros.yml")) for part in _folder_lines(path)
    )


def python_reference() -> str:
    """Return what `assay` makes public, for Sphinx to describe by docstrings and types."""
    kinds = {name: isinstance(getattr(assay, name), type) for name in getattr(assay, "__all__", ())}
    entries = (
        f".. auto{'class' if is_class else 'function'}:: assay.{name}\n" + "   :members:\n" * is_class
        for name, is_class in kinds.items()
    )
    return "```{eval-rst}\n" + "\n".join(entries) + "```"


def _command_lines(command: Any, parent: Any, name: str, level: int) -> Iterator[str]:
    """Describe a command and those below it; typer has a click of its own, so classes do not tell."""
    context = command.context_class(command, parent=parent, info_name=name)
    if parent is not None:
        yield f"{'#' * level} {context.command_path}"
        yield (command.help or "").replace("\b", "").strip()
    if hasattr(command, "commands"):
        for inner_name, inner in command.commands.items():
            yield from _command_lines(inner, context, inner_name, level + (parent is not None))
        return
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    records = filter(None, (parameter.get_help_record(context) for parameter in command.params))
    yield _table(("option or argument", "meaning"), [(f"`{option}`", told) for option, told in records])


def _folder_lines(path: Path) -> Iterator[str]:
    macros = [
        macro
        for macro in yaml.safe_load(path.read_text())["macros"]
        if not macro["name"].startswith(("_", "test_", "materialization_", "duckdb__"))
    ]
    if macros:
        yield f"## {path.parent.name.capitalize()}"
    for macro in macros:
        yield f"### {macro['name']}"
        yield f"```jinja\n{_signature(path.parent, macro['name'])}\n```"
        yield macro["description"]
        yield _table(
            ("argument", "type", "meaning"),
            [
                (f"`{each['name']}`", f"`{each['type']}`", each["description"])
                for each in macro.get("arguments", [])
            ],
        )


def _signature(folder: Path, name: str) -> str:
    """Return how a macro is declared: its arguments with their defaults."""
    for path in folder.glob("*.sql"):
        if found := re.search(rf"macro\s+({name}\s*\(.*?\))\s*-?%}}", path.read_text(), re.DOTALL):
            return found.group(1)
    return f"{name}()"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    if not rows:
        return ""
    lines = [head, ("---",) * len(head), *rows]
    cells = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
