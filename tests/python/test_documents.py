"""Documents become histories of chunks and embeddings, the same whatever the order of builds."""

from __future__ import annotations

import re
import shutil
import sqlite3
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from documents_project import DocumentsProject, make_documents_project
from embedding_endpoint import KEY, embedding_endpoint
from search_index import Chunk, write_gold

from assay.api.new_project import create_project
from assay.build.search import publish_search
from assay.core.places import Places
from assay.documents.chunk import embedding_text
from assay.project.warehouse import connect
from assay.search.query import open_index
from assay.search.tombstones import Tombstones

pytestmark = pytest.mark.minutes

RETURNS = "# Returns\n\nThirty days.\n\n# Costs\n\nTwo pounds.\n\n# Address\n\nAt the back."
SHORTER = "# Returns\n\nThirty days.\n\n# Costs\n\nThree pounds."


@pytest.fixture(scope="module")
def built(builds: None, tmp_path_factory: pytest.TempPathFactory) -> DocumentsProject:
    project = make_documents_project(tmp_path_factory.mktemp("documents") / "shop")
    project.land_documents(
        1,
        {"document_id": "returns", "title": "Help", "body": RETURNS, "tags": ["b", "a", "b"]},
        {"document_id": "other", "title": None, "body": "Something else."},
        {"document_id": "empty", "body": " \n"},
        {"document_id": "blank", "body": "\u00a0\u2003\n\u3000\f"},
        {"document_id": "binary", "body": "a\0b"},
        {"document_id": "broken", "problem": "PdfReadError: no"},
        {"document_id": "timeless", "body": "x", "updated_at": "soon"},
        {"document_id": "tagged", "body": "x", "tags": "a"},
        {"body": "no id"},
        "{broken",
    )
    build(project)
    return project


@pytest.fixture
def project(built: DocumentsProject, tmp_path: Path) -> DocumentsProject:
    shutil.copytree(built.root, tmp_path / "shop", symlinks=True)
    return DocumentsProject(tmp_path / "shop")


def build(project: DocumentsProject, *arguments: str) -> str:
    result = project.assay("build", *arguments)
    assert result.exit_code == 0, result.stdout + result.stderr
    return result.stdout


def test_bad_documents_are_kept_with_their_reasons(built: DocumentsProject) -> None:
    with connect(built.warehouse) as connection:
        rejected = connection.sql(
            "select rule_ids, coalesce(document ->> 'document_id', document ->> 'body', line) "
            "from (select *, try_cast(line as json) as document from silver.slv_documents__rejected) "
            "order by row_number"
        ).fetchall()
    assert rejected == [
        (["empty_document"], "empty"),
        (["empty_document"], "blank"),
        (["binary_document"], "binary"),
        (["unreadable_document"], "broken"),
        (["invalid_updated_at"], "timeless"),
        (["mistyped_tags"], "tagged"),
        (["missing_document_id"], "no id"),
        (["malformed_json"], "{broken"),
    ]


def test_chunks_know_their_place_and_their_document(built: DocumentsProject) -> None:
    rows = built.query(
        "select chunk_number, source, title, tags, heading_path, start_at, end_at, text, tokens "
        "from gold.doc_chunks where document_id = 'returns' order by 1"
    )
    assert [row[:5] for row in rows] == [
        (1, "help", "Help", ["a", "b"], "Returns"),
        (2, "help", "Help", ["a", "b"], "Costs"),
        (3, "help", "Help", ["a", "b"], "Address"),
    ]
    assert all(RETURNS[start:end] == text and tokens > 3 for *_, start, end, text, tokens in rows)


def test_sql_and_python_embed_the_same_text(built: DocumentsProject) -> None:
    rows = built.query("select title, heading_path, text, chunk_hash from gold.doc_chunks")
    with duckdb.connect() as connection:
        for title, path, text, found in rows:
            expected = connection.execute("select sha256($1)", [embedding_text(title, path, text)]).fetchone()
            assert expected == (found,)
    assert len(rows) == 4


def test_each_text_has_an_embedding_of_length_1(built: DocumentsProject) -> None:
    rows = built.query(
        "select model, array_inner_product(vector, vector), problem, len(vector::float[]) "
        "from gold.doc_embeddings"
    )
    assert len(rows) == 4
    for model, length, problem, numbers in rows:
        assert model.count("@") == 1
        assert length == pytest.approx(1, abs=1e-5)
        assert (problem, numbers) == (None, 256)


