"""Propose what a source's contract and silver are to say of a sample, each with one line of evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

from assay.contracts.contract import make_snake_case
from assay.contracts.servers import make_dlt_server, make_kafka_server
from assay.core.sql import folded, needs_quotes
from assay.core.words import listed
from assay.generate.personal import Shield, find_shield
from assay.generate.profile import DIRTY, MOST_VALUES, ColumnProfile, Profile
from assay.generate.types import ENOUGH, Type, find_counted_time, find_type, is_id, name_physical_time
from assay.landing.declared import Format
from assay.landing.dialect import Dialect
from assay.landing.schema.logical_types import LogicalType
from assay.project.personal import masked

Path = tuple[str, ...]
At = Literal["landed", "column", "lag"]
#: What stands in place of a key where no column is one.
CONTENT_HASH = "content_hash"
# What silver, bronze and the macros between them call columns of their own.
_TAKEN = {
    *(
        "file_id",
        "row_number",
        "source_file",
        "file_version",
        "landed_at",
        "loaded_at",
        "run_id",
        "content_hash",
    ),
    *(
        "event_at",
        "claimed_at",
        "available_at",
        "claimed_available_at",
        "written_at",
        "received_at",
        "rule_ids",
    ),
    *("contract_rule_ids", "malformed_reason", "malformed_line", "schema_conflict", "other_values", "reason"),
    *("line", "document", "is_json", "is_object", "is_tombstone", "is_undecodable", "attributes", "op"),
    *("is_deleted", "is_snapshot", "unavailable_attributes", "log_name", "log_position", "change_hash"),
    *("ended_keys", "is_superseded", "line_as_declared"),
}
_NO_EVENT = re.compile(
    r".*(birth|dob|geburt|expir|valid|due|until|deadline|updated|modified|deleted|closed|end(ed|s)?_).*"
)
_IS_RECEIVED = re.compile(
    r"(received|recv|ingested|ingest|arrived|sent|inserted|loaded|processed)(_?(at|time|ts|date|on))?"
)
_EVENT_NAMES = (
    "event",
    "occurred",
    "happened",
    "timestamp",
    "time",
    "created",
    "ordered",
    "issued",
    "at",
    "date",
)
_PART_OF_KEY = re.compile(r"(.*_)?(line|item|position|pos|seq|sequence|index|version|row)(_.*)?")
# A longer text is no code that others agree on.
_LONGEST_CODE = 40
_SEEN_EACH, _SEEN_LEAST = 10, 5
# Of rows, how many a key tells apart where some are mistakes; fewer where its name says that it is one.
_MOSTLY_UNIQUE, _NAMED_UNIQUE = 0.99, 0.95
# Of these, the world has more than any sample.
_IS_OPEN = re.compile(
    r"(.*_)?(country|city|town|state|region|area|job|occupation|title|description|comment|note|merchant|brand|product"
    r"|referrer|url|browser|agent|version|name|model|department|team)"
)
# Names that say little without that of the object around them.
_IS_GENERIC = re.compile(
    r".{1,2}|uid|uuid|num|number|nummer|key|code|name|label|title|description|type|kind|status|state|value|version"
    r"|e_?mail|phone|mobile|address|(first|last|full|sur)_?name|age|gender|birth_?date|created(_at)?|updated(_at)?"
)
# Objects that only hold what a document tells.
_IS_WRAPPER = re.compile(r"data|payload|propert(y|ies)|props|attributes|attrs|fields|record|body|document")
# What is called so has few values, and not one for each thing that there is.
_IS_CODE = re.compile(r"(.*_)?(code|key)")
# Words for yes and no that SQL does not read as a boolean.
_YES_NO = frozenset(
    frozenset(pair.split())
    for pair in (
        *("ja nein", "j n", "ja nee", "ja nej", "ja nei", "oui non", "o n", "si no", "sí no", "s n", "sì no"),
        *(
            "sim não",
            "sim nao",
            "tak nie",
            "ano ne",
            "da ne",
            "igen nem",
            "kyllä ei",
            "evet hay\u0131r",
            "да нет",
        ),
        *("wahr falsch", "vrai faux", "verdadero falso", "vero falso", "on off", "x -"),
    )
)
_LAG = re.compile(
    r"lag:\s*(\d+)\s*(us|ms|s|m|h|d|microseconds?|milliseconds?|seconds?|minutes?|hours?|days?)"
)
_UNITS = {"us": "microsecond", "ms": "millisecond", "s": "second", "m": "minute", "h": "hour", "d": "day"}


class Unanswerable(Exception):
    """An answer does not fit the sample; the message says what would."""


@dataclass(frozen=True)
class Origin:
    """The source of dlt that a sample is from, as `module:name`, and what it knows of the rows.

    `server` is what the contract calls it. `key` has the columns that tell landed rows apart, versions of a
    row too; None where the source does not say. `cursor` is the column that grows with each change.
    """

    place: str
    server: str
    key: Sequence[str] | None = None
    cursor: str | None = None


@dataclass(frozen=True)
class Answers:
    """What a person says of a source; None where Assay is to propose it.

    `key` has names of columns; `available` is `landed`, `lag:2s` or the name of a column; `kafka` is
    `host:9092/topic`, and `is_avro` whether its messages are Avro. `dlt` is where the sample is from, whose
    word counts where a person gives none.
    """

    key: Sequence[str] | None = None
    event_at: str | None = None
    available: str | None = None
    owner: str | None = None
    kafka: str | None = None
    is_avro: bool = False
    dlt: Origin | None = None


@dataclass(frozen=True)
class Field:
    """A column or key of the source, and the column of silver that carries it.

    `evidence` tells for each thing that is proposed why: `type`, `required`, `values`, `range`, `pii`.
    """

    path: Path
    silver: str
    type: Type
    description: str
    required: bool = False
    optional: bool = False
    values: tuple[str, ...] = ()
    pii: Shield | None = None
    physical: str | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its path, as people write it."""
        return ".".join(self.path)

    @property
    def logical(self) -> LogicalType:
        """Its type in the contract."""
        return self.type.logical


