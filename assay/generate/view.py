"""`assay view add`: a feature view of windowed aggregates, from one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from assay.core.fault import MISUSED, Fault
from assay.core.words import plain_name
from assay.features.columns import AGGREGATES, columns_of_queries, is_total
from assay.generate.gold import (
    GoldModel,
    GoldPlan,
    add_model,
    check_name,
    find_column,
    find_events,
    find_group,
    find_owner,
    find_time,
    quote_column,
    quote_text,
    quote_texts,
    read_project,
)
from assay.generate.propose import Choice, make_singular
from assay.project.paths import own_models
from assay.project.views import VALIDITY, FeatureView, feature_views

_PREFIX = "ftr_"
_ROWS = "*"
_WINDOW = re.compile("all|[1-9][0-9]{0,5}[smhd]")
_OF_NUMBERS = ("sum", "avg", "stddev")
# What gives values of the column back.
_OF_VALUES = ("min", "max", "mode", "last", "first")
_NUMBER = re.compile(r"u?(tiny|small|big|huge)int|u?integer|decimal.*")
_FLOATING = ("double", "float")
# Sums of floating-point numbers depend on their order.
_EXACT = "decimal(18, 6)"


@dataclass(frozen=True)
class Measure:
    """An input of `windowed_history`: its name, the column, None for rows, and what is made of it."""

    name: str
    column: str | None
    aggregates: Sequence[str]
    is_floating: bool = False

    def features(self, windows: Sequence[str]) -> list[str]:
        """Return the names of its features."""
        return [f"{self.name}_{aggregate}_{window}" for aggregate in self.aggregates for window in windows]

    @property
    def sql(self) -> str:
        """Its line in the call of `windowed_history`."""
        aggregates = quote_texts(self.aggregates)
        if self.column is None:
            return f"{quote_text(self.name)}: {aggregates}"
        expression = quote_column(self.column)
        if self.is_floating and set(self.aggregates) & set(_OF_NUMBERS):
            expression = f"{expression}::{_EXACT}"
        # Of a measure that is only counted, the macro counts rows, those without a value too.
        if expression == self.name and list(self.aggregates) != ["count"]:
            return f"{quote_text(self.name)}: {aggregates}"
        return (
            f"{quote_text(self.name)}: {{'expression': {quote_text(expression)}, 'aggregates': {aggregates}}}"
        )


@dataclass(frozen=True)
class ViewSpec:
    """A feature view as its SQL says it."""

    events: str
    keys: Sequence[str]
    event_at: str
    available_at: str
    measures: Sequence[Measure]
    windows: Sequence[str] = field(default_factory=list)

    @property
    def features(self) -> list[str]:
        """Return the names of its features."""
        return [name for measure in self.measures for name in measure.features(self.windows)]

    @property
    def sql(self) -> str:
        """The SQL of its model."""
        measures = "".join(f"        {each.sql},\n" for each in self.measures)
        return (
            "{{ assay.windowed_history(\n"
            f"    ref({quote_text(self.events)}),\n"
            f"    entity_keys={quote_texts(self.keys)},\n"
            f"    event_at={quote_text(quote_column(self.event_at))},\n"
            f"    available_at={quote_text(quote_column(self.available_at))},\n"
            f"    measures={{\n{measures}    }},\n"
            f"    windows={quote_texts(self.windows)}\n"
            ") }}\n"
        )


def add_view(
    name: str,
    *,
    model: str,
    entity: Sequence[str],
    measures: Mapping[str, Sequence[str]],
    windows: Sequence[str],
    event_at: str | None = None,
    available_at: str | None = None,
    online: bool = False,
    owner: str | None = None,
    dry_run: bool = False,
) -> GoldPlan:
    """Add a feature view to the project in the current folder.

    Args:
        name: `ftr_<entity>__<what>`, or only `<what>`: the rest is then made of the entity's keys.
        model: whose rows are the events, of silver or gold.
        entity: the columns that name the entity.
        measures: what is made of each column, as `windowed_history` names it; `*` stands for rows.
        windows: lengths of time such as 1h or 7d, or all.
        event_at: the column that says when an event happened; `event_at` by default.
        available_at: the column that says when it was known; `available_at` by default.
        online: whether it is served online.
        owner: who answers for it.
        dry_run: whether nothing is written.

    Returns:
        What was written, or would be; no files where the view is there already.

    Raises:
        Fault: something named is not there, or cannot be; nothing is written then.
    """
    project = read_project()
    events = find_events(project, model, "--from")
    views = feature_views(project)
    known, its_view = _known_entity(views, entity) or (None, None)
    name, entity_name = _names(name, entity, known)
    with columns_of_queries(project, name, [events]) as columns_of:
        kinds = {
            each.name: each.data_type
            for each in columns_of(f"select * from {{{{ ref({quote_text(events.name)}) }}}}")
        }
        spec = ViewSpec(
            events.name,
            [find_column(key, kinds, events.name, "--entity") for key in entity],
            find_time(event_at, "event_at", kinds, events.name, "--event-at"),
            find_time(available_at, "available_at", kinds, events.name, "--available-at"),
            list(_measures(measures, kinds, events.name)),
            _checked_windows(windows),
        )
        _check_names(spec)
        wanted = _model(
            name,
            Choice(entity_name, f", as {its_view} has it" if its_view else ""),
            spec,
            events,
            find_owner(project, events, owner),
            {
                each.column: shield
                for each in spec.measures
                if each.column and (shield := project.shields.of(each.column, events))
            },
            is_online=online,
        )
        plan = add_model(project, wanted, columns_of, dry_run=dry_run)
    return replace(plan, evidence=[*plan.evidence, *_other_keys(views, name, entity_name, entity)])


def _other_keys(views: Sequence[FeatureView], name: str, entity: str, keys: Sequence[str]) -> Iterator[str]:
    """Say by which other keys views know the entity: few labels have all of them."""
    for view in views:
        if view.name != name and view.declared.get("entity") == entity and set(view.keys) != set(keys):
            yield (
                f"Note: entity {entity} has the key {', '.join(view.keys)} in {view.name}, and "
                f"{', '.join(keys)} here. A training set takes features of both only if its label has all of "
                "these columns. If they hold the same, give them one name in silver; if not, give this "
                f"view another entity: assay view add ftr_<entity>__{name.split('__')[1]}"
            )


def _known_entity(views: Sequence[FeatureView], keys: Sequence[str]) -> tuple[str, str] | None:
    """Return what an entity of these keys is called already, and by which view."""
    return next(
        (
            (view.declared["entity"], view.name)
            for view in views
            if set(view.keys) == set(keys) and view.declared.get("entity")
        ),
        None,
    )


def _names(name: str, keys: Sequence[str], known: str | None = None) -> tuple[str, str]:
    """Return the name of the view, and that of the entity: the known one, else one that the names make."""
    entity = known or "_".join(plain_name(key).removesuffix("_id") for key in keys)
    full = name if name.startswith(_PREFIX) or "__" in name else f"{entity}__{name}"
    full = check_name(full, _PREFIX, "visits or ftr_patient__visits")
    parts = full.removeprefix(_PREFIX).split("__")
    if len(parts) != 2:
        raise Fault(
            f"{name!r} is no name of a view: write ftr_<entity>__<what>, as ftr_patient__visits, or only "
            "what it is about, as visits.",
            MISUSED,
        )
    return full, known or parts[0]


def _measures(
    measures: Mapping[str, Sequence[str]], kinds: Mapping[str, str], model: str
) -> Iterator[Measure]:
    taken: set[str] = set()
    if not measures:
        raise Fault("A view needs at least one measure, such as *:count.", MISUSED)
    for column, aggregates in measures.items():
        for each in aggregates:
            if each not in AGGREGATES:
                raise Fault(
                    f"--measures {column}:{each} is unknown: there are {', '.join(AGGREGATES)}.", MISUSED
                )
        if column == _ROWS:
            if list(aggregates) != ["count"]:
                raise Fault(
                    "--measures *: rows can only be counted: write *:count, or name a column.", MISUSED
                )
            measure = Measure(_unless_taken(_thing(model), "row", taken), None, ["count"])
        else:
            kind = kinds[find_column(column, kinds, model, "--measures")]
            if kind not in _FLOATING and not _NUMBER.fullmatch(kind):
                _refuse_numbers(column, kind, aggregates)
            snake = plain_name(column) or "value"
            short = _unless_taken(snake.removesuffix("_id") or snake, snake, taken)
            measure = Measure(short, column, list(aggregates), kind in _FLOATING)
        taken.add(measure.name)
        yield measure


def _refuse_numbers(column: str, kind: str, aggregates: Sequence[str]) -> None:
    if wrong := [each for each in aggregates if each in _OF_NUMBERS]:
        others = [each for each in AGGREGATES if each not in _OF_NUMBERS]
        raise Fault(
            f"--measures {column}:{wrong[0]} needs a number, and {column} is {kind}. "
            f"Of it there can be {', '.join(others)}.",
            MISUSED,
        )


def _unless_taken(name: str, other: str, taken: set[str]) -> str:
    return other if name in taken else name


def _thing(model: str) -> str:
    """Return what one row of a model is, by the model's name."""
    bare = re.sub("^[a-z]+_", "", model).removesuffix("__changes")
    return make_singular(re.sub("_+", "_", bare))


