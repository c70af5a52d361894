"""`assay training-set`: versions are made, listed and shown, and the same content is the same version."""

from __future__ import annotations

import csv
import json
import shutil
import time
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest
from small_project import SmallProject, make_small_project
from training_project import ROWS, create, edit, folder, rows_of, succeed

from assay.core.fault import Fault
from assay.core.places import Places
from assay.training.store import VersionStore


def test_a_version_says_what_it_is_and_what_it_was_made_from(built_training: SmallProject) -> None:
    (version,) = (built_training.root / "data" / "training_sets").glob("trn_lines@*")
    manifest = json.loads((version / "manifest.json").read_text())
    assert manifest["version"] == version.name == f"trn_lines@{manifest['content_hash'][:12]}"
    assert (manifest["name"], manifest["rows"], manifest["primary_key"]) == (
        "trn_lines",
        ROWS,
        ["order_line_id"],
    )
    assert [(each["name"], each["type"], each["description"]) for each in manifest["columns"]][:2] == [
        ("order_line_id", "VARCHAR", "Hash of the line."),
        ("product_id", "VARCHAR", ""),
    ]
    splits = built_training.query(
        "select split, count(*), avg(outcome::int) from gold.trn_lines group by split order by split"
    )
    assert [(each["split"], each["rows"], each["outcome_rate"]) for each in manifest["splits"]] == splits
    assert manifest["features"] == [
        {"view": "ftr_product__lines", "name": "quantity_max_7d", "column": "product_quantity_max_7d"},
        {"view": "ftr_product__lines", "name": "doubled", "column": "product_doubled"},
    ]
    assert (manifest["as_of"], manifest["is_as_of_given"]) == ("2025-01-05 02:00:00", False)
    assert (manifest["input_files"], manifest["input_rows"]) == (3, 45)
    assert [(manifest["run_id"],)] == built_training.query("select distinct run_id from bronze.brz_files")
    assert {"trn_lines", "ftr_product__lines", "slv_order_lines__checked", "macro point_in_time_join"} < set(
        manifest["code"]
    )
    files = list(csv.DictReader((version / "files.csv").open(newline="")))
    assert {each["source_file"] for each in files} == {
        f"erp/order_lines/landed_at=2025-01-{day:02}T02-00-00/lines.csv" for day in (2, 3, 5)
    }
    lines = [row["order_line_id"] for row in rows_of(built_training)]
    assert lines == sorted(lines)


def test_list_and_show(built_training: SmallProject, project: SmallProject) -> None:
    listed = succeed(built_training, "training-set", "list")
    (version,) = (built_training.root / "data" / "training_sets").glob("trn_lines@*")
    assert version.name in listed
    assert "test 4, train 40" in " ".join(listed.split())
    shown = succeed(built_training, "training-set", "show", "trn_lines")
    assert shown == succeed(built_training, "training-set", "show", version.name)
    for part in (
        "order_line_id (key)",
        "DECIMAL(18,2)",
        "ftr_product__lines",
        "Hash of the line.",
        "3 files",
    ):
        assert part in shown
    assert json.loads((version / "manifest.json").read_text())["content_hash"] in shown
    assert "There are no training sets" in succeed(project, "training-set", "list")


def test_the_same_content_is_the_same_version(training: SmallProject) -> None:
    version = folder(training, "trn_lines@")
    before = {path.name: path.read_bytes() for path in version.iterdir()}
    told = succeed(training, "training-set", "create", "trn_lines")
    assert f"{version.name} exists already" in told
    assert {path.name: path.read_bytes() for path in version.iterdir()} == before
    rows = version / "data.parquet"
    shutil.rmtree(version)
    assert create(training) == version.name
    assert rows.read_bytes() == before["data.parquet"]


def test_as_of_takes_what_was_known_then(training: SmallProject) -> None:
    past = create(training, "trn_lines", "--as-of", "2025-01-03T12:00:00+02:00")
    assert sorted(row["quantity"] for row in rows_of(training, past)) == [1, 2, 3, 4]
    manifest = json.loads((folder(training, past) / "manifest.json").read_text())
    assert (manifest["as_of"], manifest["is_as_of_given"]) == ("2025-01-03 10:00:00", True)
    assert "was rebuilt to the bit" in succeed(training, "training-set", "verify", past)
    ended = training.assay("training-set", "create", "trn_lines", "--as-of", "2025-01-01")
    assert ended.exit_code == 1
    assert "trn_lines has no rows as of 2025-01-01" in ended.stderr


