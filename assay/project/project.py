"""Ask dbt about the project in the current folder: its models, their SQL, and the warehouse's file.

dbt is imported where it is needed: that takes two seconds, and what it parsed last is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from assay.core.fault import Fault, known_fault
from assay.core.places import find_places, find_target, require_project
from assay.project.code_files import read_code
from assay.project.conventions import TABLES, is_checked
from assay.project.dbt_run import Unwatched, run_dbt
from assay.project.failures import judge, plain_message
from assay.project.graph import Manifest, ancestor_ids, parent_ids, reachable
from assay.project.kept import keep, read_kept
from assay.project.packages import make_linked_packages_ready
from assay.project.shields import Shields

# The files that dbt wrote in the last build stay as they are.
_QUIET = [
    "--no-write-json",
    "--log-level",
    "none",
    "--log-level-file",
    "debug",
    "--no-print",
    "--no-use-colors",
]


class Project:
    """The project as dbt parses it; parsing does not open the warehouse.

    As long as no file of the project changes, what was parsed last is read again, and dbt is needed only to
    compile and to build.

    Args:
        unfinished: whether to accept models under contract whose YAML lacks its columns.

    Raises:
        Fault: the current folder is no dbt project, or dbt cannot parse it.
    """

    def __init__(self, *, unfinished: bool = False) -> None:
        require_project()
        make_linked_packages_ready()
        self.code = read_code()
        if unfinished:
            # dbt must not reuse this parse when it builds, so it is kept in a folder of its own.
            target = find_target() / "unfinished"
            with _columns_may_lack():
                self._manifest = self._parsed = _dbt("parse", "--target-path", str(target))
            self.warehouse = _warehouse_of_profile()
        else:
            self._parsed = None
            if kept := read_kept(self.code):
                self._manifest, self.warehouse = kept
            else:
                self._manifest = self._parsed = _dbt("parse")
                self.warehouse = _warehouse_of_profile()
                keep(self.code, self._parsed, self.warehouse)
        self.name: str = self._manifest.metadata.project_name

    def _parse(self) -> Any:
        """Return dbt's own manifest."""
        if self._parsed is None:
            self._parsed = _dbt("parse")
        return self._parsed

    @property
    def manifest(self) -> Manifest:
        """The manifest in the form that dbt writes to a file."""
        return Manifest(self._manifest.to_dict())

    @property
    def models(self) -> list[Any]:
        """All models, also those of packages, sorted by name."""
        nodes = [node for node in self._manifest.nodes.values() if node.resource_type == "model"]
        return sorted(nodes, key=lambda node: str(node.name))

    def named(self, name: str) -> Any | None:
        """Return the model, snapshot or seed with a name, also one of a package; None if there is none."""
        nodes = self._manifest.nodes.values()
        return next((node for node in nodes if node.name == name and node.resource_type in TABLES), None)

    def sources_behind(self, node: Any) -> set[str]:
        """Return the names of the sources upstream of a node."""
        ids = ancestor_ids(node.unique_id, self._manifest.nodes)
        return {self._manifest.sources[id_].source_name for id_ in ids if id_ in self._manifest.sources}

    @cached_property
    def shields(self) -> Shields:
        """How columns are shielded that hold personal data."""
        return Shields(self.nodes)

    @property
    def nodes(self) -> dict[str, Any]:
        """Models, seeds, snapshots, tests and sources, by id."""
        return {**self._manifest.nodes, **self._manifest.sources}

    def owner_of_group(self, name: str) -> str | None:
        """Return the owner of a group of models; None if there is no such group."""
        found = (each for each in self._manifest.groups.values() if each.name == name)
        return next((each.owner.name for each in found), None)

    @property
    def exposures(self) -> list[Any]:
        """All that the project says of who reads its tables, by name."""
        return sorted(self._manifest.exposures.values(), key=lambda each: str(each.name))

    @property
    def landing_tables(self) -> dict[tuple[str, str], Any]:
        """The source tables in which files land, by source and table name."""
        nodes = [node for node in self._manifest.sources.values() if "landing" in node.config.meta]
        return {(node.source_name, node.name): node for node in nodes}

    @property
    def macros(self) -> set[str]:
        """The ids of all macros, `macro.<package>.<name>`."""
        return set(self._manifest.macros)

    def readers(self, unique_id: str) -> list[Any]:
        """Return the models that read a node directly."""
        return [node for node in self.models if unique_id in parent_ids(node)]

    def checked_models(self, source: str) -> list[Any]:
        """Return the models that check the rows of a landing table, downstream of its bronze model."""
        bronze = self.readers(source)
        found = [node for each in bronze for node in self.readers(each.unique_id)]
        return [node for node in found if is_checked(node)]

    def code_behind(self, source: str) -> str:
        """Return the code of the models that check a landing table's rows, and of the macros they call."""
        macros = self._manifest.macros
        models = self.checked_models(source)
        called = reachable(
            [id_ for node in models for id_ in node.depends_on.macros],
            lambda id_: macros[id_].depends_on.macros if id_ in macros else [],
        )
        return "\n".join(
            [*(node.raw_code for node in models), *(macros[id_].macro_sql for id_ in called if id_ in macros)]
        )

    @property
    def doc_blocks(self) -> dict[str, str]:
        """The texts of the doc blocks that a description may refer to, by their names."""
        return {doc.name: doc.block_contents for doc in self._manifest.docs.values()}

    def build_empty(self, what: str, folder: Path, *select: str, exclude: str | None = None) -> Path:
        """Build models without rows in a separate warehouse; return its file.

        Contracts are not enforced, because the YAML of some models may not be written yet.

        Args:
            what: the reader of these models, as messages name it.
            folder: a new folder for the warehouse.
            select: the models, in dbt's selection syntax.
            exclude: a model that is not built.

        Raises:
            Fault: dbt cannot build a model.
        """
        manifest = self._parse()
        for node in manifest.nodes.values():
            if node.resource_type == "model":
                node.config.contract.enforced = node.contract.enforced = False
        warehouse, landing = folder / self.warehouse.name, folder / "landing"
        landing.mkdir()
        outcome = run_dbt(
            [
                *("build", "--select", *select, *(("--exclude", exclude) if exclude else ())),
                *("--target-path", str(folder / "target")),
                *("--exclude-resource-type", "test", "unit_test"),
            ],
            warehouse=warehouse,
            on_start=lambda run_id: None,
            watcher=Unwatched(),
            landing=landing,
            manifest=manifest,
        )
        failed = [str(failure) + f": {failure.message}" for failure in judge(outcome.results).failures]
        if outcome.exception or failed:
            error = outcome.exception or "\n".join(failed)
            raise known_fault(error) or Fault(
                f"The columns of {what} cannot be told, since what it reads cannot be built: "
                f"{plain_message(str(error))}"
            )
        return warehouse

    def compiled(self, model: str) -> str:
        """Return the SQL that builds a model in a full refresh.

        Raises:
            Fault: dbt cannot compile it.
        """
        return self._compiled("--full-refresh", "--select", model)

    def compiled_with_ancestors(self, models: Sequence[str]) -> dict[str, str]:
        """Return the SQL that builds models, and all that they are made of, from nothing; by id.

        Raises:
            Fault: dbt cannot compile them.
        """
        kinds = ("model", "snapshot")
        selected = [f"+{model},resource_type:{kind}" for model in models for kind in kinds]
        return self._compiled_nodes("--full-refresh", "--select", *selected)

    def compiled_all(self) -> dict[str, str]:
        """Return the SQL of all models and snapshots by id.

        Raises:
            Fault: dbt cannot compile them.
        """
        return self._compiled_nodes("--select", "resource_type:model", "resource_type:snapshot")

    def compiled_inline(self, sql: str) -> str:
        """Render the Jinja in SQL as in a model.

        Raises:
            Fault: dbt cannot compile it.
        """
        return self._compiled("--inline", sql)

    def _compiled(self, *what: str) -> str:
        return next(iter(self._compiled_nodes(*what).values()))

    def _compiled_nodes(self, *what: str) -> dict[str, str]:
        result = _dbt("compile", "--no-populate-cache", *what, manifest=self._parse())
        return {each.node.unique_id: str(each.node.compiled_code) for each in result.results}


