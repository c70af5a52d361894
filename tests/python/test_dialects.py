"""CSV is read as its contract says it is written: delimiter, quotes, encoding, numbers and times."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from contract_text import contract
from landing_zone import Zone
from rendered_macros import Macros
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from assay.contracts.consistency import find_inconsistencies
from assay.contracts.contract import Contract
from assay.contracts.document import parse
from assay.contracts.source_side import bring_about
from assay.landing.declared import DeclarationError, declared_tables
from assay.landing.dialect import Dialect
from assay.landing.formats.sniff import find_dialect

TYPES = {"id": "integer", "name": "string", "amount": "number", "day": "date"}
ROWS = {2: ("1", "Zoë; Anne", "1.234,56", "31.12.2025"), 3: ("2", 'say "ah"', "-,5", "01.02.2025")}


def declared(dialect: dict[str, str | None] | None, **landing: object) -> str:
    """The YAML of one table, shop.sales."""
    settings = {"format": "csv", "types": TYPES} | ({"dialect": dialect} if dialect else {}) | landing
    columns = [{"name": name} for name in TYPES]
    table = {"name": "sales", "config": {"meta": {"landing": settings}}, "columns": columns}
    return json.dumps({"sources": [{"name": "shop", "tables": [table]}]})


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    zone = Zone(tmp_path, declared(None))
    yield zone
    zone.connection.close()


def written(dialect: Dialect, names: str = "id,name,amount,day", ending: str = "\n") -> bytes:
    """Return ROWS as a file of a dialect."""
    quote = dialect.quote
    lines = [names.split(",")] + [
        [f"{quote}{value.replace(quote, 2 * quote)}{quote}" if quote else value for value in row]
        for row in ROWS.values()
    ]
    return "".join(dialect.delimiter.join(line) + ending for line in lines).encode(dialect.encoding)


@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(";"),
        Dialect("\t", quote="'"),
        Dialect("|", quote=""),
        Dialect(";", encoding="utf-16"),
        Dialect("\t", encoding="utf-16-le"),
        Dialect(encoding="UTF-16BE"),
        Dialect("~", encoding="utf-32"),
        Dialect(";", encoding="windows-1252"),
        Dialect(";", encoding="latin-1"),
        Dialect("¦", encoding="cp037"),
        Dialect(encoding="utf-8-sig"),
    ],
)
def test_a_file_is_read_by_its_dialect(zone: Zone, dialect: Dialect) -> None:
    zone.declare(declared(dialect.declared))
    raw = written(dialect, ending="\r\n")
    if "\n".encode(dialect.encoding) != b"\n":
        # How many lines such a file has, the books' own check does not know.
        zone.balance = lambda: None  # type: ignore[method-assign]
    zone.landing.joinpath("shop/sales").mkdir(parents=True)
    for name, content in {"a.csv": raw, "b.csv.gz": gzip.compress(raw)}.items():
        (zone.landing / "shop/sales" / name).write_bytes(content)
        zone.load()
        file = zone.file(f"%{name}")
        assert (file["status"], file["line_count"], file["row_count"]) == ("loaded", 3, 2), file["error"]
        rows = zone.query(
            f"select row_number, * exclude (file_id, row_number) from landing.shop__sales "
            f"where file_id = {file['file_id']} order by row_number"
        )
        assert {row[0]: row[1:5] for row in rows} == ROWS
    assert not zone.query("from landing.schema_changes")


def test_what_a_sample_tells_reads_the_file_it_is_of(zone: Zone) -> None:
    for encoding in ("utf-8", "utf-16", "utf-16-be", "windows-1252"):
        raw = written(Dialect(";", encoding=encoding), ending="\r\n")
        assert find_dialect(raw) == Dialect(";", encoding=encoding, decimal=",", thousands=".")


def test_a_line_that_is_not_of_the_encoding_costs_no_other(zone: Zone) -> None:
    zone.declare(declared({"encoding": "windows-1252"}))
    zone.drop("shop/sales/a.csv", b"id,name,amount,day\n1,Zo\xeb,1,\n2,a\x81,1,\n3,b,1,\n")
    zone.load()
    assert list(zone.sales()) == [2, 4]
    reason = "not WINDOWS-1252: send the file again in WINDOWS-1252"
    assert zone.malformed() == {3: ("2,a\\x81,1,", reason)}


def test_half_a_pair_in_utf16_costs_its_line_and_half_a_character_the_file(zone: Zone) -> None:
    zone.declare(declared({"encoding": "utf-16"}))
    text = "\ufeffid,name,amount,day\n1,\ud800,1,\n2,b,1,\n"
    raw = text.encode("utf-16-le", "surrogatepass")
    zone.drop("shop/sales/a.csv", raw)
    zone.drop("shop/sales/b.csv", raw[:-1])
    zone.load()
    assert list(zone.sales()) == [3]
    assert list(zone.malformed()) == [2]
    assert zone.file("%b.csv")["error"].startswith(
        "The file is not utf-16, as is declared: send the file again"
    )


def test_lines_are_limited_after_decoding(zone: Zone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_LANDING_LINE_MB", "1")
    zone.declare(declared({"encoding": "utf-16"}))
    zone.drop("shop/sales/a.csv", ("id,name,amount,day\n1," + "a" * (1 << 20) + ",1,\n").encode("utf-16"))
    zone.drop("shop/sales/b.csv", ("id,name,amount,day\n1," + "a" * (1 << 19) + ",1,\n").encode("utf-16"))
    zone.load()
    assert zone.file("%a.csv")["error"].startswith("Line 2 is longer than 1 MB")
    assert zone.file("%b.csv")["status"] == "loaded"


PLAIN = "id,name,amount,day\n1,Zoë,1,\n2,Léa,1,\n3,Noé,1,\n"


TABS_IN_UTF16 = {"delimiter": "\t", "encoding": "utf-16"}


@pytest.mark.parametrize(
    ("dialect", "raw", "what"),
    [
        ({}, PLAIN.encode("utf-16"), "text in UTF-16, where UTF-8 is declared"),
        ({}, PLAIN.encode("utf-16-le"), "text in UTF-16-LE, where UTF-8 is declared"),
        ({}, PLAIN.encode("cp1252"), "text in WINDOWS-1252, where UTF-8 is declared"),
        ({"encoding": "latin-1"}, PLAIN.encode(), "text in UTF-8, where LATIN-1 is declared"),
        (
            {"encoding": "latin-1"},
            PLAIN.replace("Zoë", "10 €").encode("cp1252"),
            "text in WINDOWS-1252, where LATIN-1 is declared",
        ),
        ({"encoding": "cp1252"}, PLAIN.encode("utf-8-sig"), "text in UTF-8, where CP1252 is declared"),
        ({"encoding": "utf-16"}, PLAIN.encode(), "text in UTF-8, where UTF-16 is declared"),
        ({"encoding": "utf-16"}, PLAIN.encode("utf-16-be"), "text in UTF-16-BE, where UTF-16 is declared"),
        ({}, PLAIN.replace(",", ";").encode(), "delimited by semicolons"),
        ({"delimiter": ";"}, PLAIN.encode(), "delimited by commas"),
        ({"delimiter": ";"}, PLAIN.replace(",", "\t").encode(), "delimited by tabs"),
        (TABS_IN_UTF16, PLAIN.encode(), "text in UTF-8, where UTF-16 is declared"),
        (TABS_IN_UTF16, PLAIN.replace(",", ";").encode(), "text in UTF-8, where UTF-16 is declared"),
        ({"delimiter": "\t"}, PLAIN.encode("utf-16"), "text in UTF-16, where UTF-8 is declared"),
    ],
)
def test_a_file_in_another_dialect_says_what_it_is_and_what_to_declare(
    zone: Zone, dialect: dict[str, str | None], raw: bytes, what: str
) -> None:
    zone.declare(declared(dialect))
    zone.drop("shop/sales/a.csv", raw)
    zone.balance = lambda: None  # type: ignore[method-assign]
    zone.load()
    error = zone.file()["error"]
    assert error.startswith(f"The file is {what}")
    if "take the property dialect out of the table's contract" in error:
        value = "{}"
    else:
        line = error[error.index("{property") : error.index("}}") + 2]
        value = line.removeprefix("{property: dialect, value: ").removesuffix("}")
    zone.declare(
        json.dumps(json.loads(declared(None)) | {}).replace('"types"', f'"dialect": {value}, "types"')
    )
    zone.load()
    assert zone.file()["status"] == "loaded"
    assert zone.query("select count(*) from landing.shop__sales where malformed_reason is null") == [(3,)]


def test_a_line_that_tells_excel_the_delimiter_is_no_header(zone: Zone) -> None:
    for name, first in (("a.csv", "sep=,"), ("b.tsv", '"SEP=,"')):
        zone.drop(f"shop/sales/{name}", f"{first}\r\n".encode() + PLAIN.encode())
    zone.load()
    assert [file["status"] for file in zone.files()] == ["loaded"] * 2
    assert zone.query("select count(*) from landing.shop__sales where malformed_reason is null") == [(6,)]


def test_an_encoding_that_cannot_be_told_is_asked_for(zone: Zone) -> None:
    zone.drop("shop/sales/a.csv", "id,name,amount,day\n1,имя,1,\n2,дом,1,\n3,год,1,\n".encode("cp1251"))
    zone.load()
    assert zone.file()["error"].startswith("The file is not UTF-8, and its encoding cannot be told")


def test_a_file_without_a_byte_is_in_any_encoding(zone: Zone) -> None:
    zone.declare(declared({"encoding": "utf-16"}))
    zone.drop("shop/sales/a.csv", b"")
    zone.drop("shop/sales/b.csv", "".encode("utf-16"))
    zone.balance = lambda: None  # type: ignore[method-assign]
    zone.load()
    assert [(file["status"], file["row_count"]) for file in zone.files()] == [("loaded", 0)] * 2


def test_a_few_broken_lines_are_no_other_encoding(zone: Zone) -> None:
    good = "".join(f"{number},Zoë,1,\n" for number in range(40)).encode()
    zone.drop("shop/sales/a.csv", b"id,name,amount,day\n" + b"1,caf\xe9,1,\n" * 4 + good)
    zone.drop("shop/sales/b.csv", b"id,name,amount,day\n1,a\0b,1,\n2,b,1,\n")
    zone.load()
    assert {file["status"] for file in zone.files()} == {"loaded"}
    assert len(zone.malformed()) == 4


def test_headers_match_in_any_case_of_any_letters(zone: Zone) -> None:
    types = {"größe": "number", "Name": "string"}
    zone.declare(
        declared(None, types=types).replace(
            json.dumps([{"name": name} for name in TYPES]), '[{"name": "größe"}, {"name": "Name"}]'
        )
    )
    zone.drop("shop/sales/a.csv", "NAME,GRÖẞE\nann,1\n")
    zone.load()
    assert zone.query('select "größe", "Name" from landing.shop__sales') == [("1", "ann")]
    assert not zone.query("from landing.schema_changes")


# Types


def test_numbers_and_times_of_a_dialect_are_of_their_types(zone: Zone) -> None:
    formats = {"day": "%d.%m.%Y"}
    zone.declare(declared({"delimiter": ";", "decimal": ",", "thousands": "."}, time_formats=formats))
    zone.drop("shop/sales/a.csv", "id;name;amount;day\n" + "1.000;ann;1.234,56;31.12.2025\n" * 5)
    zone.load()
    assert not zone.query("from landing.schema_changes")
    zone.drop("shop/sales/b.csv", "id;name;amount;day\n" + "1;ann;1.23;12/31/2025\n" * 5)
    zone.load()
    changes = zone.query("select column_name, kind from landing.schema_changes order by 1")
    assert changes == [("amount", "type"), ("day", "type")]


def test_parquet_is_written_down_with_the_decimal_sign_of_its_table(zone: Zone) -> None:
    zone.declare(declared({"decimal": ",", "thousands": "."}, time_formats={"day": "%d.%m.%Y"}))
    columns = {"id": [1, 2], "name": ["1.5", "b"], "amount": [Decimal("1.234"), None], "day": [None, None]}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer)
    zone.drop("shop/sales/a.parquet", buffer.getvalue().to_pybytes())
    zone.load()
    assert zone.sales() == {1: ("1", "1.5", "1,234"), 2: ("2", "b", None)}


# Declarations


@pytest.mark.parametrize(
    ("landing", "message"),
    [
        ({"dialect": {"sep": ";"}}, "it has sep; it may have delimiter, quote, encoding, "),
        ({"dialect": ";"}, "';' is no mapping"),
        ({"dialect": {"delimiter": "::"}}, "delimiter is '::': it must be one character"),
        ({"dialect": {"delimiter": ""}}, "delimiter is empty"),
        ({"dialect": {"delimiter": "a"}}, "delimiter is 'a', which values or lines are made of"),
        ({"dialect": {"delimiter": 1}}, "delimiter is 1, which is no text"),
        ({"dialect": {"quote": ","}}, "delimiter and quote are both ','"),
        ({"dialect": {"encoding": "utf-99"}}, "encoding is 'utf-99', which Python does not know"),
        ({"dialect": {"encoding": "base64"}}, "encoding is 'base64', which Python does not know"),
        ({"dialect": {"decimal": ";"}}, "decimal is ';': it must be"),
        ({"dialect": {"thousands": "x"}}, "thousands is 'x': it must be one of"),
        ({"dialect": {"decimal": ",", "thousands": ","}}, "decimal and thousands are both ','"),
        ({"time_formats": {"amount": "%d.%m.%Y"}}, "has amount, which no type makes a date or timestamp"),
        ({"time_formats": {"day": "dd.MM.yyyy"}}, "it must be a format of strptime"),
        ({"format": "jsonl", "types": None, "dialect": {"delimiter": ";"}}, "landing.dialect is for CSV"),
    ],
)  # fmt: skip
def test_a_dialect_that_cannot_be_followed_is_refused_by_name(
    zone: Zone, landing: dict[str, object], message: str
) -> None:
    both = {"format": "csv", "types": TYPES} | landing
    settings = {name: value for name, value in both.items() if value is not None}
    zone.declare(declared(None).replace(json.dumps({"format": "csv", "types": TYPES}), json.dumps(settings)))
    with pytest.raises(DeclarationError, match=message):
        declared_tables(zone.models)


# From the contract to silver

CONTRACT = contract(
    "shop",
    """schema:
  - name: sales
    physicalName: landing.shop__sales
    description: What was sold.
    customProperties:
      - {property: format, value: csv}
      - {property: dialect, value: {delimiter: ";", encoding: windows-1252, decimal: ",", thousands: "."}}
    properties:
      - {name: id, logicalType: integer, required: true, description: Number.}
      - {name: name, logicalType: string, description: Who.}
      - {name: amount, logicalType: number, logicalTypeOptions: {minimum: 1}, description: Money.}
      - {name: day, logicalType: date, logicalTypeOptions: {format: dd.MM.yyyy}, description: When.}