def test_a_change_embeds_only_the_chunks_whose_text_changed(project: DocumentsProject) -> None:
    before = dict(project.query("select chunk_hash, vector::varchar from gold.doc_embeddings"))
    (project.root / "data" / "embeddings.sqlite").unlink()
    project.land_documents(
        2, {"document_id": "returns", "title": "Help", "body": SHORTER, "tags": ["a", "b"]}
    )
    build(project)
    assert [row for row in project.chunks() if row[0] == "returns"] == [
        ("returns", 1, "# Returns\n\nThirty days."),
        ("returns", 2, "# Costs\n\nThree pounds."),
    ]
    ended = project.query(
        "select chunk_number, valid_to::date::varchar from gold.doc_chunks "
        "where valid_to < '9999-01-01' order by all"
    )
    assert ended == [(2, "2025-03-02"), (3, "2025-03-02")]
    after = dict(project.query("select chunk_hash, vector::varchar from gold.doc_embeddings"))
    # What was said before is still embedded: one can search as of then.
    assert before.items() <= after.items()
    assert len(after) == len(before) + 1
    with sqlite3.connect(project.root / "data" / "embeddings.sqlite") as kept:
        assert kept.execute("select count(*) from vectors").fetchone() == (1,)


def test_texts_that_the_model_refuses_are_told_and_tried_again(project: DocumentsProject) -> None:
    bare = "select count(*) from gold.doc_embeddings where vector is null and problem like '%too long%'"
    with embedding_endpoint() as server:
        address = f"{server.address}?dimensions=256#small"
        project = replace(project, settings={"ASSAY_EMBEDDING": address, "ASSAY_EMBEDDING_KEY": KEY})
        server.refuses = lambda text: "Thirty days" in text
        project.land_documents(2, {"document_id": "more", "body": "More."})
        told = " ".join(build(project).split())
        assert "3 documents, 5 chunks, 1 of them without a vector (gold.doc_embeddings says why)" in told
        assert project.query(bare) == [(1,)]
        server.refuses = lambda text: False
        project.land_documents(3, {"document_id": "more", "body": "And more."})
        assert "without a vector" not in build(project)
        assert project.query(bare) == [(0,)]


def test_a_deleted_document_has_no_chunk_any_more(project: DocumentsProject) -> None:
    project.land_documents(2, {"document_id": "returns", "deleted": True})
    build(project)
    assert {row[0] for row in project.chunks()} == {"other"}
    assert len(project.chunks("document_id = 'returns' and valid_to = '2025-03-02 12:00:00'")) == 3


def test_a_version_that_arrives_after_a_later_one_never_was_known(project: DocumentsProject) -> None:
    late = {"document_id": "other", "body": "Older.", "updated_at": "2025-02-01T00:00:00Z"}
    project.land_documents(2, late)
    build(project)
    assert project.chunks("document_id = 'other'") == [("other", 1, "Something else.")]


def test_of_versions_that_arrive_together_one_stands_as_a_whole(project: DocumentsProject) -> None:
    """Also where they claim the same time: no chunk of the one beside a chunk of the other."""
    both = ["# A\n\nz\n\n# B\n\na", "# A\n\na\n\n# B\n\nz"]
    project.land_documents(2, *({"document_id": "returns", "body": body} for body in both))
    build(project)
    texts = [text for name, _, text in project.chunks() if name == "returns"]
    assert "\n\n".join(texts) == both[1]


def test_builds_of_days_equal_one_full_refresh(project: DocumentsProject) -> None:
    for day in range(2, 6):
        body = "\n\n".join(f"# {part}\n\n{'long ' * (part * day % 7)}{part}." for part in range(day % 4 + 1))
        project.land_documents(
            day,
            {"document_id": "returns", "title": "Help", "body": body},
            {"document_id": f"new {day}", "body": body, "tags": [str(day)]},
            {"document_id": f"new {day - 1}", "deleted": day % 2 == 1, "body": "again"},
        )
        build(project)
    temporary = "select table_name from duckdb_tables() where contains(table_name, '__dbt_tmp')"
    assert project.query(temporary) == [], "what a model in Python adds is in one table"
    tables = ("silver.slv_document_texts", "gold.doc_chunks", "gold.doc_embeddings")
    found = [project.query(f"from {table} order by all") for table in tables]
    build(project, "--full-refresh")
    assert [project.query(f"from {table} order by all") for table in tables] == found
    assert all(found)


