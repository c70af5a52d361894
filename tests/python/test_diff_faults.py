"""What may go wrong around a review: others have the warehouse, somebody ends it, folders lie elsewhere."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import sys
import sysconfig
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import duckdb
import pytest
from committed_project import GOLD, change, commit_all, diff, git
from small_project import SmallProject
from test_lock import KEEP_OPEN, start
from test_pii import change_yaml, named

from assay.api.project import open_project
from assay.core.fault import INTERRUPTED, Fault
from assay.core.lock import locked
from assay.core.places import Places
from assay.diff.code import working_at
from assay.diff.hashed import require_its_key
from assay.diff.workshop import workshop
from assay.leakage.erased import Silent
from assay.pii.key import PiiKey

DAYS = GOLD / "fct_days.sql"
MORE = ("quantity,", "(quantity + 1)::integer as quantity,")


@pytest.fixture
def committed(project: SmallProject) -> SmallProject:
    """The small project as a repository, built from its branch main, as its record of runs says."""
    commit_all(project)
    with duckdb.connect(str(project.root / "data" / "ops.duckdb")) as connection:
        connection.execute("update runs set code_version = $1", [git(project, "rev-parse", "HEAD").strip()])
    return project


def test_while_a_build_has_the_warehouse_the_published_file_is_read(committed: SmallProject) -> None:
    change(committed, "sum(quantity)::bigint", "(2 * sum(quantity))::bigint", DAYS)
    with locked(committed.warehouse, command="assay build", wait=0, on_wait=print):
        told = committed.assay("diff", "main")
        assert told.exit_code == 0, told.output
        assert "comparing with what was published last" in " ".join(told.output.split())
        assert "1 table touched from main to the working tree: 1 changed" in told.output
        change(committed, *MORE)
        told = committed.assay("diff", "main")
    assert told.exit_code == 3
    assert "what it published does not hold what brz_erp__order_lines is made of" in told.output
    assert not (committed.warehouse.parent / "assay.duckdb.diff").exists()


def test_a_warehouse_may_have_any_name_and_a_branch_that_of_a_folder(
    project: SmallProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = SmallProject(project.root, {"ASSAY_WAREHOUSE": "data/my-own 1.duckdb"})
    commit_all(own)
    assert own.assay("build").exit_code == 0
    change(own, "sum(quantity)::bigint", "(2 * sum(quantity))::bigint", DAYS)
    assert diff(own, "main")["gold.fct_days"]["status"] == "changed"
    with locked(own.root / "data" / "my-own 1.duckdb", command="assay build", wait=0, on_wait=print):
        told = own.assay("diff", "main")
    assert told.exit_code in (0, 3), told.output
    # In the folder from which Python is started, a folder may be called like a branch.
    (tmp_path / "main").mkdir()
    monkeypatch.chdir(tmp_path)
    with mock.patch.dict(os.environ, own.environment, clear=True):
        found = open_project(own.root).diff("main")
    assert [table.status for table in found.review.tables] == ["changed"]


def test_a_warehouse_that_another_program_writes_is_told(committed: SmallProject) -> None:
    change(committed, *MORE)
    holder = start(KEEP_OPEN, committed.warehouse)
    told = committed.assay("diff", "main")
    holder.kill()
    holder.wait()
    assert told.exit_code == 3
    assert "is open in another program" in told.output
    assert f"PID {holder.pid}" in told.output
    assert not (committed.warehouse.parent / "assay.duckdb.diff").exists()


def test_a_project_may_lie_in_a_folder_of_the_repository(project: SmallProject, tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: another\n")
    commit_all(project, top=tmp_path)
    change(project, *MORE)
    # A person's own folder stays.
    page = project.warehouse.with_name("diff") / "page.html"
    page.parent.mkdir()
    page.touch()
    # A diff that was killed has left this.
    left = project.warehouse.with_name("assay.duckdb.diff") / "head"
    left.mkdir(parents=True)
    assert {name: table["status"] for name, table in diff(project, "main").items()} == {
        "gold.fct_lines": "changed",
        "gold.fct_days": "changed",
    }
    assert not left.parent.exists()
    assert page.exists()
    git(project, "mv", "models/own/gold/fct_days.sql", "models/own/gold/fct_ds.sql")
    assert "fct_days.sql" in git(project, "ls-tree", "-r", "--name-only", "--full-tree", "main")
    git(project, "rm", "-r", "--cached", "-q", ".")
    git(project, "commit", "-m", "no project")
    told = project.assay("diff", "main")
    assert told.exit_code == 2
    assert "main has no dbt project in project/." in told.output


def test_an_interrupt_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path / "assay.duckdb")
    before = signal.getsignal(signal.SIGTERM)

    def work(number: signal.Signals) -> None:
        with workshop(places, Silent()) as folder:
            (folder / "base").mkdir()
            signal.raise_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(Fault, match="Interrupted: nothing was compared") as ended:
            work(number)
        assert ended.value.exit_code == INTERRUPTED
        assert not (tmp_path / "assay.duckdb.diff").exists()
        assert signal.getsignal(signal.SIGTERM) is before


def test_a_review_that_is_ended_leaves_nothing(committed: SmallProject) -> None:
    """While it builds, in a process of its own."""
    change(committed, *MORE)
    before = committed.warehouse.read_bytes()
    working = committed.warehouse.with_name("assay.duckdb.diff")
    running = committed.start("diff", "main")
    while not (working / "assay_diff_base").exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.terminate()
    _, errors = running.communicate()
    assert running.returncode == INTERRUPTED, errors
    assert errors.endswith("Error: Interrupted: nothing was compared.\n")
    assert "Traceback" not in errors
    assert not working.exists()
    assert committed.warehouse.read_bytes() == before
    assert git(committed, "worktree", "list").count("\n") == 1


def test_an_absolute_target_folder_is_the_projects_alone(project: SmallProject, tmp_path: Path) -> None:
    """What dbt kept of another version there would go into the next build: paths of folders that are gone."""
    target = tmp_path / "target"
    shutil.copytree(project.root / "target", target)
    own = SmallProject(project.root, {"DBT_TARGET_PATH": str(target)})
    commit_all(own)
    change(own, *MORE)
    found = diff(own, "main")
    assert found["gold.fct_lines"]["rows"]["added"] == 4
    assert found["gold.fct_lines"]["before"]["seconds"]
    named = str(own.warehouse.with_name("assay.duckdb.diff")).encode()
    assert [file.name for file in target.rglob("*") if file.is_file() and named in file.read_bytes()] == []
    assert diff(own, "main")["gold.fct_lines"]["rows"]["added"] == 4


# --- keys ---------------------------------------------------------------------------------------------------

KEYS = ["an invented key of 32 characters", "another invented key of 32 letters"]


def hash_with(warehouse: Path, key: str) -> None:
    """Note in a warehouse that its personal data is hashed with a key."""
    with duckdb.connect(str(warehouse)) as connection:
        fingerprint = PiiKey(key.encode()).fingerprint
        connection.execute("update landing.pii_key set fingerprint = $1", [fingerprint])


@pytest.mark.parametrize(("key", "is_refused"), [(KEYS[0], False), (KEYS[1], True), ("", True)])
def test_what_another_key_hashed_is_not_built_beside(
    key: str, is_refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_PII_KEY", key)
    sources = {
        name: SimpleNamespace(config=SimpleNamespace(meta=meta))
        for name, meta in (("personal", {"pii": {"card": "hash"}}), ("plain", None))
    }
    nodes = {
        name: SimpleNamespace(
            name=name,
            config=SimpleNamespace(materialized="table"),
            depends_on=SimpleNamespace(nodes=[parent], macros=macros),
        )
        for name, parent, macros in (
            ("hashed", "personal", ["macro.assay.shielded_rows"]),
            ("plain_silver", "plain", ["macro.assay.shielded_rows"]),
            ("gold", "hashed", []),
        )
    }
    macros = {
        "macro.assay.shielded_rows": SimpleNamespace(
            depends_on=SimpleNamespace(macros=["macro.assay.pii_hash"])
        ),
        "macro.assay.pii_hash": SimpleNamespace(depends_on=SimpleNamespace(macros=[])),
    }
    code: Any = SimpleNamespace(manifest=SimpleNamespace(nodes=nodes, sources=sources, macros=macros))
    fingerprint = PiiKey(KEYS[0].encode()).fingerprint
    require_its_key(fingerprint, code, ["plain_silver", "gold"])
    require_its_key(None, code, nodes)
    with pytest.raises(Fault, match="the hashes in hashed would differ") if is_refused else nullcontext():
        require_its_key(fingerprint, code, nodes)


def test_a_review_with_another_key_is_refused(project: SmallProject) -> None:
    hash_with(project.warehouse, KEYS[0])
    other = SmallProject(project.root, {"ASSAY_PII_KEY": KEYS[1]})
    change_yaml(
        project.root / "models" / "example" / "bronze" / "_bronze__sources.yml",
        lambda file: named(named(file["sources"], "erp")["tables"], "order_lines")["config"]["meta"].update(
            pii={"CustomerID": "hash"}
        ),
    )
    change(project, "hash_pii: false", "hash_pii: true", Path("dbt_project.yml"))
    commit_all(project)
    change(project, *MORE)
    told = other.assay("diff", "main")
    assert told.exit_code == 2
    assert "ASSAY_PII_KEY is not the key that the warehouse was built with" in told.output
    assert not (project.warehouse.parent / "assay.duckdb.diff").exists()


def test_warehouses_that_two_keys_hashed_are_told(project: SmallProject) -> None:
    other = Path(shutil.copy(project.warehouse, project.root / "other.duckdb"))
    for warehouse, key in ((project.warehouse, KEYS[0]), (other, KEYS[0])):
        hash_with(warehouse, key)
    assert "different keys" not in project.assay("diff", "other.duckdb").output
    hash_with(other, KEYS[1])
    told = project.assay("diff", "other.duckdb")
    assert told.exit_code == 0
    assert "They were built with different keys (ASSAY_PII_KEY)" in told.output


def test_packages_of_an_environment_in_the_projects_folder_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / ".venv" / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "of_the_environment.py").touch()
    (tmp_path / "of_the_project.py").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(installed))
    with working_at(tmp_path):
        sys.path[:0] = [str(installed), str(tmp_path)]
        importlib.import_module("of_the_environment")
        importlib.import_module("of_the_project")
    assert sys.modules.pop("of_the_environment", None)
    assert "of_the_project" not in sys.modules