""",
)


def test_what_a_contract_says_is_written_how_it_is_loaded_and_judged(zone: Zone) -> None:
    document, findings = parse("x", CONTRACT)
    assert document is not None
    assert not findings
    contract = Contract(document)
    assert list(find_inconsistencies([contract])) == []
    entry = CommentedMap({"name": "sales"})
    changes = list(bring_about(contract, contract.tables[0], None, entry))
    assert {"dialect", "time_formats", "contract_rules"} <= set(changes)
    again = list(bring_about(contract, contract.tables[0], None, entry))
    assert not {"dialect", "time_formats", "contract_rules"} & set(again)
    text = io.StringIO()
    YAML().dump({"sources": [{"name": "shop", "tables": [entry]}]}, text)
    zone.declare(text.getvalue())
    (table,) = declared_tables(zone.models).values()
    assert table.dialect == Dialect(";", encoding="windows-1252", decimal=",", thousands=".")
    assert table.time_formats == {"day": "%d.%m.%Y"}

    rows = ["1.000;Zoë;1.234,56;31.12.2025", "2;b;0,5;1.2.2025", "3;c;1.23.4;2025-12-31", "x;d;1;12/31/2025"]
    zone.drop("shop/sales/a.csv", "\r\n".join(["ID;Name;AMOUNT;Day", *rows, ""]).encode("cp1252"))
    zone.load()
    assert not zone.query("from landing.schema_changes")
    macro = Macros()
    rules = yaml.safe_load(text.getvalue())["sources"][0]["tables"][0]["config"]["meta"]["contract_rules"]
    broken = ", ".join(
        f"case when {macro._landed_breaks(rule)} then '{rule['rule_id']}' end" for rule in rules
    )
    amount = macro.strict_number("amount", "decimal(18, 2)", decimal=",", thousands=".")
    at = macro.utc_timestamp("day", ["%d.%m.%Y"])
    found = zone.query(
        f"select name, {amount}, ({at})::date, list_filter([{broken}], lambda id: id is not null) "
        "from landing.shop__sales order by row_number"
    )
    assert found == [
        ("Zoë", Decimal("1234.56"), date(2025, 12, 31), []),
        ("b", Decimal("0.50"), date(2025, 2, 1), ["out_of_range_amount"]),
        ("c", None, date(2025, 12, 31), ["mistyped_amount"]),
        ("d", Decimal("1.00"), None, ["mistyped_id", "mistyped_day"]),
    ]


@pytest.mark.parametrize(
    ("text", "signs", "number"),
    [
        ("1.234,56", (",", "."), "1234.56"),
        ("1.234", (",", "."), "1234"),
        ("1.234", (",", ""), None),
        ("0.672", (",", "."), None),
        ("1.23.4", (",", "."), None),
        ("12,5", (".", ""), None),
        ("12,5", (".", ","), None),
        ("12,345", (",", "."), None),
        (" -1\u202f234,5 ", (",", " "), "-1234.5"),
        ("1'234.50", (".", "'"), "1234.5"),
        ("99.999.999.999.999,99", (",", "."), "99999999999999.99"),
        ("1.234.567.890.123.456.789,01", (",", "."), None),
        ("", (",", "."), None),
    ],
)
def test_a_number_of_a_dialect_is_exact_or_none(
    text: str, signs: tuple[str, str], number: str | None
) -> None:
    sql = Macros().strict_number("v", "decimal(18, 2)", *signs)
    found = duckdb.execute(f"select {sql} from (select $1::varchar as v)", [text]).fetchone()
    assert found == (None if number is None else Decimal(number),)
