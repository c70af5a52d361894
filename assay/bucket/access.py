"""Find by what other libraries than boto3 reach a bucket: those that read and write tables there."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from assay.bucket.bucket import Bucket
from assay.core.fault import MISUSED, Fault

# Amazon's own endpoints follow from the region.
_AMAZON = (".amazonaws.com", ".amazonaws.com.cn")


@dataclass(frozen=True)
class Access:
    """Credentials of now, which may expire; `endpoint` is None for Amazon's own."""

    key_id: str
    secret: str = field(repr=False)
    token: str | None = field(repr=False)
    region: str
    endpoint: str | None


def find_access(bucket: Bucket) -> Access:
    """Return credentials, region and endpoint of a bucket, from boto3's usual chain.

    Raises:
        Fault: there are no credentials.
    """
    import boto3

    found = boto3.session.Session().get_credentials()
    if found is None:
        raise Fault(
            f"{bucket.url}: there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
            "AWS_PROFILE.",
            MISUSED,
        )
    held = found.get_frozen_credentials()
    is_amazon = (urlsplit(bucket.endpoint).hostname or "").endswith(_AMAZON)
    return Access(
        held.access_key, held.secret_key, held.token, bucket.region, None if is_amazon else bucket.endpoint
    )
