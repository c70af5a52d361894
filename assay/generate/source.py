"""`assay source add`: a source's contract, models and YAML from a sample of its data."""

from __future__ import annotations

import getpass
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError

from assay.contracts.consistency import find_inconsistencies
from assay.contracts.contract import (
    DIALECT,
    FOLDER,
    Contract,
    find_contract_file,
    find_custom,
    read_contracts,
)
from assay.contracts.dbt_side import DbtSide
from assay.contracts.document import parse
from assay.contracts.landing_rules import list_landing_rules
from assay.core.fault import MISUSED, Fault
from assay.core.places import landing_folder, require_project
from assay.generate.contract import Meaning, begin_contract, means_otherwise, write_table_entry
from assay.generate.described import write_entries
from assay.generate.gold import read_project
from assay.generate.profile import Profile, profile
from assay.generate.propose import CONTENT_HASH, Answers, Choice, Proposal, Unanswerable, propose
from assay.generate.renew import (
    Renewal,
    find_written_otherwise,
    is_of_table,
    renew_changes_sql,
    renew_contract,
    renew_sql,
    renew_yaml,
)
from assay.generate.sample import read_sample
from assay.generate.silver import (
    name_bronze_model,
    name_checked_model,
    name_kept_model,
    write_bronze,
    write_models,
)
from assay.generate.write import choose_places_to_land, find_differing, land, show_difference, write_all
from assay.landing.dialect import Dialect, dialect_of
from assay.project.paths import contract_folders, own_models
from assay.project.project import Project
from assay.project.yaml_file import YamlFile, one_line

#: Asked for what a sample cannot tell, by name, with what is proposed; returns what a person says.
Ask = Callable[[str, Choice], str]
# Assay's own server lands under it.
_RESERVED = ("serving",)
_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
# dlt parts a table from the lists in its rows by two underscores.
_NAME_OF_DLT = re.compile("[a-z][a-z0-9]*(__?[a-z0-9]+)*")


@dataclass(frozen=True)
class Plan:
    """What is to be written of a source, and why.

    `files` are those that change, with what they are to hold. `landing` has samples, and where they go.
    `changes` says what is new of a source that is there already, `by_hand` what is left to a person.
    """

    proposal: Proposal
    files: dict[Path, str]
    landing: dict[Path, Path]
    is_new: bool
    changes: Sequence[str] = ()
    by_hand: Sequence[str] = ()
    needs_full_refresh: bool = False

    @property
    def difference(self) -> str:
        """What writing it would change, as `diff -u` shows it."""
        return show_difference(self.files)

    def write(self) -> None:
        """Write the files, all or none, and land the samples.

        Raises:
            OSError: a file cannot be written.
        """
        write_all(self.files)
        land(self.landing)


@contextmanager
def planned_source(
    name: str,
    samples: Sequence[str],
    answers: Answers | None = None,
    *,
    ask: Ask | None = None,
    lands: bool = True,
) -> Iterator[Plan]:
    """Plan a source of the project in the current folder from samples; nothing is written until `write`.

    Args:
        name: of the table, `source.table`.
        samples: paths of files of one format, or tables, of DuckDB (`file.duckdb:schema.table`) or
            of Postgres.
        answers: what is known of the source; the rest is asked or proposed.
        ask: asked for the key, the time of the event, the availability and the owner where `answers` has
            none; without it, what is proposed is taken.
        lands: whether the samples are to be copied to the landing zone.

    Raises:
        Fault: the project is none of Assay's, the name cannot be one or is taken, or a sample or an answer is
            of no use.
    """
    require_project()
    answers = answers or Answers()
    source, table = _names(name, _NAME_OF_DLT if answers.dlt else _NAME)
    known = _known_table(source, table)
    format = find_custom(known, "format") if known else None
    with read_sample(samples, name, _known_dialect(known), format) as (sample, connection):
        found = profile(connection, sample, dict(_known_formats(known, ())))
        project = read_project()
        planner = _Planner(project, source, table, found)
        plan = planner.renew(answers) if planner.is_known else planner.begin(answers, ask)
        if lands:
            plan = replace(
                plan, landing=choose_places_to_land(sample.files, landing_folder() / source / table)
            )
        yield plan


