"""Write the page."""

from __future__ import annotations

import shutil
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.core.places import Places
from assay.report.docs import FILE
from assay.report.gather import Page, gather
from assay.report.html import environment, replace_page

_PAGE = "index.html"


def write_report(places: Places, out: Path, *, with_rows: bool = True) -> Path:
    """Write the report on the latest build of a warehouse, over the one before.

    Args:
        places: of the project.
        out: the folder it goes to, which is made where it is missing.
        with_rows: whether rows that failed or were rejected are shown, as they landed.

    Returns:
        The page. It needs nothing but, for its links, dbt's documentation, which is copied beside it.

    Raises:
        Fault: no build is recorded, another program keeps the ledger open, or `out` cannot be written.
    """
    page = gather(places, with_rows=with_rows)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _copy_docs(page.docs, out / FILE)
        return replace_page(out / _PAGE, render(page))
    except OSError as error:
        raise Fault(f"The report cannot be written to {out}: {error.strerror or error}.", MISUSED) from error


def render(page: Page) -> str:
    """Return the page as HTML. All that is told of is text in it, whatever it holds."""
    return environment().get_template("page.html").render(page=page)


def _copy_docs(docs: Path | None, copy: Path) -> None:
    """Keep the documentation beside the page, which may be moved or sent; an old one would mislead."""
    if docs:
        shutil.copyfile(docs, copy)
    else:
        copy.unlink(missing_ok=True)
