"""Files of DuckDB are encrypted at rest with a key that stands in no file."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
from search_index import Chunk, index_of, write_gold
from small_project import SmallProject

import assay
from assay.build import encryption
from assay.build.encryption import Rotated
from assay.build.publications import count_rows, find_kept, keep, published_run
from assay.build.publish import Provenance, publish
from assay.core.disk import make_private_folder
from assay.core.encryption import is_encrypted
from assay.core.fault import Fault
from assay.core.places import LAKE_ENDING, Places
from assay.project.products import Products
from assay.project.warehouse import connect, connect_published
from assay.search import index as index_module
from assay.search.index import write_index
from assay.search.query import open_index
from assay.search.unavailable import SearchUnavailable

KEY, OTHER = "it's an invented key of 32 letters", "another invented key of 32 letters"
SECRET = b"a value that nobody is to find"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)


def write(file: Path) -> Path:
    with connect(file, read_only=False) as connection:
        connection.execute("set force_compression = 'uncompressed'; create schema gold")
        connection.execute(
            f"create table gold.notes as select '{SECRET.decode()}' || n as note from range(9) as r (n)"
        )
    return file


def test_a_new_file_is_encrypted_where_there_is_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "a b's.duckdb")
    assert is_encrypted(file)
    with connect(file) as connection:
        assert connection.execute("select current_database(), count(*) from gold.notes").fetchall() == [
            ("a b's", 9)
        ]
        with pytest.raises(duckdb.InvalidInputException, match="read-only"):
            connection.execute("delete from gold.notes")
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    plain = write(tmp_path / "plain.duckdb")
    assert not is_encrypted(plain)
    assert SECRET in plain.read_bytes()
    assert SECRET not in file.read_bytes()
    # A file that is plain stays so, and is read with a key and without.
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    with connect(plain, read_only=False) as connection:
        connection.execute("insert into gold.notes values ('more')")
    assert not is_encrypted(plain)


@pytest.mark.parametrize("given", [None, OTHER])
def test_another_key_or_none_is_told_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    file = write(tmp_path / "file.duckdb")
    if given:
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", given)
    else:
        monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    said = "is encrypted with another key" if given else "is encrypted, and no key is set"
    for read in (connect, connect_published, published_run, count_rows):
        with pytest.raises(Fault, match=f"file.duckdb {said}") as raised:
            read(file)
        assert KEY not in str(raised.value)
        assert OTHER not in str(raised.value)


@pytest.mark.parametrize("wrong", ["\u00fc", "\\", "\\xg0", "\udcff"])
def test_a_key_that_duckdb_cannot_take_is_told_and_not_shown(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", f"{KEY}{wrong} and more")
    with pytest.raises(Fault, match="ASSAY_ENCRYPTION_KEY gives a key with characters") as raised:
        write(tmp_path / "file.duckdb")
    assert KEY not in str(raised.value)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", f"{KEY}'\\xAf\"\t")
    assert is_encrypted(write(tmp_path / "other.duckdb"))


def test_a_command_may_give_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "file.duckdb")
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_COMMAND", f'echo; echo "{KEY}"')
    with pytest.raises(Fault, match="are both set"):
        connect(file)
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    connect(file).close()
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_COMMAND", f'echo "{KEY}"; echo "{KEY}" >&2; exit 7')
    with pytest.raises(Fault, match="ended with exit code 7: no key is known") as raised:
        connect(file)
    assert KEY not in str(raised.value)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_COMMAND", f"printf '\\377{OTHER}'")
    with pytest.raises(Fault, match="KEY_COMMAND gives a key with characters"):
        connect(file)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_COMMAND", f'echo a token ends soon; echo "{KEY}"')
    with pytest.raises(Fault, match="prints several lines") as raised:
        connect(file)
    assert KEY not in str(raised.value)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_COMMAND", "echo short")
    with pytest.raises(Fault, match="KEY_COMMAND gives a key of 5 characters"):
        connect(file)


def test_what_is_published_is_encrypted_from_the_first_time_that_there_is_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse, published = tmp_path / "assay.duckdb", tmp_path / "published" / "assay.duckdb"
    products = Products({"notes": "notes"})

    def publish_again(run_id: str) -> None:
        # As where nothing has changed: tables are kept as bytes if they can be.
        changed = set() if published.exists() else None
        publish(warehouse, published, products, Provenance(run_id, datetime(2025, 1, 1)), changed)

    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    write(warehouse)
    publish_again("plain")
    assert not is_encrypted(published)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    for run_id in ("first", "second"):
        publish_again(run_id)
        assert is_encrypted(published)
        assert SECRET not in published.read_bytes()
        assert published_run(published) == run_id
        assert count_rows(published) == (1, 9)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Of a project with a plain warehouse, which is published and kept, and a ledger."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    monkeypatch.delenv("ASSAY_ENCRYPTION_KEY_BEFORE", raising=False)
    Path("dbt_project.yml").write_text("name: shop\n")
    found = Places(Path("landing"), Path("data", "assay.duckdb"))
    found.warehouse.parent.mkdir()
    write(found.warehouse)
    with connect(found.warehouse, read_only=False) as connection:
        connection.execute("create table gold.keyed (id integer primary key, n integer not null default 7)")
        connection.execute("insert into gold.keyed (id) from range(3)")
        connection.execute(
            "create view gold.seen as from assay.gold.keyed; comment on view gold.seen is 'told'"
        )
    publish(
        found.warehouse,
        found.published,
        Products({"notes": "notes"}),
        Provenance("one", datetime(2025, 1, 1)),
    )
    keep(found.published)
    connect(found.ledger, read_only=False).close()
    (found.warehouse.parent / "assay_of_others.duckdb").write_bytes(b"not ours")
    make_private_folder(found.serving)
    return found


def rotate_to(monkeypatch: pytest.MonkeyPatch, key: str, before: str | None = None) -> Rotated:
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", key)
    if before:
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", before)
    return assay.open(".").encryption.rotate().found


def keys() -> dict[str, str | None]:
    return {
        str(file.path): file.key for file in assay.open(".").encryption.status().found.files if file.can_be
    }


def test_files_are_taken_to_a_key_and_to_the_next_one(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = find_kept(places.published)[0].published
    files = [str(file) for file in (places.warehouse, places.ledger, places.published, kept)]
    assert keys() == dict.fromkeys(files)
    with duckdb.connect(str(places.published), read_only=True) as reader:
        assert len(rotate_to(monkeypatch, KEY).written) == 4
        assert reader.execute("select count(*) from gold.notes").fetchall() == [(9,)]
    assert keys() == dict.fromkeys(files, "now")
    assert kept.samefile(places.published)
    assert published_run(kept) == "one"
    with connect(places.warehouse, read_only=False) as connection:
        assert connection.execute("from gold.seen order by all").fetchall() == [(0, 7), (1, 7), (2, 7)]
        with pytest.raises(duckdb.ConstraintException):
            connection.execute("insert into gold.keyed (id) values (1)")
        comments = "select comment from duckdb_views() where view_name = 'seen'"
        assert connection.execute(comments).fetchall() == [("told",)]
    assert rotate_to(monkeypatch, KEY).written == []
    assert len(rotate_to(monkeypatch, OTHER, before=KEY).written) == 4
    assert keys() == dict.fromkeys(files, "now")
    for file in places.warehouse.parent.rglob("*"):
        assert not (file.is_file() and SECRET in file.read_bytes()), file
    assert not list(places.warehouse.parent.rglob(".*"))


def test_a_rotation_that_is_killed_goes_on(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    put, moved = encryption.put_in_place, []

    def put_and_die(new: Path, target: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        return put(new, target)

    with monkeypatch.context() as patched:
        patched.setattr(encryption, "put_in_place", put_and_die)
        # As a kill does.
        patched.setattr(encryption, "remove_leftovers", lambda files: None)
        with pytest.raises(KeyboardInterrupt):
            rotate_to(monkeypatch, KEY)
    assert sorted(map(str, keys().values())) == ["None", "None", "None", "now"]
    assert len(list(places.warehouse.parent.rglob(".*"))) == 1
    done = rotate_to(monkeypatch, KEY)
    assert [len(done.as_they_were), len(done.written)] == [1, 3]
    assert set(keys().values()) == {"now"}
    assert not list(places.warehouse.parent.rglob(".*"))


def test_a_key_that_nobody_knows_changes_no_file(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Fault, match="No key is set"):
        assay.open(".").encryption.rotate()
    rotate_to(monkeypatch, KEY)
    before = places.warehouse.read_bytes()
    with pytest.raises(
        Fault, match=r"cannot be read with the key that is set, .*end that one first.*No file is changed"
    ):
        rotate_to(monkeypatch, OTHER, before="a key of 32 letters that is wrong")
    assert places.warehouse.read_bytes() == before
    assert set(keys().values()) == {"another"}
    shown = str(assay.open(".").encryption.status())
    assert "plain: the disk's task" in shown
    assert OTHER not in shown


def test_a_file_that_is_damaged_is_told_before_any_is_written(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, whole = places.warehouse.read_bytes(), places.published.read_bytes()
    # What is kept is the same file.
    places.published.unlink()
    places.published.write_bytes(b"no file of DuckDB, though it has its name" * 200)
    with pytest.raises(Fault, match=r"published/assay.duckdb is not a DuckDB file.*\n.*No file is changed"):
        rotate_to(monkeypatch, KEY)
    assert places.warehouse.read_bytes() == before
    places.published.write_bytes(whole)
    rotate_to(monkeypatch, KEY)
    before = places.warehouse.read_bytes()
    with places.published.open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"damaged" * 10)
    said = r"published/assay.duckdb is damaged: put it back from a backup"
    with pytest.raises(Fault, match=rf"{said}[^\n]*\nThen rotate again. No file is changed"):
        rotate_to(monkeypatch, OTHER, before=KEY)
    assert places.warehouse.read_bytes() == before
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    with pytest.raises(Fault, match=said):
        connect(places.published)
    assert re.search(said, " ".join(encryption.find_states(places).unread))


def test_a_file_that_was_cut_short_is_told(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    rotate_to(monkeypatch, KEY)
    start = places.published.read_bytes()[:100]
    # What is kept is the same file.
    places.published.unlink()
    places.published.write_bytes(start)
    told = encryption.find_states(places)
    assert [each.split(" ")[0] for each in told.unread] == [str(places.published)]
    assert str(places.warehouse) in [str(each.path) for each in told.files]


def test_the_index_of_documents_is_encrypted_and_taken_to_the_next_key(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.published.unlink()
    write_gold(places.published, [Chunk("notes", f"{SECRET.decode()}: parcels")])
    write_index(places.published, places.search)
    assert not is_encrypted(places.search)
    assert places.search in rotate_to(monkeypatch, KEY).written
    assert SECRET not in places.search.read_bytes()
    index = open_index(places.search)
    assert [each.document_id for each in index.search("parcel", mode="text").results] == ["notes"]
    assert keys()[str(places.search)] == "now"
    assert places.search in rotate_to(monkeypatch, KEY).as_they_were
    # Who has it open reads on, and whoever opens it then needs the new key.
    assert places.search in rotate_to(monkeypatch, OTHER, before=KEY).written
    assert [each.document_id for each in index.search("parcel", mode="text").results] == ["notes"]
    assert not list(places.search.parent.glob(".*"))
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    with pytest.raises(SearchUnavailable, match="is encrypted with another key") as raised:
        open_index(places.search).search("parcel", mode="text")
    assert str(places.search) not in raised.value.for_callers


@pytest.mark.parametrize("way", ["exact", "ivfpq"])
def test_an_index_of_vectors_is_encrypted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    # Its graph cannot be in an encrypted file.
    monkeypatch.setattr(index_module, "_HNSW_FROM", 1)
    monkeypatch.setenv("ASSAY_IVFPQ_FROM", "1" if way == "ivfpq" else "1000000")
    texts = [f"{SECRET.decode()} {number}" for number in range(300)]
    counts = index_of(tmp_path, [Chunk(f"d{number}", text) for number, text in enumerate(texts)])
    assert counts.way == way
    file = tmp_path / "search.duckdb"
    assert is_encrypted(file)
    assert SECRET not in file.read_bytes()
    found = open_index(file).search(texts[7], mode="vector").results
    assert "d7" in [each.document_id for each in found]


def test_a_lake_is_left_as_it_is(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = places.warehouse.with_suffix(LAKE_ENDING)
    places.warehouse.rename(lake)
    monkeypatch.setenv("ASSAY_WAREHOUSE", str(lake))
    before = lake.read_bytes()
    assert lake not in rotate_to(monkeypatch, KEY).written
    assert lake.read_bytes() == before
    found = {file.path: file.can_be for file in assay.open(".").encryption.status().found.files}
    assert found[lake] is False


def test_a_build_that_could_not_encrypt_does_not_begin(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assay.core.extensions.find_spec", lambda name: None)
    project.settings["ASSAY_ENCRYPTION_KEY"] = KEY
    build = project.assay("build", "--all")
    assert build.exit_code == 2
    assert "Writing encrypted files needs duckdb-extension-httpfs, which is not installed" in build.stderr
    assert len(project.runs()) == 1


def test_a_build_writes_no_plain_file(project: SmallProject) -> None:
    for file in project.warehouse.parent.rglob("*.duckdb"):
        file.unlink()
    project.settings["ASSAY_ENCRYPTION_KEY"] = KEY
    build = project.assay("build")
    assert build.exit_code == 0, build.stdout
    for file in (project.warehouse, project.published, project.warehouse.parent / "ops.duckdb"):
        assert is_encrypted(file), file
        assert b"order_line_id" not in file.read_bytes()
    with connect(project.published) as connection:
        assert connection.execute("select count(*) > 0 from gold.fct_lines").fetchall() == [(True,)]
    # Nothing has changed, and a second build knows it.
    again = project.assay("build")
    assert "Nothing has landed" in again.stdout
    project.land(20, 1, 2, 3)
    more = project.assay("build")
    assert more.exit_code == 0, more.stdout
    written = [file for file in project.root.rglob("*") if file.is_file() and file.name != "profiles.yml"]
    assert not [file for file in written if KEY.encode() in file.read_bytes()]
    assert KEY not in build.stdout + again.stdout + more.stdout
    assert "import duckdb" not in build.stdout
    project.settings.update({"ASSAY_ENCRYPTION_KEY": OTHER, "ASSAY_ENCRYPTION_KEY_BEFORE": KEY})
    assert "Had it already: 0 files" in project.assay("encrypt", "rotate").stdout
    assert "Nothing has landed" in project.assay("build").stdout
    project.settings["ASSAY_ENCRYPTION_KEY"] = KEY
    refused = project.assay("build", "--all")
    assert refused.exit_code == 2
    assert "is encrypted with another key" in " ".join((refused.stdout + refused.stderr).split())
