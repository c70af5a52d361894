"""The page that searches documents, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import needs_chromium, watched_page
from feature_server import serving
from playwright.sync_api import Browser, Page, Route, expect
from published_by_hand import make_published
from search_index import Chunk, index_of

from assay.online.stores.open import open_store
from assay.online.sync import sync
from assay.search.tombstones import Tombstones
from assay.server.keys import KeyRing

pytestmark = needs_chromium
# Chunks that repeat the end of the one before, with characters of which JavaScript has two for one.
BODY = "💳 Pay by card. A refund takes five days. <b>Refunds</b> go to the card 💳 only. Ask the staff."
BEGIN, BOLD, ONLY, ASK = (BODY.index(each) for each in ("A refund", "<b>", "💳 only", "Ask"))
PLACES = [(0, BOLD - 1), (BEGIN, ASK), (ONLY, len(BODY))]
CHUNKS = [
    *(
        Chunk(
            "help/refunds.md",
            BODY[begin:end],
            number,
            title="Money & cards",
            heading_path="Refunds",
            tags=["a"],
            start_at=begin,
        )
        for number, (begin, end) in enumerate(PLACES, start=1)
    ),
    Chunk("manuals/shelf", "Mount the shelf. No refund of screws.", source="manuals"),
    *(Chunk("long", f"Page {number} of many.", number, source="manuals") for number in range(1, 301)),
]


@pytest.fixture
def shop(builds: None, tmp_path: Path) -> tuple[Path, str]:
    """The folder of a project with documents that are published, and the URL of its store."""
    url = f"sqlite:{tmp_path / 'online.sqlite'}"
    sync(make_published(tmp_path / "gold.duckdb"), open_store(url))
    (tmp_path / "data" / "published").mkdir(parents=True)
    index_of(tmp_path / "data" / "published", CHUNKS)
    return tmp_path, url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched_page(browser) as page:
        yield page


def search(page: Page, query: str, **options: str) -> None:
    page.locator("[name=query]").fill(query)
    for name in ("filter", "k", "as_of"):
        page.locator(f"[name={name}]").fill(options.get(name, "10" if name == "k" else ""))
    page.locator("[name=mode]").select_option(options.get("mode", "text"))
    page.get_by_role("button", name="Search").click()


def test_results_show_why_they_were_found(page: Page, shop: tuple[Path, str]) -> None:
    with serving(*shop) as (address, _):
        page.goto(address)
        page.get_by_role("link", name="Documents").click()
        search(page, "refunds card", k="2")
        expect(page.locator("#status")).to_have_text("2 chunks found; words searched for: card, refund")
        results = page.locator("#results li")
        expect(results).to_have_count(2)
        first = results.first
        expect(first.get_by_role("button")).to_have_text("Money & cards")
        expect(first.locator(".snippet")).to_have_text(BODY[BEGIN:ASK])
        # Marks are at their places behind characters of any size, and markup is text.
        assert first.locator("mark").all_inner_texts() == ["refund", "Refunds", "card"]
        facts = dict(
            zip(first.locator("dt").all_inner_texts(), first.locator("dd").all_inner_texts(), strict=True)
        )
        assert facts["document"] == "help/refunds.md, chunk 2"
        assert (facts["source"], facts["tags"]) == ("help", "a")
        assert facts["words"].startswith("rank 1 (")
        assert "meaning" not in facts
        search(page, "refunds card", mode="hybrid", filter="source = 'manuals' and title != 'x'", k="1")
        expect(results).to_have_count(1)
        expect(results.first.locator("dt", has_text="meaning")).to_have_count(1)
        expect(results.first).to_have_attribute("data-document", "manuals/shelf")
        search(page, "refund", as_of="2024-01-01")
        expect(page.locator("#status")).to_contain_text("0 chunks found")
        expect(results).to_have_count(0)


def test_a_document_is_shown_with_the_chunk_marked(page: Page, shop: tuple[Path, str]) -> None:
    with serving(*shop) as (address, _):
        page.goto(f"{address}/search")
        search(page, "refunds card", k="1")
        page.get_by_role("button", name="Money & cards").click()
        document = page.locator("#document")
        expect(document.locator("h2")).to_be_focused()
        expect(document.locator("mark")).to_have_text(BODY[BEGIN:ASK])
        expect(page.locator("#results li").first).to_have_attribute("aria-current", "true")
        # What chunks share is shown once.
        assert "".join(document.locator(".chunk").all_text_contents()) == BODY
        search(page, "page 200", filter="document_id = 'long'", k="1")
        expect(document.locator("section")).to_have_count(0)
        page.get_by_role("button", name="long").click()
        expect(document.locator("mark")).to_have_text("Page 200 of many.")
        expect(document.locator("mark")).to_be_in_viewport()
        expect(document).to_contain_text("chunks 150 to 300 of 300")
        document.get_by_role("button", name="From the begin").click()
        expect(document).to_contain_text("chunks 1 to 200 of 300")
        document.get_by_role("button", name="Go on").click()
        expect(document).to_contain_text("chunks 201 to 300 of 300")


def test_what_cannot_be_searched_is_told(page: Page, shop: tuple[Path, str]) -> None:
    with serving(*shop) as (address, _):
        page.goto(f"{address}/search")
        alert = page.locator("[role=alert]")
        for query, filter, message in (
            ("", "", "The query is empty"),
            ("x", "author = 'x'", "a column 'author'"),
            ("word " * 1001, "", "1,000 are the most"),
        ):
            search(page, query, filter=filter)
            expect(alert).to_contain_text(message)
        search(page, "staff")
        expect(alert).to_have_count(0)
        Tombstones(shop[0] / "data" / "deleted_documents.json").add({"help/refunds.md": CHUNKS[0].valid_to})
        page.get_by_role("button", name="Money & cards").first.click()
        expect(alert).to_contain_text("There is no such document")
        search(page, "staff")
        expect(page.locator("#status")).to_contain_text("0 chunks found")
        (shop[0] / "data" / "published" / "search.duckdb").unlink()
        search(page, "refund")
        expect(alert).to_contain_text("assay documents add, then assay build")


def test_of_searches_in_haste_the_last_is_shown(page: Page, shop: tuple[Path, str]) -> None:
    late: list[Route] = []

    def hold_back_one(route: Route) -> None:
        if "shelf" in (route.request.post_data or ""):
            late.append(route)
        else:
            route.continue_()

    with serving(*shop) as (address, _):
        page.goto(f"{address}/search")
        page.route(lambda url: url.endswith("/search"), hold_back_one)
        search(page, "shelf")
        search(page, "staff")
        expect(page.locator("#results li")).to_have_count(1)
        with page.expect_response(lambda answer: "shelf" in (answer.request.post_data or "")):
            late[0].continue_()
        page.evaluate("() => new Promise(done => setTimeout(done, 100))")
        expect(page.locator("#results li").first).to_have_attribute("data-document", "help/refunds.md")


def test_a_key_is_asked_for_and_shows_what_it_is_for(page: Page, shop: tuple[Path, str]) -> None:
    key = KeyRing(shop[0] / "data" / "serving").create("shop", [], None, sources=["manuals"])
    with serving(*shop, "--with-keys") as (address, _):
        page.goto(f"{address}/search")
        search(page, "refund")
        expect(page.locator("[role=alert]")).to_contain_text("asks for an API key: enter it at the top")
        page.locator("#key").fill(key)
        search(page, "refund")
        expect(page.locator("#results li")).to_have_count(1)
        expect(page.locator("#results li").first).to_have_attribute("data-document", "manuals/shelf")


def test_names_of_facts_stay_whole_beside_long_values(page: Page, shop: tuple[Path, str]) -> None:
    index_of(shop[0] / "data" / "published", [Chunk("a", "A refund.", tags=["x" * 60])])
    page.set_viewport_size({"width": 390, "height": 900})
    with serving(*shop) as (address, _):
        page.goto(f"{address}/search")
        search(page, "refund")
        expect(page.locator("#results li")).to_have_count(1)
        lines = page.locator("#results dt").evaluate_all(
            "all => all.map(each => { const text = document.createRange(); text.selectNodeContents(each); "
            "return text.getClientRects().length; })"
        )
        assert len(lines) > 3
        assert set(lines) == {1}
