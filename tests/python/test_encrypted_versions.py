"""Versions of training sets are encrypted where a key is set, and hold the same rows, types and hashes."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from small_project import SmallProject
from training_project import ROWS, create, exported, folder, rows_of, succeed

import assay
from assay.build import encryption
from assay.core import parquet
from assay.core.encryption import EncryptionKey
from assay.core.fault import Fault
from assay.core.parquet import (
    is_encrypted_parquet,
    parquet_batches,
    rewrite_parquet,
    rows_of_parquet,
    write_parquet,
)
from assay.training.content import read_content

KEY, OTHER = "it's an invented key of 32 letters", "another invented key of 32 letters"
SECRET = b"a value that nobody is to find"
_ALL_TYPES = f"""
select
    n as id, '{SECRET.decode()}' || n as name, n % 2 = 0 as is_even, n::decimal(9, 2) as price,
    n::decimal(38, 4) as sum, [n, null] as numbers, [[n], []] as lists, {{'a': n, 'b': ['x']}} as pair,
    timestamp '2025-01-01 00:00:00.000001' as at, timestamptz '2025-01-01 00:00:00+02' as zoned,
    timestamp_ns '2025-01-01 00:00:00.000000001' as exact, date '2025-01-01' as day, n::utinyint as small,
    if(n = 3, null, n / 3) as third, 'nan'::float as none
