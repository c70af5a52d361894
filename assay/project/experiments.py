"""Read `experiments.yml` in the project's folder, which says what is tried on whom, and how it is judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jsonschema import Draft202012Validator

from assay.core.fault import MISUSED, Fault
from assay.core.moment import END_OF_TIME, instant, length_of
from assay.core.places import rendered
from assay.core.yaml_text import read_settings

#: The file that declares experiments.
EXPERIMENTS = Path("experiments.yml")

# Names and salts are parts of what is hashed, joined by colons.
_NAME: dict[str, Any] = {"type": "string", "pattern": r"^[A-Za-z0-9_.-]{1,100}$"}
_SHARE: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 1}
_LENGTH: dict[str, Any] = {"type": "string", "pattern": r"^[0-9]{1,6}[smhd]$"}
_SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["name", "entity", "arms", "metrics", "start", "attribution"],
    "properties": {
        "name": _NAME,
        "enabled": {"type": "boolean"},
        "description": {"type": "string"},
        "entity": {"type": "string", "minLength": 1},
        "arms": {
            "type": "object",
            "minProperties": 2,
            "maxProperties": 20,
            "propertyNames": _NAME,
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1e9},
        },
        "salt": _NAME,
        "group": {
            "type": "object",
            "required": ["name", "from", "to"],
            "properties": {"name": _NAME, "from": _SHARE, "to": _SHARE},
            "additionalProperties": False,
        },
        "metrics": {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string"}},
        "start": {"type": "string"},
        "end": {"type": "string"},
        "attribution": _LENGTH,
        "covariate": _LENGTH,
        "alpha": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "correction": {"enum": ["holm", "benjamini_hochberg"]},
        "expected_units": {"type": "integer", "minimum": 2},
    },
    "additionalProperties": False,
}
_VALIDATOR = Draft202012Validator(_SHAPE)
_MEANT = {
    _NAME["pattern"]: "is no name: write letters, digits, _, . and -, 100 at most",
    _LENGTH["pattern"]: "is no length of time: write a whole number and s, m, h or d, such as 14d",
}


@dataclass(frozen=True)
class Group:
    """A part of an exclusion group: its entities with a place from `start` to `end` (0 to 1)."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Experiment:
    """An experiment as declared. Times are UTC; `end` is exclusive.

    `arms` are weights by name; the first arm is what others are compared with. `salt` draws who gets which
    arm. A unit counts once `attribution` has passed since it was exposed, with what it did in that time.
    `covariate` is how long before its exposure the same is looked at for CUPED. `alpha` is the probability of
    a false alarm, and `expected_units` the number of units at which intervals are to be about narrowest.
    """

    name: str
    entity: str
    arms: Mapping[str, float]
    metrics: Sequence[str]
    start: datetime
    end: datetime
    attribution: timedelta
    salt: str
    group: Group | None = None
    covariate: timedelta | None = None
    alpha: float = 0.05
    correction: str = "holm"
    expected_units: int = 10_000


@dataclass(frozen=True)
class Experiments:
    """The experiments that are declared well, by name, and what is wrong with the file: the others work."""

    found: Mapping[str, Experiment]
    problems: Sequence[str] = ()


def read_experiments(path: Path = EXPERIMENTS) -> Experiments:
    """Read the file; without it there are no experiments.

    Raises:
        Fault: the file is no YAML, or has no list of experiments.
    """
    content = read_settings(path)
    if content is None:
        return Experiments({})
    declared = content.get("experiments") if isinstance(content, dict) else None
    if not isinstance(declared, list) or set(content) != {"experiments"}:
        raise Fault(f"{path} needs a list of experiments, and nothing else: experiments: [...].", MISUSED)
    found: dict[str, Experiment] = {}
    problems: list[str] = []
    for number, each in enumerate(declared, start=1):
        if isinstance(each, dict) and not _is_enabled(each):
            continue
        try:
            experiment = _experiment(path, number, each)
        except Fault as fault:
            problems.append(str(fault))
            continue
        if experiment.name in found:
            problems.append(f"{path} has two experiments {experiment.name}: the first of them is taken.")
        else:
            found[experiment.name] = experiment
    overlapping, said = _overlapping(path, found.values())
    return Experiments(
        {name: each for name, each in found.items() if name not in overlapping}, [*problems, *said]
    )


