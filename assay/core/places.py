"""Find the files and folders of a project: landing zone, warehouse, published file, ledger and others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment

from assay.core.fault import MISUSED, Fault
from assay.core.moment import in_file_name
from assay.core.yaml_text import read_yaml

DEFAULT_LANDING = "data/landing"
DEFAULT_WAREHOUSE = "data/assay.duckdb"
#: The environment variables that say of which warehouse and landing folder a command is.
NAMING_PLACES = ("ASSAY_TARGET", "ASSAY_LAKE_CATALOG", "ASSAY_LAKE_DATA", "ASSAY_LANDING", "ASSAY_WAREHOUSE")
PUBLISHED = "assay"
GRANTS = "roles.json"
#: The environment variable that names the folder into which dbt writes.
TARGET = "DBT_TARGET_PATH"
#: How dbt's profile names a lake whose catalog is a file of SQLite, and how such a file's name ends.
LAKE, LAKE_ENDING = "ducklake:sqlite:", ".sqlite"
#: How it names a lake whose catalog is in Postgres, and how the file ends that stands for it in a project.
SHARED_LAKE, SHARED_ENDING = "ducklake:postgres:", ".postgres"
_SHARED_WAREHOUSE = f"data/lake/assay{SHARED_ENDING}"
#: How the URL of a place in a bucket begins.
BUCKETS = "s3://"
#: The environment variable that names where landed files move that are too old: a folder, or a bucket.
COLD = "ASSAY_COLD"
# Beside the default warehouse, like all that is made.
_COPIES = "data/copies"
#: The file that says where alerts go. No table depends on it.
ALERTS = Path("alerts.yml")
#: The file that says what storing and building costs. No table depends on it.
COSTS = Path("costs.yml")


@dataclass(frozen=True)
class Places:
    """The files of one warehouse; with `as_of`, those of the warehouse as it was known at that moment."""

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
        """The file that readers open. No schema has its name, or `gold.x` would be ambiguous in DuckDB."""
        return self.main_warehouse.parent / "published" / f"{PUBLISHED}{self._suffix}.duckdb"

    @property
    def search(self) -> Path:
        """The file in which documents are searched."""
        return self.published.with_name(f"search{self._suffix}.duckdb")

    @property
    def roles(self) -> Path:
        """The folder with a folder for each role, in which lies what the role may read of gold."""
        return self.published.with_name("roles")

    def role_file(self, role: str) -> Path:
        """Return the file that readers with a role open."""
        return self.roles / role / self.published.name

    @property
    def deleted_documents(self) -> Path:
        """The file that says which documents are deleted and may still be published."""
        return self.main_warehouse.with_name("deleted_documents.json")

    @property
    def published_until_now(self) -> Path:
        """The name of the published file before version 0.2; it is a link to the file now."""
        return self.published.with_name(f"gold{self._suffix}.duckdb")

    @property
    def serving(self) -> Path:
        """The folder in which the feature server keeps API keys and its log of who read what."""
        return self.main_warehouse.parent / "serving"

    @property
    def grants(self) -> Path:
        """The file that tells the feature server what each role may read."""
        return self.serving / GRANTS

    @property
    def ahead(self) -> Path:
        """The file that says which entities streams have brought online before a build had their messages."""
        return self.main_warehouse.with_name("stream.sqlite")

    @property
    def embeddings(self) -> Path:
        """The file that keeps each embedding that was made, so that none is made twice."""
        return self.main_warehouse.with_name("embeddings.sqlite")

    @property
    def exporting(self) -> Path:
        """The folder in which files are made that are exported to a bucket."""
        return self.main_warehouse.with_name("exporting")

    @property
    def fetched(self) -> Path:
        """The folder for landed files that moved to a bucket, while they are needed."""
        return fetched_beside(self.warehouse)

    @property
    def docs(self) -> Path:
        """The HTML file with dbt's documentation."""
        return find_target() / "assay_docs.html"

    @property
    def lineage(self) -> Path:
        """The HTML file that shows which columns are made of which."""
        return self.docs.with_name("assay_lineage.html")

    @property
    def ledger(self) -> Path:
        """The file that records all runs: those of this moment and those of others."""
        return self.main_warehouse.parent / "ops.duckdb"


def require_project() -> None:
    """Check that the current folder is the root of a dbt project.

    Raises:
        Fault: the current folder has no dbt_project.yml.
    """
    if not Path("dbt_project.yml").is_file():
        raise Fault(
            f"{Path.cwd()} is not the root of a dbt project (there is no dbt_project.yml): "
            "change to the folder that holds it, and try again.",
            MISUSED,
        )


def landing_folder() -> Path:
    """Return the landing zone's folder: the one in ASSAY_LANDING, or the default within the project.

    If the landing zone lies in a bucket, it is the folder with its copy.
    """
    if url := landing_url():
        return Path(_COPIES, url.removeprefix(BUCKETS).strip("/"))
    return Path(os.environ.get("ASSAY_LANDING") or DEFAULT_LANDING)


