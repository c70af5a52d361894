"""Tell where the landed rows lie that go: in files, their objects in a bucket, and copies elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from assay.core.places import Places, landing_url
from assay.erasure.beside import Trace
from assay.erasure.cold import find_copies
from assay.erasure.find import FileLines


def find_landed(places: Places, lines: Collection[FileLines]) -> Iterator[Trace]:
    """Yield each place where landed rows lie that go, and what becomes of it.

    Args:
        places: of the project.
        lines: the rows that go, of each landed file.

    Raises:
        Fault: what ASSAY_COLD names is away, so nobody can tell whether a copy is in it.
    """
    copies, url = find_copies(places, lines), landing_url()
    for each in lines:
        file, rows = each.source_file, len(each.spans)
        cold = copies.get(file, ())
        # A file that has moved lies nowhere else. One that was merged with others is not at its own path.
        if not cold or (places.landing / file).exists():
            yield Trace(f"landed file {file}", rows, "lines are emptied, the file stays")
            if url:
                yield Trace(f"object {url}/{file}", rows, "written again; former versions go")
        for copy in cold:
            yield Trace(f"cold copy {copy.where}", rows, "lines are emptied, the file stays")
