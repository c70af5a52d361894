"""What `assay doctor` looks at: each check says how one thing is, and what to do where it is not well."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

import duckdb
from packaging.requirements import Requirement

from assay.core.fault import Fault, known_fault
from assay.core.moment import now
from assay.core.places import Places
from assay.core.words import counted, listed
from assay.landing.declared import DeclarationError, declared_tables
from assay.landing.discover import LandingFile, LandingFolderMissing, UnreadableFile, discover
from assay.ledger.account import read_account
from assay.ledger.runs import read_runs
from assay.ledger.versions import refuse_older_version
from assay.online.stores.open import open_store, store_url
from assay.online.stores.shown_url import shown_url
from assay.pii.key import VARIABLE, find_pii_key
from assay.project.conventions import MONITORING, layer_of
from assay.project.lake import data_of, is_lake
from assay.project.lease import find_holder
from assay.project.packages import links_assay, make_linked_packages_ready
from assay.project.paths import all_model_paths
from assay.project.personal import PII
from assay.project.project import Project
from assay.project.warehouse import connect, connect_published

State = Literal["ok", "warning", "problem"]

_TOOLS = ("assay", "dbt-core", "dbt-duckdb", "duckdb")
_EXPECTATIONS = Path("dbt_packages", "dbt_expectations")
_LEAST_FREE = 1 << 30
_CLOCKS_AGREE = timedelta(minutes=5)


@dataclass(frozen=True)
class Check:
    """How one thing is; `remedy` is empty where it is well."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def run_checks(places: Places) -> Iterator[Check]:
    """Yield the checks of the project in the current folder, as each is done.

    Args:
        places: of the project.
    """
    project: Project | None = None
    for name, check in _CHECKS.items():
        try:
            if name == "project":
                project = Project()
                yield Check(name, "ok", f"{project.name}: {counted(len(project.models), 'model')}")
            elif name == "layers":
                yield from [_layers(project.name, project.models)] if project else ()
            elif name == "personal data":
                yield from _personal_data(project) if project else ()
            else:
                yield from check(places)
        except (Fault, duckdb.Error, OSError, DeclarationError, LandingFolderMissing) as error:
            yield Check(name, "problem", str(known_fault(error) or error))


def _environment(places: Places) -> Iterator[Check]:
    del places
    versions = ", ".join(f"{name} {version(name)}" for name in _TOOLS)
    yield Check("environment", "ok", f"Python {platform.python_version()} in {sys.prefix}; {versions}")
    wrong = []
    for text in requires("assay") or []:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            found = "none"
        if found == "none" or not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name}{requirement.specifier} (there is {found})")
    if wrong:
        yield Check("environment", "problem", f"needs {', '.join(wrong)}", "pip install --upgrade assay")


def _packages(places: Places) -> Iterator[Check]:
    del places
    make_linked_packages_ready()
    whose = "linked to the installed Assay" if links_assay() else "kept by the project"
    if _EXPECTATIONS.is_dir():
        yield Check("packages", "ok", whose)
    else:
        yield Check("packages", "problem", f"there is no {_EXPECTATIONS}", "assay deps")


def _landing(places: Places) -> Iterator[Check]:
    declared = {f"{source}/{table}" for source, table in declared_tables(*all_model_paths())}
    files = [file.name for file in discover(places.landing)] if places.landing.exists() else []
    yield Check("landing", "ok", f"{places.landing}: {counted(len(files), 'file')}")
    strange = sorted({"/".join(file.split("/")[:2]) for file in files} - declared)
    if strange:
        yield Check(
            "landing",
            "warning",
            f"no source is declared for {', '.join(strange[:3])}{' and others' * (len(strange) > 3)}",
            f"assay source add {strange[0].replace('/', '.')} {places.landing / strange[0]}/*",
        )


def _warehouse(places: Places) -> Iterator[Check]:
    if not places.warehouse.exists():
        yield Check("warehouse", "ok", f"{places.warehouse} is not built yet", "assay build")
        return
    if holder := find_holder(places.warehouse):
        yield Check("warehouse", "ok", f"{places.warehouse} is being built by {holder}")
        return
    with connect(places.warehouse) as connection:
        tables = connection.execute("select count(*) from duckdb_tables()").fetchall()[0][0]
    not_loaded = read_account(places.warehouse, "").files_not_loaded
    if not_loaded:
        yield Check(
            "warehouse", "warning", f"{counted(not_loaded, 'file')} could not be loaded", "assay status"
        )
    size = places.warehouse.stat().st_size
    if is_lake(places.warehouse):
        # Those of earlier snapshots too. Of a bucket, it is the catalog alone.
        size += sum(file.stat().st_size for file in Path(data_of(places.warehouse)).rglob("*.parquet"))
    yield Check("warehouse", "ok", f"{places.warehouse}: {counted(tables, 'table')}, {size / 1e6:,.0f} MB")


