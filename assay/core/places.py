"""Where a project's landing zone, warehouse and what goes with it lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment

from assay.core.fault import MISUSED, Fault
from assay.core.moment import in_file_name

DEFAULT_LANDING = "data/landing"
DEFAULT_WAREHOUSE = "data/assay.duckdb"
PUBLISHED = "assay"


@dataclass(frozen=True)
class Places:
    """The files of one warehouse; with `as_of`, of the warehouse as known at that moment."""

    landing: Path
    main_warehouse: Path
    as_of: datetime | None = None

    @property
    def _suffix(self) -> str:
        return f"@{in_file_name(self.as_of)}" if self.as_of else ""

    @property
    def warehouse(self) -> Path:
        """The file dbt builds."""
        main = self.main_warehouse
        return main.with_name(f"{main.stem}{self._suffix}{main.suffix}")

    @property
    def published(self) -> Path:
        """The file readers open. Its name is no schema's: `gold.x` would mean two things to DuckDB."""
        return self.main_warehouse.parent / "published" / f"{PUBLISHED}{self._suffix}.duckdb"

    @property
    def published_until_now(self) -> Path:
        """What readers know the published file as from versions before 0.2: a link to it."""
        return self.published.with_name(f"gold{self._suffix}.duckdb")

    @property
    def serving(self) -> Path:
        """The folder of what the feature server keeps: API keys, and who read what."""
        return self.main_warehouse.parent / "serving"

    @property
    def docs(self) -> Path:
        """The page of dbt's documentation, one file."""
        return Path(os.environ.get("DBT_TARGET_PATH") or "target", "assay_docs.html")

    @property
    def ledger(self) -> Path:
        """The record of all runs, of this moment and others."""
        return self.main_warehouse.parent / "ops.duckdb"


def require_project() -> None:
    """Check that the current folder is the root of a dbt project.

    Raises:
        Fault: it is not.
    """
    if not Path("dbt_project.yml").is_file():
        raise Fault(
            f"{Path.cwd()} is not the root of a dbt project (there is no dbt_project.yml): "
            "change to the folder that holds it, and try again.",
            MISUSED,
        )


def landing_folder() -> Path:
    """Return the landing zone's folder: ASSAY_LANDING, or the default within the project."""
    return Path(os.environ.get("ASSAY_LANDING") or DEFAULT_LANDING)


def find_places(as_of: datetime | None = None) -> Places:
    """Resolve the places of the project in the current folder.

    Raises:
        Fault: the current folder is no dbt project.
    """
    require_project()
    warehouse = os.environ.get("ASSAY_WAREHOUSE") or _file_of_profile() or DEFAULT_WAREHOUSE
    return Places(landing_folder(), Path(warehouse), as_of)


def rendered(text: str, **names: Any) -> str:
    """Return a setting of dbt with its Jinja carried out: `env_var` and `names` alone."""
    return Environment().from_string(text).render(env_var=os.environ.get, **names)


def _file_of_profile() -> str | None:
    """Return the file that dbt's profile of the project names, None where it names none."""
    project = yaml.safe_load(Path("dbt_project.yml").read_text(encoding="utf-8")) or {}
    folder = os.environ.get("DBT_PROFILES_DIR")
    folders = [Path(folder)] if folder else [Path(), Path.home() / ".dbt"]
    file = next((each for folder in folders if (each := folder / "profiles.yml").is_file()), None)
    profiles = (yaml.safe_load(file.read_text(encoding="utf-8")) if file else None) or {}
    profile = profiles.get(project.get("profile")) or {}
    target = os.environ.get("DBT_TARGET") or rendered(str(profile.get("target") or "default"))
    path = rendered(str(((profile.get("outputs") or {}).get(target) or {}).get("path") or ""))
    is_file = path not in ("", "None") and not path.startswith((":memory:", "md:", "motherduck:"))
    return path if is_file else None
