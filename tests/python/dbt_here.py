"""Run dbt within the process of the tests: to import it, and what it makes ready once, takes seconds."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from hashlib import sha256
from pathlib import Path
from unittest import mock

import quick_dbt  # noqa: F401
from dbt.artifacts.resources import FileHash
from dbt.cli.main import dbtRunner
from dbt.constants import PARTIAL_PARSE_FILE_NAME
from dbt.contracts.graph.manifest import Manifest, ManifestStateCheck
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
        mock.patch.dict(os.environ, {**environment, **NO_LOG}, clear=True),
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
# They make other SQL of what is parsed; that they change no parse, `test_incremental` shows.
ONLY_WHEN_COMPILED = ("as_of", "held_splits")


def _state_check_wherever_the_warehouse_lies(loader: ManifestLoader) -> ManifestStateCheck:
    """Let a copy of a project, or of another moment, go on with what its original has parsed.

    dbt would parse all of it again.
    """
    of_parse = {
        name: value for name, value in loader.root_project.cli_vars.items() if name not in ONLY_WHEN_COMPILED
    }
    with mock.patch.object(loader.root_project, "cli_vars", of_parse):
        found = _state_check(loader)
    credentials = loader.root_project.credentials
    found.profile_hash = FileHash.from_contents(f"{credentials.database} {credentials.schema}")
    return found


_CHECKOUT = Path(__file__).parents[2]
_parsed_in: Path | None = None
_read_parsed = ManifestLoader.read_manifest_for_partial_parse
_write_parsed = ManifestLoader.write_manifest_for_partial_parse


def _target(loader: ManifestLoader) -> Path:
    return Path(loader.root_project.project_target_path) / PARTIAL_PARSE_FILE_NAME


def share_parsed(folder: Path) -> None:
    """Keep in a folder what projects are parsed to, for all processes that run tests."""
    global _parsed_in
    _parsed_in = folder
    folder.mkdir(parents=True, exist_ok=True)


def _kept(loader: ManifestLoader) -> Path | None:
    """Where is kept what a project of these files was parsed to, whatever stands in its `own` folders."""
    root = Path(loader.root_project.project_root)
    folders = ("models", "macros", "seeds", "snapshots", "tests/dbt")
    files = (path.relative_to(root).as_posix() for name in folders for path in (root / name).rglob("*.*"))
    check = loader.manifest.state_check
    hashes = (check.vars_hash, check.project_env_vars_hash, *check.project_hashes.values())
    key = [*(each.checksum for each in hashes), *sorted(name for name in files if "/own/" not in name)]
    return _parsed_in and _parsed_in / sha256("\n".join(key).encode()).hexdigest()


def _read_what_is_parsed(loader: ManifestLoader) -> Manifest | None:
    """Let another target folder, or another project of the same files, go on with what is parsed already.

    dbt compares each file with what it has parsed, as ever.
    """
    target = _target(loader)
    if not target.exists():
        of_project = Path(loader.root_project.project_root) / "target" / PARTIAL_PARSE_FILE_NAME
        found = [each for each in (of_project, _kept(loader)) if each and each.exists()]
        if found:
            # What lies in the checkout may be of other variables, and dbt would parse all of it again.
            parsed = found[-1 if _CHECKOUT in of_project.parents else 0]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(parsed, target)
    return _read_parsed(loader)


def _write_what_is_parsed(loader: ManifestLoader) -> None:
    _write_parsed(loader)
    if (kept := _kept(loader)) and not kept.exists():
        # Another process may write it as well.
        new = kept.with_suffix(f".{os.getpid()}")
        shutil.copyfile(_target(loader), new)
        new.replace(kept)


ManifestLoader.read_manifest_for_partial_parse = _read_what_is_parsed  # type: ignore[method-assign]
ManifestLoader.write_manifest_for_partial_parse = _write_what_is_parsed  # type: ignore[method-assign]
ManifestLoader.build_manifest_state_check = _state_check_wherever_the_warehouse_lies  # type: ignore[method-assign]