from range(200) as r (n) order by id
"""


def write(file: Path, sql: str = _ALL_TYPES) -> Path:
    with duckdb.connect() as connection:
        write_parquet(connection, sql, file)
    return file


def test_an_encrypted_file_has_the_rows_types_and_hash_of_a_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = write(tmp_path / "plain.parquet")
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    file = write(tmp_path / "a b's.parquet")
    assert [is_encrypted_parquet(each) for each in (plain, file)] == [False, True]
    assert SECRET in plain.read_bytes()
    assert SECRET not in file.read_bytes()
    assert read_content(file) == read_content(plain)
    with parquet_batches(file, 64) as batches:
        found = batches.read_all()
    with parquet_batches(plain, 64) as batches:
        wanted = batches.read_all()
    assert found.schema == wanted.schema == pq.read_schema(plain)
    assert list(map(repr, found.to_pylist())) == list(map(repr, wanted.to_pylist()))
    # What a version cannot hold is refused as it is in a plain file.
    with pytest.raises(Fault, match="a training set holds numbers"):
        read_content(write(tmp_path / "odd.parquet", "select time '10:00' as odd"))


@pytest.mark.parametrize("given", [None, OTHER])
def test_another_key_or_none_is_told_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    file = write(tmp_path / "rows.parquet")
    if given:
        monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", given)
    else:
        monkeypatch.delenv("ASSAY_ENCRYPTION_KEY")
    said = "is encrypted with another key" if given else "is encrypted, and no key is set"
    for read in (rows_of_parquet, read_content):
        with pytest.raises(Fault, match=f"rows.parquet {said}") as raised:
            read(file)
        assert KEY not in str(raised.value)
        assert OTHER not in str(raised.value)


def test_a_damaged_file_is_not_taken_for_one_of_another_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    file = write(tmp_path / "rows.parquet")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(duckdb.Error):
        read_content(file)


def test_rows_are_written_anew_or_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "rows.parquet")
    content, before = read_content(file), file.read_bytes()
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    with monkeypatch.context() as patched:
        patched.setattr(parquet, "put_in_place", lambda new, target: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            rewrite_parquet(file, None, EncryptionKey(KEY))
    assert file.read_bytes() == before
    rewrite_parquet(file, None, EncryptionKey(KEY))
    assert read_content(file) == content
    rewrite_parquet(file, EncryptionKey(KEY), EncryptionKey(OTHER))
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", OTHER)
    assert read_content(file) == content
    assert [each.name for each in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_type_that_would_change_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    milliseconds = "timestamp_ms '2025-01-01 00:00:00.001'"
    file = write(tmp_path / "rows.parquet", f"select {milliseconds} as at")
    with pytest.raises(Fault, match="at would be of another type"):
        rewrite_parquet(file, None, EncryptionKey(KEY))
    assert not is_encrypted_parquet(file)
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    for value in (milliseconds, f"[{{'of': {milliseconds}}}]", "uuid()", "'{}'::json"):
        with pytest.raises(Fault, match="at would be of another type"):
            write(tmp_path / "new.parquet", f"select {value} as at")
    write(
        tmp_path / "new.parquet",
        "select {'UUID': 1} as at, [1, 2]::integer[2] as pair, 'a'::enum ('a') as kind",
    )


def test_all_commands_read_an_encrypted_version(
    training: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder(training, "trn_lines@") / "data.parquet"
    rows, plain = rows_of(training), exported(training, "plain")
    lists = assay.open(training.root).training_set("trn_lists").to_arrow()
    older = folder(training, "trn_lines@").name
    training.settings["ASSAY_ENCRYPTION_KEY"] = KEY
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    assert str(data.name) in succeed(training, "encrypt", "rotate")
    store = training.root / "data" / "training_sets"
    for file in store.rglob("*.parquet"):
        assert is_encrypted_parquet(file)
        assert b"P39" not in file.read_bytes()
    assert len(list(store.rglob("*.parquet"))) == 2
    project = assay.open(training.root)
    assert list(map(repr, project.training_set("trn_lines").to_arrow().to_pylist())) == list(map(repr, rows))
    assert project.training_set("trn_lists").to_arrow().equals(lists)
    # An export is made for other programs, and is plain.
    for file in exported(training, "again").iterdir():
        assert file.read_bytes() == (plain / file.name).read_bytes()
    assert f"{ROWS} rows" in succeed(training, "training-set", "show", "trn_lines")
    assert create(training) == older
    newer = create(training, "trn_lines", "--as-of", "2025-01-03T12:00:00")
    assert is_encrypted_parquet(folder(training, newer) / "data.parquet")
    assert "was rebuilt to the bit" in succeed(training, "training-set", "verify", newer)
    compared = succeed(training, "training-set", "diff", older, newer)
    assert "40" in compared
    # A missing key is no damage of a version.
    del training.settings["ASSAY_ENCRYPTION_KEY"]
    refused = training.assay("training-set", "verify", older)
    assert refused.exit_code == 2
    assert "no key is set" in " ".join((refused.stdout + refused.stderr).split())


def test_a_rotation_of_versions_that_is_killed_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dbt_project.yml").write_text("name: shop\n")
    monkeypatch.setenv("ASSAY_WAREHOUSE", "data/assay.duckdb")
    files = [Path("data", "training_sets", f"trn_{name}@12", "data.parquet") for name in ("lines", "lists")]
    for file in files:
        file.parent.mkdir(parents=True)
        write(file)
    content = read_content(files[0])

    def keys() -> list[str | None]:
        found = assay.open(".").encryption.status().found.files
        return [file.key for file in found if file.path in files]

    assert keys() == [None, None]
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    assert assay.open(".").encryption.rotate().found.written == files
    assert assay.open(".").encryption.rotate().found.as_they_were == files
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", OTHER)
    with pytest.raises(Fault, match=r"data\.parquet cannot be read with the key.*No file is changed"):
        assay.open(".").encryption.rotate()
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY_BEFORE", KEY)
    rewrite, done = encryption.rewrite_parquet, list[Path]()

    def rewrite_and_die(file: Path, old: EncryptionKey | None, key: EncryptionKey) -> None:
        if done:
            raise KeyboardInterrupt
        done.append(file)
        rewrite(file, old, key)

    with monkeypatch.context() as patched:
        patched.setattr(encryption, "rewrite_parquet", rewrite_and_die)
        with pytest.raises(KeyboardInterrupt):
            assay.open(".").encryption.rotate()
    assert keys() == ["now", "before"]
    found = assay.open(".").encryption.rotate().found
    assert (found.as_they_were, found.written) == (files[:1], files[1:])
    assert keys() == ["now", "now"]
    assert read_content(files[0]) == read_content(files[1]) == content
