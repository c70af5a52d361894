"""Find the nodes that a selection names, in both versions of the code."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.diff.code import CodeVersion, working_at
from assay.project.dbt_run import ask_dbt
from assay.project.failures import plain_message


def select_ids(select: str, versions: Iterable[CodeVersion], warehouse: Path) -> set[str]:
    """Return the ids of the nodes that dbt selects in any of these versions.

    Raises:
        Fault: it selects nothing, or dbt cannot read it.
    """
    found: set[str] = set()
    for code in versions:
        with working_at(code.root):
            listed = ask_dbt(
                ["ls", "--select", *select.split(), "--output", "json", "--output-keys", "unique_id"],
                warehouse,
                code.manifest,
            )
        if not listed.success:
            raise Fault(f"--select {select}: {plain_message(str(listed.exception))}", MISUSED)
        found |= {json.loads(line)["unique_id"] for line in listed.result}
    if not found:
        raise Fault(f"--select {select} matches nothing in this project.", MISUSED)
    return found