def test_where_the_code_may_have_changed_the_set_is_built_anew(training: SmallProject) -> None:
    version = folder(training, "trn_lines@").name
    edit(training, "trn_lines", "quantity * 1.25", "quantity * 1.5")
    # Not parsed by dbt yet: the warehouse and its manifest are as they were.
    assert create(training) == version
    manifest = training.root / "target" / "manifest.json"
    run_id = json.loads(manifest.read_text())["metadata"]["invocation_id"]
    manifest.write_text(manifest.read_text().replace(run_id, "another"))
    told = succeed(training, "training-set", "create", "trn_lines")
    assert "is not as a published build left it" in told
    (new,) = {path.name for path in version_folders(training, "trn_lines")} - {version}
    assert {row["price"] / row["quantity"] for row in rows_of(training, new)} == {Decimal("1.5")}


def version_folders(project: SmallProject, name: str) -> list[Path]:
    return sorted((project.root / "data" / "training_sets").glob(f"{name}@*"))


def test_a_killed_create_leaves_nothing_behind(training: SmallProject) -> None:
    store = training.root / "data" / "training_sets"
    before = sorted(path.name for path in store.iterdir())
    process = training.start("training-set", "create", "trn_lines", "--as-of", "2025-01-03T12:00:00")
    give_up_at = time.monotonic() + 60
    while not list(store.glob(".*/rebuilt/rebuilt.duckdb")) and time.monotonic() < give_up_at:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    (leftover,) = store.glob(".*")
    assert (leftover / "rebuilt").is_dir()
    assert succeed(training, "training-set", "list") == succeed(training, "training-set", "list")
    assert "2025-01-03" not in succeed(training, "training-set", "list")
    new = create(training, "trn_lines", "--as-of", "2025-01-03T12:00:00")
    assert sorted(path.name for path in store.iterdir()) == sorted([*before, new])


def test_a_training_sets_name_alone_is_its_newest_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("trn_lines@2", "trn_lists@9", "trn_lines@1")
    oldest_first = [
        SimpleNamespace(manifest=SimpleNamespace(version=name, name=name.partition("@")[0])) for name in names
    ]
    monkeypatch.setattr(VersionStore, "versions", lambda _: oldest_first)
    store = VersionStore(Places(tmp_path, tmp_path / "w.duckdb"))
    assert store.find("trn_lines").manifest.version == "trn_lines@1"
    assert store.find("trn_lines@2").manifest.version == "trn_lines@2"
    assert store.find("trn_lists@").manifest.version == "trn_lists@9"
    with pytest.raises(Fault, match="trn_lines@ is not one version: trn_lines@2, trn_lines@1 begin so"):
        store.find("trn_lines@")


def test_names_that_are_not_there(
    built_training: SmallProject, project: SmallProject, tmp_path: Path
) -> None:
    version = folder(built_training, "trn_lines@").name
    other = version[:-1] + ("0" if version[-1] != "0" else "1")
    for arguments, message in (
        (("create", "trn_line"), "There is no training set trn_line. There are trn_lines, trn_lists."),
        (("show", "trn_line"), "There is no training set trn_line. There are trn_lines, trn_lists."),
        (("show", other), f"There is no version {other}. The nearest is {version}."),
        (("verify", "trn_"), "There is no training set trn_. There are trn_lines, trn_lists."),
        (("diff", "trn_lines", "trn_lists"), "are of different training sets"),
    ):
        ended = built_training.assay("training-set", *arguments)
        assert ended.exit_code == 2, ended.stdout
        assert message in ended.stderr
    ended = project.assay("training-set", "verify", "trn_lines")
    assert ended.exit_code == 2
    assert "There is no training set trn_lines, nor any other" in ended.stderr
    ended = project.assay("training-set", "verify", "trn_lines@1")
    assert ended.exit_code == 2
    assert "There are no versions yet. To make one: assay training-set create NAME" in ended.stderr
    unbuilt = make_small_project(tmp_path / "unbuilt")
    ended = unbuilt.assay("training-set", "create", "trn_lines")
    assert ended.exit_code == 1
    assert "Nothing is published yet" in ended.stderr
    assert "a build with --select publishes nothing. To build everything: assay build" in " ".join(
        ended.stderr.split()
    )
    assert "assay build" in ended.stderr


def test_a_set_without_a_version_is_listed_and_says_how_to_make_one(training: SmallProject) -> None:
    shutil.rmtree(folder(training, "trn_lines@"))
    assert "No version yet: trn_lines." in succeed(training, "training-set", "list")
    ended = training.assay("training-set", "show", "trn_lines")
    assert ended.exit_code == 2
    assert "trn_lines has no version yet. To make one: assay training-set create trn_lines" in ended.stderr


def test_a_set_without_a_key_is_refused(training: SmallProject) -> None:
    models = training.root / "models" / "own" / "gold" / "_training__models.yml"
    key = "    constraints:\n      - {type: primary_key, columns: [order_line_id]}\n"
    models.write_text(models.read_text().replace(key, ""))
    succeed(training, "build")
    ended = training.assay("training-set", "create", "trn_lines")
    assert ended.exit_code == 1
    assert "trn_lines declares no primary key" in ended.stderr
