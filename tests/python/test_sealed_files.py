"""Files of SQLite beside the warehouse are encrypted where a key is set, and answer as plain ones."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import assay
from assay.build import encryption
from assay.core.fault import Fault
from assay.embedding.cache import Cached, begin_anew, remove_former
from assay.online.ahead import Ahead

KEY, OTHER = "it's an invented key of 32 letters", "another invented key of 32 letters"
PERSON, SECOND = "Adelheid Mustermann", 'O"Neill, ü'
TEXTS = ["a letter of Adelheid", "", "bb"]
PLACE = ("app.things", "things", 0)
EMBEDDINGS, AHEAD = "embeddings.sqlite", "stream.sqlite"


class Letters:
    """A maker whose vectors show in bytes what they are of."""

    name, dimension, max_tokens, digest = "letters", 8, 100, "aa"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        return np.array([vector_of(text) for text in texts], np.float32)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def vector_of(text: str) -> list[float]:
    return [len(text) + place / 7 for place in range(8)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the warehouse of a project with a key."""
    monkeypatch.chdir(tmp_path)
    Path("dbt_project.yml").write_text("name: shop\n")
    for name in ("ASSAY_ENCRYPTION_KEY_BEFORE", "ASSAY_ONLINE_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASSAY_WAREHOUSE", "data/assay.duckdb")
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    Path("data").mkdir()
    return Path("data")


def fill(data: Path) -> None:
    """Embed texts, and note who is ahead of a build; one entity of those that were compared differed."""
    Cached(Letters(), data / EMBEDDINGS).embed(TEXTS)
    ahead = Ahead(data / AHEAD)
    ahead.note("people", [PERSON, SECOND, "third"], {PLACE: 7})
    ahead.note("others", [PERSON], {PLACE: 8})
    ahead.begin({})
    ahead.wrote({PLACE: 9})
    ahead.note("people", ["fourth"], {PLACE: 9})
    ahead.settle("others", "one", {PERSON}, {PERSON}, {PLACE: 9})


def check(data: Path) -> None:
    """Check that both files hold what `fill` has written."""
    maker = Letters()
    found = Cached(maker, data / EMBEDDINGS).embed_each(TEXTS)
    assert (maker.asked, found.hits) == ([], 3)
    np.testing.assert_array_equal(found.vectors, np.array([vector_of(text) for text in TEXTS], np.float32))
    ahead = Ahead(data / AHEAD)
    assert ahead.find("people", {PLACE: 7}) == ({"fourth"}, {PERSON, SECOND, "third"})
    assert ahead.newest(2)[0] == ("people", "fourth", 9)
    assert [(each.compared, each.differing, each.example) for each in ahead.parity()] == [(1, 1, PERSON)]
    assert ahead.find_keys(lambda key: key != "third") == {PERSON, SECOND, "fourth"}


def holds_plain(data: Path) -> list[str]:
    """Return the files that hold a key or a vector in plain."""
    vector = np.array(vector_of(TEXTS[0]), np.float32).tobytes()
    return [
        file.name
        for file in sorted(data.iterdir())
        if file.is_file() and any(each in file.read_bytes() for each in (PERSON.encode(), vector))
    ]


def keys() -> dict[str, str | None]:
    states = assay.open(".").encryption.status().found
    assert states.unread == []
    return {Path(each.path).name: each.key for each in states.files}