def test_what_is_cut_in_another_way_is_cut_again(project: DocumentsProject) -> None:
    yaml = project.root / "models" / "own" / "silver" / "docs" / "_docs__models.yml"
    yaml.write_text(
        yaml.read_text().replace("chunk_tokens: 256", "chunk_tokens: 8").replace("overlap: 32", "overlap: 0")
    )
    build(project)
    assert {row[0] for row in project.query("select cut_by from silver.slv_document_texts")} == {
        "8 tokens, 0 repeated, 2"
    }
    assert project.query(
        "select max(tokens) <= 8, count(*) > 4 from gold.doc_chunks where valid_to > '9999-01-01'"
    ) == [(True, True)]


def test_documents_that_a_new_project_lands_are_built(builds: None, tmp_path: Path) -> None:
    """`assay documents add` and `land` are all that a project needs."""
    create_project(tmp_path / "wiki")
    project = DocumentsProject(tmp_path / "wiki")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.md").write_text(RETURNS)
    (tmp_path / "pages" / "b.txt").write_bytes(bytes(range(256)))
    told = project.assay("documents", "land", "../pages", "--source", "pages")
    assert "No model loads them yet: assay documents add" in told.stdout
    told = project.assay("documents", "add", "--owner", "wiki")
    assert "Wrote models/gold/documents/doc_chunks.sql" in told.stdout
    written = [*project.root.glob("contracts/*.yaml"), *project.root.glob("models/**/*.*")]
    assert [path for path in written if re.search(r"\bsupport\b", path.read_text())] == []
    assert "are there already" in project.assay("documents", "add", "--owner", "wiki").stdout
    build(project)
    assert [row[:2] for row in project.chunks()] == [("pages/a.md", 1), ("pages/a.md", 2), ("pages/a.md", 3)]
    with connect(project.warehouse) as connection:
        [(reason,)] = connection.sql("select reason from silver.slv_documents__rejected").fetchall()
    assert "open the file and write it anew" in reason


