"""The documentation is one HTML file, whole in itself: it opens from a disk, without a network."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from warehouse import Warehouse


@pytest.fixture(scope="module")
def target(built_demo: Warehouse) -> Path:
    run = built_demo.dbt("docs", "generate", "--static")
    assert run.returncode == 0, run.stdout + run.stderr
    return built_demo.folder / "target"


@pytest.fixture(scope="module")
def page(target: Path) -> str:
    return (target / "static_index.html").read_text()


def test_page_carries_the_project_and_its_catalog(page: str, target: Path) -> None:
    for artifact in ("manifest.json", "catalog.json"):
        content = json.loads((target / artifact).read_text())
        assert content["nodes"]
        assert json.dumps(content) in page


def test_page_tells_of_every_relation_that_was_built(page: str, target: Path, built_demo: Warehouse) -> None:
    manifest, catalog = (
        json.loads((target / name).read_text())["nodes"] for name in ("manifest.json", "catalog.json")
    )
    gold = {
        name
        for (name,) in built_demo.query("select table_name from duckdb_tables() where schema_name = 'gold'")
        # What a history has seen of its input is for its next run alone; what is online is its view's.
        if not name.endswith("__input") and not name.startswith("srv_ftr_")
    }
    assert gold
    for name in gold:
        unique_id = f"model.assay.{name}"
        assert manifest[unique_id]["description"]
        assert catalog[unique_id]["columns"]
        assert f'"{unique_id}"' in page


def test_page_opens_with_the_overview_of_the_project(page: str, target: Path) -> None:
    docs = json.loads((target / "manifest.json").read_text())["docs"]
    overview = docs["doc.assay.__overview__"]["block_contents"]
    assert overview.startswith("# Assay")
    assert json.dumps(overview) in page


@pytest.mark.parametrize("page", ["__overview__", "__assay__"])
def test_links_of_the_overview_lead_somewhere(target: Path, page: str) -> None:
    manifest = json.loads((target / "manifest.json").read_text())
    links = re.findall(r"\]\((.*?)\)", manifest["docs"][f"doc.assay.{page}"]["block_contents"])
    known = {f"#!/model/{node}" for node in manifest["nodes"]} | {"#!/overview", "#!/overview/assay"}
    assert links
    assert [link for link in links if link not in known] == []


def test_page_loads_nothing(page: str) -> None:
    loading = r"<script[^>]*\ssrc=|<link[^>]*stylesheet|<(?:img|iframe)[^>]*\ssrc=[\"']?(?:https?:)?//"
    assert re.findall(loading, page) == []
    assert re.findall(r"@import\s+url|url\([\"']?(?:https?:)?//", page) == []