def test_files_hold_nothing_in_plain_and_answer_as_plain_ones(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(data)
    check(data)
    assert holds_plain(data) == []
    assert keys() == {EMBEDDINGS: "now", AHEAD: "now"}
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    plain = data.with_name("plain")
    plain.mkdir()
    fill(plain)
    assert holds_plain(plain) == [EMBEDDINGS, AHEAD]
    # What was there before the key stays plain, and is read with it.
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    check(plain)
    Ahead(plain / AHEAD).note("people", ["after the key"], {PLACE: 9})
    assert b"after the key" in b"".join(file.read_bytes() for file in plain.glob(f"{AHEAD}*"))


@pytest.mark.parametrize("given", [None, OTHER])
def test_another_key_or_none_is_told_and_not_shown(
    data: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    fill(data)
    if given:
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", given)
    else:
        monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    said = "is encrypted with another key" if given else "is encrypted, and no key is set"
    assert set(keys().values()) == {"another"}
    before = {file: file.read_bytes() for file in data.glob("*.sqlite")}
    for name, ask in {
        EMBEDDINGS: lambda: Cached(Letters(), data / EMBEDDINGS).embed(["new"]),
        AHEAD: lambda: Ahead(data / AHEAD).newest(1),
    }.items():
        with pytest.raises(Fault, match=f"{name} {said}") as raised:
            ask()
        assert KEY not in str(raised.value)
    with pytest.raises(Fault, match=rf"{EMBEDDINGS} and data/{AHEAD} cannot be read|No key is set"):
        assay.open(".").encryption.rotate()
    assert {file: file.read_bytes() for file in before} == before


def test_an_extra_that_is_missing_is_told(data: Path) -> None:
    with (
        mock.patch.dict(sys.modules, {"cryptography.hazmat.primitives.ciphers.aead": None}),
        pytest.raises(Fault, match=r"Encryption of embeddings needs .*assay\[encryption\]"),
    ):
        Cached(Letters(), data / EMBEDDINGS).embed(["new"])


def test_a_vector_that_was_changed_is_told(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(data)
    with sqlite3.connect(data / EMBEDDINGS) as connection:
        connection.execute("update vectors set vector = (select min(vector) from vectors)")
    connection.close()
    with pytest.raises(Fault, match=rf"{EMBEDDINGS}.* was changed, or belongs to something else.*delete it"):
        Cached(Letters(), data / EMBEDDINGS).embed(TEXTS)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", KEY)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", OTHER)
    with pytest.raises(Fault, match=rf"{EMBEDDINGS} cannot be read or written .*Then rotate again"):
        assay.open(".").encryption.rotate()
    assert keys()[EMBEDDINGS] == "before"


def test_files_are_taken_to_a_key_and_to_the_next_one(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    fill(data)
    assert keys() == {EMBEDDINGS: None, AHEAD: None}
    for key, before in ((KEY, None), (OTHER, KEY)):
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", key)
        if before:
            monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", before)
            # Both keys are set: programs read on before the rotation, as after it.
            check(data)
        done = assay.open(".").encryption.rotate().found
        assert [path.name for path in done.written if isinstance(path, Path)] == [EMBEDDINGS, AHEAD]
        assert keys() == {EMBEDDINGS: "now", AHEAD: "now"}
        assert holds_plain(data) == []
        check(data)
        assert assay.open(".").encryption.rotate().found.written == []
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE")
    check(data)


def test_a_rotation_that_is_killed_goes_on(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    fill(data)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)

    def die(file: Path) -> None:
        raise KeyboardInterrupt

    # Once while a file is written, and once before its free pages go.
    for killed, after in (("assay.core.sealed_file._note", None), ("", "now")):
        with monkeypatch.context() as patched:
            if killed:
                patched.setattr(killed, lambda *_: die(data))
            else:
                patched.setattr(encryption, "write_without_free_pages", die)
            with pytest.raises(KeyboardInterrupt):
                assay.open(".").encryption.rotate()
        assert keys() == {EMBEDDINGS: after, AHEAD: None}
        check(data)
    assert assay.open(".").encryption.rotate().found.as_they_were == [data / EMBEDDINGS]
    assert holds_plain(data) == []
    check(data)


def test_a_person_is_forgotten_by_encrypted_files(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    fill(data)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    # The new file is encrypted, and takes vectors over from a plain one.
    begin_anew(data / EMBEDDINGS)
    maker = Letters()
    assert Cached(maker, data / EMBEDDINGS).embed_each(TEXTS[:2]).hits == 2
    remove_former(data / EMBEDDINGS)
    assert keys() == {EMBEDDINGS: "now", AHEAD: None}
    assert Cached(maker, data / EMBEDDINGS).embed_each(TEXTS).hits == 2
    assert maker.asked == TEXTS[2:]
    assay.open(".").encryption.rotate()
    ahead = Ahead(data / AHEAD)
    ahead.forget(lambda key: key == PERSON)
    assert ahead.find_keys(lambda key: True) == {SECOND, "third", "fourth"}
    assert [each.example for each in ahead.parity()] == [None]