def test_a_build_publishes_what_is_searched(
    project: DocumentsProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    monkeypatch.delenv("DBT_TARGET_PATH", raising=False)
    index = project.root / "data" / "published" / "search.duckdb"
    first = open_index(index).search("thirty days").results[0]
    assert (first.document_id, first.heading_path) == ("returns", "Returns")
    places = Places(project.landing, project.warehouse)
    assert publish_search(places, {"other"}, tell=print) is None
    assert publish_search(places, {"doc_embeddings"}, tell=print) == publish_search(places, tell=print)
    index.unlink()
    assert publish_search(places, {"other"}, tell=print) is not None
    [(run,)] = project.query("select run_id from runs", file=project.root / "data" / "ops.duckdb")
    project.land_documents(2, {"document_id": "returns", "deleted": True})
    told = build(project)
    assert "search.duckdb: 1 document, 1 chunk" in " ".join(told.split())
    assert {each.document_id for each in open_index(index).search("thirty days").results} == {"other"}
    # As of then, it is found.
    then = open_index(index).search("thirty days", as_of=datetime(2025, 3, 1, 18)).results[0]
    assert then.document_id == "returns"
    assert project.assay("published", "rollback", run).exit_code == 0
    assert open_index(index).search("thirty days").results[0].document_id == "returns"


def test_an_index_that_is_gone_or_broken_is_written_by_the_next_build(project: DocumentsProject) -> None:
    """Also if nothing has landed: to build again is what searches ask for."""
    index = project.root / "data" / "published" / "search.duckdb"
    build(project)
    assert "nothing to build" in build(project)
    # Of builds that were killed: half a file, and what did not fit into memory.
    left, spilled = (index.with_name(f".search.duckdb.{name}") for name in ("1", "1.tmp"))
    left.write_bytes(b"half")
    spilled.mkdir()
    (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"rows")
    index.write_bytes(b"broken")
    told = project.assay("search", "thirty days")
    assert (told.exit_code, "build again" in told.stderr) == (1, True)
    build(project)
    assert "of returns" in search(project)
    assert not left.exists()
    assert not spilled.exists()
    index.unlink()
    build(project)
    assert "of returns" in search(project)
    assert "nothing to build" in build(project)


def test_a_publication_that_is_open_elsewhere_is_not_taken_for_the_next_one(
    project: DocumentsProject,
) -> None:
    """As in a notebook that looks into what is published, and builds."""
    published = project.root / "data" / "published" / "assay.duckdb"
    with duckdb.connect(published) as connection:
        connection.execute("drop table gold.doc_chunks")
    with duckdb.connect(published, read_only=True):
        project.land_documents(2, {"document_id": "more", "body": "Thirty more."})
        build(project)
        assert "of more" in search(project)


def test_documents_that_are_published_no_more_are_searched_no_more(project: DocumentsProject) -> None:
    index = project.root / "data" / "published" / "search.duckdb"
    places = Places(project.landing, project.warehouse)
    with duckdb.connect(places.published) as connection:
        connection.execute("drop table gold.doc_chunks")
    assert publish_search(places, set(), tell=print) is None
    assert not index.exists()


def test_a_title_of_any_length_does_not_fill_each_chunk(project: DocumentsProject) -> None:
    project.land_documents(2, {"document_id": "returns", "title": "t" * 300, "body": RETURNS})
    build(project)
    titles = "select distinct title from gold.doc_chunks where document_id = 'returns' order by 1"
    assert project.query(titles) == [("Help",), ("t" * 199 + "…",)]
    with connect(project.warehouse) as connection:
        [(whole,)] = connection.sql("select max(length(title)) from silver.slv_documents__changes").fetchall()
    assert whole == 300


def test_a_search_that_cannot_be_written_fails_no_build(project: DocumentsProject) -> None:
    index = project.root / "data" / "published" / "search.duckdb"
    index.unlink()
    index.mkdir()
    project.land_documents(2, {"document_id": "more", "body": "More."})
    told = build(project)
    assert "Search stays as it was" in " ".join(told.split())
    assert ("more", 1, "More.") in project.chunks()
    # The next build tries again, also if nothing has landed.
    index.rmdir()
    build(project)
    assert "of returns" in search(project)


def search(project: DocumentsProject, *arguments: str) -> str:
    found = project.assay("search", "thirty days", *arguments)
    assert found.exit_code == 0, found.stderr
    return found.stdout


def test_a_deleted_document_is_gone_at_once_and_after_the_next_build(project: DocumentsProject) -> None:
    [(run,)] = project.query("select run_id from runs", file=project.root / "data" / "ops.duckdb")
    tombstones = Tombstones(project.root / "data" / "deleted_documents.json")
    assert "of returns" in search(project)
    told = project.assay("documents", "delete", "returns", "nowhere")
    assert told.exit_code == 2
    assert "Deleted: returns" in told.stdout
    assert "Unknown: nowhere" in told.stdout
    assert "of returns" not in search(project)
    # Before the deletion, it was known.
    assert "of returns" in search(project, "--as-of", "2025-03-02")
    again = project.assay("documents", "delete", "returns")
    assert (again.exit_code, "Deleted already: returns" in again.stdout) == (0, True)
    build(project)
    assert {row[0] for row in project.chunks()} == {"other"}
    assert "of returns" not in search(project)
    assert "of returns" in search(project, "--as-of", "2025-03-02")
    # A publication that is kept has it, and may come back; the document may not.
    assert set(tombstones.find()) == {"returns"}
    assert project.assay("published", "rollback", run).exit_code == 0
    published = project.root / "data" / "published" / "assay.duckdb"
    there = "select distinct document_id from gold.doc_chunks where valid_to > '9999-01-01' order by 1"
    assert ("returns",) in project.query(there, file=published)
    assert "of returns" not in search(project)
    build(project)
    assert "of returns" not in search(project)


def test_a_document_is_hidden_until_nothing_has_it_any_more(project: DocumentsProject) -> None:
    with (project.root / "dbt_project.yml").open("a") as file:
        file.write("\nvars: {keep_publications: 1}\n")
    index = project.root / "data" / "published" / "search.duckdb"
    tombstones = Tombstones(project.root / "data" / "deleted_documents.json")
    assert project.assay("documents", "delete", "returns").exit_code == 0
    old = index.read_bytes()
    index.unlink()
    index.mkdir()
    told = " ".join(build(project).split())
    assert "Search stays as it was" in told
    # The index is still to be written.
    assert set(tombstones.find()) == {"returns"}
    index.rmdir()
    index.write_bytes(old)
    project.land_documents(2, {"document_id": "more", "body": "More."})
    build(project)
    assert tombstones.find() == {}
    assert "of returns" not in search(project)


def test_documents_that_are_personal_are_searched_only_where_that_is_allowed(
    project: DocumentsProject,
) -> None:
    index = project.root / "data" / "published" / "search.duckdb"
    yaml = project.root / "models" / "own" / "gold" / "documents" / "_documents__models.yml"
    contract = project.root / "contracts" / "document_search.odcs.yaml"
    plain = yaml.read_text(), contract.read_text()
    yaml.write_text(
        plain[0].replace("doc('chunk_text') }}\"}", "doc('chunk_text') }}\", config: {meta: {pii: mask}}}")
    )
    contract.write_text(
        plain[1].replace(
            "description: The text of the chunk.}",
            "description: The text of the chunk., customProperties: [{property: pii, value: mask}]}",
        )
    )
    assert yaml.read_text() != plain[0]
    assert contract.read_text() != plain[1]
    told = " ".join(build(project).split())
    assert "Documents cannot be searched, because doc_chunks declares text personal" in told
    assert not index.exists()
    assert "no index" in project.assay("search", "thirty days").stderr
    yaml.write_text(
        yaml.read_text().replace("materialized: history}", "materialized: history, meta: {online_pii: true}}")
    )
    build(project)
    assert "of returns" in search(project)


def test_documents_that_may_be_personal_are_not_searched(project: DocumentsProject) -> None:
    """Where dbt's folder is gone, a rollback cannot know what is declared; a build can."""
    index = project.root / "data" / "published" / "search.duckdb"
    [(run,)] = project.query("select run_id from runs", file=project.root / "data" / "ops.duckdb")
    project.land_documents(2, {"document_id": "more", "body": "More."})
    build(project)
    shutil.rmtree(project.root / "target")
    told = project.assay("published", "rollback", run)
    assert (told.exit_code, "whether they are personal" in " ".join(told.output.split())) == (0, True)
    assert not index.exists()
    build(project)
    assert "of returns" in search(project)


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        (None, "nobody can tell"),
        ([], "nobody can tell"),
        ([{"resource_type": "test"}], "nobody can tell"),
        ([{}], None),
        # What is published has the alias for a name.
        (
            [{"name": "pieces", "columns": {"text": {"name": "text", "meta": {"pii": "mask"}}}}],
            "declares text",
        ),
        ([{"columns": {"tokens": {"name": "tokens", "meta": {"pii": "mask"}}}}], None),
        (
            [{"columns": {"text": {"name": "text", "meta": {"pii": "mask"}}}, "meta": {"online_pii": True}}],
            None,
        ),
    ],
)
def test_what_may_be_personal_is_not_searched(
    nodes: list[dict[str, Any]] | None, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, said = Places(tmp_path / "landing", tmp_path / "assay.duckdb"), list[str]()
    places.published.parent.mkdir()
    write_gold(places.published, [Chunk("a", "text")])
    places.search.write_bytes(b"of the last publication")
    usual = {"name": "doc_chunks", "alias": "doc_chunks", "resource_type": "model", "columns": {}}
    manifest = SimpleNamespace(
        nodes={
            str(number): usual | node | {"config": {"meta": node.get("meta", {})}}
            for number, node in enumerate(nodes or [])
        }
    )
    monkeypatch.setattr("assay.build.search.read_manifest", lambda: manifest if nodes is not None else None)
    found = publish_search(places, tell=said.append)
    if told is None:
        assert (found is not None, said) == (True, [])
    else:
        assert (found, places.search.exists()) == (None, False)
        assert told in said[0]
    with duckdb.connect(places.published) as connection:
        connection.execute("drop table gold.doc_embeddings")
    if nodes in (None, []):
        said.clear()
        assert (publish_search(places, tell=said.append), said) == (None, [])
