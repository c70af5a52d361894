"""Rewrite what landed in a bucket: its copy comes first, then the objects, and their former versions go."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from assay.bucket.bucket import Bucket
from assay.bucket.landing import bring_landing, replace_object
from assay.console.progress import Display
from assay.core.places import Places, landing_url
from assay.core.words import counted
from assay.erasure.find import FileLines
from assay.erasure.lines import hash_of


def fetch_objects(places: Places, display: Display) -> None:
    """Bring the copy of a landing zone that lies in a bucket up to date; do nothing with a folder.

    Raises:
        Fault: the bucket cannot be read.
        OSError: the copy cannot be written.
    """
    if url := landing_url():
        for fault in bring_landing(Bucket(url), places.landing, display.say).faults:
            display.say(f"Warning: {fault}")


def write_objects(
    places: Places, lines: Collection[FileLines], rewritten: Mapping[str, str], display: Display
) -> None:
    """Write objects again whose files were rewritten in the copy, and delete all versions before.

    Args:
        places: of the project.
        lines: the landed files in which the person was.
        rewritten: the SHA-256 of each rewritten file, by the SHA-256 and name that it had.
        display: shows the progress.

    Raises:
        Fault: the bucket cannot be read or written.
        OSError: the copy cannot be read or written.
    """
    url = landing_url()
    if not url:
        return
    bucket = Bucket(url)
    hashes: dict[str, set[str]] = {}
    for named, sha256 in rewritten.items():
        hashes.setdefault(named.partition(" ")[2], set()).add(sha256)
    names = sorted({each.source_file for each in lines} | hashes.keys())
    for name in names:
        file = places.landing / name
        is_rewritten = file.is_file() and hash_of(file) in hashes.get(name, ())
        if is_rewritten and not replace_object(bucket, places.landing, name):
            display.say(f"{bucket.url}/{name} has been written by others since: the next build fetches it")
        bucket.remove_versions(name, is_prefix=False, but_newest=True)
    display.say(
        f"{counted(len(names), 'object')} of {bucket.url}: written again, and former versions deleted"
    )


def name_unseen(url: str) -> Iterator[str]:
    """Yield what nobody looks into of a landing zone in a bucket."""
    yield f"{url}: former versions that no build has loaded: give the bucket a rule that expires them"
    yield f"copies of {url} on other machines, and what was built there: forget the person there, too"
