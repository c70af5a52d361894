"""The page of lineage shows what each column is made of, and asks nothing of any network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from chromium import needs_chromium
from playwright.sync_api import Browser, Page, expect
from small_project import SmallProject, make_small_project
from test_report_page import CONTRASTS, DESK, PHONE

from assay.lineage.columns import lineage_of
from assay.project.project import _dbt

CHECKED = "slv_order_lines__checked"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, built_project: SmallProject) -> Path:
    project = SmallProject(
        Path(shutil.copytree(built_project.root, tmp_path_factory.mktemp("page") / "project"))
    )
    out = project.root / "pages" / "lineage.html"
    lineage = project.assay("lineage", "fct_days.pieces", "--out", str(out))
    assert lineage.exit_code == 0, lineage.stderr
    assert "Warning" not in lineage.stdout
    assert lineage.stdout.endswith(f"models in {out}: open it in a browser.\n")
    for about, said in (
        ("fct_day", "There is no table fct_day in this project: did you mean fct_days"),
        ("fct_days.piece", "fct_days has no column piece: there are order_date, pieces."),
    ):
        refused = project.assay("lineage", about, "--out", str(out))
        assert refused.exit_code == 2
        assert said in refused.stderr
    return out


@pytest.fixture(params=[(DESK, "light"), (PHONE, "dark")], ids=["desk by day", "phone by night"])
def page(browser: Browser, written: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened; whatever it asks for elsewhere or complains of fails the test."""
    size, scheme = request.param
    page = browser.new_page(viewport=size, color_scheme=scheme)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(written.as_uri())
    yield page
    page.close()
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    assert said == []


def columns(page: Page, table: str) -> dict[str, str]:
    """The columns that a table shows, each with what is said of it."""
    items = page.locator(f"article[data-table='{table}'] li")
    names, said = (items.locator(each).all_inner_texts() for each in ("button", "small"))
    return dict(zip(names, said, strict=True))


@needs_chromium
def test_it_opens_on_what_was_asked_for_with_what_that_is_made_of(page: Page) -> None:
    expect(page.locator("article.center > button")).to_have_text("fct_days")
    expect(page.locator("li.chosen button")).to_have_text("pieces")
    assert columns(page, "fct_lines") == {"quantity": "computed with"}
    assert columns(page, "slv_order_lines") == {"quantity": "taken as it is"}
    assert "quantity" in columns(page, CHECKED)
    assert set(columns(page, "brz_erp__order_lines")) >= {"Quantity"}
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert [each for each in page.evaluate(CONTRASTS) if each[2] < 4.5] == []
    # Each column has a type, and nothing is of unknown origin.
    page.goto(page.url.partition("#")[0] + "#table=fct_lines")
    page.reload()
    assert columns(page, "fct_lines")["quantity"] == "integer"
    assert "" not in columns(page, "fct_lines").values()
    assert "Unknown" not in page.inner_text("body")


@needs_chromium
def test_tables_and_columns_are_found_and_followed_by_keyboard(page: Page) -> None:
    page.locator("#find").fill("fct_lines.quantity")
    page.keyboard.press("Enter")
    expect(page.locator("li.chosen button")).to_have_text("quantity")
    assert page.url.endswith("#table=fct_lines&column=quantity")
    assert columns(page, "fct_days") == {"pieces": "computed from"}
    page.locator("article.center > button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("fct_lines: Order lines.")
    expect(page.locator("article[data-table='erp.order_lines']")).to_be_visible()
    page.locator("#find").fill("nothing_like_it")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("There is no table or column nothing_like_it.")


def test_only_what_has_changed_is_compiled_and_followed_again(project: SmallProject, tmp_path: Path) -> None:
    def written(*, dbt: bool = False) -> tuple[str, list[str]]:
        """The page, and the tables whose queries were followed; dbt is started only where it may be."""
        with (
            mock.patch("assay.project.project._dbt", wraps=_dbt) as run,
            mock.patch("assay.lineage.followed.lineage_of", wraps=lineage_of) as followed,
        ):
            asked = project.assay("lineage", "fct_days", "--out", str(tmp_path / "page.html"))
        assert asked.exit_code == 0, asked.stderr
        assert run.called == dbt
        return (tmp_path / "page.html").read_text(), [call.args[1] for call in followed.call_args_list]

    first, followed = written()
    assert len(followed) > 5
    assert written() == (first, [])
    model = project.root / "models" / "own" / "gold" / "fct_days.sql"
    model.write_text(model.read_text().replace("sum(quantity)", "sum(quantity + length(product_id))"))
    changed, followed = written(dbt=True)
    # Of the table that grows, dbt compiles the next increment.
    assert sorted("length(product_id)" in each for each in followed) == [False, True]
    of_pieces = '"pieces":{"type":"bigint","from":[["fct_lines","product_id",false],'
    assert of_pieces in changed.lower()
    assert of_pieces not in first.lower()
    # The build compiles it as well, and nothing else.
    assert project.assay("build").exit_code == 0
    assert written() == (changed, [])
    for name in ("assay_sql.pickle", "assay_columns.pickle"):
        (project.root / "target" / name).unlink()
    assert written(dbt=True)[0] == changed


def test_without_a_warehouse_it_is_said_what_to_do(tmp_path: Path) -> None:
    refused = make_small_project(tmp_path / "project").assay("lineage")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: There is no warehouse data/assay.duckdb yet. To build it: assay build\n"
    )
