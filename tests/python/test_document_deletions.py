"""A document that is deleted is hidden at once, lands as deleted, and does not come back unasked."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from search_index import Chunk, write_gold

from assay.api.project import open_project
from assay.build.publications import find_kept
from assay.build.search import forget_deleted
from assay.core.fault import Fault
from assay.core.places import Places
from assay.documents.delete import delete_documents
from assay.documents.land import LandedFolder, land_folder
from assay.search.index import write_index
from assay.search.tombstones import Tombstones

NOW = datetime(2026, 3, 1, 12)


@dataclass(frozen=True)
class Shop:
    """Documents of a folder and of another system, landed and published."""

    root: Path

    @property
    def tombstones(self) -> Tombstones:
        return Tombstones(self.root / "deleted.json")

    def land(self, seconds: float) -> LandedFolder:
        moment = NOW + timedelta(seconds=seconds)
        return land_folder(self.root / "pages", "pages", self.root / "landing", moment)

    def delete(self, *documents: str, seconds: float = 60, hide: Any = None) -> dict[str, str]:
        found = delete_documents(
            documents,
            landing=self.root / "landing",
            published=self.root / "assay.duckdb",
            hidden=self.tombstones.find,
            hide=hide or self.tombstones.add,
            deleted_at=NOW + timedelta(seconds=seconds),
        )
        return {each.document_id: each.deletion.value for each in found}

    def lines(self) -> list[dict[str, Any]]:
        files = sorted((self.root / "landing" / "docs" / "documents").glob("*/deleted-*"))
        return [json.loads(line) for file in files for line in gzip.open(file, "rt")]

    def files(self) -> dict[str, bytes]:
        return {
            str(file): file.read_bytes()
            for file in sorted(self.root.rglob("*"))
            if file.is_file() and file.suffix != ".lock"
        }


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    pages = tmp_path / "pages"
    pages.mkdir()
    for name in ("a.md", "b.md"):
        (pages / name).write_text(f"Page {name}")
    shop.land(0)
    publish(shop, ["pages/a.md", "pages/b.md", "faq-1"])
    return shop


def publish(shop: Shop, current: Iterable[str], past: Iterable[str] = ("gone",)) -> None:
    chunks = [Chunk(each, each, source=each.split("/")[0], valid_from=NOW) for each in current]
    chunks += [Chunk(each, each, valid_to=NOW) for each in past]
    write_gold(shop.root / "assay.duckdb", chunks)


def test_a_document_is_hidden_and_lands_as_deleted(shop: Shop) -> None:
    assert shop.delete("faq-1", "pages/a.md", "faq-1") == {"faq-1": "deleted", "pages/a.md": "deleted"}
    at = NOW + timedelta(seconds=60)
    assert shop.tombstones.find() == {"faq-1": at, "pages/a.md": at}
    updated_at = "2026-03-01T12:01:00.000000Z"
    assert sorted(shop.lines(), key=lambda line: line["document_id"]) == [
        {"document_id": "faq-1", "source": "faq-1", "updated_at": updated_at, "deleted": True},
        {"document_id": "pages/a.md", "source": "pages", "updated_at": updated_at, "deleted": True},
    ]


def test_again_changes_nothing(shop: Shop) -> None:
    shop.delete("faq-1", "pages/a.md")
    before = shop.files()
    assert shop.delete("pages/a.md", "faq-1", seconds=90) == {
        "pages/a.md": "deleted already",
        "faq-1": "deleted already",
    }
    assert shop.files() == before
    publish(shop, ["pages/b.md"], ["faq-1", "pages/a.md", "gone"])
    before = shop.files()
    assert set(shop.delete("pages/a.md", "faq-1", "gone", seconds=90).values()) == {"deleted already"}
    assert shop.files() == before


def test_what_is_unknown_is_told_and_stops_nothing(shop: Shop) -> None:
    odd = ("nowhere", "pages/c.md", "../../x", "x" * 5000, "a\0b", "' or true --", "")
    # What is no text is told as text.
    assert shop.delete("\udcff") == {r"\xed\xb3\xbf": "unknown"}
    found = shop.delete(*odd, "faq-1")
    assert found == dict.fromkeys(odd, "unknown") | {"faq-1": "deleted"}
    assert set(shop.tombstones.find()) == {"faq-1"}
    (shop.root / "assay.duckdb").unlink()
    assert shop.delete("faq-2", "pages/b.md") == {"faq-2": "unknown", "pages/b.md": "deleted"}


def test_a_folder_that_still_has_the_file_does_not_bring_it_back(shop: Shop) -> None:
    shop.delete("pages/a.md")
    for seconds, content in ((70, None), (80, "Another page")):
        if content:
            (shop.root / "pages" / "a.md").write_text(content)
        landed = shop.land(seconds)
        assert (landed.file, landed.withdrawn, landed.unchanged) == (None, ["a.md"], 1)
    (shop.root / "pages" / "a.md").unlink()
    landed = shop.land(90)
    assert (landed.file, landed.withdrawn, landed.deleted) == (None, [], [])
    # A file that comes later is another document, which can be deleted too.
    (shop.root / "pages" / "a.md").write_text("Back")
    landed = shop.land(100)
    assert (landed.new, landed.withdrawn) == (["a.md"], [])
    assert shop.delete("pages/a.md", seconds=110) == {"pages/a.md": "deleted"}
    assert shop.tombstones.find()["pages/a.md"] == NOW + timedelta(seconds=110)
    assert shop.land(120).withdrawn == ["a.md"]


def test_a_file_that_is_gone_may_come_again_though_it_is_deleted_twice(shop: Shop) -> None:
    shop.delete("pages/a.md")
    (shop.root / "pages" / "a.md").unlink()
    shop.land(70)
    assert shop.delete("pages/a.md", seconds=80) == {"pages/a.md": "deleted already"}
    (shop.root / "pages" / "a.md").write_text("Back")
    assert shop.land(90).new == ["a.md"]


def test_a_deletion_is_later_than_what_landed_in_the_same_second(shop: Shop) -> None:
    # What is published, and what only has landed, whenever its file was written.
    shop.delete("faq-1", seconds=0.5)
    assert shop.tombstones.find() == {"faq-1": NOW + timedelta(seconds=1)}
    page = shop.root / "pages" / "c.md"
    page.write_text("Old")
    os.utime(page, (0, 0))
    assert shop.land(10).new == ["c.md"]
    shop.delete("pages/c.md", seconds=10.5)
    assert shop.tombstones.find()["pages/c.md"] == NOW + timedelta(seconds=11)
    (shop.root / "pages" / "b.md").write_text("Anew")
    landed = shop.land(10.7)
    assert landed.file is not None
    assert landed.file.parent.name == "landed_at=2026-03-01T12-00-12"


def test_a_call_that_was_killed_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    # Before anything, after hiding, between lines, and before the folder's state.
    with pytest.raises(KeyboardInterrupt):
        shop.delete("pages/a.md", "faq-1", hide=killed)
    assert (shop.tombstones.find(), shop.lines()) == ({}, [])
    monkeypatch.setattr("assay.documents.delete.write_lines", killed)
    with pytest.raises(KeyboardInterrupt):
        shop.delete("pages/a.md", "faq-1")
    assert (set(shop.tombstones.find()), shop.lines()) == ({"pages/a.md", "faq-1"}, [])
    monkeypatch.undo()
    monkeypatch.setattr("assay.documents.delete.write_state", killed)
    with pytest.raises(KeyboardInterrupt):
        shop.delete("pages/a.md", "faq-1", seconds=70)
    monkeypatch.undo()
    assert set(shop.delete("pages/a.md", "faq-1", seconds=80).values()) == {"deleted already"}
    assert [line["updated_at"] for line in shop.lines()] == ["2026-03-01T12:01:00.000000Z"] * 2
    assert shop.land(90).withdrawn == ["a.md"]


def test_a_version_that_landed_after_a_deletion_can_be_deleted(shop: Shop) -> None:
    shop.delete("faq-1")
    write_gold(shop.root / "assay.duckdb", [Chunk("faq-1", "again", valid_from=NOW + timedelta(seconds=70))])
    assert shop.delete("faq-1", seconds=80) == {"faq-1": "deleted"}
    assert shop.tombstones.find() == {"faq-1": NOW + timedelta(seconds=80)}
    assert len(shop.lines()) == 2


def test_a_list_of_what_is_hidden_that_is_damaged_is_told(shop: Shop) -> None:
    for content in ("{", "[]", '{"a": 1}', '{"a": "soon"}'):
        (shop.root / "deleted.json").write_text(content)
        with pytest.raises(Fault, match="is damaged, so nobody can tell which documents are deleted"):
            shop.tombstones.find()


def test_one_document_is_no_list_of_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dbt_project.yml").write_text("name: shop\n")
    for name in ("ASSAY_LANDING", "ASSAY_WAREHOUSE"):
        monkeypatch.delenv(name, raising=False)
    found = open_project(tmp_path).delete_documents("faq-1")
    assert [each.document_id for each in found] == ["faq-1"]


def test_what_is_over_is_hidden_no_longer(shop: Shop) -> None:
    shop.delete("faq-1", "pages/a.md")
    shop.tombstones.prune(lambda document, at: document == "faq-1" and at > NOW)
    assert set(shop.tombstones.find()) == {"pages/a.md"}


def test_what_is_hidden_is_over_where_no_file_has_it_from_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gold(file: Path, *documents: str, since: datetime = NOW) -> Path:
        file.parent.mkdir(parents=True, exist_ok=True)
        past = Chunk("gone", "text", valid_to=NOW)
        return write_gold(file, [past, *(Chunk(each, "text", valid_from=since) for each in documents)])

    places = Places(tmp_path / "landing", tmp_path / "assay.duckdb")
    tombstones = Tombstones(places.deleted_documents)
    forget_deleted(places)
    assert not places.deleted_documents.exists()
    kept = places.published.parent / "kept"
    gold(kept / "run-1" / "assay.duckdb", "kept", "again", since=NOW + timedelta(seconds=60))
    gold(kept / "run-2" / "assay.duckdb", "kept")
    with duckdb.connect(gold(kept / "run-3" / "assay.duckdb", "kept")) as connection:
        connection.execute("drop table gold.doc_chunks")
    gold(places.published, "indexed")
    write_index(places.published, places.search)
    gold(places.published, "published", "it's")
    hidden = ("gone", "kept", "again", "indexed", "published", "it's", "unknown")
    tombstones.add(dict.fromkeys(hidden, NOW + timedelta(seconds=60)))

    def delete_meanwhile(published: Path) -> Any:
        tombstones.add({"meanwhile": NOW})
        return find_kept(published)

    monkeypatch.setattr("assay.build.search.find_kept", delete_meanwhile)
    forget_deleted(places)
    assert set(tombstones.find()) == {"kept", "indexed", "published", "it's", "meanwhile"}


def test_threads_that_ask_at_once_do_not_mix_up_what_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that has read the last list may be slow, and end while another takes note of the new one."""
    writer = Tombstones(tmp_path / "deleted.json")
    asked = Tombstones(tmp_path / "deleted.json")
    writer.add({"a": NOW})
    has_read, may_end = threading.Event(), threading.Event()
    load, keep = json.loads, Tombstones.__setattr__

    def slow(content: bytes) -> Any:
        if threading.current_thread() is late:
            has_read.set()
            assert may_end.wait(60)
        return load(content)

    def let_the_other_end(self: Tombstones, name: str, value: Any) -> None:
        keep(self, name, value)
        if self is asked and threading.current_thread() is not late:
            may_end.set()
            late.join()

    late = threading.Thread(target=asked.find)
    monkeypatch.setattr("assay.search.tombstones.json.loads", slow)
    late.start()
    assert has_read.wait(60)
    writer.add({"b": NOW})
    monkeypatch.setattr(Tombstones, "__setattr__", let_the_other_end)
    asked.find()
    monkeypatch.undo()
    assert set(asked.find()) == {"a", "b"}
