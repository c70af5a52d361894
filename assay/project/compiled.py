"""Keep the SQL that models and snapshots were compiled to last, so that readers do without dbt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from assay.core.pickled import keep_pickled, read_pickled
from assay.project.code_files import Code
from assay.project.project import Project

_FILE = "assay_sql.pickle"


def read_compiled(code: Code) -> dict[str, str]:
    """Return the kept SQL by node; empty if none is kept of the project's files as they are.

    Args:
        code: the project's files.
    """
    return read_pickled(_FILE, (code.settings, code.nodes)) or {}


def keep_compiled(code: Code, compiled: Mapping[str, str]) -> None:
    """Keep the SQL of nodes by id.

    Args:
        code: the project's files of which it was compiled.
        compiled: the SQL of each node.
    """
    keep_pickled(_FILE, (code.settings, code.nodes), dict(compiled))


def has_sql(node: Any) -> bool:
    """Tell whether a node is made by a query: a model in SQL, or a snapshot."""
    return node.resource_type in ("model", "snapshot") and node.language == "sql"


def compiled_project(project: Project) -> dict[str, str]:
    """Return the SQL of models and snapshots by id: as builds have compiled it, or else as dbt does now.

    Raises:
        Fault: dbt has to compile, and cannot.
    """
    wanted = [id_ for id_, node in project.nodes.items() if has_sql(node)]
    compiled = read_compiled(project.code)
    if not compiled.keys() >= set(wanted):
        compiled = project.compiled_all()
        keep_compiled(project.code, compiled)
    return {id_: compiled[id_] for id_ in wanted}
