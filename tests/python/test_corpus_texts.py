"""What is found in single texts: words, copies, personal data, limits, evaluation sets, shapes, splits."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from assay.core.fault import Fault
from assay.corpus.copies import Copies, Copy, bands_of
from assay.corpus.evaluation import EvaluationTexts, relation_of_file
from assay.corpus.personal import mask
from assay.corpus.quality import Quality, broken_limits, check_languages, measure
from assay.corpus.shapes import shape_of
from assay.corpus.splits import split_of
from assay.corpus.tokens import find_tokenizer
from assay.corpus.words import folded_text, shingles_of, similarity_of, words_of

WORDS = [f"word{number}" for number in range(3_000)]


def copies_of(texts: Sequence[str], similarity: float | None, folder: Path, at_once: int = 7) -> list[Any]:
    numbered = list(enumerate(texts))
    with Copies(similarity, folder) as copies:
        return [
            found
            for start in range(0, len(texts), at_once)
            for found in copies.find(numbered[start : start + at_once])
        ]


def edited(words: Sequence[str], changes: int, draw: random.Random) -> list[str]:
    changed = list(words)
    for place in draw.sample(range(len(words)), changes):
        changed[place] = "changed"
    return changed


def test_words_are_told_in_scripts_with_and_without_spaces() -> None:
    assert words_of(folded_text("The CAFÉ's  50,5 kg")) == ["the", "café", "s", "50", "5", "kg"]
    assert words_of(folded_text("我喜欢dbt。")) == ["我", "喜", "欢", "dbt"]
    assert shingles_of("one, two three") == shingles_of("one two: three.") == {"one two three"}
    assert shingles_of("2 + 3") != shingles_of("2 - 3")
    assert len(shingles_of(" ".join(WORDS[:9]))) == 5
    assert similarity_of({"a", "b", "c"}, {"b", "c", "d"}) == 0.5


@pytest.mark.parametrize("similarity", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_copies_are_those_that_comparing_all_with_all_finds(similarity: float, tmp_path: Path) -> None:
    draw = random.Random(7)
    texts = []
    for _ in range(60):
        words = draw.choices(WORDS, k=80)
        # From copies with other case and spaces to texts that share a half.
        texts += ["  ".join(words), " ".join(words).upper()]
        texts += [" ".join(edited(words, changes, draw)) for changes in (0, 1, 2, 3, 5, 8)]
    draw.shuffle(texts)
    kept: dict[int, set[str]] = {}
    exact: dict[str, int] = {}
    expected: list[Copy | None] = []
    for number, text in enumerate(texts):
        own = shingles_of(folded_text(text))
        best = max(kept, key=lambda other: (similarity_of(own, kept[other]), -other), default=None)
        if (known := exact.get(folded_text(text))) is not None:
            expected.append(Copy(known, 1.0, is_exact=True))
        elif best is not None and similarity_of(own, kept[best]) >= similarity:
            expected.append(Copy(best, similarity_of(own, kept[best]), is_exact=False))
        else:
            kept[number], exact[folded_text(text)] = own, number
            expected.append(None)
    found = copies_of(texts, similarity, tmp_path)
    assert found == expected
    assert {each.is_exact for each in found if each} == ({True, False} if similarity < 1 else {True})
    # How many texts are looked at at once does not matter.
    assert copies_of(texts, similarity, tmp_path, at_once=1_000) == expected


def test_planted_near_duplicates_are_found_and_nothing_else(tmp_path: Path) -> None:
    draw = random.Random(1)
    originals = [draw.choices(WORDS, k=150) for _ in range(1_500)]
    planted = [edited(words, draw.randint(1, 3), draw) for words in originals[:200]]
    found = copies_of([" ".join(words) for words in originals + planted], 0.8, tmp_path, at_once=500)
    assert [each.of if each else None for each in found] == [None] * 1_500 + list(range(200))


def test_without_a_similarity_equal_texts_alone_are_copies(tmp_path: Path) -> None:
    words = " ".join(WORDS[:50])
    assert copies_of([words, words + " more", words + "\n"], None, tmp_path) == [
        None,
        None,
        Copy(0, 1.0, is_exact=True),
    ]


@pytest.mark.parametrize("similarity", [0.5, 0.6, 0.75, 0.8, 0.9, 0.99])
def test_the_index_proposes_nearly_all_that_is_similar_enough(similarity: float) -> None:
    bands, rows = bands_of(similarity)
    assert 1 - (1 - similarity**rows) ** bands >= 0.999
    assert rows >= 2
    assert bands <= 25


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@mail.example.co.uk, please.", "Write to <EMAIL>, please."),
        ("jane@example.org's or <jo@example.org>", "<EMAIL>'s or <<EMAIL>>"),
        ("a@b, @name, name@localhost", "a@b, @name, name@localhost"),
        ("Card 4111 1111 1111 1111.", "Card <CARD>."),
        ("4111-1111-1111-1111 and 378282246310005", "<CARD> and <CARD>"),
        ("3782 822463 10005", "<CARD>"),
        ("no card: 4111 1111 1111 1112", "no card: 4111 1111 1111 1112"),
        ("Call +49 (0)30 1234-5678 or +14155552671!", "Call <PHONE> or <PHONE>!"),
        ("(555) 123-4567, (555-123-4567)", "<PHONE>, (<PHONE>)"),
        ("030 / 901820 or 0800 123 4567", "<PHONE> or <PHONE>"),
        ("Tél. 01.23.45.67.89.", "Tél. <PHONE>."),
        # In lists, quotations, markup and signatures.
        ("+44 20 7946 0958\n+44 20 7946 0959\n", "<PHONE>\n<PHONE>\n"),
        ("1.\n- (555) 123-4567\n- 030 901820\n====", "1.\n- <PHONE>\n- <PHONE>\n===="),
        ("* 4111 1111 1111 1111\n+ 378282246310005\n* x", "* <CARD>\n+ <CARD>\n* x"),
        ("> 030 901820\n> 4111 1111 1111 1111\n> x", "> <PHONE>\n> <CARD>\n> x"),
        ("<td>4111111111111111</td><td>030 901820</td>", "<td><CARD></td><td><PHONE></td>"),
        ("Mia +44 20 7946 0958 <mia@example.org>", "Mia <PHONE> <<EMAIL>>"),
        ("<+1 415 555 2671>, **(555) 123-4567**", "<<PHONE>>, **<PHONE>**"),
        ("Phone - 030 901820 / 030 901821", "Phone - <PHONE> / <PHONE>"),
        ("+44 20 7946 0958 / +44 20 7946 0959", "<PHONE> / <PHONE>"),
        # As in print and in Markdown, and as people write them.
        ("+44\u00a020\u00a07946\u00a00958, 01\u202f23\u202f45\u202f67\u202f89", "<PHONE>, <PHONE>"),
        ("+1\u2011415\u2011555\u20112671, 030\u2013901820", "<PHONE>, <PHONE>"),
        ("4111\u00a01111\u00a01111\u00a01111, no.4111111111111111", "<CARD>, no.<CARD>"),
        ("(+44) 20 7946 0958 and (+44 20 7946 0958", "<PHONE> and (<PHONE>"),
        ("1-800-555-0199, 1 (415) 555-2671, Tel.030 901820", "<PHONE>, <PHONE>, Tel.<PHONE>"),
        ("_030 901820_, _4111111111111111_", "_<PHONE>_, _<CARD>_"),
        ("write jane@example.org_ or jo@example.org--soon", "write <EMAIL>_ or <EMAIL>--soon"),
        ("react@18.2.0-rc1, a@b.com2, jo@example.org-x", "react@18.2.0-rc1, a@b.com2, jo@example.org-x"),
        # Figures, sums, times and numbers of orders.
        ("1000 - 467 450 1000 = 2, 5 + 467-450-1000", "1000 - 467 450 1000 = 2, 5 + 467-450-1000"),
        ("(2) * 467-450-1000, 467-450-1000 / 2", "(2) * 467-450-1000, 467-450-1000 / 2"),
        ("4111111111111111 > 5 or 4111111111111111<=5", "4111111111111111 > 5 or 4111111111111111<=5"),
        ("14000-3920-1000=9080, 2000000-400000=1600000", "14000-3920-1000=9080, 2000000-400000=1600000"),
        ("467 000-450 000 = 17 000", "467 000-450 000 = 17 000"),
        ("0900-0130 = 0730 on 2025-01-02T10:00:00", "0900-0130 = 0730 on 2025-01-02T10:00:00"),
        ("$15,640-2000 and 3.14159265358979", "$15,640-2000 and 3.14159265358979"),
        ("01-02-2025, 05/06/1999 or 03 04 2025", "01-02-2025, 05/06/1999 or 03 04 2025"),
        ("01.02.2024, 01.23.45.67, 1.01.23.45.67.89", "01.02.2024, 01.23.45.67, 1.01.23.45.67.89"),
        ("192.168.100.1, order 20250102123456", "192.168.100.1, order 20250102123456"),
    ],
)
def test_personal_data_in_texts_is_masked_and_figures_are_not(text: str, expected: str) -> None:
    counts: Counter[str] = Counter()
    assert mask(text, {}, counts) == expected
    assert dict(counts) == {
        kind: expected.count(f"<{kind.upper()}>")
        for kind in ("email", "card", "phone")
        if f"<{kind.upper()}>" in expected
    }


def test_values_of_personal_columns_are_masked_within_texts() -> None:
    counts: Counter[str] = Counter()
    known = {"name": "Jo Li", "first": "Jo", "mail": "jo@example.org", "number": None, "code": 4711}
    text = ["_JO LI_ wrote; Joanna and Jo did not. jo@example.org", {"content": "Code 4711, 14711"}]
    assert mask(text, known, counts) == [
        "_<NAME>_ wrote; Joanna and Jo did not. <MAIL>",
        {"content": "Code <CODE>, 14711"},
    ]
    assert counts == {"name": 1, "mail": 1, "code": 1}


def test_values_of_personal_columns_are_found_in_lists_and_in_json() -> None:
    known = {
        "people": ["Mia Berg", None],
        "about": {"mail": "jo-at-home"},
        "json": '["Li Wu"]',
        "text": '"Bo Ek"',
    }
    masked = mask("Mia Berg, jo-at-home, Li Wu and Bo Ek.", known, Counter())
    assert masked == "<PEOPLE>, <ABOUT>, <JSON> and <TEXT>."


@pytest.mark.parametrize("text", ["a" * 2_000_000, "1" * 2_000_000, "a." * 1_000_000, "+1" * 1_000_000])
def test_a_long_text_without_spaces_is_masked_in_one_pass(text: str) -> None:
    # Where time grows with the square of the length, this takes hours.
    assert mask(text, {}, Counter()) == text


def broken(text: str, **limits: Any) -> list[str]:
    quality = Quality(**limits)
    return list(broken_limits(measure(text, quality), quality))


def test_each_limit_is_broken_by_what_it_is_about() -> None:
    plain = "A sentence with some words in it, and another clause behind."
    assert broken(plain) == []
    assert broken("Too short.") == ["too_short"]
    assert broken(" " * 50) == ["too_short"]
    assert broken("#$%&/()=?" * 5) == ["symbols"]
    assert broken("menu entry\n" * 5 + plain) == []
    assert "repeated_lines" in broken("home | menu | about us | imprint\n" * 5)
    assert broken("buy it now or never " * 20) == ["repeated_phrases"]
    assert broken(plain * 20_000, max_repeated_phrases=None) == ["too_long"]
    none = dict.fromkeys(
        ("min_characters", "max_characters", "max_symbols", "max_repeated_lines", "max_repeated_phrases")
    )
    assert broken("!!", **none) == broken("", **none) == []


def test_what_is_measured() -> None:
    found = measure("abc\nabc\n\nxy!?", Quality())
    assert (found.characters, found.symbols, found.repeated_lines) == (13, 2 / 13, 1 - 7 / 10)
    assert measure("a b c d e a b c d e", Quality()).repeated_phrases == 1 - 5 / 6
    assert measure("x" * 30, Quality(max_characters=29)).symbols is None


def test_languages_are_told_and_unknown_ones_are_left_out() -> None:
    english = "The customer asks why the parcel has not arrived at his house yet."
    german = "Der Kunde fragt, warum das Paket noch nicht bei ihm zu Hause angekommen ist."
    assert broken(english, languages=["en"]) == broken(german, languages=["de", "en"]) == []
    assert broken(german, languages=["en"]) == ["language"]
    assert broken("1234567890 1234567890 1234567890", languages=["en"]) == ["language"]
    assert broken(english, languages=["en"], min_language_probability=1.0) == ["language"]
    assert measure(english, Quality()).language is None
    check_languages(Quality(languages=["en", "de"]))
    with pytest.raises(Fault, match=r"Language xx of .* is not known"):
        check_languages(Quality(languages=["en", "xx"]))


def evaluation(rows: list[Any], folder: Path, said: list[str]) -> EvaluationTexts:
    file = folder / "test.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    with duckdb.connect() as connection:
        return EvaluationTexts(connection, {"test": relation_of_file(str(file))}, said.append)


def test_thirteen_words_in_sequence_are_found_whatever_stands_around(tmp_path: Path) -> None:
    said: list[str] = []
    rows = [
        {"id": "1", "question": " ".join(WORDS[:20]), "answer": "short"},
        {"id": "2", "question": "x", "messages": [{"role": "user", "content": " ".join(WORDS[50:63])}]},
    ]
    texts = evaluation(rows, tmp_path, said)
    assert texts.find(f"before {', '.join(WORDS[3:16]).upper()}! after") == "test"
    assert texts.find(" ".join(WORDS[50:63])) == "test"
    assert texts.find(" ".join([*WORDS[:12], "other", *WORDS[12:20]])) is None
    assert texts.find("short") is None
    assert said == ["test: 5 of 7 texts have fewer than 13 words, and are not looked for"]


def test_texts_of_evaluation_sets_are_masked_as_those_of_the_corpus_are(tmp_path: Path) -> None:
    question = " ".join([*WORDS[:7], "jane@example.org", *WORDS[7:13]])
    texts = evaluation([{"question": question}], tmp_path, [])
    assert texts.find(mask(question, {}, Counter())) == "test"


def test_texts_within_maps_are_found(tmp_path: Path) -> None:
    """JSON with ever new keys is read as a map."""
    rows = [{"said": {f"key {number}": f"{number}"}} for number in range(300)]
    rows.append({"said": {"last": " ".join(WORDS[:13])}})
    texts = evaluation(rows, tmp_path, [])
    assert texts.find(" ".join(WORDS[:13])) == "test"


@pytest.mark.parametrize("kind", ["json", "varchar"])
def test_texts_within_json_are_found(kind: str) -> None:
    """As a line end of a text within JSON is written as a letter, its words are others in JSON's text."""
    question = "\n".join(WORDS[:13])
    said = json.dumps([{"role": "user", "content": question}])
    with duckdb.connect() as connection:
        connection.execute(f"create table asked (messages {kind})")
        connection.execute("insert into asked values (?)", [said])
        texts = EvaluationTexts(connection, {"asked": "asked"})
    assert texts.find(question) == "asked"
    # Code may be JSON.
    code = json.dumps({f"word{number}": f"value{number}" for number in range(9)})
    with duckdb.connect() as connection:
        connection.execute(f"create table asked as select $1::{kind} as code", [code])
        assert EvaluationTexts(connection, {"asked": "asked"}).find(f"This: {code}") == "asked"


