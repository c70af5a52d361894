"""Put publications into a bucket: each under its run's name, last an object that names the newest."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path

from assay.bucket.bucket import Bucket

#: The object that names the publication which readers are to open.
CURRENT = "current.json"
# Other things may lie there, too.
_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def put_published(bucket: Bucket, folder: Path, run_id: str, kept: Collection[str]) -> bool:
    """Let readers of a bucket have a publication; those who read another go on reading it.

    A publication's objects are never written again, and become current in one step. Whoever is killed leaves
    the former one current; the next call goes on.

    Args:
        bucket: where readers look.
        folder: the files of the publication.
        run_id: the run that published them.
        kept: the runs whose publications stay; those of others are deleted.

    Returns:
        Whether anything has changed for readers.

    Raises:
        Fault: the bucket cannot be read or written.
    """
    current = json.loads(bucket.read(CURRENT) or b"{}")
    if current.get("run_id") == run_id:
        return False
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    there = {found.key: found.size for found in bucket.list(f"{run_id}/")}
    for file in files:
        key = f"{run_id}/{file.name}"
        if there.get(key) != file.stat().st_size:
            bucket.put(key, file)
    said = {"run_id": run_id, "files": [f"{run_id}/{file.name}" for file in files]}
    bucket.put(CURRENT, json.dumps(said, indent=1).encode())
    for found in list(bucket.list()):
        run, _, name = found.key.partition("/")
        # Whoever began to read the former one may still do so until the next publication.
        is_old = run not in {*kept, run_id, current.get("run_id")}
        if name and is_old and _RUN.fullmatch(run):
            bucket.delete(found.key)
    return True


def remove_former(bucket: Bucket) -> int:
    """Delete all publications but the current one for good, also that which readers may just be reading.

    Where the bucket keeps versions of objects, those of publications go, too.

    Returns:
        How many objects were deleted.

    Raises:
        Fault: the bucket cannot be read or written.
    """
    current = json.loads(bucket.read(CURRENT) or b"{}").get("run_id")
    gone = [
        found.key
        for found in bucket.list()
        if (run := found.key.partition("/")[0]) != current and run != found.key and _RUN.fullmatch(run)
    ]
    for key in gone:
        bucket.delete(key)
    bucket.remove_versions("", but_newest=True, is_ours=_is_of_publication)
    return len(gone)


def _is_of_publication(key: str) -> bool:
    run, _, name = key.partition("/")
    return bool(name and _RUN.fullmatch(run))
