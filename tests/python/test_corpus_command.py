"""`assay corpus create`: versions like those of training sets, and JSON lines in the shape asked for."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from corpus_project import NAME, create_corpus
from small_project import SmallProject
from training_project import folder, rows_of, succeed

import assay

LINES = 44


@pytest.fixture
def corpus(built_corpus: SmallProject, tmp_path: Path) -> SmallProject:
    """A copy of the project, for one test to do with as it likes."""
    return SmallProject(Path(shutil.copytree(built_corpus.root, tmp_path / "project")))


def declare(project: SmallProject, old: str, new: str) -> None:
    yaml = project.root / "models" / "own" / "gold" / "_corpora__models.yml"
    assert old in yaml.read_text()
    yaml.write_text(yaml.read_text().replace(old, new))


def lines_of(out: Path, pattern: str = "*.jsonl") -> list[dict[str, object]]:
    files = sorted(out.glob(pattern))
    texts = [
        (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()) for file in files
    ]
    return [json.loads(line) for text in texts for line in text.decode().splitlines()]


def test_a_corpus_is_a_version_that_is_listed_shown_verified_and_exported(corpus: SmallProject) -> None:
    told = succeed(corpus, "corpus", "create", NAME, "--format", "instruct", "--split", "--out", "out")
    (version,) = (corpus.root / "data" / "training_sets").glob(f"{NAME}@*")
    manifest = json.loads((version / "manifest.json").read_text())
    splits = {each["split"]: each for each in manifest["splits"]}
    assert splits.keys() == {"train", "test"}
    assert manifest["corpus"]["outcomes"] == {"kept": LINES, "near_duplicate": LINES}
    assert manifest["corpus"]["masked"] == {"email": 2 * LINES}
    listed = succeed(corpus, "training-set", "list")
    assert version.name in listed
    assert f"test {splits['test']['rows']}, train {splits['train']['rows']}" in " ".join(listed.split())
    shown = succeed(corpus, "training-set", "show", NAME)
    for part in (f"Of {2 * LINES} rows read", "(instruct)", "near duplicate", f"{2 * LINES} <EMAIL>"):
        assert part in told
        assert part in shown
    assert "What is asked." in shown
    assert f"{splits['test']['tokens']:,} tokens" in shown
    card = str(assay.open(corpus.root).training_set(NAME).card)
    assert f"| near duplicate | {LINES} |" in card
    verified = succeed(corpus, "training-set", "verify", NAME)
    assert f"{version.name} was rebuilt to the bit" in verified
    assert "documents in one split" in verified
    out = corpus.root / "parquet"
    succeed(corpus, "training-set", "export", NAME, "--split", "train", "--out", "parquet")
    assert [file.name for file in out.glob("*.parquet")] == [f"{NAME}-train-00000-of-00001.parquet"]


def test_lines_hold_the_shape_alone_by_split_and_are_the_same_bytes(corpus: SmallProject) -> None:
    options = ("--split", "--shards", "2", "--compress", "gz")
    version = create_corpus(corpus, "first", *options, shape="chat")
    first = corpus.root / "first"
    names = [f"{NAME}-{split}-0000{n}-of-00002.jsonl.gz" for split in ("test", "train") for n in (0, 1)]
    assert sorted(path.name for path in first.iterdir()) == ["README.md", *names, "dataset_info.json"]
    rows = rows_of(corpus, version)
    for split in ("test", "train"):
        expected = [{"messages": row["messages"]} for row in rows if row["split"] == split]
        found = lines_of(first, f"{NAME}-{split}-*.gz")
        assert sorted(found, key=str) == sorted(expected, key=str)
    assert found[0]["messages"][1]["content"].startswith("Ask <EMAIL> about line ")  # type: ignore[index]
    assert create_corpus(corpus, "again", *options, shape="chat") == version
    again = corpus.root / "again"
    assert {path.name: path.read_bytes() for path in first.iterdir()} == {
        path.name: path.read_bytes() for path in again.iterdir()
    }
    assert f"{version} exists already" in succeed(
        corpus, "corpus", "create", NAME, "--format", "chat", "--split", "--compress", "zst", "--out", "zst"
    )
    info = json.loads((first / "dataset_info.json").read_text())
    assert (info["split"], info["rows"]) == (["test", "train"], LINES)
    assert [column["name"] for column in info["columns"]] == ["messages"]
    # Exports of all columns are in the same order.
    succeed(
        corpus, "training-set", "export", version, "--split", "train", "--format", "jsonl", "--out", "all"
    )
    assert [row["messages"] for row in lines_of(corpus.root / "all")] == [row["messages"] for row in found]


def test_two_versions_differ_by_what_was_declared(corpus: SmallProject) -> None:
    before = create_corpus(corpus, "before")
    assert len(lines_of(corpus.root / "before")) == LINES
    declare(corpus, "splits:", "near_duplicates: null\n          splits:")
    after = create_corpus(corpus, "after")
    assert len(lines_of(corpus.root / "after")) == 2 * LINES
    told = succeed(corpus, "training-set", "diff", before, after)
    assert f"Rows added: {LINES}, such as" in told
    assert f"new code: {NAME}" in told
    # What was left out is not the same any more, so the version before is not built again.
    verified = corpus.assay("training-set", "verify", before)
    assert verified.exit_code == 1
    assert "FAILED rebuilt" in verified.stdout


def test_a_column_that_is_declared_personal_since_the_last_build_counts(corpus: SmallProject) -> None:
    response = "{name: response, data_type: varchar"
    declare(corpus, response, f"{response}, config: {{meta: {{pii: mask}}}}")
    ended = corpus.assay("corpus", "create", NAME, "--format", "instruct", "--out", "out")
    assert ended.exit_code == 2, ended.stdout
    assert "column response is declared personal (pii)" in " ".join(ended.stderr.split())


def test_an_evaluation_set_is_a_file_or_a_model(corpus: SmallProject) -> None:
    create_corpus(corpus, "before")
    question = lines_of(corpus.root / "before")[0]["instruction"]
    declare(corpus, "[evaluation.jsonl]", "[evaluation.jsonl, held_out]")
    model = corpus.root / "models" / "own" / "gold" / "held_out.sql"
    model.write_text(f"{{{{ config(contract={{'enforced': false}}) }}}}\nselect '{question}' as question\n")
    # The code has changed since the build, so both models are built beside each other.
    create_corpus(corpus, "after")
    left = [line["instruction"] for line in lines_of(corpus.root / "after")]
    assert len(left) == LINES - 1
    assert question not in left
    succeed(corpus, "training-set", "verify", NAME)


def test_a_changed_table_of_documents_is_told_by_verify(corpus: SmallProject) -> None:
    version = folder(corpus, create_corpus(corpus, "out"))
    shutil.copy(version / "data.parquet", version / "documents.parquet")
    verified = corpus.assay("training-set", "verify", NAME)
    assert verified.exit_code == 1
    assert "documents.parquet is not what the version was made with" in verified.stdout


def test_what_cannot_be_is_told(corpus: SmallProject) -> None:
    def told(*arguments: str, code: int = 2) -> str:
        ended = corpus.assay("corpus", "create", *arguments)
        assert ended.exit_code == code, ended.stdout + ended.stderr
        return " ".join(ended.stderr.split())

    assert "There is no corpus crp_x: a model is one whose YAML has config.meta.corpus. There are" in told(
        "crp_x", "--format", "chat", "--out", "out"
    )
    assert "which crp_questions lacks" in told(NAME, "--format", "pretrain", "--out", "out")
    shards = told(NAME, "--format", "chat", "--shards", "45", "--out", "out")
    assert f"{LINES} rows cannot be divided into 45 shards" in shards
    assert not (corpus.root / "out").exists()
    (corpus.root / "full").mkdir()
    (corpus.root / "full" / "file").write_text("")
    assert "full is not an empty folder" in told(NAME, "--format", "chat", "--out", "full")
    with pytest.raises(assay.Fault, match="There is no format chatt"):
        assay.open(corpus.root).create_corpus(NAME, "out", format="chatt")
    with pytest.raises(assay.Fault, match="There is no compression zip"):
        assay.open(corpus.root).create_corpus(NAME, "out", format="chat", compression="zip")
    declare(corpus, "train: 0.6", "../train: 0.6")
    assert "config.meta.corpus.splits: '../train' does not match" in told(
        NAME, "--format", "chat", "--out", "out", code=1
    )
    declare(corpus, "../train: 0.6", "train: 0.6")
    declare(corpus, "splits:", "qualty: {}\n          splits:")
    assert "config.meta.corpus: Additional properties are not allowed ('qualty' was unexpected)" in told(
        NAME, "--format", "chat", "--out", "out", code=1
    )


def test_a_folder_that_holds_something_is_told_before_anything_is_made(
    corpus: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.corpus.create.create_corpus", lambda *_: pytest.fail("it was made"))
    with pytest.raises(assay.Fault, match="models is not an empty folder"):
        assay.open(corpus.root).create_corpus(NAME, corpus.root / "models", format="instruct")


def test_python_reads_what_became_of_each_row(corpus: SmallProject) -> None:
    made = assay.open(corpus.root).create_corpus(NAME, corpus.root / "out", format="instruct")
    assert made.is_new
    assert len(made) == LINES
    assert [file.rows for file in made.files] == [LINES]
    documents = made.documents().to_arrow()
    assert documents.num_rows == 2 * LINES
    assert set(documents["outcome"].to_pylist()) == {"kept", "near_duplicate"}
