"""Object storage on this machine: moto's server, which speaks S3 over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import pytest
from moto.server import ThreadedMotoServer

from assay.bucket.bucket import Bucket

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextmanager
def served_bucket(name: str) -> Iterator[str]:
    """Serve an empty bucket while the block runs; yields the server's address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in ENVIRONMENT.items():
                patch.setenv(variable, value)
            boto3.client("s3", endpoint_url=address).create_bucket(Bucket=name)
        yield address
    finally:
        server.stop()


def contents(bucket: Bucket) -> dict[str, bytes | None]:
    """The objects of a place in a bucket."""
    return {found.key: bucket.read(found.key) for found in bucket.list()}