def _published(places: Places) -> Iterator[Check]:
    if not places.published.exists():
        yield Check("published", "ok", "nothing is published yet", "assay build")
        return
    with connect_published(places.published) as connection:
        tables = connection.execute("select count(*) from duckdb_tables()").fetchall()[0][0]
    yield Check("published", "ok", f"{places.published}: {counted(tables, 'table')}")


def _ledger(places: Places) -> Iterator[Check]:
    refuse_older_version(places.ledger)
    runs = read_runs(places.ledger)
    if not runs:
        yield Check("builds", "ok", "none yet", "assay build")
        return
    last = runs[0]
    began = f"{last.started_at:%Y-%m-%d %H:%M} UTC"
    detail = f"the last of {len(runs)}, {last.run_id[:8]}, began at {began}: {last.status}"
    if last.status == "failed":
        yield Check("builds", "problem", detail, f"assay runs show {last.run_id[:8]}")
    else:
        yield Check("builds", "ok", detail)
    if last.started_at > now() + _CLOCKS_AGREE:
        ahead = f"the last build began at {began}, and it is {now():%Y-%m-%d %H:%M}"
        yield Check("clock", "problem", ahead, "set this machine's clock: builds are ordered by it")


def _clock(places: Places) -> Iterator[Check]:
    late = []
    if places.landing.exists():
        late = [file for file in discover(places.landing) if _landed_at(file) > now() + _CLOCKS_AGREE]
    if late:
        yield Check(
            "clock",
            "warning",
            f"{counted(len(late), 'file')} landed later than now, such as {late[0].name}",
            "set the clocks of this machine and of whoever lands files",
        )
    else:
        yield Check("clock", "ok", f"{now():%Y-%m-%d %H:%M:%S} UTC; no file landed later")


def _landed_at(file: LandingFile) -> datetime:
    try:
        return file.landed_at
    except UnreadableFile:
        # A build tells of it, by its name.
        return datetime.min


def _online(places: Places) -> Iterator[Check]:
    url = store_url(None, places)
    views = open_store(url).catalog()
    yield Check("online store", "ok", f"{shown_url(url)}: {counted(len(views), 'feature view')}")


def _disk(places: Places) -> Iterator[Check]:
    folder = places.main_warehouse.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    size = places.warehouse.stat().st_size if places.warehouse.exists() else 0
    needed = max(_LEAST_FREE, 2 * size)
    detail = f"{free / 1e9:,.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        yield Check("disk", "problem", f"{folder} cannot be written to", "change its owner or permissions")
    elif free < needed:
        wanted = (
            f"free space (a build may take {needed / 1e9:,.1f} GB), or set ASSAY_WAREHOUSE to another disk"
        )
        yield Check("disk", "warning", detail, wanted)
    else:
        yield Check("disk", "ok", detail)


def _layers(project_name: str, models: Iterable[Any]) -> Check:
    """Name a project's models that lie in no layer: nobody publishes or watches them."""
    outside: dict[str, list[str]] = {}
    for node in models:
        if node.package_name == project_name and not layer_of(node) and not node.name.startswith(MONITORING):
            outside.setdefault(node.config.schema or node.schema, []).append(node.name)
    if not outside:
        return Check("layers", "ok", "each model lies in one")
    told = (f"{schema} ({listed(sorted(names))})" for schema, names in sorted(outside.items()))
    return Check(
        "layers",
        "warning",
        f"models in these schemas are neither published nor monitored: {', '.join(told)}",
        f"where a schema is your gold, write vars: {{layers: {{gold: {min(outside)}}}}} in dbt_project.yml; "
        "else leave them so",
    )


def _personal_data(project: Project) -> Iterator[Check]:
    tables = [".".join(name) for name, node in project.landing_tables.items() if node.config.meta.get(PII)]
    if not tables:
        yield Check("personal data", "ok", "no contract declares any")
    elif find_pii_key():
        yield Check("personal data", "ok", f"declared in {', '.join(sorted(tables))}; {VARIABLE} is set")
    else:
        yield Check(
            "personal data",
            "warning",
            f"declared in {', '.join(sorted(tables))}, and {VARIABLE} is not set",
            f"to hash it, set {VARIABLE} and hash_pii: true under vars in dbt_project.yml",
        )


_CHECKS: dict[str, Callable[[Places], Iterator[Check]]] = {
    "environment": _environment,
    "packages": _packages,
    "project": lambda _: iter(()),
    "layers": lambda _: iter(()),
    "personal data": lambda _: iter(()),
    "landing": _landing,
    "warehouse": _warehouse,
    "published": _published,
    "builds": _ledger,
    "online store": _online,
    "clock": _clock,
    "disk": _disk,
}