def test_an_evaluation_set_without_text_or_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    evaluation([{"number": 1}], tmp_path, said)
    assert said == ["test: it holds no text, so nothing of it is looked for"]
    (tmp_path / "broken.jsonl").write_text('{"question": "x"}\n{"question": ')
    with (
        duckdb.connect() as connection,
        pytest.raises(Fault, match=r"Evaluation set broken of .* cannot be read: .*JSON"),
    ):
        EvaluationTexts(connection, {"broken": relation_of_file(str(tmp_path / "broken.jsonl"))})


def test_an_evaluation_set_that_is_neither_model_nor_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "set.docx").write_text("")
    for name in ("gsm8k_tets", str(tmp_path / "missing.jsonl"), str(tmp_path / "set.docx")):
        with pytest.raises(Fault, match="is neither a model nor a file in parquet, csv, json, jsonl"):
            relation_of_file(name)


def test_splits_stay_when_documents_are_added_and_have_their_shares() -> None:
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    found = [split_of(f"document {number}", shares) for number in range(20_000)]
    counts = Counter(found)
    assert {name: round(count / 20_000, 2) for name, count in counts.items()} == shares
    # A changed hash would move every document there is from split to split.
    assert found[:6] == ["train", "train", "train", "train", "test", "train"]
    assert split_of("x", {"none": 0.0, "all": 1.0}) == "all"


