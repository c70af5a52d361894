"""Landing zones of demo data, made once and kept: `python -m benchmarks.landing demo|EVENTS FOLDER`."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import example
from benchmarks.measure import run_module
from example import generate

WEB_EVENTS = "web/events"
_EVENTS_A_CUSTOMER = 50
_DEMO = "demo"


def web_events(data: Path, events: int) -> Path:
    """A landing zone of so many web events, those repeated not counted, and nothing else."""
    return _kept(data, str(events))


def whole_demo(data: Path) -> Path:
    """The landing zone that `assay demo` makes."""
    return _kept(data, _DEMO)


def link_files(files: list[Path], landing: Path, part: Path) -> None:
    """Show files of one landing zone in another, without copying them where one file system holds both.

    A symbolic link that leads out of a landing zone would not be loaded.
    """
    for path in files:
        link = part / path.relative_to(landing)
        link.parent.mkdir(parents=True, exist_ok=True)
        try:
            link.hardlink_to(path)
        except OSError:
            shutil.copy2(path, link)


def _kept(data: Path, what: str) -> Path:
    landing = data / f"landing-{what}-{_generator()}"
    if not landing.exists():
        data.mkdir(parents=True, exist_ok=True)
        for old in data.glob(f"landing-{what}-*"):
            shutil.rmtree(old)
        # In a process of its own, whose memory then does not count with what is measured.
        run_module("benchmarks.landing", what, str(landing))
    return landing


def _generator() -> str:
    """Another generator makes other data."""
    digest = hashlib.sha256()
    for path in sorted(Path(example.__path__[0]).glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def _make(what: str, landing: Path) -> None:
    unfinished = landing.with_name(f".{landing.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    if what == _DEMO:
        generate(unfinished)
    else:
        events = int(what)
        generate(unfinished, events=events, customers=max(events // _EVENTS_A_CUSTOMER, 1))
        for folder in unfinished.iterdir():
            if folder.is_dir() and folder.name != WEB_EVENTS.split("/")[0]:
                shutil.rmtree(folder)
    unfinished.rename(landing)


if __name__ == "__main__":
    _make(sys.argv[1], Path(sys.argv[2]))
