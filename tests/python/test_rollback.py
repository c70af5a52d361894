"""Gold goes back to what an earlier run published: readers, CSV files and the online store, until a build."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import chdir, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from published_by_hand import ONE, make_published
from small_project import SmallProject

from assay.build import publications, rollback
from assay.build.publications import find_kept, how_many, keep, prune, published_run, to_keep
from assay.build.publish import Provenance, publish
from assay.build.rollback import list_publications, roll_back
from assay.core.fault import LOCKED, Fault
from assay.core.lock import locked
from assay.core.moment import now
from assay.core.places import Places
from assay.ledger.rollbacks import read_rollback, read_rollbacks, rollback_file
from assay.ledger.runs import Run, record
from assay.online.ahead import Ahead
from assay.online.stores.sqlite import SqliteStore
from assay.online.stores.store import StoreUnavailable
from assay.online.sync import sync
from assay.project.products import Products
from assay.stream.hot.hot import HotPath
from assay.stream.hot.keeper import HotPathKeeper

PLACES = Places(Path("landing"), Path("data", "assay.duckdb"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three publications, of 10, 11 and 12 entities, by the runs `aaa`, `abb` and `ccc`."""
    root = tmp_path_factory.mktemp("made")
    with chdir(root), pytest.MonkeyPatch.context() as patched:
        patched.delenv("ASSAY_ONLINE_STORE", raising=False)
        Path("dbt_project.yml").write_text("name: shop\n")
        for entities, run_id in enumerate(("aaa", "abb", "ccc"), start=10):
            publish_run(PLACES, run_id, entities)
    return root