@dataclass(frozen=True)
class Choice:
    """Something that the sample cannot tell: what is proposed, why, and what else might be."""

    value: str
    evidence: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """What is proposed of a source's table.

    `key` has paths; none where no column is one. `event_at` is None where no column tells a time, and rows
    are of when they landed. `received_at` is the column that tells when a row was available. `lag` is in
    words of SQL: `2 seconds`.
    """

    source: str
    table: str
    format: Format
    is_change_log: bool
    fields: Sequence[Field]
    objects: Sequence[Path]
    aliases: Mapping[str, str]
    dialect: Dialect
    key: Sequence[Path]
    event_at: Path | None
    event_unit: str | None
    at: At
    lag: str | None
    received_at: Path | None
    owner: str
    rows: int
    choices: Mapping[str, Choice]
    notes: Sequence[str] = ()
    #: A word in the ids of its rules, where they would mean something else than those of other tables.
    rule_scope: str | None = None
    #: What silver calls its things.
    things: str = ""
    #: Where its rows come from, as the contract's `servers` say it.
    server: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`source.table`."""
        return f"{self.source}.{self.table}"

    def field_of(self, path: Path) -> Field:
        """Return the field at a path."""
        return next(each for each in self.fields if each.path == path)


def propose(profile: Profile, source: str, table: str, answers: Answers, owner: Choice) -> Proposal:
    """Propose what a table of a source is.

    Args:
        profile: of a sample.
        source: its name.
        table: its name within the source.
        answers: what a person has said.
        owner: who answers for it, unless the answers say.

    Raises:
        Unanswerable: an answer names a column that is not there, or that cannot be what it is to be.
    """
    origin = answers.dlt
    key, key_choice = _key(profile, table, answers.key, origin)
    event, event_choice = _event(profile, answers.event_at, origin.cursor if origin else None)
    at, lag, received, available_choice = _available(profile, event, answers.available)
    roles = {event: "written_at", received: "received_at"}
    singular = make_singular(table)
    taken = set(_TAKEN)
    named: dict[Path, str] = {}
    # A column's own name goes before one that is made of two.
    for column in sorted(profile.columns, key=lambda each: len(each.path)):
        if column.path in roles and column.path not in key:
            named[column.path] = roles[column.path]
        elif profile.is_change_log and column.path in key:
            # The macro calls the key by the name that the log has for it.
            named[column.path] = column.name
        else:
            named[column.path] = _silver_name(column, singular, taken)
    fields = [
        replace(
            _field(profile, column, table, is_key=column.path in key, is_event=column.path == event),
            silver=named[column.path],
        )
        for column in profile.columns
    ]
    server, sender = _dlt(origin) if origin else _kafka(profile, table, answers)
    fields, alike = _apart(fields, [*key, *([event] if event else [])])
    return Proposal(
        source=source,
        table=table,
        format=profile.sample.format,
        is_change_log=profile.is_change_log,
        fields=fields,
        objects=profile.objects,
        aliases=profile.sample.aliases,
        dialect=profile.sample.dialect,
        key=key,
        event_at=event,
        event_unit=find_counted_time(profile.by_path[event]) if event else None,
        at=at,
        lag=lag,
        received_at=received,
        owner=answers.owner or owner.value,
        rows=profile.rows,
        choices={
            "key": key_choice,
            "event time": event_choice,
            "availability": available_choice,
            "owner": Choice(answers.owner, "as you say") if answers.owner else owner,
            **sender,
        },
        notes=[*_notes(profile, fields, has_event=event is not None), *alike],
        things=table,
        server=server,
    )


def make_singular(table: str) -> str:
    """Return what one row of a table is: `order` of `orders`, `category` of `categories`."""
    for ending, one in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("xes", "x"), ("ss", "ss"), ("s", "")):
        if table.endswith(ending) and len(table) > len(ending) + 1:
            return table.removesuffix(ending) + one
    return table


def _apart(fields: Sequence[Field], first: Sequence[Path]) -> tuple[list[Field], list[str]]:
    """Return fields whose rules have names of their own, and say which are text because theirs would not.

    Args:
        fields: all of a table.
        first: paths of those that keep their rules.
    """
    known: dict[str, Field] = {}
    result: dict[Path, Field] = {}
    notes = []
    for each in sorted(fields, key=lambda one: one.path not in first):
        other = known.setdefault(make_snake_case(each.path[-1]), each)
        said = [
            (one.path[-1], one.type.sql, one.type.options, one.required, one.values) for one in (other, each)
        ]
        if said[0] != said[1]:
            each = replace(
                each, type=Type("string", "varchar", each.type.evidence), required=False, values=()
            )
            notes.append(
                f"{each.label} stays text without rules, for those of {other.label} have their names."
            )
        result[each.path] = each
    return [result[each.path] for each in fields], notes


def _notes(profile: Profile, fields: Sequence[Field], *, has_event: bool) -> Iterator[str]:
    sample = profile.sample
    if sample.is_cut:
        yield f"The sample is large: the first {profile.rows:,} rows were looked at."
    if written := sample.dialect.declared:
        how = ", ".join(f"{name} {value!r}" for name, value in written.items())
        yield f"The files are written with {how}."
    if len(sample.number_signs) > 1:
        dialect = sample.dialect
        yield (
            f"Some numbers read in two ways, as 1.234 does: {dialect.decimal!r} is taken for the decimal "
            "sign. Where it parts thousands, say so in the contract's dialect."
        )
    if any(each.pii for each in fields):
        yield (
            "Silver hashes and masks personal data where hash_pii is true (vars in dbt_project.yml); "
            "a new project has it false. docs/privacy.md says more."
        )
    if sample.malformed:
        yield f"{sample.malformed:,} of {sample.rows:,} rows do not fit the format: they will be rejected."
    if profile.broken_lines:
        what = "changes of a row" if profile.is_change_log else "JSON objects"
        lines = profile.broken_lines + profile.rows
        yield f"{profile.broken_lines:,} of {lines:,} lines are no {what}: they will be rejected."
    for each in fields:
        yield from _left_as_text(each, profile.by_path[each.path])
    if profile.rows < ENOUGH:
        yield (
            f"The sample has {profile.rows:,} rows: from fewer than {ENOUGH} it is not concluded which "
            "columns are required, which values are allowed and in which range they lie."
        )
    for name, declared in sample.aliases.items():
        yield f"Assay has a column {name} itself: that of the files is called {declared}."
    for problem in profile.undeclared:
        yield f"A key cannot be declared: {problem}. Bronze keeps it."
    for each in fields:
        if not each.silver:
            yield f"{each.label} is left out of silver, where its name cannot be written. Bronze keeps it."
    if has_event:
        yield "A time without an offset is taken as UTC."


def _left_as_text(field: Field, column: ColumnProfile) -> Iterator[str]:
    """Say of a text that people would read it as a number, or as yes and no."""
    if field.logical != "string" or field.pii:
        return
    shown = " and ".join(f"`{value}`" for value in column.values)
    if column.dressed and column.dressed + column.bare >= (1 - DIRTY) * column.looked_at:
        yield (
            f"{field.label} has numbers with a sign beside them, as a currency, a percent sign or a minus "
            "behind: it stays text. To count with it, have the source send bare numbers, or take the sign "
            "off in a model that reads silver."
        )
    elif column.zoned and column.zoned >= (1 - DIRTY) * column.looked_at:
        yield (
            f"{field.label} has times with the name of a zone: it stays text. To use it as a time, have the "
            "source send UTC, or an offset such as +01:00."
        )
    elif frozenset(value.lower() for value in column.values) in _YES_NO:
        yield (
            f"{field.label} says yes and no as {shown}: it stays text. For a boolean, compare it in a model "
            "that reads silver."
        )


def _field(profile: Profile, column: ColumnProfile, table: str, *, is_key: bool, is_event: bool) -> Field:
    """Return what is proposed of one column."""
    kind = find_type(column, profile.sample.dialect, in_changes=profile.is_change_log)
    physical = column.physical
    if profile.is_change_log and not physical and find_counted_time(column):
        physical = name_physical_time(column)
        kind = Type(
            "timestamp",
            "timestamp",
            f"counts of {find_counted_time(column)}seconds since 1970, by name and size",
        )
    if is_key and kind.logical in ("integer", "number", "boolean"):
        kind = Type("string", "varchar", "it is the key, so it is text")
    shield = find_shield(column, column.path[-2] if column.path[1:] else table)
    if shield and kind.sql != "varchar":
        kind = Type("string", "varchar", "personal data is text")
    evidence = {"type": kind.evidence + _misfits(profile, column, kind, hidden=shield is not None)}
    required = (
        is_key or is_event or (column.filled == column.rows >= ENOUGH and not is_optional(profile, column))
    )
    if required:
        evidence["required"] = f"never empty in {column.rows:,} rows"
        if column.filled < column.rows:
            evidence["required"] = (
                f"needed, though empty in {column.rows - column.filled:,} of {column.rows:,} rows"
            )
    elif column.filled:
        evidence["empty"] = (
            f"empty in {column.rows - column.filled:,} of {column.rows:,} rows"
            if column.filled < column.rows
            else f"never empty, but in {column.rows:,} rows only"
        )
    values: tuple[str, ...] = ()
    if kind.logical == "string" and not shield and not is_key and _is_coded(column):
        values = tuple(column.values)
        evidence["values"] = (
            f"{len(values)} different values, each in {min(column.values.values()):,} rows or more"
        )
    if "minimum" in kind.options and column.least is not None and column.most is not None:
        evidence["range"] = (
            f"from {column.least:,g} to {column.most:,g}, so never below {kind.options['minimum']}"
        )
    if shield:
        evidence["personal"] = shield[1]
    return Field(
        path=column.path,
        silver="",
        type=kind,
        description=_description(column.path, table),
        required=required,
        optional=is_optional(profile, column),
        values=values,
        pii=shield[0] if shield else None,
        physical=physical if profile.is_change_log else None,
        evidence=evidence,
    )


def is_optional(profile: Profile, column: ColumnProfile) -> bool:
    """Tell whether some files of CSV lack a column."""
    return column.path[0] in profile.sample.optional


def _misfits(profile: Profile, column: ColumnProfile, kind: Type, *, hidden: bool) -> str:
    count, found = profile.misfits(column.path, kind.fits) if kind.fits else (0, [])
    if not count:
        return ""
    shown = listed([f"`{masked(each) if hidden else each[:_LONGEST_CODE]}`" for each in found])
    if kind.logical == "string":
        return f", such as {shown}"
    return f"; {count:,} {'is' if count == 1 else 'are'} not ({shown}) and will be rejected"


def _is_coded(column: ColumnProfile) -> bool:
    return bool(
        1 < len(column.values) <= MOST_VALUES
        and column.rows >= ENOUGH
        and column.filled >= _SEEN_EACH * len(column.values)
        and min(column.values.values()) >= _SEEN_LEAST
        and not _IS_OPEN.fullmatch(make_snake_case(column.name))
        and column.longest <= _LONGEST_CODE
        and not (
            is_id(column.name) and (column.integers or not _IS_CODE.fullmatch(make_snake_case(column.name)))
        )
        and not column.objects + column.arrays
        and not any(re.search(r"\{[{%#]|\0", value) for value in column.values)
    )


def _description(path: Path, table: str) -> str:
    words = _words(path[-1])
    if words.lower() == "id":
        words = f"{make_singular(table).replace('_', ' ')} id" if not _holder_of(path) else "id"
    holder = f" of {_words(path[0])}" if path[1:] else ""
    return f"{re.sub(r'[{}]', ' ', words[:1].upper() + words[1:] + holder)}."


def _words(name: str) -> str:
    """Return a name as words: `PreisEUR` and `Preis_EUR` as `Preis EUR`, `orderId` as `order id`."""
    if re.search(r"\s", name.strip()):
        return name.strip(" .")
    words = re.sub(r"(?<=[a-zß-öø-ÿ0-9])(?=[A-ZÀ-Þ])|(?<=[A-ZÀ-Þ])(?=[A-ZÀ-Þ][a-zß-öø-ÿ])|[_-]+", " ", name)
    words = words.strip(" .") or name
    if " " in words and words.upper() == words:
        return words.lower()
    # In `orderId` capitals only part the words; in `MietNr` they may be of the language.
    return (
        re.sub(r"\b[A-ZÀ-Þ](?=[a-zß-öø-ÿ])", lambda found: found[0].lower(), words)
        if name[0].islower()
        else words
    )


def _holder_of(path: Path) -> str:
    """Return the object around a key whose own name says little; nothing where there is none."""
    is_plain = (
        path[1:] and _IS_GENERIC.fullmatch(_plain(path[-1])) and not _IS_WRAPPER.fullmatch(_plain(path[0]))
    )
    return _plain(path[0]) if is_plain else ""


def _own_name(path: Path) -> str:
    """Return what a column is called in snake case: `bike_id` of `bike.id`."""
    name = _plain(path[-1])
    return f"{_holder_of(path)}_{name}" if _holder_of(path) else name


def _plain(name: str) -> str:
    """Return a name in snake case, as people write the word."""
    return re.sub(r"_+", "_", re.sub(r"\W", "_", make_snake_case(name))).strip("_").replace("e_mail", "email")


def _silver_name(column: ColumnProfile, singular: str, taken: set[str]) -> str:
    """Return what a column is called in silver; nothing where SQL cannot name it."""
    if re.search(r"['\"\\]|\{[{%#]", "".join(column.path)) and len(column.path):
        return ""
    name = _own_name(column.path) or "value"
    # dbt's own tests write names without quotes, and letters beyond ASCII need none.
    is_word = not needs_quotes(re.sub(r"[^\x00-\x7F]", "x", name))
    name = name if is_word and name != "id" else f"{singular}_{name}"
    for candidate in (name, f"{_plain(column.path[0])}_{name}" if column.path[1:] else f"{name}_in_source"):
        if folded(candidate) not in taken:
            break
    number = 2
    while folded(candidate) in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken.add(folded(candidate))
    return candidate


def _path_named(profile: Profile, name: str) -> Path:
    """Return the path of a column that a person names, without regard to case."""
    paths = {".".join(path): path for path in profile.by_path}
    if name in paths:
        return paths[name]
    found = [
        path
        for label, path in paths.items()
        if folded(label) == folded(name) or make_snake_case(label) == name
    ]
    if len(found) != 1:
        raise Unanswerable(f"The sample has no column {name}: there are {listed(list(paths), 20)}.")
    return found[0]


def _key(
    profile: Profile, table: str, given: Sequence[str] | None, origin: Origin | None
) -> tuple[list[Path], Choice]:
    rows, said = profile.distinct_rows, "as you say"
    if given is None and origin and origin.key:
        given, said = origin.key, "as the source says; a row that changes lands again"
    if given is not None and list(given) != [CONTENT_HASH]:
        paths = [_path_named(profile, name) for name in given]
        if profile.is_change_log and len(paths) > 1:
            raise Unanswerable("A change log has one column as its key: name that one.")
        empty = [path for path in paths if profile.by_path[path].filled <= profile.rows / 2]
        if empty:
            raise Unanswerable(
                f"{'.'.join(empty[0])} is empty in half of the rows or more: it cannot be the key."
            )
        return paths, Choice(", ".join(map(".".join, paths)), f"{said}; {_told_apart(profile, paths)}")
    if profile.is_change_log:
        return _key_of_changes(profile, table)
    candidates = sorted(_keys(profile, table), key=lambda each: each[0])
    others = tuple(".".join(path) for _, path in candidates[1:])
    if given is None and candidates:
        path = candidates[0][1]
        return [path], Choice(".".join(path), _told_apart(profile, [path]), others)
    if given is None and (pair := _pair(profile)):
        return list(pair), Choice(", ".join(map(".".join, pair)), _told_apart(profile, pair), others)
    twice = profile.rows - rows
    why = f"no column tells rows apart, so all values do together ({rows:,} of {profile.rows:,} differ)"
    if twice:
        why += f"; {twice:,} that repeat another will be rejected"
    why += ". If several columns tell rows apart, say --key with their names, parted by commas"
    return [], Choice(CONTENT_HASH, why, others)


def _told_apart(profile: Profile, paths: Sequence[Path]) -> str:
    distinct = profile.distinct_of(paths) if len(paths) > 1 else profile.by_path[paths[0]].distinct
    if profile.is_change_log:
        return f"{distinct:,} different values in {profile.rows:,} changes"
    told = f"unique in {distinct:,} of {profile.rows:,} rows"
    if repeated := profile.rows - distinct:
        told += f"; {repeated:,} that repeat one will be rejected"
    return told


def _keys(profile: Profile, table: str) -> Iterator[tuple[int, Path]]:
    """Yield columns that may be the key, with their rank; the lowest is the likeliest."""
    singular = make_singular(table)
    for place, column in enumerate(profile.columns):
        name = _own_name(column.path)
        is_named = name in (
            "id",
            f"{singular}_id",
            f"{table}_id",
            f"{singular}_no",
            f"{singular}_number",
            "uuid",
        )
        wholly = column.filled == column.rows and column.distinct == profile.distinct_rows
        # Some rows may lack it, or be sent again with another value.
        enough, share = (ENOUGH, _NAMED_UNIQUE) if is_named else (5 * ENOUGH, _MOSTLY_UNIQUE)
        mostly = is_id(name) and column.rows >= enough and column.distinct >= share * profile.distinct_rows
        if not (wholly or mostly) or column.objects or column.arrays or column.longest > _LONGEST_CODE * 2:
            continue
        if is_named or (is_id(name) and column.rows >= ENOUGH):
            yield (0 if is_named else 1) * 1000 + place, column.path
        elif place == 0 and (column.integers == column.filled or column.uuids == column.filled):
            yield 2000, column.path


def _pair(profile: Profile) -> tuple[Path, Path] | None:
    """Return two columns that together tell rows apart, by names such as order and line."""
    if profile.rows < ENOUGH:
        return None
    enough = _MOSTLY_UNIQUE if profile.rows >= 5 * ENOUGH else 1
    parts = [
        column
        for column in profile.columns
        if column.filled >= enough * column.rows
        and 1 < column.distinct < column.rows
        and (
            is_id(column.name)
            or _PART_OF_KEY.fullmatch(make_snake_case(column.name))
            or column.dates + column.timestamps == column.filled
        )
    ][:8]
    for one, other in combinations(parts, 2):
        if not is_id(one.name) and not is_id(other.name):
            continue
        if one.distinct * other.distinct < enough * profile.distinct_rows:
            continue
        if profile.distinct_of([one.path, other.path]) >= enough * profile.distinct_rows:
            return one.path, other.path
    return None


def _key_of_changes(profile: Profile, table: str) -> tuple[list[Path], Choice]:
    singular = make_singular(table)
    named = [
        column
        for column in profile.columns
        if column.filled == column.rows
        and make_snake_case(column.name) in ("id", f"{singular}_id", f"{table}_id")
    ]
    ids = named or [
        column for column in profile.columns if column.filled == column.rows and is_id(column.name)
    ]
    found = sorted(ids, key=lambda column: -column.distinct)
    if not found:
        raise Unanswerable(
            "No column tells which row a change is of: say which one does (--key). "
            f"There are {listed(['.'.join(path) for path in profile.by_path], 20)}."
        )
    others = tuple(".".join(column.path) for column in found[1:])
    return [found[0].path], Choice(".".join(found[0].path), _told_apart(profile, [found[0].path]), others)


def _event(profile: Profile, given: str | None, cursor: str | None) -> tuple[Path | None, Choice]:
    if profile.is_change_log:
        if given:
            raise Unanswerable("A change log says itself when each change was: leave --event-at out.")
        return None, Choice("source.ts_ms", "a change log says when each change was")
    if given:
        path = _path_named(profile, given)
        if not _tells_a_time(profile.by_path[path]):
            raise Unanswerable(f"{given} tells no time: {find_type(profile.by_path[path]).evidence}.")
        return path, Choice(".".join(path), f"as you say; {_told_times(profile.by_path[path])}")
    times = sorted(
        (column for column in profile.columns if _tells_a_time(column)),
        key=lambda each: (each.path != (cursor,), *_rank_of_event(each)),
    )
    if not times:
        return None, Choice("landed_at", "no column tells a time, so a row is of when its file landed")
    best, others = times[0], tuple(".".join(column.path) for column in times[1:])
    return best.path, Choice(".".join(best.path), _told_times(best), others)


def _tells_a_time(column: ColumnProfile) -> bool:
    return bool(
        column.filled
        and (find_type(column).logical in ("timestamp", "date") or find_counted_time(column) is not None)
    )


def _rank_of_event(column: ColumnProfile) -> tuple[Any, ...]:
    name = make_snake_case(column.name)
    words = name.split("_")
    place = next((place for place, word in enumerate(_EVENT_NAMES) if word in words), len(_EVENT_NAMES))
    return (
        _NO_EVENT.fullmatch(name) is not None,
        column.filled < column.rows,
        _IS_RECEIVED.fullmatch(name) is not None,
        # A day does not tell what came first.
        column.dates == column.filled,
        place,
    )


def _told_times(column: ColumnProfile) -> str:
    if column.first_time:
        what, shown, count = (
            ("times", 16, column.timestamps) if column.timestamps else ("days", 10, column.dates)
        )
        span = f"{column.first_time[:shown]} to {(column.last_time or '')[:shown]}"
        return f"{what} from {span} in {count:,} of {column.rows:,} rows"
    return f"{'days' if column.dates else 'counts since 1970'} in {column.filled:,} of {column.rows:,} rows"


def _available(
    profile: Profile, event: Path | None, given: str | None
) -> tuple[At, str | None, Path | None, Choice]:
    if profile.is_change_log:
        if given not in (None, "column", "landed"):
            raise Unanswerable(
                "A change log says itself when each change was read (column); "
                "else a change is known when it landed (landed)."
            )
        if given == "landed":
            return "landed", None, None, Choice("landed", "as you say")
        return (
            "column",
            None,
            None,
            Choice("column", "a change log says when each change was read (ts_ms)", ("landed",)),
        )
    received = [
        column.path
        for column in profile.columns
        if column.path != event
        and _tells_a_time(column)
        and _IS_RECEIVED.fullmatch(make_snake_case(column.name))
    ]
    if given is None:
        if received and event and profile.by_path[received[0]].filled == profile.rows:
            name = ".".join(received[0])
            return (
                "column",
                None,
                received[0],
                Choice(name, f"by its name, {name} says when a row was known", ("landed",)),
            )
        why = (
            "nothing says when a row was known before its file landed. Of a history that lands at once, rows "
            "count from then on; if rows arrive soon after they happen, say --available lag:1h"
        )
        return "landed", None, None, Choice("landed", why, ("lag:1h",))
    if given == "landed":
        return "landed", None, None, Choice("landed", "as you say")
    if found := _LAG.fullmatch(given):
        if event is None:
            raise Unanswerable(
                "A lag counts from the event, and no column tells its time: name it (--event-at)."
            )
        unit = _UNITS.get(found[2], found[2].removesuffix("s"))
        lag = f"{int(found[1])} {unit}{'s' if int(found[1]) != 1 else ''}"
        if int(found[1]) == 0:
            raise Unanswerable("A lag is longer than nothing: an event is known after it happens.")
        return "lag", lag, None, Choice(given, "as you say")
    if given.startswith("lag"):
        raise Unanswerable(
            f"{given} is no lag: write a whole number and a unit, as lag:2s, lag:5m, lag:1h or lag:1d."
        )
    if given == "column":
        if not received:
            raise Unanswerable(
                "No column is called as one that says when a row was known: "
                "name it, as --available received_at."
            )
        path = received[0]
    else:
        path = _path_named(profile, given)
    if path == event:
        raise Unanswerable(
            f"{given} is when it happened: a row is known later, as landed or after a lag (lag:2s)."
        )
    if not _tells_a_time(profile.by_path[path]):
        raise Unanswerable(f"{given} tells no time: {find_type(profile.by_path[path]).evidence}.")
    return "column", None, path, Choice(".".join(path), "as you say")


def _dlt(origin: Origin) -> tuple[dict[str, Any], dict[str, Choice]]:
    """Return the source of dlt that rows come from, as contracts say it, and as people read it."""
    told = "as you say; the contract says where rows come from, and assay land dlt lands them"
    return make_dlt_server(origin.server, origin.place), {"dlt": Choice(origin.place, told)}


def _kafka(profile: Profile, table: str, answers: Answers) -> tuple[dict[str, str], dict[str, Choice]]:
    """Return the topic that rows come from, as contracts say it, and as people read it."""
    given = answers.kafka
    if given is None:
        return {}, {}
    if profile.sample.format != "jsonl":
        raise Unanswerable(
            "Messages of Kafka land as JSON lines, and the sample is of columns: give messages of the topic, "
            "one JSON document a line, or leave --kafka out."
        )
    written = "avro" if answers.is_avro else "debezium" if profile.is_change_log else "json"
    try:
        server = make_kafka_server(given, table, written)
    except ValueError as error:
        raise Unanswerable(f"--kafka {error}") from error
    what = "change events" if profile.is_change_log else "JSON documents"
    told = f"as you say; format {server['format']}, for the sample has {what}. The contract says where rows "
    return server, {"kafka": Choice(given, f"{told}come from; until a stream lands them, they land as files")}
