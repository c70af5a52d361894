"""The project keeps its own rules: layers, names, contracts, descriptions, and tools without complaint."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from quick_sqlfluff import quick
from sqlfluff.core import FluffConfig, Linter
from warehouse import PROJECT, Warehouse

from assay.project.warehouse import connect

pytestmark = [pytest.mark.minutes, pytest.mark.usefixtures("builds")]

READS = {
    "bronze": {"sources", "brz_files"},
    "silver": {"bronze", "silver", "seeds"},
    "snapshots": {"silver"},
    "gold": {"silver", "snapshots", "gold", "monitoring", "seeds"},
    "monitoring": {"silver", "gold", "monitoring", "seeds"},
    "analyses": {"gold"},
    "exposures": {"gold"},
}
PREFIXES = {
    "bronze": r"brz_(files|schema_changes|[a-z]+__\w+)",
    "silver": r"slv_",
    "snapshots": r"snp_",
    "gold/marts": r"(dim|fct)_",
    "gold/features": r"ftr_[a-z]+(_[a-z]+)*__",
    "gold/documents": r"doc_",
    "gold/training": r"(lbl|trn|crp)_",
    "gold/serving": r"srv_",
    "gold/monitoring": r"mon_",
    "monitoring": r"mon_[a-z]+(_[a-z]+)*__",
}
SCHEMAS = {
    "bronze": "bronze",
    "silver": "silver",
    "gold": "gold",
    "monitoring": "monitoring",
    "snapshots": "snapshots",
    "seeds": "silver",
}
SQL_FOLDERS = ("models", "tests/dbt", "snapshots", "analyses")
RESOURCE_FOLDERS = ("models", "macros", "seeds", "snapshots", "tests/dbt", "analyses")
MOST_LINES_OF_A_MACRO = 60
ANALYSES = sorted(path.stem for path in (PROJECT / "analyses").rglob("*.sql"))

Thing = dict[str, Any]


def finish(run: subprocess.CompletedProcess[str]) -> str:
    output = run.stdout + run.stderr
    assert run.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Thing:
    """The project as a strict parse sees it: every warning an error, and no deprecation."""
    parsed = Warehouse(tmp_path_factory.mktemp("parsed"), Path("nowhere"))
    errors = {"error": "all", "silence": ["UnsupportedConstraintMaterialization"]}
    strict = ("--warn-error-options", json.dumps(errors), "--show-all-deprecations", "--no-partial-parse")
    output = finish(parsed.dbt(*strict, "parse"))
    assert "deprecat" not in output.lower(), output
    return json.loads((parsed.folder / "target" / "manifest.json").read_text())


@pytest.fixture(scope="module")
def compiled(built_demo: Warehouse) -> Path:
    """The folder of the compiled SQL of all models and analyses."""
    finish(built_demo.dbt("compile"))
    return built_demo.folder / "target" / "compiled" / "assay"


def own(manifest: Thing, *kinds: str) -> list[Thing]:
    """What this project, not a package of its, has of the kinds named; all kinds where none is."""
    collections = ("nodes", "sources", "macros", "exposures", "unit_tests")
    things = [thing for collection in collections for thing in manifest[collection].values()]
    found = [
        thing
        for thing in things
        if thing["package_name"] == "assay" and (not kinds or thing["resource_type"] in kinds)
    ]
    assert found, kinds
    return found


def layer(thing: Thing) -> str:
    """The layer a thing belongs to, or its kind where that is no layer."""
    if thing["resource_type"] == "model":
        return Path(thing["original_file_path"]).parts[2]
    return "analyses" if thing["resource_type"] == "analysis" else thing["resource_type"] + "s"


def folder(thing: Thing) -> str:
    """The folder that says how a model is to be named."""
    parts = Path(thing["original_file_path"]).parts
    return "/".join(parts[2:4]) if layer(thing) == "gold" else layer(thing)


# --- layers, names, contracts -------------------------------------------------------------------------------


def test_each_layer_reads_only_what_it_may(manifest: Thing) -> None:
    known = {**manifest["nodes"], **manifest["sources"]}
    strays = [
        f"{thing['name']} reads {read['name']}"
        for thing in own(manifest, "model", "snapshot", "analysis", "exposure")
        for read in (known[unique_id] for unique_id in thing["depends_on"]["nodes"])
        if not {layer(read), read["name"]} & READS[layer(thing)]
    ]
    assert strays == []


def test_relations_are_named_for_their_layer(manifest: Thing) -> None:
    relations = own(manifest, "model", "snapshot")
    assert [
        thing["name"] for thing in relations if not re.match(PREFIXES[folder(thing)], thing["name"])
    ] == []
    assert [thing["name"] for thing in relations if thing["alias"] != thing["name"]] == []


def test_schemas_are_the_layers(manifest: Thing) -> None:
    relations = own(manifest, "model", "snapshot", "seed")
    assert {thing["name"]: thing["schema"] for thing in relations} == {
        thing["name"]: SCHEMAS[layer(thing)] for thing in relations
    }


def test_gold_is_under_contract(manifest: Thing) -> None:
    models = [
        thing
        for thing in own(manifest, "model")
        if layer(thing) in ("gold", "monitoring") and thing["language"] == "sql"
    ]
    for model in models:
        columns = model["columns"].values()
        constraints = model["constraints"] + [each for column in columns for each in column["constraints"]]
        assert model["config"]["contract"]["enforced"], model["name"]
        assert [column["name"] for column in columns if not column["data_type"]] == [], model["name"]
        assert {"primary_key", "not_null"} & {each["type"] for each in constraints}, model["name"]


def test_keys_are_enforced_by_the_database_or_tested(manifest: Thing) -> None:
    """Views, seeds, snapshots and Python models enforce nothing. Where no ranges overlap, keys are unique."""
    claims = {"expect_compound_columns_to_be_unique", "ranges_do_not_overlap"}
    held = {
        test["attached_node"]
        for test in own(manifest, "test")
        if (test.get("test_metadata") or {}).get("name") in claims
    }
    for thing in own(manifest, "model"):
        columns = thing["columns"].values()
        constraints = [*thing["constraints"], *(each for column in columns for each in column["constraints"])]
        if thing["config"]["contract"]["enforced"] and thing["config"]["materialized"] != "view":
            held |= {thing["unique_id"] for each in constraints if each["type"] == "primary_key"}
    things = {thing["name"]: thing for thing in own(manifest, "model", "seed", "snapshot")}
    # Whoever logs a prediction may say twice what was served for it, and so twice what was in that.
    assert {
        name
        for name, thing in things.items()
        if layer(thing) in ("gold", "seeds", "snapshots") or f"{name}__rejected" in things
        if thing["unique_id"] not in held
    } == {"mon_served_features", "mon_lineage"}


def test_gold_alone_is_for_others_to_build_on(manifest: Thing) -> None:
    for model in own(manifest, "model"):
        # No contract can be put on Python models.
        is_for_others = layer(model) == "gold" and model["language"] == "sql"
        assert (model["access"] == "public") == is_for_others, model["name"]


def test_everything_in_gold_is_published(manifest: Thing) -> None:
    gold = {thing["unique_id"] for thing in own(manifest, "model") if layer(thing) == "gold"}
    assert set(manifest["exposures"]["exposure.assay.published_gold"]["depends_on"]["nodes"]) == gold


def test_tests_are_named_for_what_they_claim(manifest: Thing) -> None:
    for test in own(manifest, "test", "unit_test"):
        generated = (test.get("test_metadata") or {}).get("name", "\0")
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+){2,}", test["name"]), test["name"]
        assert generated not in test["name"], test["name"]


# --- macros -------------------------------------------------------------------------------------------------


def public_macros(manifest: Thing) -> list[Thing]:
    return [macro for macro in own(manifest, "macro") if not re.match(r"_|[a-z]+__", macro["name"])]


def test_each_macro_file_holds_the_public_macro_of_its_name(manifest: Thing) -> None:
    files = {macro["original_file_path"] for macro in own(manifest, "macro")}
    named = {path: Path(path).stem for path in files}
    found = {path: [] for path in files}
    for macro in public_macros(manifest):
        name = re.sub(r"^(test|materialization)_|_duckdb$", "", macro["name"])
        found[macro["original_file_path"]].append(name)
    private = {path for path, name in named.items() if name.startswith("_")}
    assert found == {path: [name] * (path not in private) for path, name in named.items()}


def test_package_and_dbt_project_are_of_one_version() -> None:
    package = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["version"] == package


def long_macros(text: str) -> list[str]:
    """The macros of a file above 60 lines, before which no comment says why."""
    ends = r"end(?:macro|test|materialization)"
    macros = re.finditer(
        r"(?P<reason>{#-? Long because [^\n]+ -?#}\n)?"
        rf"{{%-? *(?:macro|test|materialization) +(?P<name>\w+).*?{{%-? *{ends} *-?%}}",
        text,
        re.DOTALL,
    )
    return [
        each["name"] for each in macros if not each["reason"] and each[0].count("\n") >= MOST_LINES_OF_A_MACRO
    ]


def test_a_long_macro_says_why_it_is_long() -> None:
    line = "select 1\n"
    short, long = (f"{{% macro a() %}}\n{line * count}{{% endmacro %}}\n" for count in (58, 59))
    assert long_macros(short) == []
    assert long_macros(short + "\n" + long) == ["a"]
    assert long_macros("{#- Long because it is one query. -#}\n" + long) == []
    found = {
        f"{path.parent.name}/{name}"
        for folder in ("macros", "tests/dbt")
        for path in (PROJECT / folder).rglob("*.sql")
        for name in long_macros(path.read_text())
    }
    assert found == set()


def test_every_argument_of_a_macro_is_described(manifest: Thing) -> None:
    for macro in public_macros(manifest):
        if macro["name"].startswith("materialization_"):
            continue
        signature = re.search(r"{%-? *(?:macro|test) +\w+\((.*?)\) *-?%}", macro["macro_sql"], re.DOTALL)
        assert signature, macro["name"]
        arguments = ast.parse(f"def macro({signature[1]}): ...").body[0].args.args  # type: ignore[attr-defined]
        described = [each["name"] for each in macro["arguments"] if each["type"] and each["description"]]
        assert described == [argument.arg for argument in arguments], macro["name"]


# --- descriptions -------------------------------------------------------------------------------------------


def described_things(manifest: Thing) -> Iterator[tuple[str, str | None]]:
    for thing in own(manifest):
        if thing["resource_type"] in ("test", "operation") or thing["name"].startswith("_"):
            continue
        yield thing["unique_id"], thing["description"]
        yield f"source of {thing['unique_id']}", thing.get("source_description", "-")
        for column in thing.get("columns", {}).values():
            yield f"{thing['unique_id']}.{column['name']}", column["description"]


def test_everything_is_described(manifest: Thing) -> None:
    assert [name for name, description in described_things(manifest) if not (description or "").strip()] == []


def test_every_doc_block_is_used(manifest: Thing) -> None:
    blocks = {unique_id for unique_id, doc in manifest["docs"].items() if doc["package_name"] == "assay"}
    used = {
        block
        for thing in own(manifest)
        for described in (thing, *thing.get("columns", {}).values())
        for block in described.get("doc_blocks", [])
    }
    assert blocks - used == {"doc.assay.__overview__", "doc.assay.__assay__"}


def test_documented_columns_are_those_that_exist(manifest: Thing, built_demo: Warehouse) -> None:
    relations = own(manifest, "model", "snapshot", "seed")
    documented = {
        (thing["schema"], thing["name"], column["name"], (column["data_type"] or "").upper().replace(" ", ""))
        for thing in relations
        for column in thing["columns"].values()
    }
    # Columns and descriptions of what is online are those of its feature view.
    online = {f"srv_{thing['name']}" for thing in relations if thing["config"]["meta"].get("feature_view")}
    existing = built_demo.query(
        "select table_schema, table_name, column_name, replace(data_type, ' ', '') "
        "from information_schema.columns "
        "where table_schema in ('bronze', 'silver', 'gold', 'monitoring', 'snapshots') "
        # What a history has seen of its input is for its next run alone.
        "and not suffix(table_name, '__input')"
    )
    # Bronze is as the source has it: its types are not written down.
    assert documented == {
        (*row[:3], "" if row[0] == "bronze" else row[3].upper()) for row in existing if row[1] not in online
    }


def test_each_folder_describes_what_is_in_it(manifest: Thing) -> None:
    files = [
        path.relative_to(PROJECT)
        for root in RESOURCE_FOLDERS
        for path in (PROJECT / root).rglob("*")
        if path.suffix in (".yml", ".yaml", ".md")
    ]
    assert {str(path) for path in files if not path.name.startswith(f"_{path.parent.name}__")} == {
        "models/platform/overview.md",
        "models/example/overview.md",
    }
    for thing in own(manifest):
        if thing.get("patch_path"):
            described_in = Path(thing["patch_path"].removeprefix("assay://"))
            assert described_in.parent == Path(thing["original_file_path"]).parent, thing["name"]


def test_rules_listed_are_the_rules_tested(manifest: Thing, compiled: Path) -> None:
    rules = compiled / "models" / "platform" / "silver" / "slv_rules.sql"
    listed = re.findall(r"^ +\('(\w+)', '", rules.read_text(), re.MULTILINE)
    # No source of the example says how late is too late, and the materialization tells who was forgotten.
    used = {"exact_duplicate", "too_late", "forgotten"}
    for model in own(manifest, "model"):
        if model["name"].endswith("__checked"):
            path = compiled / model["original_file_path"]
            hooks = " ".join(hook["sql"] for hook in model["config"]["post-hook"])
            used.update(re.findall(r"then \[?'(\w+)'", path.read_text()))
            used.update(re.findall(r"\],\s*'(\w+)'", hooks))
    assert set(listed) == used


# --- analyses -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ANALYSES)
def test_analysis_answers_its_question(
    name: str, manifest: Thing, compiled: Path, built_demo: Warehouse
) -> None:
    sql = (compiled / "analyses" / "example" / f"{name}.sql").read_text()
    question, reading = sql.splitlines()[:2]
    assert re.fullmatch(r"-- .+\?", question)
    assert reading.startswith("-- ")
    with connect(built_demo.path) as connection:
        answer = connection.sql(sql)
        types = [str(kind).replace(" ", "") for kind in answer.types]
        assert dict(zip(answer.columns, types, strict=True)) == {
            column["name"]: column["data_type"].upper().replace(" ", "")
            for column in manifest["nodes"][f"analysis.assay.{name}"]["columns"].values()
        }
        assert answer.fetchall()


# --- tools and links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy"],
        ["python", "tests/python/quick_sqlfluff.py", "lint", "--disable-progress-bar", *SQL_FOLDERS],
    ],
    ids=["ruff check", "ruff format", "mypy", "sqlfluff"],
)
def test_tool_has_no_complaint(command: list[str], built_demo: Warehouse, tmp_path: Path) -> None:
    # sqlfluff compiles models with dbt, which is to leave nothing in the project.
    Warehouse(tmp_path, built_demo.landing).parsed_as(built_demo)
    paths = {"ASSAY_WAREHOUSE": "lint.duckdb", "DBT_TARGET_PATH": "target", "DBT_LOG_PATH": "logs"}
    environment = {**os.environ, **{name: str(tmp_path / path) for name, path in paths.items()}}
    tool = Path(sys.executable).with_name(command[0])
    run = subprocess.run(
        [tool, *command[1:]], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    # What sqlfluff cannot read is a warning, since it does not know all of DuckDB: some frames alone may be.
    report = re.sub(r"\n +\| +", " ", run.stdout)
    unread = re.findall(r"Found unparsable section: '(.*?)'", report)
    frames = ("between unbounded preceding", "rows between 7 * weeks_before preceding")
    assert {section for section in unread if not section.startswith(frames)} == set()
    assert report.count("PRS") == len(unread)


def test_sqlfluff_is_quick_and_finds_the_same() -> None:
    config = FluffConfig.from_path(str(PROJECT), overrides={"templater": "raw"})
    long_line = " + ".join(f"column_{number}" for number in range(20))
    faults = f"""with Rows as (
      SELECT a.x,b.y ,  sum(z) over(partition by x order by y) as total
       from a join b on a.x=b.x
    where x in (select 1)),
lines as (select {long_line} as wide, case when x then 1
else 2 end from Rows)
select * from lines where x<>1
    and (
    y = 'it' or
        y is null)
union all
select 1 as x union all select 2 as x
union all
select sum(case when z then (select max(y) from b) end) as x
from b"""

    def found() -> list[tuple[str, int, int, str]]:
        return [
            (each.rule_code(), each.line_no, each.line_pos, each.desc())
            for each in Linter(config=config).lint_string(faults).violations
        ]

    slowly = found()
    with quick():
        assert found() == slowly
        assert found() == slowly
    assert {code for code, *_ in slowly} > {"LT01", "LT02", "LT05", "LT11", "LT14", "CP01"}


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
    assert PROJECT / "README.md" in pages
    links = [
        (page, link) for page in pages for link in re.findall(r"\]\(([^)\s#:]+)[^):]*\)", page.read_text())
    ]
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []
