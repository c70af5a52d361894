"""Put files of roles into a bucket: each below a prefix of its own, so that a policy can give it alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from assay.bucket.bucket import Bucket
from assay.bucket.published import CURRENT

_ROLES = "roles"
# Other things may lie there, too.
_OURS = re.compile(rf"(?P<role>[A-Za-z0-9][A-Za-z0-9_-]*)/((?P<version>[0-9a-f]{{32}})/[^/]+|{CURRENT})")


@dataclass(frozen=True)
class RoleVersion:
    """A role's file, and what it was made of, as hashes.

    Attributes:
        file: what the role may read.
        run_id: the run whose publication it is a part of.
        rights: what the role may read; if it changes, no earlier version stays.
        content: all that the file is made of.
    """

    file: Path
    run_id: str
    rights: str
    content: str


def put_roles(bucket: Bucket, roles: Mapping[str, RoleVersion]) -> bool:
    """Bring the roles in a bucket to those given, and remove all others.

    A version's object is never written again, and becomes current in one step. The version before stays for
    whoever reads it, but not where the role's rights have changed. Whoever is killed leaves the former one
    current; the next call goes on.

    Args:
        bucket: where readers of gold look; those of a role look below `roles/<role>/`.
        roles: the file of each role.

    Returns:
        Whether anything has changed for readers.

    Raises:
        Fault: the bucket cannot be read or written. What a role may no longer read is removed first.
        OSError: a file cannot be read.
    """
    there = [
        (found["role"], found["version"], each.key)
        for each in bucket.list(f"{_ROLES}/")
        if (found := _OURS.fullmatch(each.key.removeprefix(f"{_ROLES}/")))
    ]
    has_changed = False
    for role in sorted({role for role, _, _ in there} | roles.keys()):
        keys = {key: version for name, version, key in there if name == role}
        if role in roles:
            has_changed |= _put_role(bucket, role, roles[role], keys)
        else:
            _delete(bucket, keys)
            has_changed = True
    return has_changed


def remove_former_of_roles(bucket: Bucket) -> int:
    """Delete the roles' files but the current ones for good, also those that readers may be reading.

    Where the bucket keeps versions of objects, those of roles go, too.

    Returns:
        How many objects were deleted.

    Raises:
        Fault: the bucket cannot be read or written.
    """
    gone = []
    for each in bucket.list(f"{_ROLES}/"):
        found = _OURS.fullmatch(each.key.removeprefix(f"{_ROLES}/"))
        if found and found["version"]:
            current = json.loads(bucket.read(f"{_ROLES}/{found['role']}/{CURRENT}") or b"{}")
            if found["version"] != current.get("version"):
                gone.append(each.key)
    for key in gone:
        bucket.delete(key)
    bucket.remove_versions(f"{_ROLES}/", but_newest=True, is_ours=_is_of_role)
    return len(gone)


def _is_of_role(key: str) -> bool:
    return bool(_OURS.fullmatch(key.removeprefix(f"{_ROLES}/")))


def _put_role(bucket: Bucket, role: str, new: RoleVersion, there: Mapping[str, str | None]) -> bool:
    pointer = f"{_ROLES}/{role}/{CURRENT}"
    current = json.loads((bucket.read(pointer) if pointer in there else None) or b"{}")
    wanted = {pointer, *(f"{_ROLES}/{role}/{name}" for name in current.get("files", ()))}
    if current.get("content") == new.content and wanted <= there.keys():
        # A process may have been killed before it removed them.
        kept = {current["version"], current["former"]}
        _delete(bucket, {key: version for key, version in there.items() if version not in {*kept, None}})
        return False
    are_rights_same = current.get("rights") == new.rights
    if not are_rights_same:
        _delete(bucket, there)
        there, current = {}, {}
    with new.file.open("rb") as content:
        version = file_digest(content, "sha256").hexdigest()[:32]
    name = f"{version}/{new.file.name}"
    if f"{_ROLES}/{role}/{name}" not in there:
        bucket.put(f"{_ROLES}/{role}/{name}", new.file)
    former = current.get("version")
    said = {
        "run_id": new.run_id,
        "files": [name],
        "version": version,
        "former": former,
        "rights": new.rights,
        "content": new.content,
    }
    bucket.put(pointer, json.dumps(said, indent=1).encode())
    _delete(bucket, {key: each for key, each in there.items() if each not in {version, former, None}})
    return True


def _delete(bucket: Bucket, keys: Mapping[str, str | None]) -> None:
    """Delete objects, first the one that names the others."""
    for key in sorted(keys, key=lambda key: keys[key] is not None):
        bucket.delete(key)
