"""What the example calls its tables, taken from its own files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from small_project import PROJECT

from assay.project.conventions import CHUNKS, EMBEDDINGS

_PARTS = ("models", "seeds", "snapshots", "analyses", "tests/dbt")


def names_of_the_example() -> set[str]:
    """Return its own names: of models, seeds, snapshots, queries, tests and landing tables."""
    names = {
        path.stem
        for part in _PARTS
        for path in (PROJECT / part / "example").rglob("*")
        if path.suffix in (".sql", ".py", ".csv")
    }
    for file in (PROJECT / "models" / "example").rglob("*__sources.yml"):
        for source in yaml.safe_load(file.read_text())["sources"]:
            for table in source["tables"]:
                names |= {f"{source['name']}.{table['name']}", table["identifier"]}
    # Platform and example have the names of what is searched in common.
    return names - {CHUNKS, EMBEDDINGS}


def names_found(texts: Iterable[tuple[str, str]], names: Iterable[str]) -> Iterator[str]:
    """Yield the names that occur as whole words in texts, each with where that is."""
    pattern = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, names)) + r")(?!\w)")
    for where, text in texts:
        yield from sorted({f"{where}: {match}" for match in pattern.findall(text)})


def text_files(*folders: Path) -> Iterator[tuple[str, str]]:
    """Yield path and text of all files in some folders that hold text."""
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if "__pycache__" not in path.parts:
                yield str(path), path.read_bytes().decode(errors="replace")
