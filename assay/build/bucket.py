"""Let those who read from a bucket have what is published."""

from __future__ import annotations

import os

from assay.bucket.bucket import Bucket
from assay.bucket.published import put_published
from assay.build.publications import find_kept, published_run
from assay.core.fault import Fault, known_fault
from assay.core.places import Places

#: The environment variable that names the place in a bucket from which others read what is published.
PUBLISH_TO = "ASSAY_PUBLISH_TO"


def put_in_bucket(places: Places) -> str | None:
    """Put what is published into the bucket that `PUBLISH_TO` names, if any, and it does not have it yet.

    Returns:
        Why it could not be put there; None if all is well.
    """
    url = os.environ.get(PUBLISH_TO)
    run_id = published_run(places.published) if url and not places.as_of else None
    if not url or run_id is None:
        return None
    kept = {each.run_id: each for each in find_kept(places.published)}
    if run_id not in kept:
        return (
            f"{url} does not have what run {run_id} published: the files in {places.published} were not kept."
        )
    try:
        put_published(Bucket(url), kept[run_id].folder, run_id, kept.keys())
    except (Fault, OSError) as error:
        return (
            f"{known_fault(error) or error}\nReaders there have what was published before. "
            "The next build tries again."
        )
    return None
