"""README's tour on data of one's own runs word for word: from a CSV to a feature online."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from small_project import PROJECT

pytestmark = pytest.mark.minutes

_SECTION = re.compile(r"## Your own data, in ten minutes\n(.*?)\n## ", re.DOTALL)
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def write_trips(file: Path, rows: int = 2000) -> None:
    """Write trips of a bike rental, as a spreadsheet in German writes them."""
    made_up = random.Random(7)
    began = datetime(2026, 1, 1, 5)
    lines = ["trip_id;bike;station;began;distance;is_defect"]
    for number in range(rows):
        began += timedelta(minutes=made_up.randint(5, 45))
        distance = f"{made_up.uniform(0.5, 25):.2f}".replace(".", ",")
        station = made_up.choice(["Köln Süd", "Bonn", "Düren"])
        is_defect = "yes" if made_up.random() < 0.08 else "no"
        bike = f"B{made_up.randint(1, 60):03}"
        lines.append(f"T{number:05};{bike};{station};{began:%d.%m.%Y %H:%M};{distance};{is_defect}")
    file.write_text("\r\n".join(lines) + "\r\n", encoding="windows-1252", newline="")


def test_the_tour_of_readme_runs_word_for_word(builds: None, tmp_path: Path) -> None:
    section = _SECTION.search((PROJECT / "README.md").read_text())
    assert section
    commands = "".join(_BLOCK.findall(section[1]))
    (install,) = re.findall(r"^pip install .*\n", commands, re.MULTILINE)
    folder = tmp_path / "tour"
    folder.mkdir()
    # The tour begins beside the sample, in a folder of its own.
    write_trips(tmp_path / "trips.csv")
    script = commands.replace(install, "").replace("../trips.csv", str(tmp_path / "trips.csv"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ASSAY_", "DBT_"))}
    ran = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=kept | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200"},
        # Whoever runs it answers what is asked as proposed.
        input="\n" * 20,
        capture_output=True,
        text=True,
        check=False,
    )
    told = ran.stdout + ran.stderr
    assert ran.returncode == 0, told
    assert "rental/trips" in told
    assert "was rebuilt to the bit" in told
    assert re.search(r"trip_count_7d +\d+ +PRESENT", told)
    written = [path for path in (folder / "bikes" / "models").rglob("*.*") if path.suffix in (".sql", ".yml")]
    assert len(written) >= 9


@pytest.mark.parametrize("command", ["init", "source", "view", "label", "training-set"])
def test_the_tour_shows_each_command_that_writes(command: str) -> None:
    section = _SECTION.search((PROJECT / "README.md").read_text())
    assert section
    assert f"assay {command} " in section[1]
