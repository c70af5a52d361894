"""The report in a real browser: it is drawn by day and by night, on a desk and on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from chromium import needs_chromium
from playwright.sync_api import Browser, Page
from report_page import HOSTILE, fill_monitors, take_version
from small_project import SmallProject

pytestmark = needs_chromium

DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
# What a chart is drawn with: a colour of the page, which differs by day and by night.
COLOR_OF_LINE = "getComputedStyle(document.querySelector('#volume svg path[stroke^=\"var(\"]')).stroke"
CONTRASTS = """() => {
    const lightness = color => {
        const [red, green, blue] = color.match(/[\\d.]+/g).map(Number).map(part => part / 255)
            .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const behind = element => {
        const color = getComputedStyle(element).backgroundColor;
        return color === "rgba(0, 0, 0, 0)" ? behind(element.parentElement) : color;
    };
    const says = element => [...element.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    return [...document.querySelectorAll("body *:not(title)")].filter(says).map(element => {
        const style = getComputedStyle(element);
        const color = element.closest("svg") ? style.fill : style.color;
        const both = [lightness(color), lightness(behind(element))];
        return [element.outerHTML, color, (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05)];
    });
}"""


@pytest.fixture(scope="module")
def file(built_broken: SmallProject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(shutil.copytree(built_broken.root, tmp_path_factory.mktemp("page") / "project"))
    project = SmallProject(root)
    fill_monitors(project)
    take_version(project)
    assert project.assay("report").exit_code == 0
    return project.root / "report" / "index.html"


@pytest.fixture(params=[(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")], ids=str)
def page(browser: Browser, file: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, opened; whatever it asks for elsewhere or complains of fails the test."""
    size, scheme = request.param
    page = browser.new_page(viewport=size, color_scheme=scheme)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(file.as_uri())
    yield page
    page.close()
    assert [url for url in asked if urlsplit(url).scheme not in ("file", "data")] == []
    assert said == []


def test_charts_are_drawn_in_the_colours_of_the_page(page: Page) -> None:
    charts = page.locator("figure svg")
    assert charts.count() == 4
    for chart in charts.all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 250
        assert box["height"] > 50
    mark = "getComputedStyle(document.documentElement).getPropertyValue('--mark')"
    by_day, by_night = "rgb(47, 102, 144)", "rgb(127, 176, 214)"
    assert page.evaluate(mark) == "light-dark(#2f6690, #7fb0d6)"
    is_dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    assert page.evaluate(COLOR_OF_LINE) == (by_night if is_dark else by_day)


def test_nothing_stands_out_sideways_even_with_all_shown(page: Page) -> None:
    for is_open in ("false", "true"):
        page.evaluate(f"document.querySelectorAll('details').forEach(each => each.open = {is_open})")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_markup_in_data_is_shown_as_text(page: Page) -> None:
    assert page.locator("#volume figcaption").first.inner_text() == HOSTILE
    assert page.locator("img").count() == 0


def test_text_stands_out_from_what_is_behind_it(page: Page) -> None:
    """WCAG 2.1 AA: a contrast of 4.5 to 1, of every colour that letters have."""
    found = page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [each for each in found if each[2] < 4.5] == []


def test_keyboards_reach_what_is_folded_and_what_scrolls(page: Page) -> None:
    page.keyboard.press("Tab")
    reached = set()
    for _ in range(200):
        reached.add(page.evaluate("document.activeElement.tagName + '.' + document.activeElement.className"))
        page.keyboard.press("Tab")
    assert {"A.", "SUMMARY.", "DIV.scroll"} <= reached