def _names(name: str, of_table: re.Pattern[str]) -> tuple[str, str]:
    source, _, table = name.partition(".")
    for each, pattern in ((source, _NAME), (table, of_table)):
        if not pattern.fullmatch(each):
            raise Fault(
                f"{name!r} is no name of a source's table: write source.table, each in small letters, digits "
                "and single underscores, as shop.order_lines.",
                MISUSED,
            )
    if source in _RESERVED:
        raise Fault(f"{source} is the source of what Assay's own server lands: choose another name.", MISUSED)
    return source, table


def _known_table(source: str, table: str) -> Any:
    """Return what the contract of a source says of a table; None where it says nothing."""
    try:
        tables = YamlFile(find_contract_file(source)).content.get("schema") or []
    except (YAMLError, AttributeError):
        # What is wrong with it is told when all contracts are read.
        return None
    return next((each for each in tables if each.get("name") == table), None)


def _known_dialect(table: Any) -> Dialect | None:
    try:
        return dialect_of(find_custom(table, DIALECT)) if table else None
    except ValueError as error:
        raise Fault(f"The contract's dialect of {table['name']}: {error}", MISUSED) from error


def _known_formats(holder: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield how a contract says that times are written, with the paths of the columns."""
    for each in (holder or {}).get("properties") or []:
        options = each.get("logicalTypeOptions") or {}
        if each.get("logicalType") in ("date", "timestamp") and "format" in options:
            yield (*path, str(each["name"])), str(options["format"])
        yield from _known_formats(each, (*path, str(each["name"])))


class _Planner:
    """What the project has of a source so far, and what it is to have."""

    def __init__(self, project: Project, source: str, table: str, found: Profile) -> None:
        self._project, self._source, self._table, self._profile = project, source, table, found
        self._contracts, wrong = read_contracts(*contract_folders(FOLDER))
        if wrong:
            raise Fault("\n".join(map(str, wrong)), MISUSED)
        self._path = find_contract_file(source)
        self._file = YamlFile(self._path)
        self._node = project.landing_tables.get((source, table))
        tables = self._file.content.get("schema") or []
        self._entry = next((each for each in tables if each["name"] == table), None)

    @property
    def is_known(self) -> bool:
        """Whether the source's contract has the table."""
        return self._entry is not None

    def begin(self, answers: Answers, ask: Ask | None) -> Plan:
        """Plan a table that is new."""
        name = f"{self._source}.{self._table}"
        if self._node:
            raise Fault(
                f"{name} is declared in {self._node.original_file_path}, and no contract is about it: "
                f"choose another name, or write its contract into {self._path}.",
                MISUSED,
            )
        proposal = self._proposal(answers)
        if ask:
            proposal = self._proposal(gather_answers(proposal, answers, ask))
        proposal = self._named_apart(proposal)
        entry = write_table_entry(proposal)
        if not self._file.content:
            self._file.content = begin_contract(self._source, proposal.owner)
        self._file.content.setdefault("schema", CommentedSeq()).append(entry)
        self._add_server(proposal)
        folder = own_models()
        files = {
            self._path: self._file.text,
            folder / "bronze" / f"{name_bronze_model(proposal)}.sql": write_bronze(proposal),
            **{
                folder / "silver" / self._source / f"{model}.sql": sql
                for model, sql in write_models(proposal).items()
            },
        }
        if there := [path for path in files if path != self._path and path.exists()]:
            raise Fault(f"{there[0]} is there already: move it away, or choose another name.", MISUSED)
        described = YamlFile(folder / "silver" / self._source / f"_{self._source}__models.yml")
        described.content.setdefault("models", CommentedSeq()).extend(write_entries(proposal))
        files[described.path] = described.text
        return Plan(proposal, find_differing({**files, **self._dbt_side(proposal)}), {}, is_new=True)

    def renew(self, answers: Answers) -> Plan:
        """Plan what a newer sample changes of a table that is there."""
        if any((answers.key, answers.event_at, answers.available, answers.owner)):
            raise Fault(
                f"{self._source}.{self._table} is there already: what you say of it is in {self._path}, in "
                "silver's SQL and, of its availability, in the source's YAML. Change it there.",
                MISUSED,
            )
        checked = self._project.checked_models(self._node.unique_id) if self._node else []
        if len(checked) != 1:
            raise Fault(
                f"{self._path} has {self._table}, and {len(checked) or 'no'} models check its rows: "
                "take the table out of the contract to begin again, or go on by hand.",
                MISUSED,
            )
        if not is_of_table(self._entry, self._profile):
            raise Fault(
                f"The sample is not of the table {self._table} that {self._path} describes: it has another "
                "format, or none of its columns. Give a sample of that table, or add this one by another "
                "name.",
                MISUSED,
            )
        if otherwise := list(
            find_written_otherwise(self._entry, self._profile, is_change_log=self._profile.is_change_log)
        ):
            raise Fault(
                f"The sample is written otherwise than {self._path} says: {'; '.join(otherwise)}. Give one "
                "that is written as the contract says; or, where the source has changed, correct the "
                "contract and run assay contracts sync.",
                MISUSED,
            )
        path = Path(checked[0].original_file_path)
        sql = path.read_text(encoding="utf-8")
        proposal = self._proposal(
            replace(self._answers_in(sql), kafka=answers.kafka, is_avro=answers.is_avro, dlt=answers.dlt)
        )
        proposal = replace(proposal, things=checked[0].name.removeprefix("slv_").removesuffix("__checked"))
        renewal = renew_contract(self._entry, proposal, self._profile)
        renewal.changes += self._add_server(proposal)
        files = {self._path: self._file.text} if renewal.changes else {}
        if renewal.changes:
            files[path] = renew_sql(sql, renewal, proposal, str(path))
            files |= self._renewed_yaml(checked[0], proposal, renewal)
            files |= self._dbt_side(None)
        return Plan(
            proposal,
            find_differing(files),
            {},
            is_new=False,
            changes=renewal.changes,
            by_hand=renewal.by_hand,
            needs_full_refresh=bool(renewal.new or renewal.retyped),
        )

    def _add_server(self, proposal: Proposal) -> list[str]:
        """Let the contract say where a table's rows come from; return what changes of it, in words."""
        if not proposal.server:
            return []
        content = self._file.content
        if "servers" not in content:
            content.insert(list(content).index("schema"), "servers", CommentedSeq())
        name = proposal.server["server"]
        option = "dlt" if "dlt" in proposal.choices else "kafka"
        server = next((each for each in content["servers"] if each["server"] == name), None)
        if server is None:
            content["servers"].append(one_line(dict(proposal.server)))
            return [f"rows come from {proposal.choices[option].value}: {proposal.choices[option].evidence}"]
        if any(server.get(key) != value for key, value in proposal.server.items()):
            raise Fault(
                f"{self._path} has a server {name} already, and it says something else than --{option}. "
                "Change it there.",
                MISUSED,
            )
        return []

    def _renewed_yaml(self, checked: Any, proposal: Proposal, renewal: Renewal) -> dict[Path, str]:
        """Return the YAML, and the SQL of changes, of the models around the one that checks rows."""
        files: dict[Path, str] = {}
        yaml_files: dict[Path, YamlFile] = {}
        kept = [each for each in self._project.models if each.name == name_kept_model(proposal)]
        described = []
        for node in [checked, *kept]:
            if node.patch_path:
                path = Path(node.patch_path.partition("://")[2])
                file = yaml_files.setdefault(path, YamlFile(path))
                described += [each for each in file.content["models"] if each["name"] == node.name]
        renew_yaml(described, renewal)
        for node in kept if proposal.is_change_log else []:
            path = Path(node.original_file_path)
            files[path] = renew_changes_sql(path.read_text(encoding="utf-8"), renewal, str(path))
        return {**files, **{path: file.text for path, file in yaml_files.items() if file.has_changed}}

    def _proposal(self, answers: Answers) -> Proposal:
        owner = next((each.owner for each in self._contracts if each.id == self._source), None)
        choice = (
            Choice(owner, f"as {self._path} says") if owner else Choice(getpass.getuser(), "who runs this")
        )
        try:
            return propose(self._profile, self._source, self._table, answers, choice)
        except Unanswerable as error:
            raise Fault(str(error), MISUSED) from error

    def _answers_in(self, sql: str) -> Answers:
        """Return what was answered when the table was begun, as its contract and its SQL have it."""
        assert self._entry is not None
        properties = self._entry.get("properties") or []
        keys = [str(each["name"]) for each in properties if each.get("primaryKey")]
        if self._profile.is_change_log:
            found = re.search(r"key='([^']+)'", sql)
            return Answers(key=[found[1]] if found else None)
        event = next(
            (
                path
                for path in self._profile.by_path
                if re.search(rf"'written_at':[^\n]*[('.\"]{re.escape(path[-1])}[\"']", sql)
            ),
            None,
        )
        received = next(
            (
                path
                for path in self._profile.by_path
                if re.search(rf"'received_at':[^\n]*[('.\"]{re.escape(path[-1])}[\"']", sql)
            ),
            None,
        )
        known = {".".join(path) for path in self._profile.by_path}
        return Answers(
            key=keys if keys and set(keys) <= known else [CONTENT_HASH],
            event_at=".".join(event) if event else None,
            available=".".join(received) if received else "landed",
        )

    def _named_apart(self, proposal: Proposal) -> Proposal:
        """Return a proposal whose models and rules have names of their own."""
        names = {each.name for each in self._project.models}
        if name_bronze_model(proposal) in names:
            raise Fault(
                f"There is a model {name_bronze_model(proposal)} already: choose another name.", MISUSED
            )
        for things in (self._table, f"{self._source}_{self._table}"):
            proposal = replace(proposal, things=things)
            if not names & set(write_models(proposal)):
                break
        else:
            raise Fault(
                f"There is a model {name_checked_model(proposal)} already: choose another name.", MISUSED
            )
        known = self._known_rules()
        for scope in (None, self._table, f"{self._source}_{self._table}"):
            proposal = replace(proposal, rule_scope=scope)
            if not means_otherwise(write_table_entry(proposal), known):
                break
        return proposal

    def _known_rules(self) -> dict[str, Meaning]:
        """Return the rules of the platform and of all other tables, by their ids."""
        known: dict[str, Meaning] = {
            str(rule["rule_id"]): (str(rule["reason"]), str(rule["remedy"]))
            for node in self._project.models
            for rule in node.config.meta.get("library_rules", [])
        }
        for contract in self._contracts:
            for table in contract.tables if contract.is_of_source else []:
                known.update({rule.rule_id: (rule.reason, rule.remedy) for rule in list_landing_rules(table)})
        return known

    def _dbt_side(self, proposal: Proposal | None) -> dict[Path, str]:
        """Return the YAML that contracts ask for, with the availability of a table that is new."""
        document, wrong = parse(str(self._path), self._file.text)
        assert document, wrong
        contract = Contract(document)
        contracts = [each for each in self._contracts if each.document.name != str(self._path)]
        contracts.append(contract)
        side = DbtSide(contracts, self._project)
        findings = [
            *find_inconsistencies(contracts),
            *(each for each in side.findings if not each.remedy.endswith("sync")),
        ]
        if findings:
            raise Fault("The contracts do not go together:\n" + "\n".join(map(str, findings)), MISUSED)
        if proposal:
            table = next(each for each in contract.tables if each.name == self._table)
            _, entry = side.source_entry(contract, table, self._node)
            availability = {"at": proposal.at} | ({"lag": proposal.lag} if proposal.lag else {})
            meta = entry["config"]["meta"]
            meta.insert(list(meta).index("landing") + 1, "availability", one_line(availability))
        return side.texts()


def gather_answers(proposal: Proposal, answers: Answers, ask: Ask) -> Answers:
    """Return the answers with what a person says of what the sample cannot tell."""
    said = {
        name: ask(name, proposal.choices[name])
        for name, given in (
            ("key", answers.key or (answers.dlt and answers.dlt.key)),
            ("event time", answers.event_at or (None if proposal.event_at else "landed")),
            ("availability", answers.available),
            ("owner", answers.owner),
        )
        if given is None
    }
    return replace(
        answers,
        key=[part.strip() for part in said["key"].split(",")] if "key" in said else answers.key,
        event_at=said.get("event time", answers.event_at),
        available=said.get("availability", answers.available),
        owner=said.get("owner", answers.owner),
    )
