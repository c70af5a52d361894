"""Write the catalog's pages."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from assay.catalog.declared import ViewDeclared
from assay.catalog.gather import Gathered, gathered, values_of
from assay.catalog.pages import (
    INDEX,
    LIFECYCLES,
    SETS,
    VERDICTS,
    VIEWS,
    Page,
    feature_path,
    lifecycle_of,
    set_page,
    set_path,
    view_pages,
    view_path,
)
from assay.catalog.values import ViewValues
from assay.console.progress import Display
from assay.core.fault import MISUSED, Fault
from assay.core.moment import now
from assay.core.places import Places
from assay.core.words import counted
from assay.report.beside import copy_beside, link_between
from assay.report.blocks import Text
from assay.report.docs import LINEAGE
from assay.report.html import environment, replace_page
from assay.report.tables import Absent, Row

_MARK = '<meta name="generator" content="assay catalog">'


@dataclass(frozen=True)
class Entry:
    """A view as the index lists it; `features` are names, descriptions and pages."""

    name: str
    path: str
    description: str
    entity: str
    owner: str
    lifecycle: Text
    freshness: Text
    online: Text
    features: list[tuple[str, str, str]]
    drifting: str
    consumers: int

    @property
    def facets(self) -> dict[str, str]:
        """What it is filtered by."""
        texts = {"lifecycle": self.lifecycle, "freshness": self.freshness, "online": self.online}
        return {"entity": self.entity, "owner": self.owner} | {
            name: each.text for name, each in texts.items()
        }


def write_catalog(places: Places, out: Path, display: Display, *, with_rows: bool = True) -> Path:
    """Write the catalog of the project in the current folder, over the one before.

    Args:
        places: of the project.
        out: the folder it goes to, which is made where it is missing.
        display: told of what is done.
        with_rows: whether values of single entities are shown.

    Returns:
        The index.

    Raises:
        Fault: dbt cannot read the project, or `out` holds something else or cannot be written.
    """
    try:
        _require_own(out)
        return _write(places, out, display, with_rows=with_rows)
    except OSError as error:
        raise Fault(f"The catalog cannot be written to {out}: {error.strerror or error}.", MISUSED) from error


def _require_own(out: Path) -> None:
    """Pages of what is gone are taken away, so that the folder must be the catalog's own."""
    index = out / INDEX
    is_own = index.is_file() and _MARK in index.read_text(encoding="utf-8", errors="replace")
    if out.exists() and not is_own and (not out.is_dir() or any(out.iterdir())):
        raise Fault(f"{out} holds something else than a catalog: give a new or an empty folder.", MISUSED)


def _write(places: Places, out: Path, display: Display, *, with_rows: bool) -> Path:
    templates = environment("assay.catalog")
    written: set[Path] = set()
    entries: list[Entry] = []

    def put(page: Page) -> None:
        path = out / page.path
        path.parent.mkdir(parents=True, exist_ok=True)
        made = templates.get_template("catalog_page.html").render(
            page=page, root=page.root, pages=pages, made_at=made_at, mark=_MARK
        )
        written.add(replace_page(path, made))

    made_at = now()
    out.mkdir(parents=True, exist_ok=True)
    others = {
        "Report": link_between(out, Path("report", INDEX)),
        "Lineage": LINEAGE if copy_beside(places.lineage, out / LINEAGE) else "",
    }
    pages = {name: address for name, address in others.items() if address}
    with gathered(places, with_rows=with_rows) as found:
        sets = [each for each in found.declared.sets.values() if each.joined.keys() & found.declared.views]
        for declared in found.declared.views.values():
            display.say(f"Drawing {declared.view.name}")
            for page in _pages(found, declared):
                put(page)
            entries.append(_entry(found, declared))
        for each in sets:
            put(set_page(found, each))
        script = files("assay.catalog").joinpath("templates", "catalog.js").read_text(encoding="utf-8")
        index = templates.get_template("catalog_index.html").render(
            entries=entries,
            root="",
            pages=pages,
            sets=[(each, set_path(each.name)) for each in sets],
            facets={name: sorted({entry.facets[name] for entry in entries}) for name in _facets(entries)},
            made_at=made_at,
            note=found.tables.note,
            mark=_MARK,
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    # The index comes last: what it leads to is there.
    replace_page(out / INDEX, index)
    for folder in (VIEWS, SETS):
        for old in set((out / folder).rglob("*.html")) - written:
            old.unlink()
    return out / INDEX


def _facets(entries: list[Entry]) -> list[str]:
    return list(entries[0].facets) if entries else []


def _pages(found: Gathered, declared: ViewDeclared) -> Iterator[Page]:
    values: ViewValues | Absent
    try:
        values = values_of(found, declared)
    except Absent as absent:
        values = absent
    yield from view_pages(found, declared, values)


def _entry(found: Gathered, declared: ViewDeclared) -> Entry:
    view = declared.view
    fresh, online = found.freshness[view.name], found.online[view.name]
    lifecycle, _ = lifecycle_of(declared)
    features = [(name, view.columns[name][1]) for name in view.features]
    features += [
        (str(each["name"]), str(each.get("description") or "")) for each in view.declared.get("derived") or []
    ]
    drift = found.drift.get(view.name, {})
    return Entry(
        name=view.name,
        path=view_path(view.name),
        description=view.description,
        entity=view.told("entity"),
        owner=declared.owner,
        lifecycle=Text(lifecycle, LIFECYCLES.get(lifecycle, "none")),
        freshness=Text(fresh.word, fresh.tone),
        online=Text(online.word, online.tone),
        features=[(name, " ".join(said.split()), feature_path(view.name, name)) for name, said in features],
        drifting=_drifting(drift, len(features)),
        consumers=len(declared.consumers) + len(declared.joined) + len(found.models.get(view.name, [])),
    )


def _drifting(drift: dict[str, list[list[Row]]], features: int) -> str:
    verdicts = [{windows[-1]["verdict"] for windows in each} for each in drift.values()]
    if not any(each & {*VERDICTS} for each in verdicts):
        return "not judged yet"
    return f"{sum('drift' in each for each in verdicts)} of {counted(features, 'feature')}"
