"""A diff builds what a change touches beside production, and says what becomes of each table."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import duckdb
import pytest
from committed_project import LINES, YAML, change, commit_all, diff, git
from small_project import SmallProject


@pytest.fixture
def committed(project: SmallProject) -> SmallProject:
    """The small project as a repository, with what is built of its branch main."""
    return commit_all(project)


def test_a_changed_column_is_told_and_production_stays(committed: SmallProject) -> None:
    before = committed.warehouse.read_bytes()
    change(committed, "quantity,", "(quantity + (quantity > 1)::integer)::integer as quantity,")
    found = diff(committed, "main")
    assert list(found) == ["gold.fct_lines", "gold.fct_days"]
    rows = found["gold.fct_lines"]["rows"]
    assert (rows["rows_before"], rows["rows_after"]) == (4, 4)
    assert (rows["added"], rows["removed"], rows["changed"]) == (3, 3, 0)
    assert rows["no_key"] == "the table declares no key"
    assert committed.warehouse.read_bytes() == before
    folders = [path.name for path in committed.warehouse.parent.iterdir() if path.is_dir()]
    assert sorted(folders) == ["landing", "published"]


def test_code_that_says_the_same_changes_nothing(committed: SmallProject) -> None:
    change(committed, "select order_line_id", "select /* the line */ order_line_id")
    assert {name: table["status"] for name, table in diff(committed, "main").items()} == {
        "gold.fct_lines": "same",
        "gold.fct_days": "same",
    }
    git(committed, "checkout", "--", ".")
    assert diff(committed, "main") == {}


def test_a_column_that_goes_breaks_what_gold_promised(committed: SmallProject) -> None:
    change(committed, "product_id, ", "")
    change(committed, "      - {name: product_id, data_type: varchar}\n", "", YAML)
    told = committed.assay("diff", "main")
    assert told.exit_code == 1
    assert "BREAKS column gold.fct_lines.product_id: is gone" in told.output


def test_a_test_that_fails_with_the_change_alone_is_a_break(committed: SmallProject) -> None:
    change(committed, "quantity,", "(quantity + 2000)::integer as quantity,")
    told = committed.assay("diff", "main")
    assert told.exit_code == 1
    assert "BREAKS test quantities_are_plausible of gold.fct_lines.quantity: 4 failing rows" in told.output
    git(committed, "commit", "-am", "worse")
    change(committed, "2000", "3000")
    told = committed.assay("diff", "main")
    assert told.exit_code == 0, told.output
    assert "no promise broken" in told.output


def test_a_table_that_does_not_build_is_a_break_and_the_others_are_told(committed: SmallProject) -> None:
    change(committed, "quantity,", "nothing as quantity,")
    found = diff(committed, "main", code=1)
    assert [table["status"] for table in found.values()] == ["not built", "not built"]
    assert "nothing" in found["gold.fct_lines"]["why_not"]


def test_a_hook_that_fails_is_told(committed: SmallProject) -> None:
    change(committed, "quantity,", "(quantity + 1)::integer as quantity,")
    hook = "on-run-end:\n", "on-run-end:\n  - select error('no room')\n"
    change(committed, *hook, file=Path("dbt_project.yml"))
    told = committed.assay("diff", "main")
    assert told.exit_code == 1
    assert "the working tree cannot be built: " in told.output
    assert "no room" in told.output


def test_a_base_that_does_not_build_is_told_and_leaves_nothing(committed: SmallProject) -> None:
    change(committed, "quantity,", "nothing as quantity,")
    git(committed, "commit", "-am", "broken")
    git(committed, "tag", "broken")
    change(committed, "nothing as quantity", "quantity")
    before = committed.warehouse.read_bytes()
    told = committed.assay("diff", "broken")
    assert told.exit_code == 2
    assert "broken cannot be compared with, because it does not build: fct_lines" in told.output
    assert committed.warehouse.read_bytes() == before
    assert not (committed.warehouse.parent / "assay.duckdb.diff").exists()


def test_a_base_that_cannot_be_parsed_is_told(committed: SmallProject) -> None:
    change(committed, "slv_order_lines", "slv_nothing")
    git(committed, "commit", "-am", "unparsed")
    change(committed, "slv_nothing", "slv_order_lines")
    told = committed.assay("diff", "main")
    assert told.exit_code == 2
    assert "main cannot be compared, because dbt cannot parse it" in told.output


def test_two_commits_are_compared_and_tables_come_and_go(committed: SmallProject) -> None:
    git(committed, "tag", "one")
    (committed.root / LINES).with_name("fct_days.sql").rename(
        (committed.root / LINES).with_name("fct_ds.sql")
    )
    git(committed, "add", "-A")
    git(committed, "commit", "-m", "renamed")
    # The new table has no contract.
    found = diff(committed, "one", "--to", "main", code=1)
    assert {name: table["status"] for name, table in found.items()} == {
        "gold.fct_days": "removed",
        "gold.fct_ds": "added",
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mian",), "mian is neither a warehouse's file nor a branch, tag or commit"),
        (("main", "--to", "data/assay.duckdb"), "name two of a kind"),
        (("main", "--select", "nothing_such"), "--select nothing_such matches nothing"),
        (("main", "--out", "models"), "models is a folder: name a file in it, as models/diff.html."),
    ],
)
def test_what_cannot_be_compared_is_told(
    committed: SmallProject, arguments: tuple[str, ...], said: str
) -> None:
    told = committed.assay("diff", *arguments)
    assert told.exit_code == 2
    assert said in told.output


def test_without_git_or_warehouse_it_is_told(project: SmallProject, committed: SmallProject) -> None:
    committed.warehouse.unlink()
    change(committed, "quantity,", "quantity + 0 as quantity,")
    told = committed.assay("diff", "main")
    assert told.exit_code == 2
    assert "There is no warehouse data/assay.duckdb to compare with" in told.output
    shutil.rmtree(project.root / ".git")
    told = project.assay("diff", "main")
    assert told.exit_code == 2
    assert "is in no repository of git" in told.output


def test_two_warehouses_are_compared_as_they_are(committed: SmallProject) -> None:
    other = committed.root / "other.duckdb"
    shutil.copy(committed.warehouse, other)
    with duckdb.connect(str(other)) as connection:
        connection.execute(
            "delete from gold.fct_lines where quantity = 1; create table gold.own as select 1 as a"
        )
    found = diff(committed, "other.duckdb", "--to", "data/assay.duckdb")
    assert found["gold.own"]["status"] == "removed"
    assert found["gold.fct_lines"]["rows"]["added"] == 1


def test_the_page_tells_the_same_and_loads_nothing(committed: SmallProject) -> None:
    change(committed, "quantity,", "(quantity * 2)::integer as quantity,")
    told = committed.assay("diff", "main", "--out", "diff.html")
    assert told.exit_code == 0, told.output
    page = (committed.root / "diff.html").read_text()
    assert "gold.fct_lines" in page
    assert "2 tables touched from main to the working tree" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=.?https?:", page)


def test_a_large_seed_is_that_of_each_version(committed: SmallProject) -> None:
    """Of one above 1 MiB, dbt takes the path for its content."""
    seed = committed.root / "seeds" / "platform" / "big.csv"
    seed.write_text("a,b\n" + "\n".join(f"{number},{'x' * 60}" for number in range(20_000)) + "\n")
    git(committed, "add", "-A")
    git(committed, "commit", "-m", "seed")
    seed.write_text(seed.read_text().replace("\n7,", "\n-7,"))
    [found] = diff(committed, "main").values()
    assert (found["rows"]["added"], found["rows"]["removed"]) == (1, 1)
