"""Rewrite the copies of landed files that moved to cold folders and buckets."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from assay.bucket.bucket import Bucket, BucketMissing, Object
from assay.bucket.cold import FetchedObject, fetched_objects, remove_fetched
from assay.console.progress import Display
from assay.core.fault import Fault
from assay.core.places import COLD, Places, cold_url, named_cold_folder
from assay.core.words import counted
from assay.erasure.find import FileLines
from assay.landing.discover import LandingFile, discover_cold, file_at, members_of
from assay.landing.member import MERGED
from assay.ledger.retentions import ColdCopy, cold_copies, held_by_copies

Copies = Mapping[str, Sequence[ColdCopy]]


def find_copies(places: Places, lines: Collection[FileLines]) -> dict[str, list[ColdCopy]]:
    """Return where copies of landed files lie: those in the run ledger, and what ASSAY_COLD holds.

    A run ledger that was lost knows of no copies.

    Args:
        places: of the project.
        lines: the landed files from which rows go.

    Raises:
        Fault: what ASSAY_COLD names is away, so nobody can tell whether a copy is in it.
    """
    found = cold_copies(places.ledger)
    names = {each.source_file for each in lines}
    for name, copy in _in_cold_folder() if names else ():
        found.setdefault(name, []).append(copy)
    for name, copy in _in_cold_bucket(places, names) if names else ():
        found.setdefault(name, []).append(copy)
    return {name: [*dict.fromkeys(found[name])] for name in names & found.keys()}


def _in_cold_folder() -> Iterator[tuple[str, ColdCopy]]:
    if folder := named_cold_folder():
        folder = folder.absolute()
        if not folder.is_dir():
            raise Fault(
                f"{COLD} is {folder}, which is not there, and rows may go from copies in it: mount its disk, "
                "or name another folder."
            )
        for file in discover_cold(folder):
            yield file.name, ColdCopy(str(file.merged or file.path), str(folder))


def _in_cold_bucket(places: Places, names: Set[str]) -> Iterator[tuple[str, ColdCopy]]:
    url = cold_url()
    if url is None:
        return
    known = held_by_copies(places.ledger)
    with _away_told():
        for each in Bucket(url).list():
            folder, _, last = each.key.rpartition("/")
            copy = ColdCopy(f"{url}/{each.key}", url)
            if f"/{MERGED}/" not in each.key:
                yield from ((name, copy) for name in {each.key, f"{folder}/{last[13:]}"} & names)
            elif copy.where not in known:
                # Which files it holds is known once it is fetched.
                table = "/".join(each.key.split("/")[:2])
                yield from ((name, copy) for name in names if name.startswith(f"{table}/"))


@contextmanager
def _away_told() -> Iterator[None]:
    try:
        yield
    except BucketMissing as error:
        raise Fault(
            f"{error} assay retain has moved landed files there, from which rows go. If the bucket is "
            "gone for good, create an empty one of this name."
        ) from error


def check_copies(places: Places, lines: Collection[FileLines]) -> None:
    """Check that the folders and buckets are there in which copies of landed files lie.

    Args:
        places: of the project.
        lines: the landed files from which rows go.

    Raises:
        Fault: one is away, so nobody can tell whether a copy is in it.
    """
    copies = find_copies(places, lines)
    _find_objects(lines, copies)
    for each in lines:
        _check_folders(each, copies)


@contextmanager
def opened_copies(
    places: Places, lines: Collection[FileLines], display: Display
) -> Iterator[dict[str, list[LandingFile]]]:
    """Let the copies of landed files in cold folders and buckets be rewritten while the block runs.

    Objects are fetched before, written again after, and their former versions are deleted. If this is killed,
    the next call fetches them anew.

    Args:
        places: of the project.
        lines: the landed files from which rows go.
        display: shows the progress.

    Yields:
        The copies by the name of the landed file, each under the name that it had in the landing zone.

    Raises:
        Fault: a folder or a bucket is away, or an object has been written by others meanwhile.
        OSError: a file cannot be read or written.
    """
    copies = find_copies(places, lines)
    wanted = _find_objects(lines, copies)
    if not any(wanted.values()):
        # Whatever needed others may have been killed.
        remove_fetched(places.fetched)
        yield {each.source_file: [*_find_files(each, copies, {})] for each in lines}
        return
    with fetched_objects(places.fetched, wanted, display.say) as fetched:
        paths = {each.url: each for each in fetched}
        yield {each.source_file: [*_find_files(each, copies, paths)] for each in lines}
        for each in fetched:
            each.put_back()
            each.bucket.remove_versions(each.found.key, is_prefix=False, but_newest=True)
        display.say(f"{counted(len(fetched), 'cold object')}: written again, and former versions deleted")


def _find_objects(lines: Collection[FileLines], copies: Copies) -> dict[str, list[Object]]:
    """Return the objects that hold landed files, by the place in which they lie.

    Raises:
        Fault: a bucket cannot be listed.
    """
    keys: dict[str, set[str]] = {}
    for each in lines:
        for copy in copies.get(each.source_file, ()):
            if copy.is_object:
                keys.setdefault(copy.place, set()).add(copy.key)
    found: dict[str, list[Object]] = {}
    for place, wanted in keys.items():
        with _away_told():
            bucket = Bucket(place)
            found[place] = [one for key in sorted(wanted) if (one := bucket.find(key))]
    return found


def _check_folders(lines: FileLines, copies: Copies) -> None:
    for copy in copies.get(lines.source_file, ()):
        if not copy.is_object and not Path(copy.place).is_dir():
            raise Fault(
                f"{copy.place} is not there, to which assay retain has moved {lines.source_file}, from which "
                "rows go: mount its disk. If the folder is gone for good, make an empty one of this name."
            )


def _find_files(
    lines: FileLines, copies: Copies, fetched: Mapping[str, FetchedObject]
) -> Iterator[LandingFile]:
    """Yield the copies of a landed file, under the name that it had in the landing zone.

    Raises:
        Fault: a cold folder is away, so nobody can tell whether a copy is in it.
    """
    _check_folders(lines, copies)
    for copy in copies.get(lines.source_file, ()):
        path, folder = Path(copy.where), Path(copy.place)
        if copy.is_object:
            if copy.where not in fetched:
                continue
            path = fetched[copy.where].path
            folder = path.parents[copy.key.count("/")]
        if path.parent.name == MERGED and path.is_file():
            yield from (file for file in members_of(folder, path) if file.name == lines.source_file)
        elif path.is_file():
            yield replace(file_at(path), name=lines.source_file)
