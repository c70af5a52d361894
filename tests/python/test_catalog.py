"""The catalog tells of every feature: whose it is, who uses it, what it holds, and how it is made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import chdir
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock
from urllib.parse import unquote, urlsplit

import duckdb
import pytest
from chromium import needs_chromium
from playwright.sync_api import Browser, Page, expect
from report_page import ReportPage
from small_project import SmallProject
from test_report_page import CONTRASTS, DESK, PHONE
from typer.testing import CliRunner
from warehouse import PROJECT, Warehouse

from assay.catalog.charts import _near, _rows
from assay.catalog.pages import feature_path
from assay.catalog.values import State, _states
from assay.cli import app
from assay.report.distributions import bins_of_categories, bins_of_numbers
from assay.report.tables import Tables

VELOCITY = "ftr_card__velocity"
CLOCK = datetime(2025, 2, 1)


def text_of(file: Path) -> str:
    """What a page says, whatever section it stands in."""
    return " ".join(ReportPage(file).sections.values())


# --- the site of a small project ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(built_training: SmallProject) -> Path:
    written = built_training.assay("catalog")
    assert written.exit_code == 0, written.stderr
    assert written.stdout.endswith("Open catalog/index.html in a browser.\n")
    return built_training.root / "catalog"


def test_each_link_leads_to_a_page(small: Path) -> None:
    pages = sorted(small.rglob("*.html"))
    assert {str(page.relative_to(small)) for page in pages} == {
        "index.html",
        "training/trn_lines.html",
        "views/ftr_product__lines.html",
        "views/ftr_product__lines/doubled.html",
        "views/ftr_product__lines/quantity_max_7d.html",
    }
    for page in pages:
        for link in ReportPage(page).attributes("href"):
            if link.startswith("#"):
                assert link[1:] in ReportPage(page).attributes("id")
            elif not link.startswith("data:"):
                assert (page.parent / unquote(link)).resolve() in pages


def test_a_feature_has_its_history_its_values_and_who_trains_on_it(
    small: Path, built_training: SmallProject
) -> None:
    page = ReportPage(small / "views" / "ftr_product__lines" / "quantity_max_7d.html")
    told = " ".join(page.sections.values())
    assert "Greatest quantity in the last 7 days" not in told
    assert "Window the last 7 days" in told
    assert re.search(r"product P\d+, which changes often", page.sections["history"])
    with duckdb.connect(built_training.published, read_only=True) as connection:
        [(clock,)] = connection.execute("select max(updated_at) from gold.ftr_product__lines").fetchall()
        [(entities,)] = connection.execute(
            "select count(*) from gold.ftr_product__lines where ? >= valid_from and ? < valid_to",
            [clock, clock],
        ).fetchall()
    assert f"Of {entities} entities at {clock.day} {clock:%b %Y, %H:%M} UTC" in page.sections["now"].replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert "trn_lines training set joins it" in page.sections["used-by"]
    assert "trn_lines@" in page.sections["versions"]
    assert "product_quantity_max_7d" in page.sections["versions"]
    assert "gold.fct_lines quantity" in page.sections["made-of"]
    derived = text_of(small / "views" / "ftr_product__lines" / "doubled.html")
    assert "quantity_max_7d * 2" in derived
    training = text_of(small / "training" / "trn_lines.html")
    assert "quantity_max_7d ftr_product__lines doubled ftr_product__lines" in training


def test_a_view_shows_the_sql_that_makes_it(small: Path) -> None:
    told = ReportPage(small / "views" / "ftr_product__lines.html").sections
    assert "windowed_history(" in told["sql"]
    assert "As dbt compiles it" in told["sql"]
    assert "landing.erp__order_lines" in told["sql"] or '"fct_lines"' in told["sql"]
    assert "erp.order_lines source" in told["lineage"]
    assert "fct_lines read by the view itself gold" in told["lineage"]
    assert "trn_lines reads it" in told["lineage"]


def test_histories_of_entities_can_be_left_out(training: SmallProject) -> None:
    assert training.assay("catalog", "--out", "shared", "--without-rows").exit_code == 0
    page = (training.root / "shared" / "views" / "ftr_product__lines" / "quantity_max_7d.html").read_text()
    assert "Values of single entities are left out of this catalog." in page
    assert "which changes often" not in page


def test_pages_of_what_is_gone_go_and_what_is_no_catalog_stays(training: SmallProject) -> None:
    out = training.root / "site"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    refused = training.assay("catalog", "--out", "site")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: site holds something else than a catalog: give a new or an empty folder.\n"
    )
    (out / "notes.txt").unlink()
    assert training.assay("catalog", "--out", "site").exit_code == 0
    models = training.root / "models" / "own" / "gold" / "_training__models.yml"
    models.write_text(models.read_text().replace("name: doubled", "name: twice"))
    joins = models.with_name("trn_lines.sql")
    joins.write_text(joins.read_text().replace("'doubled'", "'twice'"))
    (training.warehouse).unlink()
    again = training.assay("catalog", "--out", "site")
    assert again.exit_code == 0, again.stderr
    assert sorted(page.stem for page in (out / "views").rglob("*.html")) == [
        "ftr_product__lines",
        "quantity_max_7d",
        "twice",
    ]
    view = text_of(out / "views" / "ftr_product__lines.html")
    assert "What they hold is not known: There is no ftr_product__lines here. Nothing is built yet" in view


# --- the site of the demo -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def demo(built_demo: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("catalog") / "site"
    with chdir(PROJECT), mock.patch.dict(os.environ, built_demo.environment):
        written = CliRunner().invoke(app, ["catalog", "--out", str(out)])
    assert written.exit_code == 0, written.output
    return out


def test_consumers_are_declared_in_contracts_and_found_in_training_sets(demo: Path) -> None:
    told = ReportPage(demo / "views" / f"{VELOCITY}.html").sections
    assert "Data scientists people contract card_features names them" in told["used-by"]
    assert "trn_fraud training set joins 17 features of it" in told["used-by"]
    page = " ".join(told.values())
    assert "Owner risk Lifecycle active Contract card_features 1.0.0" in page
    assert re.search(r"Online online known until \d+ \w+ 2025, \d\d:\d\d UTC, synced ", page)
    # What it says to run is what there is.
    assert f"assay online get --view {VELOCITY} --key CARD_ID --input amount=AMOUNT" in told["use"]
    assert "{{ assay.point_in_time_join('spine'" in told["use"]
    assert "payments.card_transactions source" in told["lineage"]


def test_personal_keys_are_masked_in_histories(demo: Path, built_demo: Warehouse) -> None:
    text = text_of(demo / feature_path(VELOCITY, "amount_sum_24h"))
    assert re.search(r"card \*\*\*\*\w{4}, which changes often", text)
    cards = [card for (card,) in built_demo.query(f"select distinct card_id from gold.{VELOCITY}")]
    assert cards
    whole = "".join(page.read_text() for page in demo.rglob("*.html"))
    assert [card for card in cards if card in whole] == []


# --- in a browser -------------------------------------------------------------------------------------------


@pytest.fixture(params=[(DESK, "light"), (PHONE, "dark")], ids=["desk by day", "phone by night"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that asks nobody; what it complains of fails the test."""
    size, scheme = request.param
    page = browser.new_page(viewport=size, color_scheme=scheme)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    page.close()
    assert [url for url in asked if urlsplit(url).scheme not in ("file", "data")] == []
    assert said == []