@pytest.fixture
def places(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A copy of it, in which hard links are links of each other alone."""
    subprocess.run(["cp", "-a", f"{made}/.", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_ONLINE_STORE", raising=False)
    return PLACES


def publish_run(places: Places, run_id: str, entities: int) -> None:
    """Publish as a build does, with a CSV file, and put it online."""
    places.main_warehouse.parent.mkdir(exist_ok=True)
    made = make_published(places.main_warehouse.with_name("made.duckdb"), run_id=run_id, entities=entities)
    with duckdb.connect(str(made)) as connection:
        names = [name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()]
    products = Products(dict.fromkeys(names, "online_features"), csv_files={f"srv_{ONE}": f"of_{run_id}"})
    keep(places.published)
    for file in places.published.parent.glob("*.csv"):
        file.unlink()
    publish(made, places.published, products, Provenance(run_id, now()))
    keep(places.published)
    prune(places.published, how_many())
    sync(places.published, store(places))
    run = Run(run_id, str(places.warehouse), now(), "assay build", {}, status="succeeded", ended_at=now())
    run.published_path, run.published_at = str(places.published), now()
    run.published_tables, run.published_rows = len(names), entities
    record(places.ledger, run)


def store(places: Places) -> SqliteStore:
    return SqliteStore(places.main_warehouse.with_name("online.sqlite"))


def back(places: Places, run_id: str, reason: str = "") -> rollback.RolledBack:
    return roll_back(places, run_id, reason=reason, wait=0, tell=lambda _: None)


def seen(places: Places) -> tuple[int, int, list[str]]:
    """How many entities readers see, how many are online, and which CSV files lie there."""
    with duckdb.connect(str(places.published), read_only=True) as connection:
        [(published,)] = connection.execute(f"select count(*) from gold.srv_{ONE}").fetchall()
    csv_files = sorted(file.stem for file in places.published.parent.glob("*.csv"))
    return published, store(places).entities(ONE), csv_files


def states(places: Places) -> dict[str, str]:
    return {
        each.run_id: "current" if each.is_current else "back" if each.rollback else "kept"
        for each in list_publications(places).found
    }


def test_readers_and_the_online_store_go_back_and_the_ledger_says_who_and_why(places: Places) -> None:
    assert seen(places) == (12, 12, ["of_ccc"])
    with duckdb.connect(str(places.published), read_only=True) as reader:
        done = back(places, "abb", "wrong amounts")
        assert reader.execute(f"select count(*) from gold.srv_{ONE}").fetchall() == [(12,)]
    assert seen(places) == (11, 11, ["of_abb"])
    assert [each.removed for each in done.online or []] == [1, 1]
    [noted] = read_rollbacks(places.ledger, places.warehouse)
    assert (noted.from_run, noted.to_run, noted.reason) == ("ccc", "abb", "wrong amounts")
    assert "@" in noted.who
    assert noted.ended_at
    assert read_rollback(places.warehouse) == noted
    assert states(places) == {"ccc": "back", "abb": "current", "aaa": "kept"}


def test_two_rollbacks_in_a_row_and_the_way_forward_again(places: Places) -> None:
    back(places, "abb")
    back(places, "aaa")
    assert seen(places) == (10, 10, ["of_aaa"])
    assert [(each.from_run, each.to_run) for each in read_rollbacks(places.ledger, places.warehouse)] == [
        ("abb", "aaa"),
        ("ccc", "abb"),
    ]
    assert back(places, "ccc").is_newest
    assert seen(places) == (12, 12, ["of_ccc"])
    assert read_rollback(places.warehouse) is None, "it is no longer rolled back"
    assert states(places) == {"ccc": "current", "abb": "back", "aaa": "kept"}


def test_a_rollback_to_what_readers_have_changes_nothing(places: Places) -> None:
    assert not back(places, "ccc").is_new
    assert read_rollback(places.warehouse) is None
    back(places, "aaa")
    file = rollback_file(places.warehouse).read_bytes()
    assert not back(places, "aaa").is_new
    assert rollback_file(places.warehouse).read_bytes() == file
    assert len(read_rollbacks(places.ledger, places.warehouse)) == 1
    assert not [each.name for each in places.published.parent.glob(".*")], "no leftover"


@pytest.mark.parametrize("at", ["put_back", "sync", "Ahead"])
def test_what_is_killed_in_the_middle_goes_on_by_the_same_call(
    places: Places, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    real = getattr(rollback, at)

    def killed(*arguments: Any) -> None:
        os._exit(9)

    monkeypatch.setattr(rollback, at, killed)
    process = multiprocessing.get_context("fork").Process(target=back, args=(places, "aaa", "why"))
    process.start()
    process.join()
    assert process.exitcode == 9
    monkeypatch.setattr(rollback, at, real)
    noted = read_rollback(places.warehouse)
    assert noted
    assert noted.ended_at is None
    assert back(places, "aaa").is_new
    assert seen(places) == (10, 10, ["of_aaa"])
    [ended] = read_rollbacks(places.ledger, places.warehouse)
    assert (ended.from_run, ended.to_run, ended.reason) == ("ccc", "aaa", "why")
    assert ended.ended_at


def test_a_store_that_is_away_is_told_and_taken_back_later(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(rollback, "sync", away)
    with pytest.raises(
        Fault, match=r"The store is away\.\nThe rollback is not complete: .* run aaa published"
    ):
        back(places, "aaa")
    assert seen(places)[:2] == (10, 12)
    monkeypatch.setattr(rollback, "sync", sync)
    back(places, "aaa")
    assert seen(places)[:2] == (10, 10)


def test_search_that_fails_stops_no_store_and_a_store_that_fails_no_search(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched = []

    def publish_search(*_: Any, **__: Any) -> None:
        searched.append(published_run(places.published))
        if len(searched) == 1:
            raise Fault("Search needs an extra.")

    def away(*_: Any) -> None:
        raise StoreUnavailable("The store is away.")

    monkeypatch.setattr(rollback, "publish_search", publish_search)
    with pytest.raises(Fault, match=r"Search needs an extra\.\nThe rollback is not complete: .* or search"):
        back(places, "aaa")
    assert seen(places)[:2] == (10, 10)
    monkeypatch.setattr(rollback, "sync", away)
    with pytest.raises(Fault, match=r"The store is away\.\nThe rollback is not complete"):
        back(places, "abb")
    monkeypatch.setattr(rollback, "sync", sync)
    assert back(places, "abb").is_new
    assert searched == ["aaa", "abb", "abb"]


def test_a_stream_that_writes_meanwhile_is_taken_back_too(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ahead(places.ahead).note(ONE, ["t3"], {("app.sessions", "t", 0): 7})
    Ahead(places.ahead).reach({("app.sessions", "t", 0): 7})
    real, times = rollback.sync, iter([True])

    def overtaken_once(*arguments: Any) -> Any:
        if next(times, False):
            raise StoreUnavailable("Another sync wrote it meanwhile.")
        return real(*arguments)

    monkeypatch.setattr(rollback, "sync", overtaken_once)
    back(places, "aaa")
    assert seen(places)[:2] == (10, 10)
    assert Ahead(places.ahead).find(ONE, {}) == (set(), set())
    assert Ahead(places.ahead).reached() == {}


def test_bad_input_says_what_to_do_and_changes_nothing(places: Places) -> None:
    for entities, run_id in enumerate(("gone", "ddd"), start=13):
        publish_run(places, run_id, entities)
    record(places.ledger, Run("idle", str(places.warehouse), now(), "assay build", {}))
    (places.published.parent / "kept" / "gone" / places.published.name).unlink()
    for run_id, said in {
        "nobody": "No run begins with nobody",
        "": "Name a run",
        "a": "Several publications begin with a: abb, aaa",
        "idle": "Run idle has published nothing",
        "gone": "What run gone published is not kept any more: its file is not there",
        "../kept/aaa": "No run begins with",
    }.items():
        with pytest.raises(Fault, match=said):
            back(places, run_id)
    assert seen(places)[:2] == (14, 14)
    assert read_rollback(places.warehouse) is None
    assert "gone" not in states(places)


def test_a_damaged_publication_does_not_reach_readers(places: Places) -> None:
    (places.published.parent / "kept" / "aaa" / places.published.name).write_bytes(b"no database")
    with pytest.raises(Fault, match="is damaged, or is not what run aaa published"):
        back(places, "aaa")
    assert seen(places) == (12, 12, ["of_ccc"])


def test_a_build_that_runs_refuses_a_rollback_and_says_who_it_is(places: Places) -> None:
    def hold(ready: Any, done: Any) -> None:
        with locked(places.warehouse, command="assay build", wait=0, on_wait=lambda _: None):
            ready.set()
            done.wait(20)

    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(ready, done))
    process.start()
    assert ready.wait(20)
    with pytest.raises(Fault, match=rf"PID {process.pid} on .*\(assay build\)") as caught:
        back(places, "aaa")
    done.set()
    process.join()
    assert caught.value.exit_code == LOCKED
    assert seen(places) == (12, 12, ["of_ccc"])


def test_a_full_disk_changes_nothing(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "somewhere")

    monkeypatch.setattr(publications.os, "link", full)
    monkeypatch.setattr(publications.shutil, "copy2", full)
    with pytest.raises(Fault, match="The disk has no room") as caught:
        back(places, "aaa")
    assert "readers have what run ccc published" in str(caught.value)
    assert seen(places) == (12, 12, ["of_ccc"])
    assert not list(places.published.parent.glob(".*"))


def test_where_there_are_no_hard_links_publications_are_copied(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(each.published.stat().st_nlink >= 1 for each in find_kept(places.published))
    assert places.published.stat().st_nlink == 2, "what readers have takes no room twice"

    def none(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(publications.os, "link", none)
    publish_run(places, "ddd", 13)
    back(places, "aaa")
    assert seen(places) == (10, 10, ["of_aaa"])
    back(places, "ddd")
    assert seen(places) == (13, 13, ["of_ddd"])


def test_the_last_ones_are_kept_and_the_last_one_of_each_day() -> None:
    noon = datetime(2026, 1, 10, 12)
    there = [(f"{days}.{number}", noon - timedelta(days, number)) for days in range(5) for number in range(3)]
    assert to_keep(there, 3) == {"0.0", "0.1", "0.2", "1.0", "2.0"}
    assert to_keep(there, 1) == {"0.0"}
    assert to_keep([], 7) == set()


def test_a_list_says_what_readers_have_of_each_and_none_that_a_build_removes_meanwhile(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run's own record counts what it published anew, which may be a part."""
    with duckdb.connect(str(places.ledger)) as connection:
        connection.execute("update runs set published_tables = 1, published_rows = 1")
    with duckdb.connect(str(places.published), read_only=True) as connection:
        names = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables() where schema_name <> 'published'"
        ).fetchall()
        rows = sum(connection.execute(f"select count(*) from {name}").fetchall()[0][0] for (name,) in names)
    [newest, *_] = list_publications(places).found
    assert (newest.tables, newest.rows) == (len(names), rows)
    there = find_kept(places.published)
    monkeypatch.setattr(rollback, "find_kept", lambda published: there)
    shutil.rmtree(there[-1].folder)
    there[1].published.write_bytes(b"damaged")
    found = list_publications(places).found
    assert [(each.run_id, each.tables is None) for each in found] == [("ccc", False), ("abb", True)]


