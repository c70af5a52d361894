"""Describe a landed file that was merged with others into one file."""

from __future__ import annotations

from dataclasses import dataclass

#: The folder of merged files, within that of their landing table.
MERGED = "_merged"


@dataclass(frozen=True)
class Member:
    """A landed file within a merged one.

    `content_sha256` and `size` (bytes) are those of the file as it landed, `plain_sha256` is of its content
    without gzip. `modified` is the time of its last change, in seconds since 1970; `version` is its number
    among the files of this name. `has_lines` says whether it is text, whose lines are numbered. Its
    content is that of the rows from `first_row` on.
    """

    name: str
    content_sha256: str
    plain_sha256: str
    size: int
    modified: float
    version: int
    has_lines: bool
    first_row: int
    row_count: int
