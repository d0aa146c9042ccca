"""Uploads to S3 in parts: which parts there are, which ones the service has, and the rest of them."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from marketplace.storage.base import DishonestServerError, Progress, StorageError
from marketplace.storage.behind import Behind

__all__ = ["PART_BYTES", "PartPlan", "Staged", "etag_of", "staged", "upload_file"]

PART_BYTES: Final = 16 << 20
_MAX_PARTS: Final = 10_000
_MAX_PART_BYTES: Final = 5 << 30
_AT_ONCE: Final = 4
_STAGED_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How a file of known size is cut: always in the same way, or a later call could not go on."""

    size: int
    part_bytes: int

    @classmethod
    def of(cls, size: int) -> PartPlan:
        """Return the cut with the shortest parts that are enough: 16 MiB, or a power of two times that."""
        part_bytes = PART_BYTES
        while part_bytes * _MAX_PARTS < size:
            part_bytes *= 2
        return cls(size, part_bytes)

    @property
    def count(self) -> int:
        """Number of parts, at least one."""
        return max(1, -(-self.size // self.part_bytes))

    def range_of(self, number: int) -> tuple[int, int]:
        """Return (offset, length) of part `number`, counted from 1."""
        offset = (number - 1) * self.part_bytes
        return offset, min(self.part_bytes, self.size - offset)


def upload_file(
    client: Any, bucket: str, key: str, descriptor: int, plan: PartPlan, progress: Progress | None
) -> None:
    """Upload what is missing of a file, some parts at once, and make it an object.

    Parts that the service has count only if their MD5, which S3 gives for each, is that of the file's bytes.
    """
    upload_id = _under_way(client, bucket, key)
    kept = _parts_there(client, bucket, key, upload_id) if upload_id else {}
    if upload_id is None:
        upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    named = {"Bucket": bucket, "Key": key, "UploadId": upload_id}

    stopped = threading.Event()

    def part(number: int) -> tuple[int, str, int]:
        if stopped.is_set():  # another one failed, which is what the caller hears of
            raise StorageError(f"{key}: got no part {number}, expected every one")
        try:
            data = _part(descriptor, plan, number)
            etag = _quoted(_md5(data))
            if kept.get(number) != etag:
                etag = client.upload_part(**named, PartNumber=number, Body=data)["ETag"]
        except BaseException:
            stopped.set()
            raise
        return number, etag, len(data)

    done, etags = 0, {}
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="s3-push") as pool:
        for number, etag, length in pool.map(part, range(1, plan.count + 1)):
            etags[number] = etag
            done += length
            if progress is not None:
                progress(done, plan.size)
    _complete(client, named, etags)


def etag_of(descriptor: int, plan: PartPlan, like: str, progress: Progress | None) -> str:
    """Return the ETag that S3 gives to a file's bytes, stored in one piece or in the parts of `plan`.

    Args:
        like: the ETag that it is to be compared with: its form says which of the two.
        progress: hears of the bytes read.
    Raises:
        StorageError: the file got shorter meanwhile.
    """
    whole, parts, done = hashlib.md5(usedforsecurity=False), [], 0
    for number in range(1, plan.count + 1):
        data = _part(descriptor, plan, number)
        if "-" in like:
            parts.append(_md5(data))
        else:
            whole.update(data)
        done += len(data)
        if progress is not None:
            progress(done, plan.size)
    if "-" not in like:
        return _quoted(whole.digest())
    return _combined(parts)


def _part(descriptor: int, plan: PartPlan, number: int) -> bytes:
    offset, length = plan.range_of(number)
    data = os.pread(descriptor, length, offset)
    if len(data) != length:
        raise StorageError(
            f"part {number}: got {len(data)} bytes, expected {length}",
            hint="somebody writes the file: push it again when it is finished",
        )
    return data


def _combined(parts: list[bytes]) -> str:
    """Return the ETag of an object whose parts have these MD5s."""
    return f'"{_md5(b"".join(parts)).hex()}-{len(parts)}"'


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _quoted(digest: bytes) -> str:
    return f'"{digest.hex()}"'


@dataclass(slots=True)
class Staged:
    """An upload under a name that is not its last one, since the last one is the digest of all of it."""

    client: Any
    bucket: str
    key: str
    upload_id: str | None = None
    size: int = 0
    parts: int = 0
    etags: dict[int, str] = field(default_factory=dict)
    is_whole: bool = False
    sending: Behind = field(default_factory=lambda: Behind(_STAGED_AT_ONCE))

    @property
    def is_empty(self) -> bool:
        """Whether no part was added."""
        return self.upload_id is None

    def add(self, data: bytes) -> None:
        """Upload the next part, behind whoever makes the one after it."""
        if self.upload_id is None:
            made = self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key)
            self.upload_id = str(made["UploadId"])
        self.parts += 1
        self.size += len(data)
        self.sending.submit(partial(self._upload, self.parts, data))

    def finish(self, key: str) -> None:
        """Make it an object under `key`, copied inside the service."""
        self.sending.wait()
        _complete(self.client, self._named, self.etags)
        self.is_whole = True
        source = {"Bucket": self.bucket, "Key": self.key}
        if self.size <= _MAX_PART_BYTES:
            self.client.copy_object(Bucket=self.bucket, Key=key, CopySource=source)
            return
        made = self.client.create_multipart_upload(Bucket=self.bucket, Key=key)
        named = {"Bucket": self.bucket, "Key": key, "UploadId": made["UploadId"]}
        etags = {}
        for number, start in enumerate(range(0, self.size, _MAX_PART_BYTES), 1):
            last = min(start + _MAX_PART_BYTES, self.size) - 1
            copied = self.client.upload_part_copy(
                **named, PartNumber=number, CopySource=source, CopySourceRange=f"bytes={start}-{last}"
            )
            etags[number] = copied["CopyPartResult"]["ETag"]
        _complete(self.client, named, etags)

    def clear(self) -> None:
        """Remove what waits under the first name."""
        if self.is_whole:
            self.client.delete_object(Bucket=self.bucket, Key=self.key)
        elif self.upload_id is not None:
            self.client.abort_multipart_upload(**self._named)

    def _upload(self, number: int, data: bytes) -> None:
        answer = self.client.upload_part(**self._named, PartNumber=number, Body=data)
        self.etags[number] = str(answer["ETag"])

    @property
    def _named(self) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.key, "UploadId": self.upload_id}