@needs_chromium
def test_features_are_found_by_words_and_facets(page: Page, demo: Path) -> None:
    page.goto((demo / "index.html").as_uri())
    views = page.locator("section.view:visible h2")
    all_views = views.all_inner_texts()
    assert VELOCITY in all_views
    page.locator("#search").fill("merchant_distinct 24h")
    expect(views).to_have_text([VELOCITY])
    expect(page.locator("section.view:visible li:visible a")).to_have_text(["merchant_distinct_count_24h"])
    page.locator("#search").fill("")
    page.locator("select[data-facet=entity]").select_option("customer")
    expect(views).to_have_text(["ftr_customer__purchases", "ftr_customer__sessions", "ftr_customer__taste"])
    assert page.url.endswith("#entity=customer")
    page.goto("about:blank")
    page.goto((demo / "index.html").as_uri() + "#owner=risk&search=velocity")
    expect(views).to_have_text([VELOCITY])
    expect(page.locator("#found")).to_have_text("1 of 11 feature views, with 25 features")


@needs_chromium
def test_pages_fit_a_phone_and_are_read_by_night(page: Page, demo: Path) -> None:
    for name in ("index.html", f"views/{VELOCITY}.html", feature_path(VELOCITY, "amount_sum_24h")):
        page.goto((demo / name).as_uri())
        for is_open in ("false", "true"):
            page.evaluate(f"document.querySelectorAll('details').forEach(each => each.open = {is_open})")
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        assert [each for each in page.evaluate(CONTRASTS) if each[2] < 4.5] == []
    page.keyboard.press("Tab")
    reached = set()
    for _ in range(40):
        reached.add(page.evaluate("document.activeElement.tagName + '.' + document.activeElement.className"))
        page.keyboard.press("Tab")
    assert {"A.", "SUMMARY.", "DIV.scroll"} <= reached


