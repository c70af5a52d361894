"""Remove secrets from the URLs of stores before people see them."""

from __future__ import annotations


def shown_url(url: str) -> str:
    """Return a store's URL without the user and the password, wherever they are in it.

    For `redis://user:password@host:6379/0?password=...` it is `redis://host:6379/0`. If a password contains
    characters that separate parts of a URL, its end is unknown, and only the scheme is returned.
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
    """Split the text behind the slashes at the first `?` or `#`."""
    at = min((rest.find(mark) for mark in "?#" if mark in rest), default=len(rest))
    return rest[:at], rest[at : at + 1], rest[at + 1 :]