def _checked_windows(windows: Sequence[str]) -> list[str]:
    for window in windows:
        if not _WINDOW.fullmatch(window):
            raise Fault(
                f"--windows {window} is unknown: write a whole number and s, m, h or d, such as 5m or 7d, or "
                "all.",
                MISUSED,
            )
    if not windows or len(set(windows)) != len(windows):
        raise Fault("--windows: name at least one, each once, as 1h,7d.", MISUSED)
    return list(windows)


def _check_names(spec: ViewSpec) -> None:
    names = [*spec.keys, *spec.features]
    if doubled := [name for name in names if name in VALIDITY or names.count(name) > 1]:
        raise Fault(
            f"The view would have two columns {doubled[0]}: a view has {', '.join(VALIDITY)}, its keys and "
            "its features, each once.",
            MISUSED,
        )


def _model(
    name: str,
    entity: Choice,
    spec: ViewSpec,
    events: Any,
    owner: Choice,
    shields: Mapping[str, str],
    *,
    is_online: bool,
) -> GoldModel:
    feature_view = {
        "entity": entity.value,
        "keys": list(spec.keys),
        "owner": owner.value,
        "online": is_online,
        "defaults": {feature: 0 for feature in spec.features if is_total(feature)},
    }
    if not feature_view["defaults"]:
        del feature_view["defaults"]
    about = name.split("__")[1].replace("_", " ")
    words = " and ".join(key.removesuffix("_id").replace("_", " ") for key in spec.keys)
    personal = {
        feature: shield
        for measure in spec.measures
        if measure.column and (shield := shields.get(measure.column))
        for aggregate in measure.aggregates
        if aggregate in _OF_VALUES
        for feature in (f"{measure.name}_{aggregate}_{window}" for window in spec.windows)
    }
    return GoldModel(
        folder=own_models() / "gold" / "features",
        sql=spec.sql,
        entry={
            "name": name,
            "description": f"{about.capitalize()} of each {words}, over windows of time, from {events.name}.",
            "config": {"meta": {"feature_view": feature_view}, **find_group(events)},
        },
        reads=[events],
        columns=[*spec.keys, *spec.features],
        meta={"feature_view": {"keys": list(spec.keys), **({"online": True} if is_online else {})}},
        evidence=list(_evidence(entity, spec, owner, personal, is_online=is_online)),
        product=f"{entity.value}_features",
        owner=owner.value,
        personal=personal,
    )


def _evidence(
    entity: Choice, spec: ViewSpec, owner: Choice, personal: Mapping[str, str], *, is_online: bool
) -> Iterator[str]:
    yield f"Entity: {entity.value}, known by {', '.join(spec.keys)}{entity.evidence}"
    yield (
        f"An event of {spec.events} happens at {spec.event_at}, and counts from {spec.available_at} on, "
        "when it is known"
    )
    for each in spec.measures:
        what = f"of {each.column}" if each.column else f"of rows of {spec.events}"
        exact = f", as {_EXACT}: sums of floating-point numbers depend on their order" * (
            each.is_floating and bool(set(each.aggregates) & set(_OF_NUMBERS))
        )
        yield f"{each.name}: {', '.join(each.aggregates)} {what}{exact}"
    if personal:
        yield f"Personal data, as its column is tagged: {', '.join(personal)}"
    yield f"Owner: {owner.value} ({owner.evidence})"
    yield "Online: yes" if is_online else "Online: no (online: true in its YAML puts it online)"
