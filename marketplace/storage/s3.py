"""Blobs behind any S3 API: `s3://BUCKET/KEY` (docs/protocol.md section 10).

A key that this store makes ends in `sha256/<64 hex digits>`: it names the bytes. Credentials come from boto's
own chain (environment, files, instance role), never through here. Reading goes over URLs that boto signs, by
the same byte ranges as https; writing in parts, so a killed upload goes on at the last complete one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from marketplace.errors import BadInputError
from marketplace.storage.base import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobTooLargeError,
    Chunk,
    DishonestServerError,
    Progress,
    Run,
)
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import SYSTEM, Patience, Shell
from marketplace.storage.pushing import file_sha256
from marketplace.storage.ranged import RangedStore
from marketplace.storage.ranges import DeniedError, Ranges
from marketplace.storage.s3calls import S3Calls, S3Config, s3_errors
from marketplace.storage.s3parts import PART_BYTES, PartPlan, etag_of, staged, upload_file

__all__ = ["SCHEME", "S3Config", "S3Store"]

SCHEME: Final = "s3"
_PREFIX: Final = "s3://"
_SIGNED_S: Final = 900
_NAME: Final = "sha256/"


class S3Store(RangedStore):
    """A `BlobStore` in buckets of one service."""

    def __init__(self, config: S3Config, patience: Patience | None = None, shell: Shell = SYSTEM) -> None:
        """Take where it is; nothing is asked yet."""
        self._config = config
        self._patience = patience or Patience()
        self._shell = shell
        # The service is one that this party's own settings name: its address is not a stranger's word.
        self._client = S3Calls(config, self._patience, shell)
        super().__init__(Ranges(NetworkPolicy(anywhere=True), self._patience, shell))
        self._signed: dict[tuple[str, str], tuple[str, float]] = {}
        self._lock = threading.Lock()

    @property
    def scheme(self) -> str:
        """`s3`."""
        return SCHEME

    def put(self, chunks: Iterable[Chunk]) -> str:
        """Store the concatenation of `chunks` in one pass; see `BlobStore.put`.

        What is longer than a part waits under a name of its own until its digest is known, and is then copied
        inside the service. `push` needs no copy and can be resumed.
        """
        bucket = self._config.bucket
        with s3_errors(self._config, "put"), staged(self._client, bucket, self._staging_key()) as upload:
            digest = hashlib.sha256()
            pending, total = bytearray(), 0
            for chunk in chunks:
                digest.update(chunk)
                pending += chunk
                total += len(chunk)
                self._check_size(total)
                while len(pending) > PART_BYTES:
                    upload.add(bytes(pending[:PART_BYTES]))
                    del pending[:PART_BYTES]
            key = self._key_of(digest.hexdigest())
            if upload.is_empty:
                self._client.put_object(Bucket=bucket, Key=key, Body=bytes(pending))
            else:
                upload.add(bytes(pending))
                upload.finish(key)
        return f"{_PREFIX}{bucket}/{key}"

    def push(self, path: Path, *, verify: bool = False, progress: Progress | None = None) -> str:
        """Store a file, which is read twice; a later call goes on at the last complete part.

        Raises:
            OSError: it cannot be read.
            BlobCorruptError: with `verify`: what was sent is not what is read back.
            StorageError: it changed meanwhile, is longer than the store takes, or the service refused.
        """
        size = path.stat().st_size
        self._check_size(size)
        with open(path, "rb", buffering=0) as file:
            key = self._key_of(file_sha256(file, size, progress))
            uri = f"{_PREFIX}{self._config.bucket}/{key}"
            if self.holds(uri, path, verify=verify, progress=progress):
                return uri
            with s3_errors(self._config, "push"):
                plan = PartPlan.of(size)
                upload_file(self._client, self._config.bucket, key, file.fileno(), plan, progress)
        self._forget_size(uri)
        if verify and not self.holds(uri, path, verify=True, progress=progress):
            raise BlobCorruptError(
                f"{uri}: got other bytes after it was sent again, expected those of {path.name}",
                hint="this service does not keep what it is given: push to another one",
            )
        return uri

    def holds(self, uri: str, path: Path, *, verify: bool = False, progress: Progress | None = None) -> bool:
        """Whether the service has the blob, with the bytes of a file.

        The file is compared with the MD5 that S3 gives of each object or of its parts. Where a service gives
        none (SSE-KMS), or it differs, the blob is read back and compared with the digest in its name; with
        `verify` always, since the MD5 may be older than the rot.

        Raises:
            OSError: the file cannot be read.
            StorageError: the service gives no usable answer.
        """
        bucket, key = _place_of(uri)
        try:
            with s3_errors(self._config, uri):
                answer = self._client.head_object(Bucket=bucket, Key=key)
            if int(answer["ContentLength"]) != path.stat().st_size:
                return False
            size, said = int(answer["ContentLength"]), str(answer["ETag"])
            if not verify:
                with open(path, "rb", buffering=0) as file:
                    if said == etag_of(file.fileno(), PartPlan.of(size), said, progress):
                        return True
            self._forget_size(uri)
            return _digest_of(uri) is not None and self._is_right(uri, size, progress)
        except BlobNotFoundError:
            return False

    def _is_right(self, uri: str, size: int, progress: Progress | None) -> bool:
        """Whether a blob that is read back has the digest in its name."""
        done = 0
        try:
            for piece in self.open(uri):
                done += len(piece)
                if progress is not None:
                    progress(done, size)
        except (BlobCorruptError, DishonestServerError):
            return False
        return True

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the blob or a part of it; see `BlobStore.open`. A key without a digest is not verified."""
        given = super().open(uri, offset=offset, length=length)
        name = _digest_of(uri)
        whole = not offset and length in (None, self._known_size(uri))
        return _verified(given, uri, name) if name is not None and whole else given

    def run(self, uri: str, offset: int, length: int) -> Run:
        """Return a part of the blob; see `BlobStore.run`."""
        try:
            return super().run(uri, offset, length)
        except DeniedError:
            # Signed by credentials, or at a time, that hold no longer: the clock stands still while we sleep.
            with self._lock:
                if self._signed.pop(_place_of(uri), None) is None:
                    raise
            return super().run(uri, offset, length)

    def delete(self, uri: str) -> None:
        """Forget a blob; no error if it is not there."""
        bucket, key = _place_of(uri)
        with s3_errors(self._config, "delete"):
            self._client.delete_object(Bucket=bucket, Key=key)

    def signed_url(self, uri: str, *, seconds: int) -> str:
        """Return a URL under which anybody may read the blob for so many seconds; a secret until then."""
        bucket, key = _place_of(uri)
        with s3_errors(self._config, "sign"):
            url: str = self._client.generate_presigned_url(
                ClientMethod="get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
            )
        return url

    def _ask_size(self, uri: str) -> int:
        bucket, key = _place_of(uri)
        with s3_errors(self._config, uri):
            answer = self._client.head_object(Bucket=bucket, Key=key)
        return int(answer["ContentLength"])

    def _url_of(self, uri: str) -> str:
        """Return a signed URL that lasts for a while; parsing and signing cost more than a small range."""
        place, now = _place_of(uri), self._shell.clock()
        with self._lock:
            known = self._signed.get(place)
        if known is not None and now < known[1]:
            return known[0]
        url = self.signed_url(uri, seconds=_SIGNED_S)
        with self._lock:
            if len(self._signed) > 1000:
                self._signed.clear()
            self._signed[place] = url, now + _SIGNED_S / 2
        return url

    def _key_of(self, name: str) -> str:
        return f"{self._config.prefix}{_NAME}{name}"

    def _staging_key(self) -> str:
        return f"{self._config.prefix}incoming/{self._shell.entropy(16).hex()}"

    def _check_size(self, size: int) -> None:
        if size > self._config.max_blob_bytes:
            limit = self._config.max_blob_bytes
            raise BlobTooLargeError(f"blob: got more than {limit} bytes, expected at most that many")


def _verified(given: Iterator[bytes], uri: str, name: str) -> Iterator[bytes]:
    """Give pieces on; the last one only if all of them together have the digest in the name."""
    digest = hashlib.sha256()
    held = b""
    for piece in given:
        if held:
            yield held
        digest.update(piece)
        held = piece
    if digest.hexdigest() != name:
        raise BlobCorruptError(
            f"{uri}: got bytes with SHA-256 {digest.hexdigest()}, expected {name}",
            hint="use another location",
        )
    if held:
        yield held


def _digest_of(uri: str) -> str | None:
    """Return the digest that a key of ours ends in."""
    head, _, name = uri.rpartition("/")
    plain = len(name) == 64 and all(sign in "0123456789abcdef" for sign in name)
    return name if plain and head.endswith("/sha256") else None


def _place_of(uri: str) -> tuple[str, str]:
    bucket, slash, key = uri.removeprefix(_PREFIX).partition("/")
    if not uri.startswith(_PREFIX) or not bucket or not slash or not key or "?" in uri or "#" in uri:
        raise BadInputError("blob URI", repr(uri[:100]), "s3://BUCKET/KEY")
    return bucket, key