@contextmanager
def _columns_may_lack() -> Iterator[None]:
    """Let dbt parse models under contract that have no columns in YAML; it would refuse to parse them."""
    from dbt.parser.schemas import ModelPatchParser

    from assay.project.meta import columns_may_lack

    check = ModelPatchParser._validate_constraint_prerequisites
    ModelPatchParser._validate_constraint_prerequisites = lambda *_: None  # type: ignore[method-assign]
    before = columns_may_lack.set(True)
    try:
        yield
    finally:
        columns_may_lack.reset(before)
        ModelPatchParser._validate_constraint_prerequisites = check  # type: ignore[method-assign]


def _warehouse_of_profile() -> Path:
    """Return the file that the profile names, of a project that has just been parsed."""
    from dbt.adapters.factory import FACTORY

    adapter: Any = next(iter(FACTORY.adapters.values()))
    path = str(getattr(adapter.config.credentials, "path", ""))
    # A lake is attached to a database in memory.
    return find_places().warehouse if path == ":memory:" else Path(path)


def _dbt(*arguments: str, manifest: Any = None) -> Any:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    result = dbtRunner(manifest=manifest).invoke([*_QUIET, *arguments])
    # An open connection of dbt would block the file for others in this process. Its settings stay in use.
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if not result.success:
        reset_adapters()  # type: ignore[no-untyped-call]
        failed = [each.message for each in getattr(result.result, "results", []) if each.message]
        error = result.exception or "\n".join(failed)
        raise known_fault(error) or Fault(
            f"dbt could not {arguments[0]} the project: {plain_message(str(error), with_place=True)}"
        )
    return result.result
