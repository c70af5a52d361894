"""Let those who read from a bucket have what is published."""

from __future__ import annotations

import os

from assay.bucket.bucket import Bucket
from assay.bucket.published import put_published, remove_former
from assay.bucket.roles import RoleVersion, put_roles, remove_former_of_roles
from assay.build.made_of import read_made_of
from assay.build.publications import find_kept, published_run
from assay.core.encryption import find_encryption_key
from assay.core.fault import Fault, known_fault
from assay.core.places import Places

#: The environment variable that names the place in a bucket from which others read what is published.
PUBLISH_TO = "ASSAY_PUBLISH_TO"


def put_in_bucket(places: Places) -> str | None:
    """Bring the bucket that `PUBLISH_TO` names, if any, to what is published and to the files of roles.

    Returns:
        Why it could not be put there; None if all is well.
    """
    faults = [put_gold_in_bucket(places), put_roles_in_bucket(places)]
    return "\n".join(dict.fromkeys(filter(None, faults))) or None


def put_gold_in_bucket(places: Places) -> str | None:
    """Put what is published into the bucket, if it does not have it yet.

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


def put_roles_in_bucket(places: Places) -> str | None:
    """Bring the files of roles in the bucket to those of this machine, and remove those of others.

    Returns:
        Why that could not be done; None if all is well.
    """
    url = os.environ.get(PUBLISH_TO)
    if not url or places.as_of or not places.published.is_file():
        return None
    try:
        put_roles(Bucket(url), _find_roles(places))
    except (Fault, OSError) as error:
        return (
            f"{known_fault(error) or error}\nRoles there may read what they read before. "
            "To try again: assay roles apply"
        )
    return None


def remove_former_in_bucket() -> None:
    """Leave in the bucket what is published now alone: nobody can go back to what was before.

    Raises:
        Fault: the bucket cannot be read or written.
    """
    if url := os.environ.get(PUBLISH_TO):
        bucket = Bucket(url)
        remove_former(bucket)
        remove_former_of_roles(bucket)


def _find_roles(places: Places) -> dict[str, RoleVersion]:
    key = find_encryption_key()
    found = {}
    for file in sorted(places.roles.glob(f"*/{places.published.name}")):
        if made_of := read_made_of(file):
            # A file that is encrypted anew holds the same, and is another one for its readers.
            content = f"{made_of.content} {key.fingerprint}" if key else made_of.content
            found[file.parent.name] = RoleVersion(file, made_of.run_id, made_of.rights, content)
    return found