@contextmanager
def staged(client: Any, bucket: str, key: str) -> Iterator[Staged]:
    """Give an upload; whatever happens, nothing stays under its first name."""
    upload = Staged(client, bucket, key)
    try:
        with upload.sending:
            yield upload
    finally:
        upload.clear()


def _under_way(client: Any, bucket: str, key: str) -> str | None:
    """Return the newest upload of `key` that was begun and not ended."""
    found = client.list_multipart_uploads(Bucket=bucket, Prefix=key).get("Uploads", [])
    own = [item for item in found if item["Key"] == key]
    return str(max(own, key=lambda item: item["Initiated"])["UploadId"]) if own else None


def _parts_there(client: Any, bucket: str, key: str, upload_id: str) -> dict[int, str]:
    found: dict[int, str] = {}
    named = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    page = client.list_parts(**named)
    marker = 0
    while True:
        found.update({part["PartNumber"]: part["ETag"] for part in page.get("Parts", [])})
        if not page.get("IsTruncated"):
            return found
        before, marker = marker, int(page["NextPartNumberMarker"])
        if not before < marker <= _MAX_PARTS:
            raise DishonestServerError(
                f"{key}: got parts that go on at {marker} after {before}, expected them in order",
                hint="use another service",
            )
        page = client.list_parts(**named, PartNumberMarker=marker)


def _complete(client: Any, named: dict[str, Any], etags: dict[int, str]) -> None:
    """Make an upload an object; one that an attempt completed, whose answer was lost, is one already."""
    from botocore.exceptions import ClientError

    ordered = [etags[number] for number in sorted(etags)]
    parts = [{"PartNumber": number, "ETag": etags[number]} for number in sorted(etags)]
    try:
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "NoSuchUpload":
            raise
        made = client.head_object(Bucket=named["Bucket"], Key=named["Key"])
        with suppress(ValueError):  # an ETag that is no MD5: nobody can tell then
            if made["ETag"] == _combined([bytes.fromhex(etag.strip('"')) for etag in ordered]):
                return
        raise
