"""Write generated files: all of them or none, and show beforehand what would change."""

from __future__ import annotations

import difflib
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from assay.core.disk import put_in_place


def find_differing(files: Mapping[Path, str]) -> dict[Path, str]:
    """Return those files that are not there yet, or hold something else."""
    return {path: text for path, text in sorted(files.items()) if _text_of(path) != text}


def show_difference(files: Mapping[Path, str]) -> str:
    """Return what writing files would change, as `diff -u` shows it."""
    lines: list[str] = []
    for path, text in files.items():
        before = (_text_of(path) or "").splitlines(keepends=True)
        old = str(path) if path.exists() else "/dev/null"
        lines += difflib.unified_diff(before, text.splitlines(keepends=True), old, str(path))
    return "".join(lines)


def write_all(files: Mapping[Path, str]) -> None:
    """Write files; where one cannot be written, none is.

    Raises:
        OSError: one cannot be written.
    """
    new: dict[Path, Path] = {}
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            new[path] = path.with_name(f".{path.name}.{uuid4().hex}")
            new[path].write_text(text, encoding="utf-8")
        for path, temporary in new.items():
            put_in_place(temporary, path)
    finally:
        for temporary in new.values():
            temporary.unlink(missing_ok=True)


def choose_places_to_land(files: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Return where files are to lie in a folder of the landing zone, without those that lie there already.

    One whose name another has goes into a folder that says when it was written.
    """
    there = {_content(each) for each in folder.rglob("*") if each.is_file()} if folder.is_dir() else set()
    places: dict[Path, Path] = {}
    for file in files:
        if file.resolve().is_relative_to(folder.resolve()) or _content(file) in there:
            continue
        target = folder / file.name
        if target.exists() or target in places.values():
            written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            target = folder / f"landed_at={written:%Y-%m-%dT%H-%M-%S}" / f"{_content(file)[:8]}-{file.name}"
        places[file] = target
        there.add(_content(file))
    return places


def land(places: Mapping[Path, Path]) -> None:
    """Copy files to where they land, each whole or not at all, with the time at which they were written.

    Raises:
        OSError: one cannot be copied.
    """
    for file, target in places.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid4().hex}")
        try:
            shutil.copy2(file, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def _content(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
