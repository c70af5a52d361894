"""What views, labels and training sets have in common: a name, SQL, and an entry in the YAML."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from assay.contracts.contract import FOLDER, read_contracts
from assay.core.fault import MISUSED, Fault, unknown
from assay.core.sql import needs_quotes, quoted
from assay.features.columns import ModelColumn
from assay.features.generate import entry_of_new
from assay.generate.product import contract_files
from assay.generate.propose import Choice
from assay.generate.write import find_differing, show_difference, write_all
from assay.project.conventions import CHECKED, REJECTED, layer_of
from assay.project.graph import parent_ids
from assay.project.paths import contract_folders
from assay.project.project import Project

ASSAY = "assay"
WORDS = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
# Stores name tables after models; Postgres cuts names at 63 characters.
_LONGEST_NAME = 55
_LENGTH = re.compile("[1-9][0-9]{0,5}[smhd]")


@dataclass(frozen=True)
class GoldModel:
    """A model of gold to be written.

    `entry` is what its YAML says, but for types. `columns` are those that it is to have, `meta` what its
    `config.meta` says that tells it from another model of its name. `product` is what a contract
    about it would be called, `owner` who answers for it. For `descriptions`, `personal` and
    `required` see `entry_of_new`.
    """

    folder: Path
    sql: str
    entry: dict[str, Any]
    reads: Sequence[Any]
    columns: Collection[str]
    meta: Mapping[str, Any]
    evidence: Sequence[str]
    product: str
    owner: str
    descriptions: Mapping[str, str] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict)
    required: Collection[str] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.entry["name"])


@dataclass(frozen=True)
class GoldPlan:
    """What is to be written of a model, and why; no files where it is there already.

    `next_steps` are the commands that go on with it.
    """

    name: str
    files: dict[Path, str]
    evidence: Sequence[str]
    next_steps: Sequence[str] = ()

    @property
    def difference(self) -> str:
        """What writing it would change, as `diff -u` shows it."""
        return show_difference(self.files)


def read_project() -> Project:
    """Return the project of the current folder.

    Raises:
        Fault: it is no dbt project, or does not have Assay.
    """
    project = Project(unfinished=True)
    if not any(each.startswith(f"macro.{ASSAY}.checked_rows") for each in project.macros):
        raise Fault(
            "This dbt project does not have Assay: put it into packages.yml and run dbt deps, "
            "or begin a project with: assay init",
            MISUSED,
        )
    return project


def add_model(
    project: Project,
    model: GoldModel,
    columns_of: Callable[[str], Sequence[ModelColumn]],
    *,
    dry_run: bool,
) -> GoldPlan:
    """Write a model, unless it is there as it is wanted; return what was written, or would be.

    Args:
        project: to which it is added.
        model: what is wanted.
        columns_of: the columns of a query, as the engine types them.
        dry_run: whether nothing is written.

    Raises:
        Fault: another model has its name, or its file is there.
        OSError: a file cannot be written; none is then.
    """
    if there := plan_existing(project, model):
        return there
    plan = _plan_of_new(project, model, columns_of(model.sql))
    if not dry_run:
        write_all(plan.files)
    return plan


def _plan_of_new(project: Project, model: GoldModel, columns: Sequence[ModelColumn]) -> GoldPlan:
    """Plan the files of a model that is new."""
    path = model.folder / f"{model.name}.sql"
    if path.exists():
        raise Fault(
            f"{path} is there already, though dbt does not know it: move it away, or choose another name.",
            MISUSED,
        )
    # Readers of a private model are of its group.
    product = model.entry.get("config", {}).get("group") or model.product
    entry = {**model.entry, "config": {**model.entry.get("config", {}), "group": product}}
    generated = entry_of_new(
        project,
        entry,
        model.folder,
        columns,
        model.reads,
        descriptions=model.descriptions,
        personal=model.personal,
        required=model.required,
    )
    if generated.place.parts:
        raise Fault(
            f"{generated.file} describes {model.name} already: take that out, or choose another name.",
            MISUSED,
        )
    (written,) = yaml.safe_load(generated.entry)
    contract = contract_files(project, written, product, model.owner)
    return GoldPlan(
        model.name,
        find_differing({path: model.sql, generated.file: generated.text, **contract}),
        [*model.evidence, f"Contract: {next(iter(contract))} says what readers may rely on; go over it"],
        ["assay build"],
    )


def plan_existing(project: Project, model: GoldModel) -> GoldPlan | None:
    """Return that nothing is to be written of a model that is there as it is wanted; None where it is new.

    Raises:
        Fault: another model has its name.
    """
    node = project.named(model.name)
    if node is None:
        return None
    declared = node.config.meta
    lacking = [
        *(f"the column {each}" for each in model.columns if each not in node.columns),
        *(f"ref('{each.name}')" for each in model.reads if each.unique_id not in parent_ids(node)),
        *(
            f"{word}: {json.dumps(value)}"
            for key, wanted in model.meta.items()
            for word, value in wanted.items()
            if (declared.get(key) or {}).get(word) != value
        ),
    ]
    if lacking:
        raise Fault(
            f"{model.name} is there already, in {node.original_file_path}, and does not have "
            f"{', '.join(lacking)}. Nothing is written. Change it there, then: "
            f"assay features yaml {model.name} --write. Or choose another name.",
            MISUSED,
        )
    path = Path(node.original_file_path)
    is_as_written = path.is_file() and path.read_text(encoding="utf-8") == model.sql
    told = f"It has all columns that are asked for, in {path}."
    otherwise = "Its SQL is not what would be written: somebody changed it, or it was asked for otherwise."
    return GoldPlan(model.name, {}, [told] if is_as_written else [told, otherwise])


def check_name(name: str, prefix: str, example: str) -> str:
    """Return a model's name with its prefix.

    Raises:
        Fault: it cannot be one.
    """
    bare = name.removeprefix(prefix)
    if not all(map(WORDS.fullmatch, bare.split("__"))):
        raise Fault(
            f"{name!r} is no name: write it in small letters, digits and underscores, as {example}.", MISUSED
        )
    if len(prefix + bare) > _LONGEST_NAME:
        raise Fault(
            f"{name!r} is too long: a name has at most {_LONGEST_NAME} characters with {prefix}.", MISUSED
        )
    return prefix + bare


def check_length(length: str, option: str) -> str:
    """Return a length of time.

    Raises:
        Fault: it is none.
    """
    if not _LENGTH.fullmatch(length):
        raise Fault(
            f"{option} {length!r} is no length of time: write a whole number and s, m, h or d, such as 24h "
            "or 7d.",
            MISUSED,
        )
    return length


def find_events(project: Project, name: str, option: str) -> Any:
    """Return the model of a name, of silver or gold, whose rows may be counted.

    Raises:
        Fault: there is none, or its rows are no facts.
    """
    facts = {
        node.name: node
        for node in project.models
        if layer_of(node) in ("silver", "gold") and not node.name.endswith((CHECKED, REJECTED))
    }
    if name in facts:
        return facts[name]
    node = project.named(name)
    if node is None:
        raise Fault(
            unknown(f"{option} {name}: there is no such model of silver or gold", name, facts), MISUSED
        )
    kept = name.removesuffix(CHECKED).removesuffix(REJECTED)
    instead = next((each for each in (kept, f"{kept}__changes") if each in facts), None)
    why = "has rows that break rules" if kept != name else "is not of silver or gold"
    raise Fault(
        f"{option} {name}: it {why}. Name a model of silver or gold"
        + (f", such as {instead}." if instead else "."),
        MISUSED,
    )


def find_column(name: str, columns: Mapping[str, str], model: str, option: str) -> str:
    """Return the name of a column of a model, as the model writes it.

    Raises:
        Fault: there is none.
    """
    if name not in columns:
        raise Fault(unknown(f"{option} {name}: {model} has no such column", name, columns), MISUSED)
    return name


def find_time(given: str | None, usual: str, columns: Mapping[str, str], model: str, option: str) -> str:
    """Return the name of a column that holds a time: as given, else the usual one.

    Raises:
        Fault: there is none, or it holds something else.
    """
    times = {name: kind for name, kind in columns.items() if kind.startswith(("timestamp", "date"))}
    name = given or usual
    if name not in columns:
        told = f"{option} {given}: {model} has no such column" if given else f"{model} has no column {usual}"
        then = "" if given else f" Say which with {option}."
        raise Fault(f"{told}: of times there are {', '.join(times) or 'none'}.{then}", MISUSED)
    if name not in times:
        raise Fault(
            f"{option} {name}: it is {columns[name]}, no time. Of times there are "
            f"{', '.join(times) or 'none'}.",
            MISUSED,
        )
    return name


def find_owner(project: Project, node: Any, given: str | None) -> Choice:
    """Return who answers for what is made of a model, and how that is known."""
    if given:
        return Choice(given, "as you say")
    group = node.config.group
    if group and (owner := project.owner_of_group(group)):
        return Choice(owner, f"owner of the group {group}, which {node.name} is of")
    sources = project.sources_behind(node)
    contracts, _ = read_contracts(*contract_folders(FOLDER))
    owners = {each.owner: each.document.name for each in contracts if each.id in sources and each.owner}
    if len(owners) == 1:
        ((owner, file),) = owners.items()
        return Choice(owner, f"as {file} says")
    return Choice(getpass.getuser(), "who runs this")


def find_group(node: Any) -> dict[str, str]:
    """Return the group that readers of a model must be of, as their YAML says it: private ones have one."""
    return {"group": node.config.group} if node.access == "private" else {}


def quote_column(column: str, of: str = "") -> str:
    """Return a column's name as SQL has it, in quotes where it needs any."""
    return quoted(column, of=of) if needs_quotes(column) else f"{of}.{column}" if of else column


def quote_text(text: str) -> str:
    """Return a text as Jinja has it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_texts(texts: Sequence[str]) -> str:
    """Return a list of texts as Jinja has it."""
    return f"[{', '.join(map(quote_text, texts))}]"
