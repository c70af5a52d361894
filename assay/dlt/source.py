"""Find a source of dlt by MODULE:SOURCE, and the landing table or tables it fills."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from assay.core.fault import MISUSED, Fault, unknown
from assay.core.words import listed
from assay.dlt.faults import dlt_needed, faults_of_dlt
from assay.project.paths import put_project_on_path

if TYPE_CHECKING:
    from dlt.extract import DltResource, DltSource

_PLACE = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")
# As dlt names tables: two underscores part a table from the lists that its rows hold.
_NAME = "[a-z][a-z0-9]*(?:_{1,2}[a-z0-9]+)*"
_LONGEST = 64
_TARGET = re.compile(rf"(?P<source>{_NAME})(?:\.(?P<table>{_NAME}))?")


@dataclass(frozen=True)
class Target:
    """The source that rows land in and, where they are of one table, that table."""

    source: str
    table: str | None = None

    def __str__(self) -> str:
        return f"{self.source}.{self.table}" if self.table else self.source

    @staticmethod
    def parse(text: str) -> Target:
        """Read `source` or `source.table`.

        Raises:
            Fault: it is neither.
        """
        found = _TARGET.fullmatch(text)
        if not found:
            raise Fault(
                f"{text!r} names no place in the landing zone: write SOURCE or SOURCE.TABLE in small "
                "letters, digits and underscores, as shop or shop.orders.",
                MISUSED,
            )
        return Target(found["source"], found["table"])


def find_source(place: str) -> DltSource:
    """Import a source of dlt from the project in the current folder; nothing is read from where it leads.

    Args:
        place: `module:name` of a source or resource of dlt, or of a function without arguments that returns
            one.

    Raises:
        Fault: dlt is not installed, there is no such module or name, it is no source of dlt, or it lacks
            configuration.
    """
    found = _PLACE.fullmatch(place)
    if not found:
        raise Fault(
            f"{place!r} names no source: write MODULE:SOURCE, as sources.shop:orders for what "
            "sources/shop.py calls orders.",
            MISUSED,
        )
    with dlt_needed():
        from dlt.extract import DltResource, DltSource
    module = _import(found["module"])
    if not hasattr(module, found["name"]):
        raise Fault(unknown(f"{place} is not there", found["name"], _sources_in(module)), MISUSED)
    made = getattr(module, found["name"])
    if callable(made) and not isinstance(made, DltSource | DltResource):
        with faults_of_dlt(place):
            made = made()
    if isinstance(made, DltResource):
        made = _source_of(made)
    if not isinstance(made, DltSource):
        raise Fault(
            f"{place} is no source of dlt, but {_kind(made)}: name a @dlt.source or @dlt.resource, or a "
            "function without arguments that returns one.",
            MISUSED,
        )
    if not made.selected_resources:
        raise Fault(f"{place} has no resource that is selected: nothing would land.", MISUSED)
    return made


def choose_target(place: str, source: DltSource, into: str | None) -> Target:
    """Return where rows of a source land; its only resource fills the table that `into` names.

    Args:
        place: as the source is named.
        source: as found; its resource is told the table's name.
        into: `source` or `source.table`; without it, dlt's name for the source.

    Raises:
        Fault: that is no name, or it names one table, and the source has several resources; or rows of a
            resource could not be told from others, or never land.
    """
    if into is None and not _TARGET.fullmatch(source.name):
        raise Fault(
            f"{place} is called {source.name!r}, as no folder of the landing zone may be: say --into SOURCE "
            "or --into SOURCE.TABLE, as shop or shop.orders.",
            MISUSED,
        )
    target = Target.parse(into or source.name)
    resources = list(source.selected_resources.values())
    if target.table is not None:
        if len(resources) > 1:
            names = listed([each.name for each in resources], 8)
            raise Fault(
                f"{place} has {len(resources)} resources ({names}), and --into {target} names one table: say "
                f"--into {target.source}, or select one resource in the source.",
                MISUSED,
            )
        resources[0].apply_hints(table_name=target.table)
    _check_tables(place, source, resources)
    return target


def _check_tables(place: str, source: DltSource, resources: Sequence[DltResource]) -> None:
    """Check what dlt makes of the names of tables: it writes them in small letters of ASCII."""
    known: dict[str, str] = {}
    # A name that is a function says for each row where it lands.
    for named in (each.table_name for each in resources if isinstance(each.table_name, str)):
        table = source.schema.naming.normalize_tables_path(named)
        if table.startswith("_"):
            raise Fault(
                f"{place}: dlt calls the table of {named!r} {table}, and nothing lands in a folder that "
                "begins with an underscore: give it another name, with table_name= in the resource or "
                "--into SOURCE.TABLE.",
                MISUSED,
            )
        if known.setdefault(table, named) != named:
            raise Fault(
                f"{place}: dlt calls the tables of {known[table]!r} and {named!r} both {table}, so their "
                "rows would be mixed: give one another name, with table_name= in the resource.",
                MISUSED,
            )


def _import(name: str) -> ModuleType:
    """Import a module, which may lie in the current folder.

    Raises:
        Fault: there is none, or it cannot be imported.
    """
    put_project_on_path()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise Fault(
                f"There is no module {name}: write {name.replace('.', '/')}.py in {Path.cwd()}, or install "
                "the package that has it.",
                MISUSED,
            ) from error
        raise Fault(f"The module {name} needs {error.name}, which is not installed.", MISUSED) from error
    except Exception as error:
        raise Fault(f"The module {name} cannot be imported: {_kind(error)}: {error}", MISUSED) from error


def _sources_in(module: ModuleType) -> list[str]:
    from dlt.extract import DltResource, DltSource, SourceFactory

    kinds = (DltResource, DltSource, SourceFactory)
    return [name for name, each in vars(module).items() if isinstance(each, kinds)]


def _source_of(resource: DltResource) -> DltSource:
    import dlt

    # Names of sources are those of Python; a table of a database may have any.
    name = resource.name if resource.name.isidentifier() else re.sub(r"\W|^(?=\d)", "_", resource.name)
    return dlt.source(lambda: resource, name=name[:_LONGEST], section=resource.section)()


def _kind(thing: Any) -> str:
    return type(thing).__name__
