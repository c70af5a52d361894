"""URLs of stores as people may see them."""

from __future__ import annotations


def shown_url(url: str) -> str:
    """Return a store's URL without what may be a secret: the user and the password, wherever they stand.

    Of `redis://user:password@host:6379/0?password=...` it is `redis://host:6379/0`. Where it cannot be told
    how far a password reaches, because it has a mark of URLs in it, the scheme alone is told.
    """
    scheme, colon, rest = url.partition(":")
    if scheme == "sqlite":
        return url
    slashes = "//" if rest.startswith("//") else ""
    place, _, options = _cut(rest.removeprefix("//"))
    if "@" in options or (not slashes and "@" in place):
        return f"{scheme}{colon}{slashes}..."
    return f"{scheme}{colon}{slashes}{place.rpartition('@')[2]}"


def _cut(rest: str) -> tuple[str, str, str]:
    """Part what is behind the slashes at the first `?` or `#`."""
    at = min((rest.find(mark) for mark in "?#" if mark in rest), default=len(rest))
    return rest[:at], rest[at : at + 1], rest[at + 1 :]
