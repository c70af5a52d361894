"""A place in a bucket of S3, or of another object storage that speaks its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from assay.core.fault import MISUSED, Fault, extra_needed
from assay.core.places import BUCKETS

# In the standard mode of boto3, with a pause that grows between them.
_TRIES = 5
# Said of an object that was written again: it landed with the one before it.
_LANDED_AT = "assay-landed-at"
_SECONDS_TO_CONNECT, _SECONDS_TO_READ = 10, 60
_REMEDIES = {
    "NoSuchBucket": "there is no such bucket: create it, or correct the name",
    "PermanentRedirect": "it lies in another region: name that in AWS_REGION",
    "AuthorizationHeaderMalformed": "it lies in another region: name that in AWS_REGION",
    "AccessDenied": "access is denied: the guide on object storage says which rights are needed",
    "403": "access is denied: the guide on object storage says which rights are needed",
    "InvalidAccessKeyId": "the access key is not known: correct AWS_ACCESS_KEY_ID, or the profile",
    "SignatureDoesNotMatch": "the secret key is wrong: correct AWS_SECRET_ACCESS_KEY, or the profile",
    "ExpiredToken": "the credentials have expired: get new ones",
    "InvalidToken": "the session token is wrong: correct AWS_SESSION_TOKEN, or get new credentials",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
}
_GONE = {"NoSuchKey", "404", "PreconditionFailed", "412", "ConditionalRequestConflict"}


class ObjectChanged(Fault):
    """An object is gone, or is another one than was listed."""


class BucketMissing(Fault):
    """There is no bucket of a name."""


@dataclass(frozen=True)
class Object:
    """An object: its key within the place, size in bytes, ETag, and when it was written (UTC, aware)."""

    key: str
    size: int
    etag: str
    written_at: datetime


class Bucket:
    """A place in a bucket: all objects whose keys begin with its prefix.

    Credentials, region and endpoint come from boto3's usual chain: environment, profile, role.

    Args:
        url: `s3://bucket/prefix`; the prefix may be missing.

    Raises:
        Fault: it is no such URL, or boto3 is not installed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not url.startswith(BUCKETS) or not parts.netloc or parts.query or parts.fragment:
            raise Fault(f"{url!r} names no place in a bucket: write it as s3://bucket/prefix.", MISUSED)
        self.name = parts.netloc
        self.prefix = f"{parts.path.strip('/')}/".lstrip("/")
        self.url = f"{BUCKETS}{self.name}/{self.prefix}".rstrip("/")
        with extra_needed("s3", self.url):
            import boto3
            from botocore.config import Config
        config = Config(
            retries={"mode": "standard", "max_attempts": _TRIES},
            connect_timeout=_SECONDS_TO_CONNECT,
            read_timeout=_SECONDS_TO_READ,
        )
        try:
            with self._told():
                self._client: Any = boto3.session.Session().client("s3", config=config)
        except ValueError as error:
            raise Fault(f"{self.url}: {error}: correct AWS_ENDPOINT_URL.", MISUSED) from error

    @property
    def endpoint(self) -> str:
        """The URL of the storage."""
        return str(self._client.meta.endpoint_url)

    @property
    def region(self) -> str:
        """The region that settings name."""
        return str(self._client.meta.region_name)

    def list(self, below: str = "") -> Iterator[Object]:
        """Yield the objects whose keys within the place begin with `below`, in the order of their keys.

        Raises:
            Fault: they cannot be listed.
        """
        with self._told():
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=self.prefix + below):
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self.prefix)
                    yield Object(key, found["Size"], found["ETag"].strip('"'), found["LastModified"])

    def find(self, key: str) -> Object | None:
        """Return an object by its key; None if there is none.

        Raises:
            Fault: it cannot be listed.
        """
        first = next(self.list(key), None)
        return first if first and first.key == key else None

    def fetch(self, found: Object, file: Path) -> datetime:
        """Write the content of an object to a file.

        Returns:
            When it was written (UTC, aware); of one that was written again without some rows, when it had
            been written before.

        Raises:
            ObjectChanged: it is gone, or was written again since it was listed.
            Fault: it cannot be read.
            OSError: the file cannot be written.
        """
        with self._told():
            answer = self._client.get_object(
                Bucket=self.name, Key=self.prefix + found.key, IfMatch=f'"{found.etag}"'
            )
            with file.open("wb") as target:
                for piece in answer["Body"].iter_chunks(1 << 20):
                    target.write(piece)
        landed_at = answer["Metadata"].get(_LANDED_AT)
        return datetime.fromisoformat(landed_at) if landed_at else found.written_at

    def read_start(self, found: Object, count: int) -> bytes:
        """Return the first bytes of an object, at most so many.

        Raises:
            ObjectChanged: it is gone.
            Fault: it cannot be read.
        """
        if not found.size:
            return b""
        with self._told():
            answer = self._client.get_object(
                Bucket=self.name, Key=self.prefix + found.key, Range=f"bytes=0-{count - 1}"
            )
            return bytes(answer["Body"].read())

    def hash_of(self, found: Object) -> str:
        """Return the SHA-256 of an object's content, which is read whole.

        Raises:
            ObjectChanged: it is gone, or was written again since it was listed.
            Fault: it cannot be read.
        """
        digest = sha256()
        with self._told():
            answer = self._client.get_object(
                Bucket=self.name, Key=self.prefix + found.key, IfMatch=f'"{found.etag}"'
            )
            for piece in answer["Body"].iter_chunks(1 << 20):
                digest.update(piece)
        return digest.hexdigest()

    def read(self, key: str) -> bytes | None:
        """Return the content of a small object; None if there is none.

        Raises:
            Fault: it cannot be read.
        """
        try:
            with self._told():
                answer = self._client.get_object(Bucket=self.name, Key=self.prefix + key)
                return bytes(answer["Body"].read())
        except ObjectChanged:
            return None

    def put(self, key: str, content: Path | bytes) -> str:
        """Write an object, whole or not at all, and return its ETag.

        Raises:
            Fault: it cannot be written.
        """
        with self._told():
            if isinstance(content, Path):
                self._client.upload_file(str(content), self.name, self.prefix + key)
            else:
                self._client.put_object(Bucket=self.name, Key=self.prefix + key, Body=content)
            head = self._client.head_object(Bucket=self.name, Key=self.prefix + key)
        return str(head["ETag"]).strip('"')

    def replace(
        self, key: str, content: Path | bytes, etag: str | None, *, landed_at: datetime | None = None
    ) -> str:
        """Write an object in the place of the one that was read, and of no other.

        Args:
            key: of the object.
            content: of the new one, 5 GB at most.
            etag: of the object that was read; None if there was none.
            landed_at: when that landed (UTC, aware), if the new one counts as landed then.

        Returns:
            The ETag of the new one.

        Raises:
            ObjectChanged: somebody else has written it since.
            Fault: it cannot be written.
            OSError: the file cannot be read.
        """
        more: dict[str, Any] = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": f'"{etag}"'}
        if landed_at:
            more["Metadata"] = {_LANDED_AT: landed_at.isoformat()}
        with ExitStack() as opened, self._told():
            body = opened.enter_context(content.open("rb")) if isinstance(content, Path) else content
            written = self._client.put_object(Bucket=self.name, Key=self.prefix + key, Body=body, **more)
        return str(written["ETag"]).strip('"')

    def delete(self, key: str) -> None:
        """Delete an object, if there is one.

        Raises:
            Fault: it cannot be deleted.
        """
        with self._told():
            self._client.delete_object(Bucket=self.name, Key=self.prefix + key)

    def remove_versions(
        self,
        key: str,
        *,
        is_prefix: bool = True,
        but_newest: bool = False,
        is_ours: Callable[[str], bool] = lambda key: True,
    ) -> int:
        """Delete objects for good, with the versions before and those of objects that are deleted.

        Args:
            key: with what the keys begin, or that of the one object.
            is_prefix: whether the key is the beginning of keys.
            but_newest: whether the versions stay that can be read.
            is_ours: whether an object is meant, by its key; others stay.

        Returns:
            How many versions were deleted.

        Raises:
            Fault: they cannot be listed or deleted.
        """

        def is_gone(version: dict[str, Any]) -> bool:
            name = version["Key"].removeprefix(self.prefix)
            is_meant = (is_prefix or name == key) and is_ours(name)
            # A marker of a deletion has no size, and hides what is before it.
            is_read = version["IsLatest"] and "Size" in version
            return is_meant and not (but_newest and is_read)

        versions: list[dict[str, Any]] = []
        markers: list[dict[str, Any]] = []
        with self._told():
            pages = self._client.get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=self.name, Prefix=self.prefix + key):
                versions += filter(is_gone, page.get("Versions", ()))
                markers += filter(is_gone, page.get("DeleteMarkers", ()))
            # A marker that went before its versions would bring the object back.
            for each in [*versions, *markers]:
                self._client.delete_object(Bucket=self.name, Key=each["Key"], VersionId=each["VersionId"])
        return len(versions)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn errors of the storage into faults that say what to do."""
        from boto3.exceptions import S3UploadFailedError
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,
            HTTPClientError,
            IncompleteReadError,
            NoCredentialsError,
            NoRegionError,
        )

        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _GONE:
                raise ObjectChanged(f"{self.url}: an object changed meanwhile ({code}).") from error
            if code == "NoSuchBucket":
                raise BucketMissing(f"{self.url}: {_REMEDIES[code]}.") from error
            raise Fault(f"{self.url}: {_REMEDIES.get(code) or error}.") from error
        except S3UploadFailedError as error:
            code = next((code for code in _REMEDIES if f"({code})" in str(error)), "")
            raise Fault(f"{self.url}: {_REMEDIES.get(code) or error}.") from error
        except NoCredentialsError as error:
            raise Fault(
                f"{self.url}: there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "AWS_PROFILE.",
                MISUSED,
            ) from error
        except NoRegionError as error:
            raise Fault(f"{self.url}: name the bucket's region in AWS_REGION.", MISUSED) from error
        except (ConnectionError, HTTPClientError, IncompleteReadError) as error:
            raise Fault(f"{self.url} cannot be reached: {error}. Try again when it can.") from error
        except BotoCoreError as error:
            # Nothing was asked of the storage: a name, a profile or other settings are wrong.
            why = str(error).strip().rstrip(".")
            raise Fault(f"{self.url} cannot be asked for: {why}. Correct that setting.", MISUSED) from error
