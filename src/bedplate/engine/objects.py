"""Objects in a bucket, written under conditions: the few calls that `bucket` is built on, on any S3-compatible storage.

Goes in: keys and bytes. Comes out: bytes with the tag of their version. A condition that does not hold is `Conflict`;
everything else that goes wrong is BP251. Needs boto3 (the extra `aws`), imported at the first use.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from bedplate.problems import BedplateError, Problem

_TRIES = 5


class Conflict(Exception):
    """Somebody else has written first."""


@dataclass(frozen=True)
class Object:
    """What stands under a key, and the tag of this version of it."""

    data: bytes
    tag: str


class Objects(Protocol):
    """A flat map of keys to bytes. `create` and `replace` are atomic: of several at once, one succeeds."""

    label: str

    def get(self, key: str) -> Object | None:
        """What stands there now."""

    def keys(self, prefix: str) -> list[str]:
        """The keys that begin so, in order."""

    def create(self, key: str, data: bytes) -> str:
        """Write where nothing is; the tag. Raises Conflict."""

    def replace(self, key: str, data: bytes, tag: str) -> str:
        """Write where that version is; the new tag. Raises Conflict."""

    def put(self, key: str, data: bytes) -> None:
        """Write, whatever is there."""

    def delete(self, key: str) -> None:
        """Remove what is there, if anything is."""


def create_once(objects: Objects, key: str, data: bytes) -> str:
    """`create` with data that nobody else writes: where an answer got lost and the call was repeated, it is known."""
    try:
        return objects.create(key, data)
    except Conflict:
        return _ours(objects, key, data)


def replace_once(objects: Objects, key: str, data: bytes, tag: str) -> str:
    """`replace` with data that nobody else writes, see `create_once`."""
    try:
        return objects.replace(key, data, tag)
    except Conflict:
        return _ours(objects, key, data)


def _ours(objects: Objects, key: str, data: bytes) -> str:
    found = objects.get(key)
    if found is None or found.data != data:
        raise Conflict(key)
    return found.tag


class S3Objects:
    """Objects below a prefix of a bucket, through a boto3 client (its endpoint may be any S3-compatible storage)."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self.label = f"s3://{bucket}/{prefix}".rstrip("/")

    def get(self, key: str) -> Object | None:
        """GetObject."""
        try:
            found = self._call("get_object", key)
        except KeyError:
            return None
        return Object(found["Body"].read(), found["ETag"])

    def keys(self, prefix: str) -> list[str]:
        """ListObjectsV2, all pages."""
        names: list[str] = []
        more: dict[str, Any] = {}
        while True:
            page = self._call("list_objects_v2", None, Prefix=self._prefix + prefix, **more)
            names += [item["Key"][len(self._prefix) :] for item in page.get("Contents", ())]
            if not page.get("IsTruncated"):
                return sorted(names)
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def create(self, key: str, data: bytes) -> str:
        """PutObject with If-None-Match."""
        return self._write(key, data, {"IfNoneMatch": "*"})

    def replace(self, key: str, data: bytes, tag: str) -> str:
        """PutObject with If-Match."""
        return self._write(key, data, {"IfMatch": tag})

    def _write(self, key: str, data: bytes, condition: Mapping[str, str]) -> str:
        try:
            tag: str = self._call("put_object", key, Body=data, **condition)["ETag"]
        except KeyError as error:
            raise Conflict(key) from error  # the version to replace is gone
        return tag

    def put(self, key: str, data: bytes) -> None:
        """PutObject."""
        self._call("put_object", key, Body=data)

    def delete(self, key: str) -> None:
        """DeleteObject."""
        self._call("delete_object", key)

    def _call(self, method: str, key: str | None, **arguments: Any) -> Any:
        """One call. Raises KeyError where the object does not exist, Conflict, or BedplateError BP251 and BP255."""
        from botocore.exceptions import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
            BotoCoreError,
            ClientError,
        )

        if key is not None:
            arguments["Key"] = self._prefix + key
        for attempt in range(_TRIES):
            try:
                return getattr(self._client, method)(Bucket=self._bucket, **arguments)
            except ClientError as error:
                code = str(error.response["Error"]["Code"])
                if code != "ConditionalRequestConflict" or attempt == _TRIES - 1:
                    raise self._explained(code, error) from error
                # Two conditional writes met inside the storage, and neither was decided: try again.
                time.sleep(0.05 * 2**attempt)
            except BotoCoreError as error:
                raise unusable(self.label, str(error)) from error
        raise AssertionError("the last try returns or raises")

    def _explained(self, code: str, error: Exception) -> Exception:
        match code:
            case "NoSuchKey":
                return KeyError(code)
            case "PreconditionFailed" | "412" | "ConditionalRequestConflict":
                return Conflict(code)
            case "NotImplemented":
                return no_conditions(self.label)
            case _:
                return unusable(self.label, str(error))


def unusable(label: str, detail: str) -> BedplateError:
    """BP251 for a bucket."""
    fix = "mend the bucket's name, the network or the credentials, then run the same command again"
    return BedplateError(Problem("BP251", f"the bucket of the state cannot be used: {label}", detail=detail, fix=fix))


def no_conditions(label: str) -> BedplateError:
    """BP255 for a bucket."""
    fix = "use a storage that has them (If-None-Match, If-Match), or keep the state in its folder"
    return BedplateError(Problem("BP255", f"the storage of {label} has no conditional writes", fix=fix))


def open_objects(url: str, below: str) -> S3Objects:
    """The objects below `below` at `s3://bucket/prefix`. Raises BedplateError BP254, or BP251 without boto3."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise BedplateError(
            Problem("BP254", f"BEDPLATE_STATE is no address of a bucket: {url}", fix="write it as s3://bucket/prefix")
        )
    try:
        import boto3  # type: ignore[import-not-found,import-untyped,unused-ignore]
        from botocore.config import Config  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise unusable(url, "boto3 is not installed: pip install 'bedplate[aws]'") from error
    config = Config(connect_timeout=10, read_timeout=20, retries={"mode": "standard", "max_attempts": 4})
    prefix = "/".join(part for part in (parts.path.strip("/"), below) if part)
    return S3Objects(boto3.client("s3", config=config), parts.netloc, f"{prefix}/")
