"""How a CSV is written is found in a sample, and what the sample leaves open is told."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from assay.landing.dialect import Dialect
from assay.landing.discover import UnreadableFile
from assay.landing.formats.sniff import (
    find_dialect,
    find_number_signs,
    find_time_formats,
    looks_like_data,
    read_sample,
)

DIALECTS = [
    ("id,name\n1,ann\n", "utf-8", Dialect()),
    ("id;price\n1;1.234,56\n2;12,5\n", "utf-8", Dialect(";", decimal=",", thousands=".")),
    ("id;price\r\n1;12,5\r\n", "utf-8-sig", Dialect(";", decimal=",")),
    ("id\tname\n1\tMüller\n", "utf-16", Dialect("\t", encoding="utf-16")),
    ("id\tname\n1\tŻółć\n", "utf-16-le", Dialect("\t", encoding="utf-16-le")),
    ("id\tname\n1\tMüller\n", "utf-16-be", Dialect("\t", encoding="utf-16-be")),
    ("id|name\n1|Müller\n2|10 €\n", "cp1252", Dialect("|", encoding="windows-1252")),
    ("id;price\n1;1 234,56\n2;12,50\n", "utf-8", Dialect(";", decimal=",", thousands=" ")),
    ("id;price\n1;1\u202f234,56\n2;12,50\n", "utf-8", Dialect(";", decimal=",", thousands=" ")),
    ("id;price\n1;1'234.56\n2;12.50\n", "utf-8", Dialect(";", thousands="'")),
    ('id,price\n1,"1,234.56"\n2,12.5\n', "utf-8", Dialect(thousands=",")),
    ("id;pin\n1;560 001\n2;560 034\n", "utf-8", Dialect(";")),
    ("id;'name'\n'a;b';'c'\n'd';'e;f'\n", "utf-8", Dialect(";", quote="'")),
    ("id;name\nl'eau;d'or\nO'Hara;x\n", "utf-8", Dialect(";")),
    ('id;name\n5" nail;x\n"6 nail;y\n"7" nail;z\n', "utf-8", Dialect(";", quote="")),
    ('id,note\n"x;y;z","1;2"\n"p;q;r","3;4"\n', "utf-8", Dialect()),
    ('id;note\n"two\nlines";2\n3;4\n', "utf-8", Dialect(";")),
    ("name\nann\nbob, jr\n", "utf-8", Dialect()),
    ("a;b;c\n", "utf-8", Dialect(";")),
    ("a|b\n1|2\n", "utf-8", Dialect("|")),
    ("a,b\nfoo,bar\n", "utf-8", Dialect()),
    ("a;b\n1;2\n\n\n3;4\n", "utf-8", Dialect(";")),
    ("sep=;\r\na;b\r\n1;2,5\r\n", "utf-8-sig", Dialect(";", decimal=",")),
    ("value\n1,5\n2,5\n", "utf-8", Dialect(";", decimal=",")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "encoding", "dialect"), DIALECTS)
def test_a_dialect_is_found_in_a_sample(text: str, encoding: str, dialect: Dialect) -> None:
    raw = text.encode(encoding)
    assert find_dialect(raw) == find_dialect(gzip.compress(raw)) == dialect


@pytest.mark.usefixtures("builds")
def test_a_megabyte_of_a_file_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv"
    path.write_text("id;name\n" + "1;Zoë\n" * 200_000, encoding="utf-8")
    dialect = find_dialect(path)
    assert dialect == Dialect(";")
    header, rows = read_sample(path, dialect)
    assert header == ["id", "name"]
    assert {tuple(row) for row in rows} == {("1", "Zoë")}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "The file is empty"),
        (b"\n \n", "The file is empty"),
        (b"PK\x03\x04....", "an Excel workbook"),
        (b"\x00\x01\x02\x03\xff\xfe\x00", "The encoding cannot be told"),
        ("id;имя\n1;Москва\n".encode("cp1251"), "The encoding cannot be told"),
        ("id;nazwa\n1;Łódź\n".encode("cp1250"), "The encoding cannot be told"),
        (gzip.compress(b"id;name\n1;2\n", mtime=0)[:-9], "The .gz is damaged"),
    ],
)
def test_what_is_no_sample_says_so(raw: bytes, message: str) -> None:
    with pytest.raises(UnreadableFile, match=message):
        find_dialect(raw)


def test_an_encoding_that_is_known_is_taken() -> None:
    assert find_dialect("id;имя\n1;Москва\n".encode("cp1251"), "cp1251") == Dialect(";", encoding="cp1251")
    with pytest.raises(UnreadableFile, match="The file is not utf-8: name its encoding"):
        find_dialect("id\n1;é\n".encode("cp1252"), "utf-8")


@pytest.mark.parametrize(
    ("columns", "signs"),
    [
        ([["12,5", "7"]], [(",", "")]),
        ([["1.234", "5.678"]], [(".", ""), (",", ".")]),
        ([["0,672", "1,275"]], [(",", "")]),
        ([["1,234", "5,678"]], [(".", ","), (",", "")]),
        ([["1,234,567"]], [(".", ",")]),
        ([["1,5"], ["1.5"]], [(".", ""), (",", "")]),
        ([["1.23.4"]], [(".", "")]),
        ([["", ""]], [(".", "")]),
        ([], [(".", "")]),
    ],
)
def test_numbers_that_read_in_two_ways_are_told_in_both(
    columns: list[list[str]], signs: list[tuple[str, str]]
) -> None:
    assert find_number_signs(columns) == signs


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        (["31.12.2025", "01.02.2025"], ["dd.MM.yyyy"]),
        (["31.12.25"], ["dd.MM.yy"]),
        (["12/31/2025"], ["MM/dd/yyyy"]),
        (["01/02/2025", "", "03/04/2025"], ["dd/MM/yyyy", "MM/dd/yyyy"]),
        (["31/12/2025 14:05"], ["dd/MM/yyyy HH:mm"]),
        (["12/31/2025 02:05 PM"], ["MM/dd/yyyy hh:mm a"]),
        (["31-DEC-25"], ["dd-MMM-yy"]),
        (["2025-12-31", "2025-02-28"], [None]),
        (["2025-12-31T14:05:00Z", "2025-12-31 14:05:00.5+02:00"], [None]),
        (["20251231"], ["yyyyMMdd"]),
        (["1767139200"], ["epoch_seconds"]),
        (["1767139200000"], ["epoch_milliseconds"]),
        (["31.12.2025", "12/31/2025"], []),
        (["20250101", "20250230"], []),
        (["infinity"], []),
        (["1.5"], []),
        (["", " "], []),
        ([], []),
    ],
)
def test_a_time_of_which_day_and_month_cannot_be_told_apart_is_told_in_both(
    values: list[str], formats: list[str | None]
) -> None:
    assert [each.format for each in find_time_formats(values)] == formats


def test_a_first_line_of_values_is_no_header() -> None:
    assert all(looks_like_data(first) for first in (["1", "ann"], ["ann", ""], ["2025-12-31"]))
    assert not looks_like_data(["id", "name", "2nd", "price (EUR)"])