def named_cold_folder() -> Path | None:
    """Return the folder in ASSAY_COLD, to which landed files move that are too old; None without it."""
    named = os.environ.get(COLD)
    return Path(named) if named and not named.startswith(BUCKETS) else None


def fetched_beside(warehouse: Path) -> Path:
    """Return the folder for landed files that moved to a bucket, while that warehouse needs them."""
    return warehouse.with_name(f".{warehouse.name}.fetched")


def cold_url() -> str | None:
    """Return the URL in ASSAY_COLD, if it names a place in a bucket, without a slash at the end."""
    named = os.environ.get(COLD) or ""
    return named.rstrip("/") if named.startswith(BUCKETS) else None


def landing_url() -> str | None:
    """Return the URL of a landing zone that lies in a bucket; None if it is a folder."""
    named = os.environ.get("ASSAY_LANDING") or ""
    return named if named.startswith(BUCKETS) else None


def find_target() -> Path:
    """Return the folder into which dbt writes, of the project in the current folder."""
    return Path(os.environ.get(TARGET) or "target")


def find_places(as_of: datetime | None = None) -> Places:
    """Resolve the places of the project in the current folder.

    Raises:
        Fault: the current folder is no dbt project, or settings name two warehouses or no lake that can be.
    """
    require_project()
    named = os.environ.get("ASSAY_WAREHOUSE")
    if (
        named
        and os.environ.get("ASSAY_TARGET") == "lake"
        and not named.endswith((LAKE_ENDING, SHARED_ENDING))
    ):
        raise Fault(
            f"ASSAY_TARGET is lake, and ASSAY_WAREHOUSE names {named}, which is none: unset one of them. "
            "The lake is named in ASSAY_LAKE_CATALOG.",
            MISUSED,
        )
    warehouse = named or _file_of_profile() or DEFAULT_WAREHOUSE
    return Places(landing_folder(), Path(warehouse), as_of)


def rendered(text: str, **names: Any) -> str:
    """Render the Jinja of a setting of dbt, which may use `env_var` and the given names."""
    return Environment().from_string(text).render(env_var=os.environ.get, **names)


def find_lake_file(path: str) -> str | None:
    """Return the file of a lake as dbt's profile names it; None if it names none.

    That is the catalog; of a catalog in Postgres, the file that stands for it.

    Raises:
        Fault: the catalog is of another kind.
    """
    if path.startswith(SHARED_LAKE):
        named = path.removeprefix(SHARED_LAKE)
        return named if named.endswith(SHARED_ENDING) else _SHARED_WAREHOUSE
    if not path.startswith(LAKE):
        return None
    file = path.removeprefix(LAKE)
    if file.startswith("postgres:"):
        raise Fault(
            "The output `lake` of profiles.yml is of an Assay that knew no catalog in Postgres: take that of "
            "Assay's own profiles.yml in its place.",
            MISUSED,
        )
    if not file.endswith(LAKE_ENDING):
        raise Fault(
            f"The catalog of the lake is {file}: name a file that ends with {LAKE_ENDING} in "
            "ASSAY_LAKE_CATALOG, or a database as postgres:host=... dbname=...",
            MISUSED,
        )
    return file


def find_other_warehouses(warehouse: Path) -> dict[str, Path]:
    """Return the warehouses of the project in the current folder that are there beside one, by target."""
    _, outputs = _read_profile()
    files = {target: _file_of(output) for target, output in outputs.items()}
    return {
        target: Path(file)
        for target, file in files.items()
        if file and Path(file).is_file() and not Path(file).samefile(warehouse)
    }


def _file_of_profile() -> str | None:
    """Return the file that the project's dbt profile names; None if it names none."""
    target, outputs = _read_profile()
    return _file_of(outputs.get(target) or {})


def _read_profile() -> tuple[str, dict[str, Any]]:
    """Return the target of the project's dbt profile, and its outputs by target."""
    project = read_yaml(Path("dbt_project.yml").read_text(encoding="utf-8")) or {}
    folder = os.environ.get("DBT_PROFILES_DIR")
    folders = [Path(folder)] if folder else [Path(), Path.home() / ".dbt"]
    file = next((each for folder in folders if (each := folder / "profiles.yml").is_file()), None)
    profiles = (read_yaml(file.read_text(encoding="utf-8")) if file else None) or {}
    profile = profiles.get(project.get("profile")) or {}
    target = os.environ.get("DBT_TARGET") or rendered(str(profile.get("target") or "default"))
    return target, profile.get("outputs") or {}


def _file_of(output: dict[str, Any]) -> str | None:
    """Return the file that an output of dbt's profile names; None if it names none."""
    path = rendered(str(output.get("path") or ""))
    if path == ":memory:":
        # The catalog of a lake, which is attached.
        attached = [rendered(str(each.get("path") or "")) for each in output.get("attach") or []]
        path = next(filter(None, map(find_lake_file, attached)), path)
    is_file = path not in ("", "None") and not path.startswith((":memory:", "md:", "motherduck:"))
    return path if is_file else None
