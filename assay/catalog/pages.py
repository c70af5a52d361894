"""What the pages of the catalog say: one for each view, each feature and each training set."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from assay.catalog.charts import history_chart
from assay.catalog.declared import LIFECYCLE, REPLACEMENT, Consumer, SetDeclared, ViewDeclared
from assay.catalog.gather import Gathered
from assay.catalog.lineage import columns_section, lineage_section
from assay.catalog.values import EntityHistory, ViewValues, is_number, occurrences_now
from assay.core.words import counted, figure, listed, moment, number, value
from assay.features.columns import window_of
from assay.report.blocks import (
    Block,
    Chart,
    Charts,
    Details,
    Facts,
    Head,
    Paragraph,
    Section,
    Table,
    Text,
    Tone,
)
from assay.report.distributions import bins_of_categories, bins_of_numbers, distribution_chart
from assay.report.drift_charts import comparison_chart, drift_chart, reference_named
from assay.report.sections.training import splits_told
from assay.report.tables import Absent, Row

INDEX, VIEWS, SETS = "index.html", "views", "training"
LIFECYCLES: dict[str, Tone] = {"active": "good", "deprecated": "watch", "retired": "bad"}
VERDICTS: dict[str, Tone] = {"drift": "bad", "watch": "watch", "stable": "good"}
_STATES_LISTED = 12
_FEATURES_DRAWN = 6
_DASH = "\N{EN DASH}"


@dataclass(frozen=True)
class Part:
    """A section with its anchor and its title."""

    name: str
    title: str
    section: Section


@dataclass(frozen=True)
class Page:
    """A page of the catalog: `path` within it, `above` the pages that lead to it, each with its path."""

    path: str
    title: str
    lead: str
    tags: list[tuple[str, Tone]]
    above: list[tuple[str, str]]
    facts: list[tuple[str, Text]]
    parts: list[Part]

    @property
    def root(self) -> str:
        """What leads from the page to the catalog's folder."""
        return "../" * self.path.count("/")


def view_path(view: str) -> str:
    """Return the path of a view's page."""
    return f"{VIEWS}/{_file(view)}.html"


def feature_path(view: str, feature: str) -> str:
    """Return the path of a feature's page."""
    return f"{VIEWS}/{_file(view)}/{_file(feature)}.html"


def set_path(name: str) -> str:
    """Return the path of the page of a training set, or of another model that joins features."""
    return f"{SETS}/{_file(name)}.html"


