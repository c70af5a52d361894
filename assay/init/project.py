"""Write a new dbt project that has the installed Assay as a package."""

from __future__ import annotations

import re
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from string import Template

from assay.core.fault import MISUSED, Fault
from assay.core.words import counted, plain_name
from assay.project.packages import package_folder

EXAMPLES = ("none", "retail")
_TEMPLATE = Path(__file__).with_name("template")
#: Folders that are there from the start, so that it is seen what goes where.
_FOLDERS = (
    *("analyses", "contracts", "models/bronze", "models/silver"),
    *("models/gold/features", "models/gold/training", "seeds", "snapshots", "tests"),
)
#: The example's part of each folder of Assay's own project, and where it goes in a project of its own.
_PARTS = {
    "analyses/example": "analyses",
    "contracts/example": "contracts",
    "example": "example",
    "models/example": "models",
    "seeds/example": "seeds",
    "snapshots/example": "snapshots",
    "tests/dbt/example": "tests",
}
# Names that dbt, or a package that the project has, goes by.
_TAKEN = {"assay", "dbt", "dbt_date", "dbt_duckdb", "dbt_expectations", "example"}
_EMPTY = {
    "example_extra": "",
    "first_commands": "assay source add crm.accounts accounts.csv    # from a sample\nassay build\n",
    "next_commands": "",
}
_RETAIL = {
    "example_extra": ",example",
    "first_commands": "assay demo     # lands a year of an invented retailer's files\nassay build\n",
    "next_commands": "The models are those of Assay's example, a retailer; `example/` makes up its data.\n\n",
}


def init_project(folder: Path, example: str = "none") -> list[Path]:
    """Write a project; nothing is written where anything is in the way.

    Args:
        folder: where it goes. It may hold other files already, such as `.git` and `.venv`.
        example: `retail` copies the example company's models, contracts and generator; `none` starts empty.

    Returns:
        The files, relative to the folder.

    Raises:
        Fault: the example is unknown, the folder's name gives no name for a project, or files are there
            already that would be written.
    """
    if example not in EXAMPLES:
        raise Fault(f"There is no example {example!r}: there are {', '.join(EXAMPLES)}.", MISUSED)
    folder = folder.absolute()
    name = _project_name(folder)
    if folder.exists() and not folder.is_dir():
        raise Fault(f"{folder} is a file: name a folder.", MISUSED)
    with tempfile.TemporaryDirectory(prefix="assay-init-") as scratch:
        made = Path(scratch)
        _write(made, name, example)
        files = sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file())
        if there := [str(file) for file in files if (folder / file).exists()]:
            raise Fault(
                f"{folder} has {', '.join(there[:3])}{' and more' * (len(there) > 3)} already: "
                f"nothing is written. Name another folder, or move {counted(len(there), 'file')} away.",
                MISUSED,
            )
        for path in (made, *made.rglob("*")):
            # What goes to git is for everybody; what is built from it is not.
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.copytree(made, folder, dirs_exist_ok=True)
    return files


def _project_name(folder: Path) -> str:
    name = plain_name(folder.name)
    if not re.match(r"[a-z]", name):
        raise Fault(
            f"{folder.name!r} gives no name for a project: begin it with a letter of a to z.", MISUSED
        )
    return f"{name}_features" if name in _TAKEN else name


def _write(folder: Path, name: str, example: str) -> None:
    names = {"name": name, "title": _title(name), "version": version("assay")}
    names |= _RETAIL if example == "retail" else _EMPTY
    for source in _TEMPLATE.rglob("*"):
        target = folder / source.relative_to(_TEMPLATE)
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(
                Template(source.read_text(encoding="utf-8")).substitute(names), encoding="utf-8"
            )
    if example == "retail":
        for part, goes_to in _PARTS.items():
            shutil.copytree(
                package_folder() / part,
                folder / goes_to,
                ignore=shutil.ignore_patterns("__pycache__"),
                copy_function=shutil.copyfile,
                dirs_exist_ok=True,
            )
    for each in _FOLDERS:
        (folder / each).mkdir(parents=True, exist_ok=True)
        if not any((folder / each).iterdir()):
            (folder / each / ".gitkeep").touch()


def _title(name: str) -> str:
    """Return a project's name as a title."""
    return name.replace("_", " ").capitalize()
