"""The page of lineage shows what each column is made of, and asks nothing of any network."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from small_project import SmallProject, make_small_project

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
# As in test_page.py, which says why one may be missing.
in_a_browser = pytest.mark.skipif(
    CHROMIUM is None,
    reason="neither chromium nor google-chrome is installed: the page is tried in no browser",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, built_project: SmallProject) -> Path:
    project = SmallProject(
        Path(shutil.copytree(built_project.root, tmp_path_factory.mktemp("page") / "project"))
    )
    out = project.root / "pages" / "lineage.html"
    lineage = project.assay("lineage", "--out", str(out))
    assert lineage.exit_code == 0, lineage.stderr
    assert "Warning" not in lineage.stdout
    assert lineage.stdout.endswith(f"models in {out}: open it in a browser.\n")
    return out


@pytest.fixture(scope="module")
def shown(written: Path) -> dict[str, Any]:
    """What a browser makes of the page: its data, and whom it asked."""
    asked: list[str] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(written.as_uri())
        page.get_by_text("models", exact=True).first.wait_for()
        # By now whatever would tell of its use has had the time to.
        page.wait_for_timeout(1500)
        data = page.evaluate("window.colibriData")
        browser.close()
    assert not errors
    return {"data": data, "asked": asked}


@in_a_browser
def test_the_page_asks_nobody(shown: dict[str, Any], written: Path) -> None:
    others = [url for url in shown["asked"] if not url.startswith(("data:", "blob:"))]
    assert others == [written.as_uri()]
    assert "<script>window.colibriTelemetry = false;</script>" in written.read_text()


@in_a_browser
def test_columns_lead_to_those_that_they_are_made_of(shown: dict[str, Any]) -> None:
    edges = {
        (edge["source"], edge["sourceColumn"], edge["target"], edge["targetColumn"])
        for edge in shown["data"]["lineage"]["edges"]
    }
    lines, days = "model.assay.fct_lines", "model.assay.fct_days"
    assert (lines, "quantity", days, "pieces") in edges
    assert (lines, "event_at", days, "order_date") in edges
    assert not [edge for edge in edges if edge[0] == lines and edge[2] == days and edge[1] == "product_id"]
    checked = "model.assay.slv_order_lines__checked"
    assert ("model.assay.brz_erp__order_lines", "stockcode", checked, "product_id") in edges
    assert ("model.assay.slv_order_lines", "quantity", lines, "quantity") in edges


def test_without_a_warehouse_it_is_said_what_to_do(tmp_path: Path) -> None:
    refused = make_small_project(tmp_path / "project").assay("lineage")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: There is no warehouse data/assay.duckdb yet. To build it: assay build\n"
    )


def test_without_the_extra_it_is_said_what_to_install(
    project: SmallProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dbt_colibri.lineage_extractor.extractor", None)
    monkeypatch.delitem(sys.modules, "assay.lineage.page", raising=False)
    refused = project.assay("lineage")
    assert refused.exit_code == 2
    assert "pip install 'assay[lineage]'" in refused.stderr
