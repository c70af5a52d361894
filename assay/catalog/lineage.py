"""What a view is made of and who reads it, and the same of a feature, column by column."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from urllib.parse import quote

from assay.catalog.declared import ViewDeclared
from assay.catalog.gather import Gathered
from assay.core.words import counted
from assay.lineage.columns import SourceColumn
from assay.report.blocks import Block, Facts, Head, Section, Table, Text
from assay.report.docs import LINEAGE

_MOST_COLUMNS = 40


def lineage_section(
    found: Gathered,
    view: ViewDeclared,
    view_path: Callable[[str], str],
    set_path: Callable[[str], str],
    root: str,
) -> Section:
    """Tell from which tables a view is made, layer by layer, and which models read it.

    Args:
        found: all that was gathered.
        view: the view.
        view_path: gives the page of a view.
        set_path: gives the page of a model that joins features.
        root: what leads from the page to the catalog's folder.
    """

    declared = found.declared

    def text(name: str, note: str = "") -> Text:
        if name in declared.views:
            return Text(name, note=note, href=root + view_path(name))
        if name in declared.sets:
            return Text(name, note=note, href=root + set_path(name))
        return Text(name, note=note)

    above = [
        [text(each.name, "read by the view itself" if each.is_direct else ""), Text(layer)]
        for layer, of_layer in groupby(view.upstream, key=lambda each: each.layer)
        for each in of_layer
    ]
    below = [[text(name), Text("reads it")] for name in view.downstream]
    blocks: list[Block] = [Table("Made of", [Head("table"), Head("layer")], above)]
    if below:
        blocks.append(Table("Read by", [Head("table"), Head("how")], below))
    name = view.view.name
    columns = Text(f"assay lineage {name}")
    if found.has_lineage:
        columns = Text("the page of lineage", href=f"{root}{LINEAGE}#table={quote(name)}")
    blocks.append(Facts([("Column by column", columns)]))
    read = counted(len(below), "model reads it", "models read it") if below else "no model reads it"
    return Section(f"Made of {counted(len(above), 'table')}; {read}.", blocks)


def columns_section(found: Gathered, declared: ViewDeclared, feature: str) -> Section:
    """Tell of which columns a feature is made, down to those that landed."""
    id_ = declared.node["unique_id"]
    if id_ not in found.made_of:
        return Section("Its columns could not be followed: the view's page tells of tables.")
    direct = found.made_of[id_].get(feature, [])
    roots = _roots(found, direct)
    if not direct:
        return Section("It is made of no column: it is a constant, or counts rows.")
    rows = [[Text(_table(each)), Text(each.name)] for each in direct]
    columns = [Head("table"), Head("column")]
    blocks: list[Block] = [Table("Columns that the view itself reads for it", columns, rows)]
    landed = [[Text(_table(each)), Text(each.name)] for each in roots if each not in direct]
    if landed:
        more = f" (the first {_MOST_COLUMNS} of {len(landed)})" if len(landed) > _MOST_COLUMNS else ""
        blocks.append(Table(f"In the end, of what landed{more}", columns, landed[:_MOST_COLUMNS]))
    said = f"{counted(len(direct), 'column')}, in the end {counted(len(roots), 'column')} of what landed"
    return Section(f"Made of {said}; filters and conditions are not counted.", blocks)


def _roots(found: Gathered, direct: list[SourceColumn]) -> list[SourceColumn]:
    """Follow columns until nothing is known of what they are made of."""
    seen: set[SourceColumn] = set()
    roots: set[SourceColumn] = set()
    ahead = list(direct)
    while ahead:
        column = ahead.pop()
        if column in seen:
            continue
        seen.add(column)
        above = found.made_of.get(found.ids.get(column.relation, ""), {}).get(column.name, [])
        if above:
            ahead += above
        else:
            roots.add(column)
    return sorted(roots)


def _table(column: SourceColumn) -> str:
    return column.relation.partition(".")[2]
