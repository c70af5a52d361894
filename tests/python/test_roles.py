"""Roles stand in contracts, and each gets a file with what it may read and nothing else."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from bucket_server import ENVIRONMENT, contents, served_bucket
from rendered_macros import Macros

import assay
from assay.bucket.bucket import Bucket
from assay.build.inputs import Inputs, identity
from assay.build.plan import is_up_to_date
from assay.build.publications import keep
from assay.build.publish import Provenance, publish
from assay.build.roles import RoleFile, publish_roles
from assay.build.rollback import roll_back
from assay.build.state import State
from assay.contracts.consistency import find_inconsistencies
from assay.contracts.contract import Contract
from assay.contracts.document import parse
from assay.contracts.grants import Grant, Role, read_grants
from assay.contracts.roles import list_roles, read_roles
from assay.core.encryption import is_encrypted
from assay.core.fault import Fault
from assay.core.places import Places
from assay.pii.key import PiiKey, find_pii_key
from assay.pii.sql import hash_sql, mask_sql
from assay.project.products import Products

KEY = "an invented key of 32 characters"
PRODUCTS = Products({"people": "people", "sums": "people"})
_COLUMNS = {"person_id": "varchar", "secret": "varchar", "country": "varchar", "amount": "decimal(9,2)"}


def column(name: str, kind: str, **more: Any) -> dict[str, Any]:
    logical = "number" if kind.startswith("decimal") else "string"
    return {"name": name, "logicalType": logical, "physicalType": kind, **more}


def contract(*roles: dict[str, Any], **more: Any) -> dict[str, Any]:
    properties = [column(name, kind) for name, kind in _COLUMNS.items()]
    properties[0]["customProperties"] = [{"property": "pii", "value": "hash"}]
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "people",
        "version": "1.0.0",
        "status": "active",
        "team": {"name": "shop"},
        "schema": [
            {"name": "people", "physicalName": "gold.people", "properties": properties},
            {
                "name": "sums",
                "physicalName": "gold.sums",
                "properties": [column("country", "varchar"), column("amount", "decimal(38,2)")],
            },
        ],
        **({"roles": list(roles)} if roles else {}),
        **more,
    }


def role(name: str, tables: Any = None, **more: Any) -> dict[str, Any]:
    custom = [] if tables is None else [{"property": "tables", "value": tables}]
    return {"role": name, "access": "read", **({"customProperties": custom} if custom else {}), **more}


def parsed(content: dict[str, Any]) -> Contract:
    document, wrong = parse("people.odcs.yaml", yaml.safe_dump(content, sort_keys=False))
    assert not wrong
    assert document
    return Contract(document)


def findings(*roles: dict[str, Any]) -> list[str]:
    return [str(each) for each in find_inconsistencies([parsed(contract(*roles))])]


def test_a_role_reads_what_its_contract_says_and_personal_data_is_shielded() -> None:
    tables = {"people": {"columns": ["person_id", "country"], "mask": ["country"], "rows": "amount > 1"}}
    whole = role("whole")
    plain = role("plain", {"people": {"plain": ["person_id"]}, "sums": None})
    content = contract(role("analyst", tables), whole, plain)
    assert findings(*content["roles"]) == []
    people, every = Grant("people", list(_COLUMNS)), Grant("sums", ["country", "amount"])
    assert list_roles([parsed(content)]) == [
        Role(
            "analyst",
            [
                Grant(
                    "people",
                    ["person_id", "country"],
                    {"person_id": "hash", "country": "mask"},
                    "amount > 1",
                    ["secret", "amount"],
                )
            ],
        ),
        Role("plain", [people, every]),
        Role("whole", [Grant("people", list(_COLUMNS), {"person_id": "hash"}), every]),
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (role("a b"), "cannot name a folder"),
        (role("../up"), "cannot name a folder"),
        (role("a", access="execute"), "the access of the role a is 'execute'"),
        (role("a", {"persons": {}}), "is given persons, which is no table here: there are people, sums"),
        (
            role("a", {"people": {"columns": ["secrets"]}}),
            "people has no column secrets: there are person_id",
        ),
        (role("a", {"people": {"masks": ["secret"]}}), "people has no option masks: there are columns"),
        (role("a", {"people": {"mask": "secret"}}), "mask is 'secret'. Write a list of columns"),
        (role("a", {"people": {"columns": []}}), r"columns is []. Write a list of columns"),
        (role("a", {"people": ["secret"]}), "people is ['secret']"),
        (role("a", ["people"]), "tables is ['people']"),
        (role("a", {}), "tables is {}"),
        (role("a", {"people": {"mask": ["secret"], "hash": ["secret"]}}), "secret is in hash and in mask"),
        (
            role("a", {"people": {"columns": ["country"], "mask": ["secret"]}}),
            "secret is in mask and not in columns, so the role does not see it",
        ),
        (role("a", {"people": {"rows": " "}}), "rows is ' '"),
        (
            role("a", {"people": {"rows": "county = 'France'"}}),
            'rows: Binder Error: Referenced column "county"',
        ),
        (role("a", {"people": {"rows": "country = "}}), "rows: Parser Error"),
        (role("a", {"people": {"rows": "amount"}}), "rows is of type DECIMAL(9,2)"),
        (
            role("a", customProperties=[{"property": "table", "value": {"people": {}}}]),
            "table is no property. Write tables",
        ),
    ],
)
def test_a_mistake_is_found_where_it_stands(wrong: dict[str, Any], said: str) -> None:
    [found] = findings(wrong)
    assert said in found
    content = yaml.safe_dump(contract(wrong), sort_keys=False).splitlines()
    line = int(found.removeprefix("people.odcs.yaml:").partition(":")[0])
    assert line > content.index("roles:")


def test_a_role_has_one_name_and_stands_once() -> None:
    twice, other = findings(role("a"), role("a"), role("A"))
    assert "the role A is called a elsewhere" in other + twice
    assert "the role a stands here twice" in other + twice


def test_a_condition_may_read_other_tables() -> None:
    rows = "country in (select country from gold.sums where amount > 3) -- the large ones"
    assert findings(role("a", {"people": {"rows": rows}})) == []


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Of a project whose warehouse holds people with secrets, and which has a contract without roles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASSAY_PII_KEY", KEY)
    monkeypatch.delenv("ASSAY_ONLINE_STORE", raising=False)
    Path("dbt_project.yml").write_text("name: shop\n")
    Path("contracts").mkdir()
    found = Places(Path("landing"), Path("data", "assay.duckdb"))
    found.warehouse.parent.mkdir()
    with duckdb.connect(str(found.warehouse)) as connection:
        # Values stand as they are in the file, so that a search for them finds them.
        connection.execute("set force_compression = 'uncompressed'; create schema gold")
        connection.execute(
            "create table gold.people as select 'person-' || n as person_id, 'secret-' || n as secret, "
            "['France', 'Italy', null][n % 3 + 1] as country, n::decimal(9, 2) as amount, 'unsaid' as unsaid "
            "from range(5000) as numbers (n)"
        )
        connection.execute(
            "create table gold.sums as select country, sum(amount) as amount from gold.people group by 1"
        )
        connection.execute("comment on column gold.people.secret is 'What nobody should know.'")
        connection.execute("comment on column gold.people.country is 'Where.'")
    publish_run(found, "first")
    return found


def publish_run(places: Places, run_id: str, changed: set[str] | None = None) -> None:
    publish(places.warehouse, places.published, PRODUCTS, Provenance(run_id, datetime(2025, 1, 1)), changed)


def declare(*roles: dict[str, Any]) -> None:
    Path("contracts", "people.odcs.yaml").write_text(yaml.safe_dump(contract(*roles), sort_keys=False))


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(str(file), read_only=True)) as connection:
        return connection.execute(sql).fetchall()


ANALYST = role(
    "analyst",
    {
        "people": {
            "columns": ["person_id", "secret", "country"],
            "mask": ["secret"],
            "rows": "country = 'France'",
        }
    },
)


def test_a_file_holds_what_its_role_may_read_and_no_other_byte(places: Places) -> None:
    declare(ANALYST)
    [written] = publish_roles(places)
    assert written == RoleFile("analyst", places.role_file("analyst"), 1, 1667, is_new=True)
    key = PiiKey(KEY.encode())
    found = rows(written.path, "from gold.people")
    assert sorted(found) == sorted(
        (key.hashed(f"person-{n}"), "*" * len(f"secret-{n}"), "France") for n in range(0, 5000, 3)
    )
    assert rows(written.path, "select schema_name, table_name from duckdb_tables() order by all") == [
        ("gold", "people"),
        *(("published", name) for name in ("publication", "role", "tables")),
    ]
    assert rows(written.path, "select table_name, run_id from published.tables") == [("people", "first")]
    comments = "select column_name, comment from duckdb_columns() where comment is not null order by 1"
    assert rows(written.path, comments) == [
        ("country", "Where."),
        ("secret", "What nobody should know."),
    ]
    part = written.path.read_bytes()
    for hidden in (b"secret-", b"person-", b"Italy", b"unsaid"):
        assert hidden in places.warehouse.read_bytes(), "the search would find nothing anywhere"
        assert hidden not in part
    assert list(written.path.parent.iterdir()) == [written.path]


def test_the_type_of_a_column_tells_no_value_of_hidden_rows(places: Places) -> None:
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute("create type gold.land as enum ('France', 'It''s (not) told', 'Spain')")
        connection.execute(
            "create or replace table gold.people as select 'p' || n as person_id, "
            "(['France', 'It''s (not) told'])[n % 2 + 1]::gold.land as country, "
            "[{'in': country}] as secret, n::decimal(9, 2) as amount from range(6) as numbers (n)"
        )
    publish_run(places, "second")
    declare(role("analyst", {"people": {"columns": ["country", "secret"], "rows": "country = 'France'"}}))
    [written] = publish_roles(places)
    assert rows(written.path, "from gold.people") == [("France", [{"in": "France"}])] * 3
    assert rows(written.path, "select distinct typeof(country), typeof(secret) from gold.people") == [
        ("VARCHAR", 'STRUCT("in" VARCHAR)[]')
    ]
    content = written.path.read_bytes()
    assert b"told" not in content
    assert b"Spain" not in content


def test_a_file_is_written_where_something_has_changed_and_only_then(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(ANALYST, role("whole"))
    assert [each.is_new for each in publish_roles(places)] == [True, True]
    publish_run(places, "second", set())
    assert [each.is_new for each in publish_roles(places)] == [False, False]
    # Conditions may read any table; the role without one reads both.
    publish_run(places, "third", {"sums"})
    assert [each.is_new for each in publish_roles(places)] == [True, True]
    declare(role("analyst", {"people": {"mask": ["secret"]}}), role("whole"))
    assert [each.is_new for each in publish_roles(places)] == [True, False]
    publish_run(places, "fourth", {"sums"})
    assert [each.is_new for each in publish_roles(places)] == [False, True]
    monkeypatch.setenv("ASSAY_PII_KEY", KEY[::-1])
    assert [each.is_new for each in publish_roles(places)] == [True, True]
    places.role_file("whole").write_bytes(b"damaged")
    assert [each.is_new for each in publish_roles(places)] == [False, True]


def test_a_role_that_is_gone_leaves_no_file(places: Places) -> None:
    declare(ANALYST, role("whole"))
    publish_roles(places)
    declare(ANALYST)
    publish_roles(places)
    assert [file.name for file in places.roles.iterdir()] == ["analyst"]
    declare()
    assert publish_roles(places) == []
    assert not places.roles.exists()


def test_without_a_key_nothing_is_hashed_and_a_file_stays_only_if_its_role_does(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(ANALYST, role("sums", {"sums": None}))
    before = {each.role: each.path.read_bytes() for each in publish_roles(places)}
    monkeypatch.delenv("ASSAY_PII_KEY")
    publish_run(places, "second")
    with pytest.raises(Fault, match=r"analyst.*stays as it was.*there is no key: set ASSAY_PII_KEY"):
        publish_roles(places)
    assert places.role_file("analyst").read_bytes() == before["analyst"]
    assert places.role_file("sums").read_bytes() != before["sums"]
    declare(role("analyst", {"people": {"mask": ["country"]}}))
    with pytest.raises(Fault, match=r"analyst.*is not there"):
        publish_roles(places)
    assert not places.role_file("analyst").exists()


def test_what_a_contract_gives_and_nothing_publishes_is_told(places: Places) -> None:
    Path("contracts", "people.odcs.yaml").write_text(
        yaml.safe_dump(
            contract(role("whole"))
            | {
                "schema": [
                    {
                        "name": "planned",
                        "physicalName": "gold.planned",
                        "properties": [column("a", "varchar")],
                    },
                    {
                        "name": "sums",
                        "physicalName": "gold.sums",
                        "properties": [column("COUNTRY", "varchar"), column("later", "varchar")],
                    },
                ]
            }
        )
    )
    [written] = publish_roles(places)
    assert written.missing == ["planned"]
    assert rows(written.path, "select column_name from duckdb_columns() where table_name = 'sums'") == [
        ("country",)
    ]


def test_a_contract_with_mistakes_changes_no_file(places: Places) -> None:
    declare(ANALYST)
    publish_roles(places)
    before = places.role_file("analyst").read_bytes()
    declare(role("analyst", {"people": {"mask": ["secrets"]}}))
    with pytest.raises(Fault, match=r"nobody can tell who may read what:\n.*people has no column secrets"):
        publish_roles(places)
    assert places.role_file("analyst").read_bytes() == before


def test_contracts_without_roles_are_not_parsed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    declare()
    monkeypatch.setattr("assay.contracts.roles.read", None)
    assert read_roles() == []
    assert publish_roles(places) == []


def test_a_rollback_brings_rows_back_and_no_right(places: Places) -> None:
    declare(role("whole"))
    publish_roles(places)
    keep(places.published)
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute("delete from gold.people where amount >= 10")
    publish_run(places, "second")
    declare(ANALYST)
    publish_roles(places)
    count = "select count(*), count(*) filter (secret like 'secret%') from gold.people"
    assert rows(places.role_file("analyst"), count) == [(4, 0)]
    roll_back(places, "first", reason="", wait=0, tell=lambda message: None)
    assert rows(places.role_file("analyst"), count) == [(1667, 0)]


def test_files_of_roles_are_in_the_bucket_as_they_are_here(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look() -> dict[str, bytes]:
        """Return what readers of each role find: what the object that names the newest file names."""
        found = contents(Bucket("s3://shop/gold"))
        newest = {}
        for key, content in found.items():
            if key.startswith("roles/") and key.endswith("/current.json"):
                folder = key.removesuffix("/current.json")
                [file] = json.loads(content or b"")["files"]
                newest[folder.removeprefix("roles/")] = found[f"{folder}/{file}"] or b""
        return newest

    def here() -> dict[str, bytes]:
        return {folder.name: places.role_file(folder.name).read_bytes() for folder in places.roles.iterdir()}

    with served_bucket("shop") as address:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ASSAY_PUBLISH_TO", "s3://shop/gold")
        declare(role("whole"), ANALYST)
        project = assay.open(".")
        project.roles.apply()
        assert look() == here()
        keep(places.published)
        publish_run(places, "second")
        declare(ANALYST)
        project.roles.apply()
        after = look()
        assert after == here()
        assert list(after) == ["analyst"]
        roll_back(places, "first", reason="", wait=0, tell=lambda message: None)
        assert look() == here() != after
        assert list(look()) == ["analyst"]
        monkeypatch.setenv("ASSAY_PUBLISH_TO", "s3://nobody/gold")
        with pytest.raises(Fault, match=r"no such bucket.*\n.*To try again: assay roles apply"):
            project.roles.apply()


@pytest.mark.parametrize(("made", "macro"), [(hash_sql, "pii_hash"), (mask_sql, "pii_mask")])
def test_values_are_shielded_as_the_macros_do_it(
    made: Any, macro: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_PII_KEY", KEY)
    key = find_pii_key()
    assert key
    macros = Macros()
    expected = getattr(macros, macro)('"a ""value"')
    with duckdb.connect() as connection:
        key.set_variables(connection)
        values = "(values ('4000661710000181'), (''), (null), ('\u00e9\U0001f600')) as rows (\"a \"\"value\")"
        found = connection.execute(
            f"select {made(chr(97) + ' ' + chr(34) + 'value')}, {expected} from {values}"
        ).fetchall()
    assert [mine for mine, _ in found] == [theirs for _, theirs in found]
    assert len({mine for mine, _ in found}) == 4


def test_a_key_is_made_for_a_role_that_a_contract_names(places: Places) -> None:
    declare(ANALYST)
    project = assay.open(".")
    with pytest.raises(Fault, match="No contract names the role 'analysts': there are analyst"):
        project.keys.create("shop", role="analysts")
    project.keys.create("shop", role="analyst")
    project.keys.create("scorer", role="analyst", predictions=["churn"])
    told = [(key.name, key.role, key.views, key.predictions) for key in project.keys.list()]
    assert told == [("shop", "analyst", ["*"], []), ("scorer", "analyst", [], ["churn"])]
    project.roles.apply()
    assert read_grants(places.grants.read_bytes()) == {
        "analyst": {grant.table: grant for each in read_roles() for grant in each.grants}
    }


def test_the_list_shows_what_is_hidden(places: Places) -> None:
    assert "No contract of a product has roles" in str(assay.open(".").roles.list())
    declare(ANALYST)
    shown = " ".join(str(assay.open(".").roles.list()).split())
    assert "analyst people country person_id secret amount country = 'France'" in shown
    done = assay.open(".").roles.apply()
    assert "1,667 written" in " ".join(str(done).split())


def test_a_build_has_work_while_files_of_roles_are_not_written(places: Places) -> None:
    inputs = Inputs("", "", {})
    files = (identity(file) for file in (places.warehouse, places.published))
    state = State(inputs, next(files) or "", "first", {}, published=next(files))
    assert is_up_to_date(state, inputs, places, datetime(2025, 1, 1))
    state.are_roles_applied = False
    assert not is_up_to_date(state, inputs, places, datetime(2025, 1, 1))


def test_a_file_that_was_encrypted_with_another_key_is_written_anew(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(ANALYST, role("sums", {"sums": None}))
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY)
    publish_roles(places)
    assert is_encrypted(places.role_file("analyst"))
    monkeypatch.setenv("ASSAY_ENCRYPTION_KEY", KEY[::-1])
    assert [each.is_new for each in publish_roles(places)] == [True, True]
    assert [each.is_new for each in publish_roles(places)] == [False, False]
