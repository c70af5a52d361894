"""Vectors of texts: the embedded model, sentence-transformers, which of them is configured, the cache."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from assay.core.fault import MISUSED, Fault
from assay.embedding.cache import Cached, begin_anew, former_file, remove_former
from assay.embedding.configured import configured_maker
from assay.embedding.sentence_transformer import SentenceTransformerModel
from assay.embedding.static import StaticModel
from assay.embedding.vectors import TextFault, unit_vectors

TEXTS = ["A refund takes five days.", "Money is returned within a week.", "Mount the shelf on a brick wall."]


# The embedded model


def test_the_embedded_model_makes_what_its_own_library_makes() -> None:
    made = StaticModel().embed(TEXTS)
    handlers, level = [*logging.root.handlers], logging.root.level
    try:
        from wordllama import WordLlama
    finally:
        logging.root.handlers[:], logging.root.level = handlers, level
    folder = Path(sys.modules["wordllama"].__file__ or "").parent
    theirs = WordLlama.load(cache_dir=folder, disable_download=True).embed(TEXTS, norm=True)
    np.testing.assert_allclose(made, theirs, atol=1e-6)
    assert made.dtype == np.float32


def test_texts_of_one_meaning_are_near() -> None:
    refund, money, shelf = StaticModel().embed(TEXTS)
    assert refund @ money > refund @ shelf


def test_the_embedded_model_is_one_and_the_same_and_takes_long_texts() -> None:
    model = StaticModel()
    assert model.digest == StaticModel().digest
    assert (len(model.digest), model.dimension) == (64, 256)
    assert model.embed([]).shape == (0, 256)
    long = "word " * 10_000
    assert np.linalg.norm(model.embed([long, "short"])[0]) == pytest.approx(1)
    assert model.count_tokens(long) >= 10_000


def test_the_mean_of_many_tokens_is_that_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "A refund takes five days. " * 20
    expected = StaticModel().embed([text])
    monkeypatch.setattr("assay.embedding.static._TOKENS_AT_A_TIME", 10)
    np.testing.assert_allclose(StaticModel().embed([text]), expected, atol=1e-6)


def test_an_empty_text_has_no_vector() -> None:
    with pytest.raises(TextFault, match="empty"):
        StaticModel().embed(["a", ""])


def test_a_maker_imports_nothing_before_it_is_used() -> None:
    code = (
        "import sys; from assay.embedding.configured import configured_maker; "
        "from assay.embedding.cache import Cached; configured_maker(); "
        "print([n for n in ('numpy', 'wordllama', 'tokenizers', 'safetensors', 'torch') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# Which maker is configured


def test_the_maker_is_configured_by_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ASSAY_EMBEDDING", raising=False)
    first = configured_maker()
    assert isinstance(first, StaticModel)
    assert configured_maker() is first
    monkeypatch.setenv("ASSAY_EMBEDDING", "static")
    assert configured_maker() is first
    monkeypatch.setenv("ASSAY_EMBEDDING", f"sentence-transformers:{tmp_path}")
    assert configured_maker().name == tmp_path.name
    monkeypatch.setenv("ASSAY_EMBEDDING", "http://127.0.0.1:1/v1#small")
    assert configured_maker().name == "small"


@pytest.mark.parametrize(
    "said",
    [
        "gpt",
        "sentence-transformers:",
        "http://127.0.0.1:1/v1",
        "https://#model",
        "http://127.0.0.1:1/v1?dimensions=many#model",
        "http://127.0.0.1:1/v1?dimensions=0#model",
        "http://127.0.0.1:1/v1?size=3#model",
        "http://[::1/v1#model",
    ],
)
def test_what_names_no_maker_is_refused(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_EMBEDDING", said)
    with pytest.raises(Fault, match=r"ASSAY_EMBEDDING.*write") as fault:
        configured_maker()
    assert fault.value.exit_code == MISUSED


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("https://me:s3cret@host/v1#model", "'host/v1#model'"),
        (
            "https://host/v1?api-key=s3cret&dimensions=8#model",
            r"'https://host/v1\?api-key=\.\.\.&dimensions=8#model'",
        ),
        ("https://host/v1?key=s3cret", r"'https://host/v1\?key=\.\.\.'"),
        ("HTTPS://me:s3cret@host/v1?key=s3cret#model", r"=host/v1\?key=\.\.\.#model "),
    ],
)
def test_a_secret_in_an_address_is_not_repeated(
    said: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_EMBEDDING", said)
    with pytest.raises(Fault, match=shown) as fault:
        configured_maker()
    assert "s3cret" not in str(fault.value)


# What vectors are


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([[1.0, 0.0]], "1 vector for 2 texts"),
        ([[1.0, 0.0], [1.0]], "a vector of 1 numbers where its vectors have 2"),
        ([[1.0, 0.0], [float("nan"), 1.0]], "not finite"),
        ([[1.0, 0.0], [float("inf"), 1.0]], "not finite"),
        ([[1.0, 0.0], [None, 1.0]], "not finite"),
        ([[1.0, 0.0], [0.0, 0.0]], "zero"),
        ([[1.0, 0.0], ["x", 1.0]], "something else than numbers"),
        ([[[1.0], [0.0]], [[1.0], [0.0]]], "something else than numbers"),
        ([[1.0, 0.0], [10**400, 1.0]], "something else than numbers"),
    ],
)
def test_vectors_that_are_none_are_told(found: Any, message: str) -> None:
    with pytest.raises(Fault, match=message):
        unit_vectors(found, count=2, dimension=2, maker="It")


# sentence-transformers. The library takes gigabytes with its torch: here stands a module of its interface.


class StandInModel:
    max_seq_length = 4

    def __init__(self, folder: str, device: str) -> None:
        assert device == "cpu"
        if not (Path(folder) / "config.json").exists():
            # Of many libraries, each with errors of its own.
            raise RuntimeError(f"no config.json in {folder}")

    def get_embedding_dimension(self) -> int:
        return 2

    def encode(self, texts: list[str], convert_to_numpy: bool, show_progress_bar: bool) -> Any:
        assert convert_to_numpy
        assert not show_progress_bar
        return np.array([[len(text.split()[:4]), 1.0] for text in texts], np.float32)

    def tokenizer(self, text: str, truncation: bool) -> dict[str, list[int]]:
        assert not truncation
        return {"input_ids": [0] * len(text.split())}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = StandInModel  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    folder = tmp_path / "mini"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "1_Pooling" / "config.json").write_text("{}")
    return folder


def test_a_folder_is_a_model_of_sentence_transformers(folder: Path) -> None:
    model = SentenceTransformerModel(str(folder))
    assert (model.name, model.dimension, model.max_tokens) == ("mini", 2, 4)
    np.testing.assert_allclose(model.embed(["a b c"]), [[3 / 10**0.5, 1 / 10**0.5]], rtol=1e-6)
    assert model.count_tokens("a b c d e") == 5


def test_a_model_whose_files_change_is_another_model(folder: Path) -> None:
    before = SentenceTransformerModel(str(folder)).digest
    assert SentenceTransformerModel(str(folder)).digest == before
    # What fetched it notes when it did, which is another moment on each machine.
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "config.json.metadata").write_text("1700000000.0")
    assert SentenceTransformerModel(str(folder)).digest == before
    (folder / "1_Pooling" / "config.json").write_text('{"mean": true}')
    assert SentenceTransformerModel(str(folder)).digest != before


def test_a_model_that_is_none_and_a_name_that_cannot_be_fetched_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(Fault, match=r"cannot be loaded .* no config\.json"):
        SentenceTransformerModel(str(folder)).embed(["a"])
    asked = []

    def away(name: str, ignore_patterns: list[str]) -> str:
        asked.append(name)
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", away)
    for name in ("all-MiniLM-L6-v2", "company/model"):
        with pytest.raises(Fault, match="is no folder here, and cannot be fetched"):
            SentenceTransformerModel(name).embed(["a"])
    assert asked == ["sentence-transformers/all-MiniLM-L6-v2", "company/model"]


def test_without_the_library_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(Fault, match=r"assay\[sentence-transformers\]"):
        SentenceTransformerModel(str(folder)).embed(["a"])


# The cache


class Counting:
    """A maker that counts, refuses what begins with `bad`, and stops after so many batches."""

    name, dimension, max_tokens = "counting", 2, 3

    def __init__(self, digest: str = "aa", batches: int = 1_000) -> None:
        self.digest, self.batches = digest, batches
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Any:
        if self.batches == 0:
            raise Fault("stopped")
        if any(text.startswith("bad") for text in texts):
            raise TextFault("unfit")
        self.batches -= 1
        self.asked += texts
        return unit_vectors(
            [[len(text), int(self.digest, 16)] for text in texts], count=len(texts), dimension=2, maker="It"
        )

    def count_tokens(self, text: str) -> int:
        return len(text.split())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "embeddings.sqlite"


def test_a_text_is_embedded_once(file: Path) -> None:
    maker = Counting()
    first = Cached(maker, file).embed_each(["a", "bb", "a"])
    assert (first.hits, first.made, maker.asked) == (0, 2, ["a", "bb"])
    again = Cached(maker, file).embed_each(["bb", "ccc", "a"])
    assert (again.hits, again.made, maker.asked) == (2, 1, ["a", "bb", "ccc"])
    np.testing.assert_array_equal(again.vectors[[2, 0, 2]], first.vectors)
    np.testing.assert_array_equal(Cached(maker, file).embed(["ccc"]), again.vectors[[1]])
    assert file.stat().st_mode & 0o077 == 0


def test_a_file_that_begins_anew_takes_over_what_is_asked_for_alone(file: Path) -> None:
    begin_anew(file)
    Cached(Counting(), file).embed(["here", "gone"])
    kept = file.read_bytes()
    maker = Counting()
    begin_anew(file)
    assert Cached(maker, file).embed_each(["here"]).hits == 1
    # As after a kill.
    begin_anew(file)
    assert Cached(maker, file).embed_each(["here"]).hits == 1
    assert former_file(file).read_bytes() == kept
    for _ in range(2):
        remove_former(file)
    assert maker.asked == []
    assert Cached(maker, file).embed_each(["here", "gone"]).hits == 1
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_models_are_never_mixed(file: Path) -> None:
    one = Cached(Counting("aa"), file).embed(["a", "b"])
    other = Counting("bb")
    found = Cached(other, file).embed_each(["a", "b"])
    assert (found.hits, other.asked) == (0, ["a", "b"])
    assert not np.array_equal(one, found.vectors)


def test_what_was_made_before_a_stop_is_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.embedding.cache._BATCH", 2)
    with pytest.raises(Fault, match="stopped"):
        Cached(Counting(batches=2), file).embed(list("abcdefg"))
    after = Counting()
    found = Cached(after, file).embed_each(list("abcdefg"))
    assert (found.hits, found.made, after.asked) == (4, 3, ["e", "f", "g"])


def test_texts_that_cannot_be_embedded_do_not_stop_the_others(file: Path) -> None:
    maker = Counting()
    texts = ["a", "bad 1", "b", "c", "bad 2", "bad 1"]
    found = Cached(maker, file).embed_each(texts)
    assert found.problems == {1: "unfit", 4: "unfit", 5: "unfit"}
    assert sorted(maker.asked) == ["a", "b", "c"]
    assert [bool(vector.any()) for vector in found.vectors] == [True, False, True, True, False, False]
    with pytest.raises(TextFault, match="Text 2 of 6: unfit"):
        Cached(maker, file).embed(texts)
    # It is tried again: another model, or the same one some day, may take it.
    assert Cached(maker, file).embed_each(["bad 1"]).problems == {0: "unfit"}


def test_texts_that_the_model_cuts_are_counted(file: Path) -> None:
    assert Cached(Counting(), file).embed_each(["a b c", "a b c d", "e f g h"]).truncated == 2


def test_a_damaged_file_is_told(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"no database" * 1_000)
    with pytest.raises(Fault, match=r"embeddings\.sqlite.*delete it"):
        Cached(Counting(), file).embed(["a"])


def test_two_processes_may_fill_one_file(file: Path) -> None:
    Cached(Counting(), file).embed(["a"])
    with sqlite3.connect(file) as other:
        other.execute("select count(*) from vectors").fetchall()
        assert Cached(Counting(), file).embed_each(["a", "b"]).hits == 1
    other.close()