def test_the_oldest_is_not_removed_while_readers_have_it(places: Places) -> None:
    back(places, "aaa")
    prune(places.published, 1)
    assert states(places) == {"ccc": "back", "aaa": "current"}
    Path("dbt_project.yml").write_text("name: shop\nvars: {keep_publications: 2}\n")
    publish_run(places, "ddd", 13)
    assert list(states(places)) == ["ddd", "ccc"]


@pytest.mark.parametrize("number", ["0", "-1", "true", "many", "1.5"])
def test_how_many_are_kept_is_a_whole_number(number: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dbt_project.yml").write_text(f"name: shop\nvars: {{keep_publications: {number}}}\n")
    with pytest.raises(Fault, match="write a whole number of publications, 1 or more"):
        how_many()


def test_a_publication_half_kept_is_none(places: Places) -> None:
    (places.published.parent / "kept" / ".eee.1").mkdir()
    half = places.published.parent / "kept" / "ccc" / places.published.name
    half.unlink()
    assert "ccc" not in states(places)
    keep(places.published)
    prune(places.published, 7)
    assert states(places)["ccc"] == "current"
    assert not list((places.published.parent / "kept").glob(".*"))


def test_the_hot_path_leaves_a_store_that_is_rolled_back(places: Places) -> None:
    back(places, "aaa")
    path = HotPath.__new__(HotPath)
    path._places, path._store = places, store(places)
    view = SimpleNamespace(online=store(places).catalog()[ONE])
    with pytest.raises(StoreUnavailable, match="Gold was rolled back"):
        path._write(view, [], ["t1"], {})  # type: ignore[arg-type]
    told: list[str] = []
    keeper = HotPathKeeper(places, [], store(places), told.append)
    pending = [(SimpleNamespace(name="app.sessions"), {0: ["message"]})]
    closed: list[bool] = []
    keeper._path = SimpleNamespace(pending=lambda: pending, close=lambda: closed.append(True))  # type: ignore[assignment]
    keeper._looked = 0
    keeper.refresh()
    assert (keeper._path, keeper._waiting, closed) == (None, pending, [True])
    assert len(told) == 1
    assert told[0].startswith("Messages land, and the next build brings them online: gold was rolled back to")


@contextmanager
def interrupted_after(monkeypatch: pytest.MonkeyPatch, steps: Sequence[Any]) -> Any:
    """A watch that does something after each look, and is interrupted then."""
    left = list(steps)

    def wait(_: float) -> None:
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()

    with monkeypatch.context() as patched:
        patched.setattr("assay.build.watch.time.sleep", wait)
        yield


@pytest.mark.minutes
@pytest.mark.usefixtures("builds")
def test_the_next_build_publishes_again_what_the_warehouse_holds(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = "select sum(quantity)::int from gold.fct_lines"

    def build(*options: str) -> str:
        result = project.assay("build", *options)
        assert result.exit_code == 0, result.stdout + result.stderr
        return result.stdout

    def go_back() -> str:
        result = project.assay("published", "rollback", first, "--reason", "wrong pieces")
        assert result.exit_code == 0, result.stdout + result.stderr
        assert project.query(pieces, file=project.published) == [(10,)]
        return result.stdout

    build()
    first = published_run(project.published)
    assert first
    project.land(5, 100)
    build()
    assert project.query(pieces, file=project.published) == [(110,)]
    assert "`assay build --watch` rests" in go_back()
    listed = project.assay("published", "list").stdout
    assert listed.count("current") == 1
    assert "wrong pieces" in listed
    assert "Then rolled back to run" in project.assay("status").stdout
    # Nothing has landed since.
    again = build()
    assert "again, what the warehouse holds: gold was rolled back to run " + first in again
    assert project.query(pieces, file=project.published) == [(110,)]
    assert "Published again, after gold was rolled back" in project.runs()[-1][1]
    assert "Nothing has landed" in build()
    # A file has landed since; a watch leaves it, because nobody has mended what was wrong.
    go_back()
    project.land(6, 1000)
    with interrupted_after(monkeypatch, [lambda: None]):
        watched = project.assay("build", "--watch")
    said = watched.stdout + watched.stderr
    assert said.count("Nothing is built until somebody has: assay build") == 1
    assert project.query(pieces, file=project.published) == [(10,)]
    assert "again, what the warehouse holds" in build()
    assert project.query(pieces, file=project.published) == [(1110,)]