def _is_enabled(declared: dict[Any, Any]) -> bool:
    """Tell whether an experiment takes place, and write it into what is declared; dbt's Jinja may say so."""
    said = declared.get("enabled", True)
    if isinstance(said, str):
        # What is no Jinja stays a text, which is refused.
        with suppress(TemplateError):
            declared["enabled"] = {"true": True, "false": False}.get(rendered(said).strip().lower(), said)
    return declared.get("enabled", True) is not False


def _experiment(path: Path, number: int, declared: Any) -> Experiment:
    name = declared.get("name") if isinstance(declared, dict) else None
    where = f"{path}: {name if isinstance(name, str) else f'experiment number {number}'}: "
    given = (
        {key: _text_of(value) for key, value in declared.items()} if isinstance(declared, dict) else declared
    )
    said = [*_faults_of_shape(given)]
    if said:
        raise Fault(where + "; ".join(said) + ".", MISUSED)
    start, end = (_moment(where, given, key) for key in ("start", "end"))
    if start >= end:
        raise Fault(f"{where}it ends ({given['end']}) before it starts ({given['start']}).", MISUSED)
    if not sum(given["arms"].values()) > 0:
        raise Fault(f"{where}no arm has a weight above 0.", MISUSED)
    lengths = {key: _length(where, given, key) for key in ("attribution", "covariate") if key in given}
    options = {key: given[key] for key in ("alpha", "correction", "expected_units") if key in given}
    group = given.get("group")
    if group and group["from"] >= group["to"]:
        raise Fault(
            f"{where}its part of the group {group['name']} is empty: from must lie below to.", MISUSED
        )
    return Experiment(
        given["name"],
        given["entity"],
        {arm: float(weight) for arm, weight in given["arms"].items()},
        given["metrics"],
        start,
        end,
        lengths["attribution"],
        given.get("salt", given["name"]),
        Group(group["name"], group["from"], group["to"]) if group else None,
        lengths.get("covariate"),
        **options,
    )


def _text_of(value: Any) -> Any:
    """Return a time as text, as which YAML reads it where it stands in quotes."""
    return value.isoformat() if isinstance(value, date | datetime) else value


def _faults_of_shape(given: Any) -> Iterator[str]:
    for error in sorted(_VALIDATOR.iter_errors(given), key=lambda each: each.json_path):
        said = error.message
        if error.validator == "pattern":
            said = f"{error.instance!r} {_MEANT[error.validator_value]}"
        if error.validator == "additionalProperties" and "properties" in error.schema:
            said += f"; there are {', '.join(error.schema['properties'])}"
        yield ": ".join(filter(None, (".".join(map(str, error.absolute_path)), said)))


def _moment(where: str, given: Mapping[str, Any], key: str) -> datetime:
    if key not in given:
        return END_OF_TIME
    moment = instant(given[key])
    if moment is None:
        raise Fault(
            f"{where}{key} {given[key]} is no time: write it as 2025-06-30 or 2025-06-30T12:00:00Z.", MISUSED
        )
    return moment


def _length(where: str, given: Mapping[str, Any], key: str) -> timedelta:
    length = length_of(given[key])
    if not timedelta() < length <= timedelta(days=3650):
        raise Fault(f"{where}{key} {given[key]} must be longer than 0s, and ten years at most.", MISUSED)
    return length


def _overlapping(path: Path, experiments: Iterable[Experiment]) -> tuple[set[str], list[str]]:
    """Find experiments of one group that would have the same entities at the same time."""
    names: set[str] = set()
    said = []
    for one, other in combinations(experiments, 2):
        if one.group is None or other.group is None or one.group.name != other.group.name:
            continue
        same_time = one.start < other.end and other.start < one.end
        if same_time and one.group.start < other.group.end and other.group.start < one.group.end:
            names |= {one.name, other.name}
            said.append(
                f"{path}: {one.name} and {other.name}: they overlap in the group {one.group.name}, which "
                "is to keep them apart: give them other parts of it (from, to), or other times."
            )
    return names, said
