"""The browser in which pages are tried."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)

# A browser is no Python package, and playwright's own download is of 150 MB from elsewhere: who has none can
# still run all other tests. What pages hold is tested without one, in test_server.py and test_report.py.
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="neither chromium nor google-chrome is installed: pages are tried in no browser",
)


@contextmanager
def watched_page(browser: Browser) -> Iterator[Page]:
    """A page that may ask its own server, and nobody else; an error of its script fails the test."""
    page = browser.new_page()
    hosts: set[str | None] = set()
    errors: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert hosts - {"127.0.0.1", None} == set()
    assert errors == []
