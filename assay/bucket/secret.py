"""Let DuckDB read and write a place in a bucket with the credentials of boto3's usual chain."""

from __future__ import annotations

from urllib.parse import urlsplit

import duckdb

from assay.bucket.access import find_access
from assay.bucket.bucket import Bucket
from assay.core.extensions import load_extension
from assay.core.sql import text


def open_bucket(connection: duckdb.DuckDBPyConnection, url: str, *, by: str) -> None:
    """Let a connection read and write a place in a bucket.

    Credentials that expire are those of now: the next connection gets new ones.

    Args:
        connection: of DuckDB.
        url: `s3://bucket/prefix`.
        by: what needs it, as the subject of a message.

    Raises:
        Fault: extra `s3` is not installed, there are no credentials, or it is no such URL.
    """
    load_extension(connection, "httpfs", extra="s3", by=by)
    place = Bucket(url)
    settings = {"type": "s3", "scope": f"{place.url}/", **_settings(place)}
    values = ", ".join(f"{name} {text(value)}" for name, value in settings.items() if value)
    connection.execute(f"create or replace temporary secret assay_bucket ({values})")


def _settings(place: Bucket) -> dict[str, str | None]:
    access = find_access(place)
    settings = {
        "key_id": access.key_id,
        "secret": access.secret,
        "session_token": access.token,
        "region": access.region,
    }
    if access.endpoint is None:
        return settings
    endpoint = urlsplit(access.endpoint)
    own = {
        "endpoint": endpoint.netloc,
        "url_style": "path",
        "use_ssl": str(endpoint.scheme == "https").lower(),
    }
    return settings | own
