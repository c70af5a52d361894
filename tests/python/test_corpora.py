"""A corpus keeps or leaves out each row for a reason that stands beside it, and always the same ones."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from corpus_warehouse import NAME, CorpusWarehouse, documents_of, rows_of

from assay.core.fault import Fault
from assay.corpus import quality
from assay.corpus import take as take_module
from assay.corpus.checks import check_corpus
from assay.project.personal import Personal
from assay.training.content import read_content
from assay.training.store import Version, read_version

TEXTS = "document_id varchar, text varchar, available_at timestamp"
PAIRS = "document_id varchar, instruction varchar, response varchar, available_at timestamp"
DRAW = random.Random(3)
WORDS = [f"term{number}" for number in range(2_000)]
PLAIN = [" ".join(DRAW.choices(WORDS, k=40)) for _ in range(30)]


def at(day: int) -> datetime:
    return datetime(2025, 1, day)


@pytest.fixture
def warehouse(tmp_path: Path) -> CorpusWarehouse:
    return CorpusWarehouse(tmp_path)


def corpus_of(version: Version) -> Any:
    assert version.manifest.corpus
    return version.manifest.corpus


def add_up(version: Version) -> None:
    """Every row that was read has one outcome, in the counts and in the table."""
    corpus = corpus_of(version)
    table = pq.read_table(version.documents)
    assert corpus.read == sum(corpus.outcomes.values()) == table.num_rows
    assert Counter(table["outcome"].to_pylist()) == corpus.outcomes
    assert corpus.outcomes["kept"] == version.manifest.rows == pq.read_metadata(version.data).num_rows
    for row in table.to_pylist():
        assert row["outcome"] == (row["broken_rules"] or ["kept"])[0]
        assert (row["left_out"] is None) == (row["outcome"] == "kept") == (row["tokens"] is not None)


def test_every_row_is_kept_or_left_out_for_a_reason(warehouse: CorpusWarehouse) -> None:
    near = PLAIN[0].replace(PLAIN[0].split()[20], "other")
    rows = [
        ("plain", PLAIN[0], at(1)),
        ("again", PLAIN[0].upper() + "\n", at(2)),
        ("nearly", f"{near} {PLAIN[1]}", at(3)),
        ("nearly too", f"{near} {PLAIN[1]} end", at(4)),
        ("null", None, at(1)),
        ("blank", " \n\t", at(1)),
        ("short", "Hello.", at(1)),
        ("symbols", "=-+*/|&%$#" * 5, at(1)),
        ("lines", "the same line of a menu\n" * 9, at(1)),
        ("huge", "word " * 1_000, at(1)),
        ("foreign", "Der Kunde fragt, warum das Paket noch nicht bei ihm zu Hause angekommen ist.", at(1)),
        ("evaluated", f"As asked: {PLAIN[9]}", at(1)),
        (None, PLAIN[2], at(1)),
        ("no time", PLAIN[3], None),
        ("mail", f"Write to jane@example.org or call +1 415 555 2671. {PLAIN[4]}", at(1)),
    ]
    warehouse.fill(TEXTS, rows)
    warehouse.fill("question varchar", [(PLAIN[9],)], "gold.questions")
    all_but_german = [each for each in quality._identifier().labels if each != "de"]
    version = warehouse.take(
        evaluation=["questions"],
        quality={
            "max_characters": 4_000,
            "languages": all_but_german,
            "min_language_probability": 0,
        },
    )
    add_up(version)
    found = documents_of(version)
    assert {name: row["outcome"] for name, row in found.items()} == {
        "plain": "kept",
        "again": "exact_duplicate",
        "nearly": "kept",
        "nearly too": "near_duplicate",
        "null": "empty",
        "blank": "empty",
        "short": "too_short",
        "symbols": "symbols",
        "lines": "repeated_lines",
        "huge": "too_long",
        "foreign": "language",
        "evaluated": "evaluation",
        None: "no_document_id",
        "no time": "no_available_at",
        "mail": "kept",
    }
    assert found["lines"]["broken_rules"][:2] == ["repeated_lines", "repeated_phrases"]
    assert (found["again"]["copy_of"], found["again"]["similarity"]) == ("plain", 1.0)
    assert found["nearly too"]["copy_of"] == "nearly"
    assert 0.8 <= found["nearly too"]["similarity"] < 1
    assert found["evaluated"]["evaluation_set"] == "questions"
    assert found["foreign"]["language"] == "de"
    assert found["huge"]["characters"] == 4_999
    assert found["short"]["left_out"] == {"text": "Hello."}
    assert found["null"]["left_out"] == {"text": None}
    assert found["mail"]["masked"] == 2
    assert corpus_of(version).masked == {"email": 1, "phone": 1}
    assert [row["document_id"] for row in rows_of(version)] == ["mail", "nearly", "plain"]
    assert rows_of(version)[0]["text"].startswith("Write to <EMAIL> or call <PHONE>. term")


def test_what_comes_first_is_kept_and_what_comes_later_changes_nothing(warehouse: CorpusWarehouse) -> None:
    rows = [("z", PLAIN[0], at(1)), ("a", PLAIN[0], at(2)), ("m", PLAIN[1], at(3))]
    warehouse.fill(TEXTS, reversed(rows))
    before = documents_of(warehouse.take(split=True))
    assert {name: row["copy_of"] for name, row in before.items()} == {"z": None, "a": "z", "m": None}
    warehouse.fill(TEXTS, [*rows, ("b", PLAIN[1], at(4)), ("c", PLAIN[2], at(4))])
    after = documents_of(warehouse.take(split=True))
    assert {name: after[name] for name in before} == before
    assert after["b"]["copy_of"] == "m"


def test_the_same_rows_give_the_same_bytes_however_they_are_read(
    warehouse: CorpusWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(f"{number}", f"{PLAIN[number % 20]} {number % 3}", at(1)) for number in range(300)]
    warehouse.fill(TEXTS, rows)
    first = warehouse.take(split=True)
    monkeypatch.setattr(take_module, "_ROWS", 7)
    monkeypatch.setattr(take_module, "_BYTES", 1_000)
    DRAW.shuffle(rows)
    warehouse.fill(TEXTS, rows)
    again = warehouse.take(split=True)
    add_up(again)
    assert first.manifest.corpus == again.manifest.corpus
    assert first.manifest.version == again.manifest.version
    for one, other in ((first.data, again.data), (first.documents, again.documents)):
        assert one.read_bytes() == other.read_bytes()
    # Nothing but the version is in its folder, and it is read as it was written.
    names = {"data.parquet", "documents.parquet", "files.csv", "manifest.json"}
    assert {path.name for path in first.folder.iterdir()} == names
    assert read_version(first.folder) == first
    assert read_content(first.documents).hash == corpus_of(first).documents_hash


def test_what_is_left_out_is_part_of_a_version_s_name(warehouse: CorpusWarehouse) -> None:
    warehouse.fill(TEXTS, [("a", PLAIN[0], at(1))])
    one = warehouse.take().manifest
    warehouse.fill(TEXTS, [("a", PLAIN[0], at(1)), ("b", "short", at(1))])
    other = warehouse.take().manifest
    assert one.content_hash == other.content_hash
    assert one.version != other.version


def test_all_rows_of_a_document_are_in_one_split(tmp_path: Path) -> None:
    warehouse = CorpusWarehouse(tmp_path, key=("document_id", "chunk_number"))
    texts = [" ".join(DRAW.choices(WORDS, k=30)) for _ in range(400)]
    warehouse.fill(
        "document_id varchar, chunk_number integer, text varchar, available_at timestamp",
        [(f"document {number // 4}", number % 4, text, at(1)) for number, text in enumerate(texts)],
    )
    version = warehouse.take(split=True, splits={"train": 0.5, "test": 0.5})
    found: dict[str, set[str]] = {}
    for row in rows_of(version):
        found.setdefault(row["document_id"], set()).add(row["split"])
    assert len(found) == 100
    assert all(len(splits) == 1 for splits in found.values())
    counts = {each.split: each.rows for each in version.manifest.splits}
    assert counts.keys() == {"train", "test"}
    assert sum(counts.values()) == 400
    tokens = {each.split: each.tokens for each in version.manifest.splits}
    by_split = Counter(dict.fromkeys(tokens, 0))
    for row in rows_of(version):
        by_split[row["split"]] += row["tokens"]
    assert tokens == by_split
    assert corpus_of(version).tokens == by_split.total() > 400 * 30
    assert [check.findings + check.warnings for check in check_corpus(version)] == [[], []]


def test_a_copy_or_a_document_in_two_splits_is_found_by_the_checks(
    warehouse: CorpusWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.leakage.findings.read_personal", lambda: Personal(frozenset()))
    warehouse.fill(TEXTS, [(f"{number}", text, at(1)) for number, text in enumerate(PLAIN)])
    version = warehouse.take(split=True)
    rows = pq.read_table(version.data)
    ids = rows["document_id"].to_pylist()
    # A copy under another id in the other split, and one in the same.
    texts, splits = rows["text"].to_pylist(), ["train", "test"] * 15
    texts[1], texts[2] = texts[0] + " end", texts[0] + " END!"
    ids[5] = ids[4]
    changed = rows.set_column(rows.column_names.index("text"), "text", pa.array(texts))
    changed = changed.set_column(rows.column_names.index("split"), "split", pa.array(splits))
    changed = changed.set_column(rows.column_names.index("document_id"), "document_id", pa.array(ids))
    pq.write_table(changed, version.data)
    of_documents, of_copies = check_corpus(version)
    assert [(each.column, each.value) for each in of_documents.findings] == [("document_id", "test, train")]
    assert {each.example for each in of_copies.findings} == {
        f"document_id {ids[place]}" for place in (0, 1, 2)
    }
    assert {each.example for each in of_copies.warnings} == {f"document_id {ids[place]}" for place in (0, 2)}
    assert of_copies.findings[0].expected == "less than 0.8"


def test_personal_columns_are_masked_in_texts_and_stay_out(tmp_path: Path) -> None:
    pii = {"config": {"meta": {"pii": True}}}
    warehouse = CorpusWarehouse(tmp_path, columns={"customer": pii, "text": {}})
    warehouse.fill(
        f"{TEXTS}, customer varchar",
        [("a", f"Mia Berg has a question. {PLAIN[0]}", at(1), "Mia Berg"), ("b", "Mia", at(1), "Mia")],
    )
    version = warehouse.take()
    assert rows_of(version)[0]["text"].startswith("<CUSTOMER> has a question.")
    assert documents_of(version)["b"]["left_out"] == {"text": "<CUSTOMER>"}
    assert corpus_of(version).masked == {"customer": 2}
    for file in (version.data, version.documents):
        assert "customer" not in pq.read_schema(file).names
    assert b"Mia" not in version.data.read_bytes() + version.documents.read_bytes()
    for taken, column in enumerate(("text", "document_id"), 2):
        with pytest.raises(Fault, match=rf"column {column} is declared personal \(pii\)"):
            replace(warehouse, columns={column: pii}, taken=taken).take()


def test_a_personal_column_is_known_however_its_name_is_written(tmp_path: Path) -> None:
    pii = {"config": {"meta": {"pii": True}}}
    warehouse = CorpusWarehouse(tmp_path, columns={"CUSTOMER": pii})
    warehouse.fill(f"{TEXTS}, Customer varchar", [("a", f"Mia Berg asks. {PLAIN[0]}", at(1), "Mia Berg")])
    assert rows_of(warehouse.take())[0]["text"].startswith("<CUSTOMER> asks.")
    with pytest.raises(Fault, match="column text is declared personal"):
        replace(warehouse, columns={"TEXT": pii}, taken=1).take()


@pytest.mark.parametrize("kind", ["struct(role varchar, content varchar)[]", "json", "varchar"])
def test_personal_data_is_masked_in_messages_whatever_escapes_they_have(tmp_path: Path, kind: str) -> None:
    """In the text of JSON, a line end is a letter, and a name may be all escapes."""

    def said(content: str, **others: Any) -> Any:
        found = [{"role": "user", "content": content, **others}, {"role": "assistant", "content": "Fine."}]
        return found if kind.startswith("struct") else json.dumps(found)

    pii = {"config": {"meta": {"pii": True}}}
    warehouse = CorpusWarehouse(tmp_path, columns={"customer": pii})
    text = f'{PLAIN[0]}\njo@example.org\n+44 20 7946 0958\nJos\u00e9 Garc\u00eda or "role"'
    left = (
        []
        if kind.startswith("struct")
        else [
            (
                "calls",
                said(text, calls=["\ud800" if kind == "varchar" else "x"]),
                at(1),
                "Jos\u00e9 Garc\u00eda",
            )
        ]
    )
    warehouse.fill(
        f"document_id varchar, messages {kind}, available_at timestamp, customer varchar",
        [
            ("a", said(text), at(1), "Jos\u00e9 Garc\u00eda"),
            ("b", said(f'{PLAIN[1]} "role"'), at(1), "role"),
            *left,
        ],
    )
    version = warehouse.take("chat")
    add_up(version)
    assert [row["messages"][0]["content"] for row in rows_of(version)] == [
        f'{PLAIN[0]}\n<EMAIL>\n<PHONE>\n<CUSTOMER> or "role"',
        f'{PLAIN[1]} "<CUSTOMER>"',
    ]
    for row in list(documents_of(version).values())[2:]:
        assert row["outcome"] == "unreadable_messages"
        assert row["left_out"]["messages"][0]["content"].endswith('<EMAIL>\n<PHONE>\n<CUSTOMER> or "role"')


def test_messages_of_any_depth_are_read_or_left_out(warehouse: CorpusWarehouse) -> None:
    good = json.dumps([{"role": "user", "content": PLAIN[0]}, {"role": "assistant", "content": "Fine."}])
    rows = [(f"{deep}", "[" * deep + "]" * deep, at(1)) for deep in (90, 400, 900, 100_000)]
    warehouse.fill(
        "document_id varchar, messages varchar, available_at timestamp", [*rows, ("a", good, at(1))]
    )
    version = warehouse.take("chat")
    add_up(version)
    assert corpus_of(version).outcomes == {"kept": 1, "unreadable_messages": 4}


@pytest.mark.parametrize("kind", ["struct(role varchar, content varchar)[]", "json", "varchar"])
def test_conversations_are_read_from_lists_and_from_json(warehouse: CorpusWarehouse, kind: str) -> None:
    def said(*turns: tuple[str, str]) -> Any:
        found = [{"role": role, "content": content} for role, content in turns]
        return found if kind.startswith("struct") else json.dumps(found)

    warehouse.fill(
        f"document_id varchar, messages {kind}, available_at timestamp",
        [
            ("good", said(("user", f"{PLAIN[0]} jo@example.org"), ("assistant", "Yes, it is.")), at(1)),
            ("copy", said(("user", f"{PLAIN[0]} jane@example.org"), ("assistant", "Yes, it is!")), at(2)),
            ("robot", said(("user", PLAIN[1]), ("robot", "Beep.")), at(1)),
            ("one", said(("user", "jo@example.org")), at(1)),
            ("null", None, at(1)),
        ],
    )
    version = warehouse.take("chat")
    add_up(version)
    found = documents_of(version)
    assert {name: row["outcome"] for name, row in found.items()} == {
        "good": "kept",
        "copy": "near_duplicate",
        "robot": "unknown_role",
        "one": "wrong_turns",
        "null": "empty",
    }
    assert "jo@example.org" not in json.dumps(found["one"]["left_out"])
    assert rows_of(version)[0]["messages"] == [
        {"role": "user", "content": f"{PLAIN[0]} <EMAIL>"},
        {"role": "assistant", "content": "Yes, it is."},
    ]


def test_pairs_are_written_as_they_are_or_as_conversations(warehouse: CorpusWarehouse) -> None:
    warehouse.fill(PAIRS, [("a", PLAIN[0], "Seven.", at(1)), ("b", PLAIN[1], "", at(1))])
    pairs, chat = warehouse.take("instruct"), warehouse.take("chat")
    assert [(row["instruction"], row["response"]) for row in rows_of(pairs)] == [(PLAIN[0], "Seven.")]
    assert [message["content"] for message in rows_of(chat)[0]["messages"]] == [PLAIN[0], "Seven."]
    assert corpus_of(pairs).shape == ["instruction", "response"]
    assert corpus_of(chat).outcomes == corpus_of(pairs).outcomes == {"empty": 1, "kept": 1}


def test_texts_of_a_structured_column_are_hashed_whatever_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [
        [{"role": "user", "content": f"ü{number}"}, {"role": None, "content": ""}] for number in range(9)
    ]
    values[3], values[4] = None, []  # type: ignore[call-overload]
    pq.write_table(pa.table({"messages": values}), tmp_path / "a.parquet")
    hashes = {read_content(tmp_path / "a.parquet").hash}
    monkeypatch.setattr("assay.training.content._ROWS_A_BATCH", 2)
    hashes.add(read_content(tmp_path / "a.parquet").hash)
    assert len(hashes) == 1
    for changed in (
        values[::-1],
        [[{"role": "x", "content": "ü0"}], *values[1:]],
        [*values[:3], [], *values[4:]],
    ):
        pq.write_table(pa.table({"messages": changed}), tmp_path / "b.parquet")
        hashes.add(read_content(tmp_path / "b.parquet").hash)
    assert len(hashes) == 4


def test_huge_texts_are_left_out_and_kept_beside(warehouse: CorpusWarehouse) -> None:
    warehouse.fill(TEXTS, [("huge", "a b@c " * 2_000_000, at(1)), ("plain", PLAIN[0], at(1))])
    version = warehouse.take()
    add_up(version)
    huge = documents_of(version)["huge"]
    assert (huge["outcome"], huge["characters"]) == ("too_long", 11_999_999)
    assert len(huge["left_out"]["text"]) == 12_000_000


def test_what_cannot_be_a_corpus_is_told(warehouse: CorpusWarehouse, tmp_path: Path) -> None:
    def refused(message: str, format_name: str = "pretrain", **settings: Any) -> None:
        with pytest.raises(Fault, match=message):
            warehouse.take(format_name, **settings)

    warehouse.fill(TEXTS, [("a", "short", at(1)), ("b", None, at(1))])
    refused(f"{NAME} keeps none of 2 rows: 1 empty, 1 too_short")
    warehouse.fill(TEXTS, [])
    refused(f"{NAME} keeps none of 0 rows: it is empty")
    warehouse.fill(TEXTS, [("a", PLAIN[0], at(1))])
    refused("takes the column instruction and response, which crp_help lacks", "instruct")
    refused("has no column page", document="page")
    refused("Evaluation set gone.jsonl of config.meta.corpus is neither", evaluation=["gone.jsonl"])
    refused("Language xx of config", quality={"languages": ["xx"]})
    refused("There is no tokenizer gone.json", tokenizer="gone.json")
    refused("the shares in config.meta.corpus.splits make 0.8, not 1", splits={"train": 0.4, "test": 0.4})
    with duckdb.connect(str(warehouse.file)) as connection:
        connection.execute(f"drop table gold.{NAME}")
    refused(f"{NAME} is not built yet")


def test_a_key_of_a_name_that_each_corpus_has_is_told(tmp_path: Path) -> None:
    for column in ("language", "split", "text"):
        (tmp_path / column).mkdir()
        warehouse = CorpusWarehouse(tmp_path / column, key=("document_id", column))
        extra = "" if column == "text" else f", {column} varchar"
        warehouse.fill(f"{TEXTS}{extra}", [("a", PLAIN[0], at(1), *(["en"] if extra else []))])
        with pytest.raises(Fault, match=f"{NAME}: {column} is a column that each corpus has of its own"):
            warehouse.take()


def test_files_that_a_corpus_rests_on_are_part_of_its_code(warehouse: CorpusWarehouse) -> None:
    warehouse.fill(TEXTS, [("a", PLAIN[0], at(1))])
    (warehouse.folder / "test.csv").write_text("question\nwhat\n")
    before = warehouse.take(evaluation=["test.csv"]).manifest.code
    (warehouse.folder / "test.csv").write_text("question\nwhy\n")
    after = warehouse.take(evaluation=["test.csv"]).manifest.code
    assert {name for name in before if before[name] != after[name]} == {"file test.csv"}
    assert {"assay.corpus", "package rensa", NAME, "slv_texts"} < before.keys()