def messages(*roles: str, content: Any = "text") -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role in roles]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (messages("user", "assistant"), []),
        (messages("system", "user", "assistant", "user", "assistant"), []),
        (messages("user", "assistant", "tool", "tool", "assistant"), []),
        (json.dumps(messages("user", "assistant")), []),
        (messages("user", "robot"), ["unknown_role"]),
        (messages("user", "assistant", content=" "), ["empty"]),
        (messages("user", "assistant", content=None), ["empty"]),
        ([], ["empty", "wrong_turns"]),
        (None, ["empty"]),
        (messages("user"), ["wrong_turns"]),
        (messages("assistant"), ["wrong_turns"]),
        (messages("user", "user", "assistant"), ["wrong_turns"]),
        (messages("user", "system", "assistant"), ["wrong_turns"]),
        (messages("user", "tool", "assistant"), ["wrong_turns"]),
        ("not JSON", ["unreadable_messages"]),
        ("{}", ["empty", "wrong_turns"]),
        ("7", ["unreadable_messages"]),
        ("[" * 100_000, ["unreadable_messages"]),
        ('[{"role": "user"}]', ["unreadable_messages"]),
        ('[{"role": null, "content": "x"}]', ["unreadable_messages"]),
        ('[{"role": "user", "content": [1]}]', ["unreadable_messages"]),
        ('[{"role": "user", "content": "\\ud800"}]', ["unreadable_messages"]),
        (
            '[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "tool_calls": [1]}]',
            ["unreadable_messages"],
        ),
    ],
)
def test_conversations_are_read_and_their_faults_named(value: Any, expected: list[str]) -> None:
    content, broken = shape_of("chat", ["messages"], "m").content_of({"messages": value})
    assert broken == expected
    if not broken:
        given = json.loads(value) if isinstance(value, str) else value
        assert content == {"messages": given}


