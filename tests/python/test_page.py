"""The server's pages in a real browser: people see what is served, and nothing comes from elsewhere."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from chromium import needs_chromium, watched_page
from feature_server import serving
from online_stores import query
from playwright.sync_api import Browser, Page, Route, expect

from assay.online.ahead import Ahead
from assay.server.keys import KeyRing

VELOCITY = "ftr_card__velocity"
pytestmark = needs_chromium


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched_page(browser) as page:
        yield page


def facts(page: Page) -> dict[str, str]:
    terms, said = page.locator("dt").all_inner_texts(), page.locator("dd").all_inner_texts()
    return dict(zip(terms, said, strict=True))


def value_shown(page: Page, feature: str) -> tuple[str, str]:
    cells = page.locator(f"tr[data-feature={feature}] td").all_inner_texts()
    return cells[1], cells[2]


def test_an_entity_is_looked_up_at_an_instant(
    page: Page, published: Path, store_url: str, tmp_path: Path
) -> None:
    views = [name for (name,) in query(published, "select feature_view from gold.srv_catalog order by all")]
    [(card_id, at, count)] = query(
        published,
        f"select card_id, valid_from, transaction_count_24h from gold.srv_{VELOCITY} "
        "where transaction_count_24h > 0 order by valid_from desc, card_id limit 1",
    )
    with serving(tmp_path, store_url) as (address, _):
        page.goto(address)
        expect(page.locator("nav button")).to_have_count(len(views))
        assert [text.split("\n")[0] for text in page.locator("nav button").all_inner_texts()] == views
        expect(page.locator("#freshness")).to_contain_text(f"{len(views)} feature views online")
        page.locator(f"nav button[data-view={VELOCITY}]").click()
        expect(page.locator("h2").first).to_have_text(VELOCITY)
        found = facts(page)
        assert (found["Entity"], found["Owner"]) == ("card (card_id)", "risk")
        assert found["Lineage"] == "in the dbt docs, once assay docs has written them"
        # The form comes filled in with an entity that there is, unless its key is personal data.
        assert page.locator("input[name=card_id]").input_value() == ""
        page.locator("nav button[data-view=ftr_customer__purchases]").click()
        expect(page.locator("h2").first).to_have_text("ftr_customer__purchases")
        assert page.locator("input[name=customer_id]").input_value() != ""
        expect(page.locator("table")).to_contain_text("PRESENT")

        page.locator(f"nav button[data-view={VELOCITY}]").click()
        expect(page.locator("h2").first).to_have_text(VELOCITY)
        page.locator("input[name=card_id]").fill(card_id)
        page.locator("input[name=as_of]").fill(at.isoformat())
        page.locator("form button").click()
        expect(page.locator("section p.soft")).to_contain_text(f"At {at:%Y-%m-%d %H:%M:%S} UTC")
        assert value_shown(page, "transaction_count_24h") == (str(count), "PRESENT")
        assert value_shown(page, "kilometres_from_last") == ("\u2013", "needs a request input")

        page.locator("input[name=card_id]").fill("nobody")
        page.locator("form button").click()
        expect(page.locator("section p.soft")).to_contain_text("nothing is known of the entity")
        assert value_shown(page, "transaction_count_24h") == ("0", "NOT_FOUND, default")

        page.locator("input[name=as_of]").fill("soon")
        page.locator("form button").click()
        expect(page.locator("[role=alert]")).to_contain_text("'soon' is not a time")


def test_an_entity_has_an_address_and_a_chart_of_what_follows(
    page: Page, published: Path, store_url: str, tmp_path: Path
) -> None:
    view, feature = "ftr_product__demand", "view_count_28d"
    [(product_id, at, now, changes)] = query(
        published,
        f"""
        with states as (

            select *, {feature} is distinct from lag({feature}) over states as is_change
            from gold.srv_{view}
            window states as (partition by product_id order by valid_from)

        ),

        known as (select known_until from gold.srv_catalog where feature_view = '{view}')

        select
            product_id,
            any_value(known_until),
            any_value({feature}) filter (valid_from <= known_until and valid_to > known_until),
            count(*) filter (is_change and valid_from > known_until) as changes
        from states
        cross join known
        group by product_id
        having changes > 1
        order by changes desc, product_id
        limit 1
        """,
    )
    page.set_viewport_size({"width": 390, "height": 844})
    with serving(tmp_path, store_url) as (address, _):
        page.goto(f"{address}/#view={view}&key={product_id}")
        expect(page.locator("h2").first).to_have_text(view)
        assert page.locator("input[name=product_id]").input_value() == product_id
        expect(page.locator("tr[data-feature=view_count_28d] td").nth(1)).to_have_text(str(now))
        page.locator("#feature").select_option(feature)
        chart = page.locator("figure svg")
        words = (
            f"{feature}: {now} at {at:%Y-%m-%d %H:%M} UTC; if nothing more arrives, {changes} changes follow"
        )
        assert (chart.get_attribute("aria-label") or "").startswith(words)
        assert chart.locator("circle.dot").count() > changes
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

        page.locator("#search").fill("how fast card")
        expect(page.locator("#views button:visible")).to_have_count(1)
        expect(page.locator("#matches")).to_have_text(re.compile("1 of [0-9]+ feature views"))
        page.locator(f"nav button[data-view={VELOCITY}]").click()
        expect(page.locator("h2").first).to_have_text(VELOCITY)
        page.locator("input[name=card_id]").fill("4000")
        page.locator("#view form button").first.click()
        expect(page.locator("section p.soft")).to_contain_text("nothing is known of the entity")
        # Who a person is stays out of the address.
        assert page.url == f"{address}/#view={VELOCITY}"
        page.evaluate("location.hash = 'view=ftr_customer__purchases'")
        expect(page.locator("h2").first).to_have_text("ftr_customer__purchases")


def test_values_of_now_move_as_a_stream_changes_them(page: Page, store_url: str, tmp_path: Path) -> None:
    view = "ftr_product__demand"
    store = tmp_path / "store.sqlite"
    # Not a copy of the file: what was last written may stand in the log beside it.
    with sqlite3.connect(store_url.removeprefix("sqlite:")) as held, sqlite3.connect(store) as connection:
        held.backup(connection)
    of_view = "view = (select id from catalog where feature_view = ?) and key = ?"
    with sqlite3.connect(store) as connection:
        [(key,)] = connection.execute(
            "select min(key) from entities where view = (select id from catalog where feature_view = ?)",
            [view],
        )
        row = connection.execute(f"select * from entities where {of_view}", [view, key]).fetchone()
        connection.execute(f"delete from entities where {of_view}", [view, key])
    with serving(tmp_path, f"sqlite:{store}") as (address, _):
        page.goto(f"{address}/#view={view}&key={key}")
        page.locator("input[name=as_of]").fill("")
        page.locator("#view form button").first.click()
        value, status = (page.locator("tr[data-feature=view_count_28d] td").nth(place) for place in (1, 2))
        expect(status).to_have_text("NOT_FOUND, default")
        expect(page.locator("#changes")).to_be_hidden()

        Ahead(tmp_path / "data" / "stream.sqlite").note(view, [key], {("web.events", "web.events", 0): 7})
        with sqlite3.connect(store) as connection:
            connection.execute("insert into entities values (?, ?, ?, ?)", row)
        expect(value).to_have_class("value moved")
        expect(status).not_to_contain_text("NOT_FOUND")
        expect(page.locator("#changes button")).to_have_text(f"{key}{view}")


def test_of_views_asked_for_in_haste_the_last_is_shown(page: Page, store_url: str, tmp_path: Path) -> None:
    late: list[Route] = []
    with serving(tmp_path, store_url) as (address, _):
        page.route("**/feature-views/ftr_card__categories", lambda route: late.append(route))
        page.goto(address)
        page.locator(f"nav button[data-view={VELOCITY}]").click()
        expect(page.locator("h2").first).to_have_text(VELOCITY)
        with page.expect_response("**/feature-views/ftr_card__categories"):
            late[0].continue_()
        page.evaluate("() => new Promise(done => setTimeout(done, 100))")
        expect(page.locator("h2").first).to_have_text(VELOCITY)


def test_a_key_is_asked_for_and_shows_its_views(page: Page, store_url: str, tmp_path: Path) -> None:
    key = KeyRing(tmp_path / "data" / "serving").create("shop", [VELOCITY], None)
    with serving(tmp_path, store_url, "--with-keys") as (address, _):
        page.goto(address)
        expect(page.locator("[role=alert]")).to_contain_text("asks for an API key: enter it at the top")
        page.locator("#key").fill("wrong")
        page.locator("#key").press("Enter")
        expect(page.locator("[role=alert]")).to_contain_text("this one is not valid")
        page.locator("#key").fill(key)
        page.locator("#key").press("Enter")
        expect(page.locator("nav button")).to_have_count(1)
        expect(page.locator("table")).to_contain_text("transaction_count_24h")


def test_lineage_leads_into_the_documentation(page: Page, store_url: str, tmp_path: Path) -> None:
    docs = tmp_path / "target" / "assay_docs.html"
    docs.parent.mkdir()
    docs.write_text("<!doctype html><title>dbt Docs</title>")
    with serving(tmp_path, store_url) as (address, _):
        page.goto(address)
        page.locator(f"nav button[data-view={VELOCITY}]").click()
        expect(page.locator("h2").first).to_have_text(VELOCITY)
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="in the dbt docs").click()
        expect(opened.value).to_have_title("dbt Docs")
        assert opened.value.url == f"{address}/lineage#!/model/model.assay.{VELOCITY}?g_v=1"


def test_the_api_is_described_without_the_network(page: Page, store_url: str, tmp_path: Path) -> None:
    with serving(tmp_path, store_url) as (address, _):
        page.goto(f"{address}/docs")
        expect(page.locator(".opblock")).to_have_count(11)
        page.locator("#operations-features-get_features_features_get_post").click()
        expect(page.locator(".opblock-body").first).to_contain_text("feature_groups")
        assert httpx.get(f"{address}/openapi.json").json()["info"]["title"] == "Assay"