# --- parts --------------------------------------------------------------------------------------------------


def test_names_that_no_disk_takes_have_pages_of_their_own() -> None:
    names = ["a/b", "a b", "..", "ä", "x" * 300, "con:", "amount"]
    paths = [feature_path("v", name) for name in names]
    assert len(set(paths)) == len(names)
    assert all(re.fullmatch(r"views/v/[\w-]{1,100}\.html", path, re.ASCII) for path in paths)
    assert paths[-1] == "views/v/amount.html"


def test_states_of_one_value_are_one_and_a_time_without_parts_them() -> None:
    hours = [CLOCK + timedelta(hours=number) for number in range(6)]
    forever = datetime(9999, 12, 31)
    rows = [
        {"valid_from": hours[0], "valid_to": hours[1], "n": 1},
        {"valid_from": hours[1], "valid_to": hours[2], "n": 1},
        {"valid_from": hours[3], "valid_to": hours[4], "n": 1},
        {"valid_from": hours[4], "valid_to": forever, "n": None},
    ]
    assert _states(rows, "n") == [
        State(hours[0], hours[2], 1),
        State(hours[3], hours[4], 1),
        State(hours[4], None, None),
    ]


def test_what_follows_the_clock_is_drawn_as_to_come() -> None:
    day = timedelta(days=1)
    states = [
        State(CLOCK - 2 * day, CLOCK - day, 5),
        State(CLOCK - day, CLOCK + day, 7),
        State(CLOCK + day, None, 0),
    ]
    rows = _rows(states, CLOCK)
    assert [(row["part"], row["value"]) for row in rows if row["is_change"]] == [
        ("past", 5.0),
        ("past", 7.0),
        ("to come", 0.0),
    ]
    at_the_clock = [row for row in rows if row["at"] == f"{CLOCK.isoformat()}Z" and row["part"] != "clock"]
    assert [(row["part"], row["value"]) for row in at_the_clock] == [("past", 7.0), ("to come", 7.0)]
    many = [State(CLOCK + number * day, CLOCK + (number + 1) * day, number) for number in range(-200, 200)]
    near = _near(many, CLOCK)
    assert len(near) == 60
    assert near[-20].valid_from == CLOCK + day
    assert near[39].valid_from == CLOCK


def test_shares_of_values_add_up_on_each_side() -> None:
    with duckdb.connect() as connection:
        tables = Tables(connection, "memory")
        few = bins_of_numbers(
            tables,
            "select * from (values ('a', 1::double, 3), ('a', 2, 1), ('b', 2, 2)) "
            "as counted(side, value, occurrences)",
        )
        assert [(each.label, each.shares) for each in few] == [
            ("1", {"a": 0.75}),
            ("2", {"a": 0.25, "b": 1.0}),
        ]
        many = bins_of_numbers(
            tables,
            "select if(i % 2 = 0, 'a', 'b') as side, if(i = 999, 1e9, i)::double as value, 1 as occurrences "
            "from range(1000) as t(i)",
        )
        assert len(many) == 10
        assert [round(sum(each.shares.get(side, 0) for each in many), 9) for side in "ab"] == [1, 1]
        # One value far out does not make the others one bar.
        assert max(each.shares["a"] for each in many) < 0.2
        words = bins_of_categories(
            tables,
            "select 'now' as side, 'w' || i as value, 100 - i as occurrences from range(10) as t(i)",
        )
        assert [each.label for each in words] == [*(f"w{number}" for number in range(7)), "all other"]
        assert sum(each.shares["now"] for each in words) == pytest.approx(1)
        assert bins_of_numbers(tables, "select 'a' as side, 1.0 as value, 1 as occurrences limit 0") == []
