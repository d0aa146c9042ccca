"""Blobs behind any S3 API: `s3://BUCKET/KEY` (docs/protocol.md section 10).

A key that this store makes ends in `sha256/<64 hex digits>`: it names the bytes. Credentials come from boto's
own chain (environment, files, instance role), never through here. Reading goes over URLs that boto signs, by
the same byte ranges as https; writing in parts, so a killed upload goes on at the last complete one.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from marketplace.errors import BadInputError
from marketplace.storage.base import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobTooLargeError,
    BlobUnreachableError,
    Chunk,
    Progress,
    StorageError,
)
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import SYSTEM, Patience, Shell
from marketplace.storage.ranged import RangedStore
from marketplace.storage.ranges import Ranges
from marketplace.storage.s3parts import PART_BYTES, PartPlan, staged, upload_file

__all__ = ["SCHEME", "S3Config", "S3Store"]

SCHEME: Final = "s3"
_PREFIX: Final = "s3://"
_SIGNED_S: Final = 900
_NAME: Final = "sha256/"


@dataclass(frozen=True, slots=True)
class S3Config:
    """Which service, and where in it new blobs go.

    Attributes:
        bucket: of new blobs.
        prefix: put before the names of new blobs; empty, or ends with a slash.
        endpoint: URL of the service; None for AWS.
        region: as the service calls it; None leaves it to boto.
        profile: section of boto's credential files; None leaves it to boto.
        max_blob_bytes: the longest blob that is taken.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    max_blob_bytes: int = 1 << 44


class S3Store(RangedStore):
    """A `BlobStore` in buckets of one service."""

    def __init__(self, config: S3Config, patience: Patience | None = None, shell: Shell = SYSTEM) -> None:
        """Take where it is; nothing is asked yet."""
        self._config = config
        self._patience = patience or Patience()
        self._shell = shell
        # The service is one that this party's own settings name: its address is not a stranger's word.
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
        with self._errors("put"), staged(self._client, bucket, self._staging_key()) as upload:
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

    def push(self, path: Path, *, progress: Progress | None = None) -> str:
        """Store a file, which is read twice; a later call goes on at the last complete part.

        Raises:
            OSError: it cannot be read.
            StorageError: it changed meanwhile, is longer than the store takes, or the service refused.
        """
        size = path.stat().st_size
        self._check_size(size)
        with open(path, "rb", buffering=0) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            key = self._key_of(digest)
            uri = f"{_PREFIX}{self._config.bucket}/{key}"
            if self.exists(uri) and self.size(uri) == size:
                return uri
            with self._errors("push"):
                plan = PartPlan.of(size)
                upload_file(self._client, self._config.bucket, key, file.fileno(), plan, progress)
        return uri

    def open(self, uri: str, *, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Return the blob or a part of it; see `BlobStore.open`. A key without a digest is not verified."""
        given = super().open(uri, offset=offset, length=length)
        name = _digest_of(uri)
        whole = not offset and length in (None, self._known_size(uri))
        return _verified(given, uri, name) if name is not None and whole else given

    def delete(self, uri: str) -> None:
        """Forget a blob; no error if it is not there."""
        bucket, key = _place_of(uri)
        with self._errors("delete"):
            self._client.delete_object(Bucket=bucket, Key=key)

    def signed_url(self, uri: str, *, seconds: int) -> str:
        """Return a URL under which anybody may read the blob for so many seconds; a secret until then."""
        bucket, key = _place_of(uri)
        with self._errors("sign"):
            url: str = self._client.generate_presigned_url(
                "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=seconds
            )
        return url

    def _ask_size(self, uri: str) -> int:
        bucket, key = _place_of(uri)
        with self._errors(uri):
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

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        how = self._patience
        settings = Config(
            connect_timeout=how.connect_s,
            read_timeout=how.answer_s,
            retries={"max_attempts": how.tries, "mode": "standard"},
            max_pool_connections=16,
            signature_version="s3v4",
            # Old and small services know no checksums of S3's own; names and digests of ours say more.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if self._config.endpoint else {},
        )
        config = self._config
        session = boto3.Session(profile_name=config.profile, region_name=config.region)
        return session.client("s3", endpoint_url=config.endpoint, config=settings)

    def _key_of(self, name: str) -> str:
        return f"{self._config.prefix}{_NAME}{name}"

    def _staging_key(self) -> str:
        return f"{self._config.prefix}incoming/{self._shell.entropy(16).hex()}"

    def _check_size(self, size: int) -> None:
        if size > self._config.max_blob_bytes:
            limit = self._config.max_blob_bytes
            raise BlobTooLargeError(f"blob: got more than {limit} bytes, expected at most that many")

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        """Turn boto's errors into ours."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

        where = self._config.endpoint or "AWS"
        try:
            yield
        except ClientError as error:
            answer = error.response.get("Error", {})
            if answer.get("Code") in ("404", "NoSuchKey"):
                raise BlobNotFoundError(
                    f"{doing}: got nothing under this name, expected a blob", hint="use another location"
                ) from error
            got = f"{answer.get('Code', 'an error')} ({str(answer.get('Message', ''))[:120]})"
            raise StorageError(
                f"S3 at {where}, {doing}: got {got}, expected success",
                hint="check bucket and rights of the credentials that boto finds",
            ) from error
        except ParamValidationError as error:
            expected = "s3://BUCKET/KEY with a bucket's name"
            raise BadInputError("blob URI", f"{doing[:100]!r}, which S3 cannot mean", expected) from error
        except NoCredentialsError as error:
            raise StorageError(
                f"S3 at {where}, {doing}: got no credentials, expected some",
                hint="put them where boto looks: ~/.aws/credentials, AWS_* or an instance role",
            ) from error
        except BotoCoreError as error:
            raise BlobUnreachableError(
                f"S3 at {where}, {doing}: got {type(error).__name__}, expected an answer",
                hint="is the endpoint in [storage.s3] right, and is the service running?",
            ) from error


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
