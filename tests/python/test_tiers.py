"""A test that builds cannot be taken for one that does not, and what is built once is built once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from built_once import built_once
from dbt.cli.main import dbtRunner


@pytest.mark.parametrize(
    "command",
    [
        [str(Path(sys.executable).with_name("dbt")), "--version"],
        [sys.executable, "-m", "dbt.cli.main", "--version"],
        [sys.executable, "-c", "from assay.cli import app; app()", "--help"],
    ],
)
def test_what_starts_a_build_without_asking_fails(command: list[str]) -> None:
    with pytest.raises(pytest.fail.Exception, match="has to ask for `builds`"):
        subprocess.run(command, check=False)
    with pytest.raises(pytest.fail.Exception, match="has to ask for `builds`"):
        dbtRunner().invoke(["--version"])


def test_each_process_has_a_copy_of_what_was_built_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    built: list[Path] = []

    def build(folder: Path) -> None:
        folder.mkdir()
        (folder / "file").write_text("as built")
        built.append(folder)
        if len(built) == 1:
            raise OSError("the first fails")

    with pytest.raises(OSError, match="the first fails"):
        built_once(tmp_path_factory, "thing", build)
    first, second = (built_once(tmp_path_factory, "thing", build) for _ in range(2))
    (first / "file").write_text("changed")
    assert (second / "file").read_text() == "as built"
    assert len(built) == 2


def test_a_test_that_hangs_ends(pytestconfig: pytest.Config) -> None:
    fails_after = float(pytestconfig.getini("timeout"))
    assert 0 < fails_after < float(pytestconfig.getini("faulthandler_timeout"))
    assert pytestconfig.getini("faulthandler_exit_on_timeout")