def _file(name: str) -> str:
    """Return a name that any disk and any address takes."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        return name
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:60]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def view_pages(found: Gathered, declared: ViewDeclared, values: ViewValues | Absent) -> Iterator[Page]:
    """Yield the page of a view, and those of its features.

    Args:
        found: all that was gathered; its warehouse holds what the view holds now.
        declared: the view.
        values: what it holds, or why that is not known.
    """
    yield _view_page(found, declared, values)
    for feature in declared.view.features:
        yield _feature_page(found, declared, feature, values)
    for derived in declared.view.declared.get("derived") or []:
        yield _derived_page(found, declared, derived)


def lifecycle_of(declared: ViewDeclared, feature: str = "") -> tuple[str, str]:
    """Return in which part of its life a view or a feature is, and what replaces it."""
    meta = ((declared.columns.get(feature) or {}).get("config") or {}).get("meta") or {}
    own = str(meta.get(LIFECYCLE) or ""), str(meta.get(REPLACEMENT) or "")
    return own if own[0] else (declared.lifecycle, declared.replacement)


def _view_page(found: Gathered, declared: ViewDeclared, values: ViewValues | Absent) -> Page:
    view = declared.view
    fresh, online = found.freshness[view.name], found.online[view.name]
    lifecycle, replacement = lifecycle_of(declared)
    max_age = view.declared.get("max_age")
    facts = [
        ("Entity", Text(f"{view.told('entity')}, known by {listed(view.keys, most=len(view.keys))}")),
        ("Owner", Text(declared.owner)),
        ("Lifecycle", Text(lifecycle, note=f"use {replacement} instead" if replacement else "")),
        ("Contract", _contract(declared)),
        ("Freshness", Text(fresh.word, fresh.tone, note=fresh.why)),
        ("Online", Text(online.word, online.tone, note=online.why)),
        ("Values may be", Text(f"at most {max_age} old" if max_age else "of any age")),
    ]
    if isinstance(values, ViewValues):
        entities = f"{counted(values.entities, 'entity', 'entities')} at {moment(values.clock)} UTC"
        facts += [
            ("Holds", Text(f"{counted(values.rows, 'row')}, {entities}")),
            ("Last arrived", Text(f"{moment(values.updated_at)} UTC")),
        ]
    facts += [
        ("Table", Text(f"{declared.node['schema']}.{declared.node['alias']}")),
        ("Written in", Text(str(declared.node["original_file_path"]))),
    ]
    parts = [Part("features", "Features", _features(found, declared, values))]
    if view.declared.get("derived"):
        parts.append(Part("derived", "Derived features", _derived(declared)))
    parts += [
        Part("history", "History of an entity", _history_of_view(declared, values, found)),
        Part("used-by", "Who uses it", _used_by(found, declared, "")),
        Part("versions", "Training sets and versions", _versions(found, declared, "")),
        Part("lineage", "Lineage", lineage_section(found, declared, view_path, set_path, "../")),
        Part("use", "How to use it", _use(declared, found)),
        Part("sql", "The SQL that makes it", _sql(found, declared)),
    ]
    tags: list[tuple[str, Tone]] = [
        (lifecycle, LIFECYCLES.get(lifecycle, "none")),
        (fresh.word, fresh.tone),
        (online.word, online.tone),
    ]
    above = [("Catalog", INDEX)]
    return Page(view_path(view.name), view.name, view.description, tags, above, facts, parts)


def _contract(declared: ViewDeclared) -> Text:
    if declared.contract is None:
        return Text("none")
    return Text(
        f"{declared.contract.id} {declared.contract.raw.get('version') or ''}".strip(),
        note=declared.contract.document.name,
    )


def _features(found: Gathered, declared: ViewDeclared, values: ViewValues | Absent) -> Section:
    view = declared.view
    columns = [Head("feature"), Head("type"), Head("what it is"), Head("window"), Head("default")]
    is_built = isinstance(values, ViewValues)
    if is_built:
        columns += [Head("NULL now", True), Head("values now", True)]
    columns.append(Head("drift"))
    rows = []
    for feature in view.features:
        data_type, description = view.columns[feature]
        row = [
            Text(feature, href=f"../{feature_path(view.name, feature)}"),
            Text(data_type),
            Text(" ".join(description.split())),
            Text(window_of(feature) or _DASH),
            Text(str((view.declared.get("defaults") or {}).get(feature, _DASH))),
        ]
        if isinstance(values, ViewValues):
            figures = values.summary[feature]
            row += [
                Text(_share(figures)),
                Text(number(figures["approx_unique"])),
            ]
        row.append(_verdict(found, view.name, feature))
        rows.append(row)
    lead = f"{counted(len(view.features), 'feature')} stored, of {view.told('entity')}."
    if isinstance(values, Absent):
        lead += f" What they hold is not known: {values}"
    return Section(lead, [Table("Features; distinct values are estimated", columns, rows)])


def _verdict(found: Gathered, view: str, feature: str) -> Text:
    windows = [each[-1] for each in found.drift.get(view, {}).get(feature, [])]
    if not windows:
        return Text("not compared")
    worst = min(windows, key=lambda row: [*VERDICTS, row["verdict"]].index(row["verdict"]))
    return Text(worst["verdict"], VERDICTS.get(worst["verdict"], "none"), note=f"in {worst['window']}")


def _derived(declared: ViewDeclared) -> Section:
    view = declared.view
    columns = [Head("feature"), Head("type"), Head("what it is"), Head("expression")]
    rows = [
        [
            Text(each["name"], href=f"../{feature_path(view.name, each['name'])}"),
            Text(each["type"]),
            Text(" ".join(str(each.get("description") or _DASH).split())),
            Text(" ".join(str(each["expression"]).split())),
        ]
        for each in view.declared["derived"]
    ]
    blocks: list[Block] = [Table("Derived features", columns, rows)]
    if inputs := view.declared.get("inputs"):
        cells = [
            [Text(each["name"]), Text(each["type"]), Text(str(each.get("description") or _DASH))]
            for each in inputs
        ]
        heads = [Head("input"), Head("type"), Head("what it is")]
        blocks.append(Table("Inputs that a request or a training set's rows bring", heads, cells))
    return Section(
        "They are computed when they are asked for, from what is stored and what is brought.", blocks
    )


def _history_of_view(declared: ViewDeclared, values: ViewValues | Absent, found: Gathered) -> Section:
    if isinstance(values, Absent):
        return Section(str(values))
    if not values.histories:
        return Section(_no_history(found, values))
    view, history = declared.view, values.histories[0]
    drawn = [
        feature
        for feature in view.features
        if is_number(values.types[feature]) and not found.personal.holds(feature)
    ][:_FEATURES_DRAWN]
    charts = [
        Chart(feature, chart.words, chart.svg)
        for feature in drawn
        for chart in [history_chart(history, feature, values.clock)]
    ]
    lead = (
        f"{history.name}, which {history.how}: what the warehouse knew of it, and when. The upright line is "
        f"{moment(values.clock)} UTC, when anything last arrived; what is dashed follows as windows expire."
    )
    rest = "The page of each feature shows more entities." if charts else "No feature is a number to draw."
    return Section(f"{lead} {rest}", [Charts(charts)] if charts else [])


def _no_history(found: Gathered, values: ViewValues) -> str:
    if not found.with_rows:
        return "Values of single entities are left out of this catalog."
    return f"Nothing is known of any entity at {moment(values.clock)} UTC."


def _feature_page(found: Gathered, declared: ViewDeclared, feature: str, values: ViewValues | Absent) -> Page:
    view = declared.view
    data_type, description = view.columns[feature]
    lifecycle, replacement = lifecycle_of(declared, feature)
    is_personal = found.personal.holds(feature)
    default = (view.declared.get("defaults") or {}).get(feature)
    facts = [
        ("Feature view", Text(view.name, href=f"../../{view_path(view.name)}")),
        ("Entity", Text(f"{view.told('entity')}, known by {listed(view.keys, most=len(view.keys))}")),
        ("Owner", Text(declared.owner)),
        ("Lifecycle", Text(lifecycle, note=f"use {replacement} instead" if replacement else "")),
        ("Type", Text(data_type)),
        ("Window", Text(window_of(feature) or "none: its state as of a moment")),
        ("Default", Text("none: it may be NULL" if default is None else str(default))),
        ("Personal data", Text("yes: values are not shown" if is_personal else "no")),
    ]
    parts = []
    if isinstance(values, ViewValues):
        parts = [
            Part("history", "Over time", _histories(found, values, feature, is_personal)),
            Part("now", "Now", _now(found, values, feature, is_personal)),
        ]
    parts += [
        Part("drift", "Drift", _drift(found, view.name, feature, is_personal)),
        Part("used-by", "Who uses it", _used_by(found, declared, feature)),
        Part("versions", "Training sets and versions", _versions(found, declared, feature)),
        Part("made-of", "What it is made of", columns_section(found, declared, feature)),
    ]
    tags: list[tuple[str, Tone]] = [(lifecycle, LIFECYCLES.get(lifecycle, "none"))]
    verdict = _verdict(found, view.name, feature)
    if verdict.tone != "none":
        tags.append((verdict.text, verdict.tone))
    above = [("Catalog", INDEX), (view.name, view_path(view.name))]
    lead = " ".join(description.split())
    return Page(feature_path(view.name, feature), feature, lead, tags, above, facts, parts)


def _histories(found: Gathered, values: ViewValues, feature: str, is_personal: bool) -> Section:
    if not values.histories:
        return Section(_no_history(found, values))
    lead = (
        "What the warehouse knew of some entities, and when: one that changes often, one that changes as "
        "most do, and one that changes seldom."
    )
    if not is_number(values.types[feature]) or is_personal:
        tables = [_states(found, history, feature) for history in values.histories]
        return Section(lead, tables)
    charts = [
        history_chart(history, feature, values.clock)
        for history in values.histories
        if history.features[feature]
    ]
    lead += (
        f" The upright line is {moment(values.clock)} UTC, when anything last arrived; what is dashed "
        "follows as windows expire."
    )
    tables = [_states(found, history, feature) for history in values.histories]
    return Section(lead, [Charts(charts), Details("The latest states in numbers", tables)])


def _states(found: Gathered, history: EntityHistory, feature: str) -> Table:
    states = history.features[feature][-_STATES_LISTED:]
    rows = [
        [
            Text(moment(state.valid_from)),
            Text(moment(state.valid_to) if state.valid_to else "further notice"),
            Text(value(found.personal.example(state.value, [feature]))),
        ]
        for state in reversed(states)
    ]
    columns = [Head("from (UTC)"), Head("until (UTC)"), Head("value")]
    all_states = counted(len(history.features[feature]), "state")
    return Table(f"{history.name}, which {history.how}: {all_states}, newest first", columns, rows)


def _now(found: Gathered, values: ViewValues, feature: str, is_personal: bool) -> Section:
    figures = values.summary[feature]
    of = counted(values.entities, "entity", "entities")
    lead = f"Of {of} at {moment(values.clock)} UTC, {_share(figures)} are NULL."
    if is_personal or not values.entities:
        return Section(lead)
    as_number = is_number(values.types[feature])
    facts = [("Distinct values", Text(f"about {number(figures['approx_unique'])}"))]
    if as_number:
        facts += [
            (term, Text(_figure(figures[name])))
            for term, name in (
                *(("Least", "min"), ("A quarter is below", "q25"), ("Median", "q50"), ("Mean", "avg")),
                *(("A quarter is above", "q75"), ("Greatest", "max")),
            )
        ]
    bins = (bins_of_numbers if as_number else bins_of_categories)(
        found.tables, occurrences_now(feature, as_number=as_number)
    )
    blocks: list[Block] = [Facts(facts)]
    if bins:
        blocks.insert(
            0, Charts([distribution_chart(f"{feature} now, of those that have one", bins, ["now"])])
        )
    return Section(lead, blocks)


def _share(figures: Row) -> str:
    """Say which share of values is NULL."""
    found = float(figures["null_percentage"] or 0)
    return f"{found:.1f}%" if found else "none"


def _figure(text: Any) -> str:
    """Shorten a figure, which DuckDB gives as text."""
    try:
        return figure(float(text))
    except (TypeError, ValueError):
        return _DASH if text is None else str(text)


def _drift(found: Gathered, view: str, feature: str, is_personal: bool) -> Section:
    compared = found.drift.get(view, {}).get(feature, [])
    if not compared:
        return Section("It is not compared with what it was: no month is over yet, or it is not monitored.")
    charts: list[Chart] = []
    for windows in compared:
        drawn = [drift_chart(windows)]
        if not is_personal:
            drawn += _comparison(found, windows[-1])
        titles = (
            f"PSI against {_reference(windows[-1])}",
            f"{windows[-1]['window']} beside {_reference(windows[-1])}",
        )
        charts += [Chart(title, chart.words, chart.svg) for title, chart in zip(titles, drawn, strict=False)]
    latest = [each[-1] for each in compared]
    paired = len(charts) == 2 * len(compared)
    said = listed([f"{row['verdict']} against {_reference(row)}" for row in latest], most=len(latest))
    return Section(f"In {latest[0]['window']}: {said}.", [Charts(charts, in_pairs=paired)])


def _reference(row: Row) -> str:
    return reference_named(str(row["reference"]))


def _comparison(found: Gathered, row: Row) -> list[Chart]:
    try:
        return [comparison_chart(found.tables, row)]
    except Absent:
        return []


def _used_by(found: Gathered, declared: ViewDeclared, feature: str) -> Section:
    view = declared.view
    root = "../../" if feature else "../"
    columns = [Head("who"), Head("kind"), Head("how that is known"), Head("owner")]
    rows = [_consumer(each) for each in declared.consumers]
    for joined in declared.joined:
        used = [*joined.columns, *joined.derived]
        if feature and feature not in used:
            continue
        user = found.declared.sets[joined.model]
        said = "joins it" if feature else f"joins {counted(len(used), 'feature')} of it"
        kind = "training set" if user.is_training_set else "model"
        rows.append(
            [Text(joined.model, href=root + set_path(joined.model)), Text(kind), Text(said), Text(_DASH)]
        )
        known = {each.name for each in declared.consumers}
        rows += [
            _consumer(each, f"{each.how} for {joined.model}")
            for each in user.consumers
            if each.name not in known
        ]
    rows += [
        [
            Text(name),
            Text("model in service"),
            Text("its predictions were logged with these features"),
            Text(_DASH),
        ]
        for name in found.models.get(view.name, [])
    ]
    if not rows:
        return Section("Nobody is known to use it.")
    caption = "Declared in contracts and exposures, and found in what joins it and in logged predictions"
    return Section(f"{counted(len(rows), 'consumer')}, declared or found.", [Table(caption, columns, rows)])


def _consumer(each: Consumer, how: str = "") -> list[Text]:
    return [Text(each.name), Text(each.kind), Text(how or each.how), Text(each.owner or _DASH)]


def _versions(found: Gathered, declared: ViewDeclared, feature: str) -> Section:
    root = "../../" if feature else "../"
    columns = [Head("version"), Head("features of it" if not feature else "column")]
    columns += [Head("rows", True), Head("as of (UTC)"), Head("created (UTC)")]
    rows = []
    sets = [
        each.model for each in declared.joined if not feature or feature in [*each.columns, *each.derived]
    ]
    for each in found.declared.sets.values():
        for version in reversed(each.versions):
            manifest = version.manifest
            used = [
                taken.column
                for taken in manifest.features
                if taken.view == declared.view.name and (not feature or taken.name == feature)
            ]
            if used:
                rows.append(
                    [
                        Text(manifest.version, href=root + set_path(each.name)),
                        Text(listed(used, most=3)),
                        Text(f"{manifest.rows:,}"),
                        Text(moment(manifest.as_of)),
                        Text(moment(manifest.created_at)),
                    ]
                )
    joined = (
        f"{listed(sets, most=len(sets))} {'joins' if len(sets) == 1 else 'join'} it"
        if sets
        else "No model joins it"
    )
    if rows:
        lead = f"{joined}; {counted(len(rows), 'version')} created with it."
    else:
        create = f" To create one: assay training-set create {sets[0]}" if sets else ""
        lead = f"{joined}; no version was created with it yet.{create}"
    return Section(lead, [Table("Versions, newest first", columns, rows)] if rows else [])


def _use(declared: ViewDeclared, found: Gathered) -> Section:
    view = declared.view
    features = view.features[:3]
    listed_features = ", ".join(f"'{feature}'" for feature in features)
    blocks: list[Block] = [
        Paragraph("In a training set, as of each row's prediction:"),
        Paragraph(
            "{{ assay.point_in_time_join('spine', 'prediction_at', [\n"
            f"    {{'view': '{view.name}', 'columns': [{listed_features}]}},\n"
            "]) }}",
            is_code=True,
        ),
        Paragraph("In Python, for a data frame with a time in each row:"),
        Paragraph(
            f'assay.open().features(frame, ["{view.name}:{features[0]}"], at="asked_at").to_pandas()',
            is_code=True,
        ),
        Paragraph("In SQL, as of a moment:"),
        Paragraph(
            f"select {', '.join([*view.keys, *features])}\n"
            f"from {declared.node['schema']}.{declared.node['alias']}\n"
            "where valid_from <= $moment and valid_to > $moment",
            is_code=True,
        ),
    ]
    if found.online[view.name].word == "online":
        keys = " ".join(f"--key {key.upper()}" for key in view.keys)
        inputs = "".join(
            f" --input {each['name']}={each['name'].upper()}" for each in view.declared.get("inputs") or []
        )
        blocks += [
            Paragraph("Online, as of now:"),
            Paragraph(f"assay online get --view {view.name} {keys}{inputs}", is_code=True),
        ]
    return Section("The same values for training and serving.", blocks)


def _sql(found: Gathered, declared: ViewDeclared) -> Section:
    blocks: list[Block] = [Paragraph(str(declared.node["raw_code"]).strip(), is_code=True)]
    compiled = found.compiled.get(declared.node["unique_id"])
    if compiled:
        blocks.append(Details("As dbt compiles it", [Paragraph(compiled.strip(), is_code=True)]))
    return Section(f"In {declared.node['original_file_path']}.", blocks)


def _derived_page(found: Gathered, declared: ViewDeclared, derived: dict[str, Any]) -> Page:
    view, name = declared.view, str(derived["name"])
    lifecycle, _ = lifecycle_of(declared)
    facts = [
        ("Feature view", Text(view.name, href=f"../../{view_path(view.name)}")),
        ("Entity", Text(f"{view.told('entity')}, known by {listed(view.keys, most=len(view.keys))}")),
        ("Owner", Text(declared.owner)),
        ("Type", Text(str(derived["type"]))),
        ("Computed", Text("when it is asked for, offline and online by the same SQL")),
    ]
    expression = Section(
        "It reads columns of the view, inputs, derived features before it, and `as_of`.",
        [Paragraph(str(derived["expression"]).strip(), is_code=True)],
    )
    parts = [
        Part("expression", "The SQL that makes it", expression),
        Part("used-by", "Who uses it", _used_by(found, declared, name)),
        Part("versions", "Training sets and versions", _versions(found, declared, name)),
    ]
    tags: list[tuple[str, Tone]] = [("derived", "none"), (lifecycle, LIFECYCLES.get(lifecycle, "none"))]
    above = [("Catalog", INDEX), (view.name, view_path(view.name))]
    lead = " ".join(str(derived.get("description") or "").split())
    return Page(feature_path(view.name, name), name, lead, tags, above, facts, parts)


def set_page(found: Gathered, declared: SetDeclared) -> Page:
    """Return the page of a model that joins features."""
    by_view = [
        [
            Text(feature, href=f"../{feature_path(view, feature)}"),
            Text(view, href=f"../{view_path(view)}"),
        ]
        for view, joined in declared.joined.items()
        if view in found.declared.views
        for feature in (*joined.columns, *joined.derived)
    ]
    columns = [Head("feature"), Head("feature view")]
    features = Section(
        f"{counted(len(by_view), 'feature')} of {counted(len(declared.joined), 'feature view')}.",
        [Table("Features that it joins", columns, by_view)],
    )
    versions = [
        [
            Text(manifest.version),
            Text(f"{manifest.rows:,}"),
            Text(splits_told(manifest) or _DASH),
            Text(moment(manifest.as_of)),
            Text(moment(manifest.created_at)),
        ]
        for manifest in (version.manifest for version in reversed(declared.versions))
    ]
    heads = [Head("version"), Head("rows", True), Head("splits"), Head("as of (UTC)"), Head("created (UTC)")]
    taken = Section(
        f"{counted(len(versions), 'version')} created."
        if versions
        else f"No version was created yet. To create one: assay training-set create {declared.name}",
        [Table("Versions, newest first", heads, versions)] if versions else [],
    )
    users = [_consumer(each) for each in declared.consumers]
    used = Section(
        f"{counted(len(users), 'consumer')} declared." if users else "Nobody is declared.",
        [Table("Consumers", [Head("who"), Head("kind"), Head("how that is known"), Head("owner")], users)]
        if users
        else [],
    )
    parts = [Part("features", "Features", features)]
    if declared.is_training_set:
        parts.append(Part("versions", "Versions", taken))
    parts.append(Part("used-by", "Who uses it", used))
    kind = "training set" if declared.is_training_set else "model"
    facts = [
        ("Kind", Text(kind)),
        *(("Label", Text(name)) for name in declared.labels),
        ("Table", Text(f"{declared.node['schema']}.{declared.node['alias']}")),
        ("Written in", Text(str(declared.node["original_file_path"]))),
    ]
    lead = " ".join(str(declared.node["description"]).split())
    tags: list[tuple[str, Tone]] = [(kind, "none")]
    return Page(set_path(declared.name), declared.name, lead, tags, [("Catalog", INDEX)], facts, parts)
