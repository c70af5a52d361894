"""The browser in which pages are tried."""

from __future__ import annotations

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)

# A browser is no Python package, and playwright's own download is of 150 MB from elsewhere: who has none can
# still run all other tests. What pages hold is tested without one, in test_server.py and test_report.py.
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="neither chromium nor google-chrome is installed: pages are tried in no browser",
)
