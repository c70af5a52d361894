"""Write the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from assay.core.fault import MISUSED, Fault
from assay.core.places import Places
from assay.report.beside import copy_beside, link_between
from assay.report.docs import FILE, LINEAGE
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
        The page. The pages of lineage and of dbt's documentation are copied beside it, if they were written.

    Raises:
        Fault: no build is recorded, another program keeps the ledger open, or `out` cannot be written.
    """
    page = gather(places, with_rows=with_rows)
    try:
        out.mkdir(parents=True, exist_ok=True)
        pages = {
            "Feature catalog": link_between(out, Path("catalog", _PAGE)),
            "Lineage": LINEAGE if copy_beside(places.lineage, out / LINEAGE) else "",
            "dbt docs": FILE if copy_beside(places.docs, out / FILE) else "",
        }
        return replace_page(out / _PAGE, render(page, {name: to for name, to in pages.items() if to}))
    except OSError as error:
        raise Fault(f"The report cannot be written to {out}: {error.strerror or error}.", MISUSED) from error


def render(page: Page, pages: Mapping[str, str]) -> str:
    """Return the page as HTML, with links to other pages. All that is told of is text in it."""
    return environment().get_template("page.html").render(page=page, pages=pages)
