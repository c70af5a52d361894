"""A plugin of dbt that adds what nobody should maintain by hand: dependencies between models, and `dispatch`.

dbt learns what a model reads from the `ref` calls in its SQL. A model that reads every feature view would
have to list them all. Instead, such a model declares `config.meta.reads: [feature_views]`, and this plugin
adds its dependencies as soon as dbt has parsed the project.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from dbt.artifacts.resources.v1.unit_test_definition import UnitTestOverrides
from dbt.config.project import Project
from dbt.parser import manifest as loading
from dbt.plugins.manager import dbtPlugin
from dbt_common.exceptions import DbtRuntimeError

from assay.project.conventions import (
    AVAILABILITY,
    KINDS,
    MEASURED,
    READS,
    SERVING,
    TABLES,
    is_online,
    is_published,
    stamp_experiments,
    stamp_kinds,
    stamp_layer,
    stamp_measured,
    stamp_reads,
)
from assay.project.measured import plan_experiments
from assay.project.meta import faults_of_meta, schemas_of_layers
from assay.project.paths import put_project_on_path

_WRAPPED = "_draws_arrows"
_PACKAGE = "assay"
_declared_search_order = Project.get_macro_search_order


def _search_order(project: Any, namespace: str) -> list[str] | None:
    """Return the packages in which dbt looks for a macro of its own: Assay's is taken before dbt's.

    It is what `dispatch` of a project says, who need not name Assay there.
    """
    order: list[str] | None = _declared_search_order(project, namespace)
    if namespace != "dbt" or _PACKAGE not in project.load_dependencies():
        return order
    order = order or [project.project_name, "dbt"]
    if _PACKAGE in order:
        return order
    before = order.index("dbt") if "dbt" in order else len(order)
    return [*order[:before], _PACKAGE, *order[before:]]


class Plugin(dbtPlugin):
    """The plugin; dbt finds it in the module `dbt_assay` before or while it parses the project."""

    def initialize(self) -> None:
        """Complete each manifest that dbt loads; wraps dbt's check of it, since dbt offers no hook there."""
        put_project_on_path()
        # dbt asks it for each macro that it dispatches, also in a run that is given a manifest.
        setattr(Project, "get_macro_search_order", _search_order)  # noqa: B010
        check = loading._check_manifest
        if getattr(check, _WRAPPED, False):
            return

        @wraps(check)
        def complete_and_check(manifest: Any, config: Any) -> None:
            complete(manifest, config)
            check(manifest, config)

        setattr(complete_and_check, _WRAPPED, True)
        loading._check_manifest = complete_and_check


def complete(manifest: Any, project: Any) -> None:
    """Write layer and kinds into each node, and add the dependencies of nodes that declare what they read.

    Args:
        manifest: as dbt has parsed it; changed in place.
        project: the configuration of the root project, whose variable `layers` gives the schemas of layers.

    Raises:
        DbtRuntimeError: a variable or the meta of a node declares what cannot be.
    """
    nodes = list(manifest.nodes.values())
    layered = [node for node in nodes if node.resource_type in TABLES]
    faults = [fault for node in layered for fault in faults_of_meta(node)]
    plan = plan_experiments(manifest, Path(project.project_root))
    if not faults:
        schemas = _schemas(project)
        for node in layered:
            stamp_measured(node, measured=node.unique_id in plan.models)
            stamp_layer(node, schemas)
            stamp_kinds(node)
        faults = [*_names_taken(layered)]
    if faults:
        raise DbtRuntimeError("\n".join(faults))
    for reader in [*nodes, *manifest.exposures.values()]:
        kinds = reader.config.meta.get(READS) or reader.meta.get(READS) or []
        if not kinds:
            continue
        found: dict[str, list[Any]] = {}
        for kind in kinds:
            if kind not in KINDS:
                raise DbtRuntimeError(
                    f"{reader.original_file_path}: {reader.name} reads {kind!r}, which is no kind of table: "
                    f"there are {', '.join(sorted(KINDS))}"
                )
            found[kind] = sorted(
                (node for node in nodes if node is not reader and KINDS[kind](node)),
                key=lambda node: node.name,
            )
        ids = [node.unique_id for each in found.values() for node in each]
        reader.depends_on.nodes = [*dict.fromkeys([*reader.depends_on.nodes, *ids])]
        if MEASURED in kinds:
            stamp_experiments(reader, plan.experiments, plan.problems)
        stamp_reads(reader, {kind: [node.name for node in each] for kind, each in found.items()})
        # dbt keeps one dictionary for both until a parse is saved, and two where it goes on from one.
        reader.meta = reader.config.meta
    _tell_unit_tests(manifest)
    manifest.build_parent_and_child_maps()


def _names_taken(nodes: list[Any]) -> Iterator[str]:
    """Name the models of gold that would be called as the tables that the catalog makes of online views."""
    views = {SERVING + node.name: node.name for node in nodes if is_online(node)}
    for node in nodes:
        if node.alias in views and is_published(node):
            yield (
                f"{node.original_file_path}: {node.alias} is the table that srv_catalog makes of "
                f"{views[node.alias]}: give the model another name"
            )


def _tell_unit_tests(manifest: Any) -> None:
    """Give unit tests the availability of sources as a variable, because they cannot see sources' YAML."""
    declared = {
        f"{source.source_name}.{source.name}": source.config.meta[AVAILABILITY]
        for source in manifest.sources.values()
        if AVAILABILITY in source.config.meta
    }
    for test in manifest.unit_tests.values():
        test.overrides = test.overrides or UnitTestOverrides()
        own = test.overrides.vars.get(AVAILABILITY) or {}
        test.overrides.vars[AVAILABILITY] = declared | own


def _schemas(project: Any) -> dict[str, str]:
    variables = {**project.vars.to_dict(), **project.cli_vars}
    # As dbt has it, variables of the project go before those of all; and this one may stand with Assay's own.
    scopes = (variables.get(project.project_name), variables.get("assay"), variables)
    declared = next(
        (scope["layers"] for scope in scopes if isinstance(scope, dict) and "layers" in scope), None
    )
    try:
        return schemas_of_layers(declared)
    except ValueError as error:
        raise DbtRuntimeError(str(error)) from error
