"""Run dbt within the process of the tests: to import it, and what it makes ready once, takes seconds."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import quick_dbt  # noqa: F401
from dbt.artifacts.resources import FileHash
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import ManifestStateCheck
from dbt.deprecations import reset_deprecations
from dbt.parser.manifest import ManifestLoader

from assay.project.dbt_run import release_warehouse

# What dbt writes to logs/dbt.log, of each statement, takes a sixth of a build.
NO_LOG = {"DBT_LOG_LEVEL_FILE": "none"}


def dbt_here(
    arguments: list[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run dbt to its end as a process of its own would in a folder, and return what it printed.

    Args:
        arguments: the command and its options, as on dbt's command line.
        folder: where dbt is called.
        environment: all variables of its environment.
    """
    # dbt tells of each deprecation once in a process, and sums up those of all runs at the end of each.
    reset_deprecations()
    printed, warned = io.StringIO(), io.StringIO()
    with (
        chdir(folder),
        mock.patch.dict(os.environ, environment, clear=True),
        redirect_stdout(printed),
        redirect_stderr(warned),
    ):
        result = dbtRunner().invoke(["--no-use-colors", *arguments])
        release_warehouse(failed=not result.success)
    if result.exception:
        warned.write(str(result.exception))
    code = 0 if result.success else 2 if result.exception else 1
    return subprocess.CompletedProcess(arguments, code, printed.getvalue(), warned.getvalue())


_state_check = ManifestLoader.build_manifest_state_check


def _state_check_wherever_the_warehouse_lies(loader: ManifestLoader) -> ManifestStateCheck:
    """Let a copy of a project go on with what its original has parsed: dbt would parse all of it again."""
    found = _state_check(loader)
    credentials = loader.root_project.credentials
    found.profile_hash = FileHash.from_contents(f"{credentials.database} {credentials.schema}")
    return found


ManifestLoader.build_manifest_state_check = _state_check_wherever_the_warehouse_lies  # type: ignore[method-assign]