def test_pairs_become_conversations_or_stay_pairs() -> None:
    row = {"instruction": "Add.", "response": "2"}
    pair = {"messages": [{"role": "user", "content": "Add."}, {"role": "assistant", "content": "2"}]}
    assert shape_of("chat", ["response", "instruction"], "m").content_of(row) == (pair, [])
    assert shape_of("instruct", ["response", "instruction"], "m").content_of(row) == (row, [])
    assert shape_of("instruct", list(row), "m").content_of({**row, "response": None})[1] == ["empty"]
    assert shape_of("pretrain", ["text"], "m").content_of({"text": " \n"})[1] == ["empty"]
    with pytest.raises(Fault, match="chat takes the column messages or instruction and response, which m"):
        shape_of("chat", ["text"], "m")


def test_tokens_are_counted_by_a_named_file_or_as_for_embeddings(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    whole = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    whole.pre_tokenizer = pre_tokenizers.Whitespace()
    whole.enable_truncation(2)
    file = tmp_path / "own.json"
    whole.save(str(file))
    tokenizer = find_tokenizer(str(file))
    assert tokenizer.count(["a b c", "", "a"]) == [3, 0, 1]
    assert tokenizer.name.startswith("own.json@")
    assert find_tokenizer(None).count(["one two three"]) == [3]
    (tmp_path / "broken.json").write_text("{}")
    for name, message in (("broken.json", "is no tokenizer.json"), ("none.json", "There is no tokenizer")):
        with pytest.raises(Fault, match=message):
            find_tokenizer(str(tmp_path / name))
