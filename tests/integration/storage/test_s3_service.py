"""An S3 service (moto's server): parts, signed URLs, uploads that go on, errors in our words."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from marketplace.errors import BadInputError
from marketplace.storage import s3parts
from marketplace.storage.base import (
    BlobCorruptError,
    BlobNotFoundError,
    BlobTooLargeError,
    BlobUnreachableError,
    StorageError,
    read_blob,
)
from marketplace.storage.patience import Patience
from marketplace.storage.s3 import S3Config, S3Store
from marketplace.storage.s3parts import PART_BYTES, PartPlan

pytestmark = pytest.mark.integration
QUICK = Patience(tries=2, first_pause_s=0.01)
PART = 5 << 20


@pytest.fixture
def store(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    for module in ("s3", "s3parts"):
        monkeypatch.setattr(f"marketplace.storage.{module}.PART_BYTES", PART)
    return S3Store(S3Config("blobs", "c/", s3_endpoint, "us-east-1"), QUICK)


def keys(store: S3Store) -> list[str]:
    return [item["Key"] for item in store._client.list_objects_v2(Bucket="blobs").get("Contents", [])]


@pytest.mark.parametrize("length", [0, PART, 2 * PART + 100])
def test_gives_back_what_was_put(store: S3Store, length: int) -> None:
    data = random.Random(length).randbytes(length)
    uri = store.put(data[at : at + 999_999] for at in range(0, max(1, length), 999_999))
    assert uri == f"s3://blobs/c/sha256/{hashlib.sha256(data).hexdigest()}"
    assert store.size(uri) == length
    assert store.exists(uri)
    assert b"".join(store.open(uri)) == data
    assert (
        b"".join(store.open(uri, offset=length // 3, length=length // 2))
        == data[length // 3 :][: length // 2]
    )
    assert not any("incoming" in key for key in keys(store))
    store.delete(uri)
    assert not store.exists(uri)
    with pytest.raises(BlobNotFoundError):
        store.size(uri)


def test_leaves_nothing_of_an_upload_that_failed(store: S3Store) -> None:
    def dies() -> Any:
        yield bytes(2 * PART)
        raise ValueError("the producer died")

    before = keys(store)
    with pytest.raises(ValueError, match="the producer died"):
        store.put(dies())
    assert keys(store) == before
    assert not store._client.list_multipart_uploads(Bucket="blobs").get("Uploads")


def test_a_push_goes_on_at_the_last_complete_part(
    store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = random.Random(7).randbytes(3 * PART + 5)
    path = tmp_path / "sealed"
    path.write_bytes(data)
    sent: list[int] = []
    upload_part = store._client.upload_part

    def dies_after_two(**named: Any) -> Any:
        if len(sent) == 2:
            raise KeyboardInterrupt
        sent.append(named["PartNumber"])
        return upload_part(**named)

    monkeypatch.setattr(s3parts, "_AT_ONCE", 1)
    monkeypatch.setattr(store._client, "upload_part", dies_after_two)
    with pytest.raises(KeyboardInterrupt):
        store.push(path)
    monkeypatch.setattr(
        store._client, "upload_part", lambda **n: (sent.append(n["PartNumber"]), upload_part(**n))[1]
    )
    heard: list[tuple[int, int]] = []
    uri = store.push(path, progress=lambda *now: heard.append(now))
    assert sorted(sent) == list(range(1, 5))
    assert heard[-1] == (len(data), len(data))
    assert b"".join(store.open(uri)) == data
    assert store.push(path) == uri
    assert len(sent) == 4


def test_a_part_that_differs_is_sent_again(store: S3Store, tmp_path: Path) -> None:
    data = random.Random(8).randbytes(2 * PART + 5)
    path = tmp_path / "sealed"
    path.write_bytes(data)
    key = f"c/sha256/{hashlib.sha256(data).hexdigest()}"
    made = store._client.create_multipart_upload(Bucket="blobs", Key=key)
    named = {"Bucket": "blobs", "Key": key, "UploadId": made["UploadId"]}
    store._client.upload_part(**named, PartNumber=1, Body=bytes(PART))
    assert b"".join(store.open(store.push(path))) == data


def test_an_upload_whose_last_answer_was_lost_is_done(
    store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sealed"
    path.write_bytes(random.Random(12).randbytes(2 * PART + 5))
    boto, calls = store._client._boto, 0
    complete = boto.complete_multipart_upload

    def lost(**named: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = complete(**named)
        if calls == 1:
            raise ReadTimeoutError(endpoint_url="http://s3")
        return answer

    monkeypatch.setattr(boto, "complete_multipart_upload", lost)
    uri = store.push(path)
    assert calls == 2
    assert b"".join(store.open(uri)) == path.read_bytes()


def test_an_upload_that_somebody_aborted_is_not_done(store: S3Store, tmp_path: Path) -> None:
    path = tmp_path / "sealed"
    path.write_bytes(random.Random(13).randbytes(2 * PART + 5))

    def aborted(done: int, size: int) -> None:
        for item in store._client.list_multipart_uploads(Bucket="blobs").get("Uploads", []):
            if done == size:
                store._client.abort_multipart_upload(
                    Bucket="blobs", Key=item["Key"], UploadId=item["UploadId"]
                )

    with pytest.raises(StorageError, match="expected"):
        store.push(path, progress=aborted)


def test_a_busy_service_is_asked_again(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    boto, calls = store._client._boto, 0
    put_object = boto.put_object

    def busy(**named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            answer = {"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
            raise ClientError(answer, "PutObject")
        return put_object(**named)

    monkeypatch.setattr(boto, "put_object", busy)
    assert store.exists(store.put([b"in the end"]))
    assert calls == 2


def test_a_blob_that_was_replaced_is_noticed(store: S3Store) -> None:
    uri = store.put([b"what was stored"])
    store._client.put_object(Bucket="blobs", Key=uri.removeprefix("s3://blobs/"), Body=b"what is here now")
    with pytest.raises(BlobCorruptError, match="expected"):
        list(store.open(uri))


@pytest.mark.parametrize("length", [100, 2 * PART + 5])
def test_a_push_replaces_what_was_replaced(store: S3Store, tmp_path: Path, length: int) -> None:
    path = tmp_path / "sealed"
    path.write_bytes(random.Random(length + 1).randbytes(length))
    heard: list[tuple[int, int]] = []
    uri = store.push(path, progress=lambda *now: heard.append(now))
    assert heard.count((length, length)) == 2  # hashed, then sent
    assert store.holds(uri, path)
    key = uri.removeprefix("s3://blobs/")
    store._client.put_object(Bucket="blobs", Key=key, Body=bytes(length))
    assert not store.holds(uri, path)
    assert store.push(path) == uri
    assert b"".join(store.open(uri)) == path.read_bytes()


def rot(store: S3Store, uri: str) -> None:
    """Flip a byte of an object where it lies; the MD5 that the service has of it is older."""
    from moto.s3.models import s3_backends

    key = uri.removeprefix("s3://blobs/")
    (found,) = (
        backend.buckets["blobs"].keys[key]
        for account in s3_backends.values()
        for backend in account.values()
        if "blobs" in backend.buckets
    )
    assert found.etag
    found._value_buffer.seek(50)
    byte = found._value_buffer.read(1)
    found._value_buffer.seek(50)
    found._value_buffer.write(bytes([byte[0] ^ 1]))


def test_a_push_that_verifies_replaces_what_has_rotted_under_an_old_md5(
    store: S3Store, tmp_path: Path
) -> None:
    path = tmp_path / "sealed"
    path.write_bytes(random.Random(77).randbytes(100_000))
    uri = store.push(path)
    rot(store, uri)
    assert store.push(path) == uri and store.holds(uri, path), "the service's word"
    with pytest.raises(BlobCorruptError):
        list(store.open(uri))
    assert not store.holds(uri, path, verify=True)
    assert store.push(path, verify=True) == uri
    assert b"".join(store.open(uri)) == path.read_bytes()


def test_the_size_of_what_was_replaced_is_asked_for_again(store: S3Store, tmp_path: Path) -> None:
    path = tmp_path / "sealed"
    path.write_bytes(random.Random(78).randbytes(100_000))
    uri = store.push(path)
    store._client.put_object(Bucket="blobs", Key=uri.removeprefix("s3://blobs/"), Body=b"cut short")
    assert store.size(uri) == 9
    assert store.push(path) == uri
    assert b"".join(store.open(uri)) == path.read_bytes()


def test_a_service_that_keeps_other_bytes_is_said_so(
    store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sealed"
    path.write_bytes(random.Random(79).randbytes(100_000))
    monkeypatch.setattr(S3Store, "_is_right", lambda *_: False)
    with pytest.raises(BlobCorruptError, match="after it was sent again") as caught:
        store.push(path, verify=True)
    assert "push to another one" in caught.value.hint


def test_what_was_stored_in_other_parts_is_read_back(
    store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sealed"
    path.write_bytes(random.Random(11).randbytes(2 * PART + 5))
    # In one piece, and with an ETag that is no MD5, as SSE-KMS has it.
    uri = store.put([path.read_bytes()])
    heads, head_object = 0, store._client.head_object

    def encrypted(**named: Any) -> Any:
        nonlocal heads
        heads += 1
        return {**head_object(**named), "ETag": '"0123456789abcdef0123456789abcdef-3"'}

    monkeypatch.setattr(store._client, "head_object", encrypted)
    heard: list[tuple[int, int]] = []
    assert store.holds(uri, path, progress=lambda *now: heard.append(now))
    assert heard.count((len(path.read_bytes()),) * 2) == 2  # the file's parts, then what was read back
    assert heads
    with open(path, "r+b") as file:
        file.write(b"rotten here, right there")
    assert store.holds(uri, path)  # the name says what is right


def test_a_signed_url_is_read_by_anybody(store: S3Store) -> None:
    uri = store.put([b"for everybody"])
    assert httpx.get(store.signed_url(uri, seconds=60)).content == b"for everybody"
    assert read_blob(store, uri, limit=100) == b"for everybody"


def test_says_what_a_service_refuses(s3_endpoint: str) -> None:
    store = S3Store(S3Config("nowhere", "", s3_endpoint, "us-east-1"), QUICK)
    with pytest.raises(StorageError, match="NoSuchBucket") as caught:
        store.put([b"x"])
    assert caught.value.hint


def test_says_that_a_service_does_not_answer(s3_endpoint: str) -> None:
    store = S3Store(S3Config("blobs", "", "http://127.0.0.1:9", "us-east-1"), Patience(tries=1, connect_s=1))
    with pytest.raises(BlobUnreachableError, match="expected an answer"):
        store.put([b"x"])


def test_takes_no_more_than_it_may(s3_endpoint: str, tmp_path: Path) -> None:
    store = S3Store(S3Config("blobs", "", s3_endpoint, "us-east-1", max_blob_bytes=10), QUICK)
    (tmp_path / "x").write_bytes(bytes(11))
    for ask in (lambda: store.put([bytes(11)]), lambda: store.push(tmp_path / "x")):
        with pytest.raises(BlobTooLargeError):
            ask()


@pytest.mark.parametrize(
    "uri",
    ["s3:x", "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "s3://b/k?x", "s3://a@b:c/k", "file:x"],
)
def test_refuses_other_uris(store: S3Store, uri: str) -> None:
    with pytest.raises(BadInputError):
        store.size(uri)


@pytest.mark.parametrize(
    ("size", "count", "part"), [(0, 1, 16), (1, 1, 16), (16 << 20, 1, 16), (1 << 40, 8192, 128)]
)
def test_parts_are_few_enough(size: int, count: int, part: int) -> None:
    plan = PartPlan.of(size)
    assert (plan.count, plan.part_bytes >> 20) == (count, part)
    assert plan.range_of(1)[0] == 0
    assert sum(plan.range_of(number)[1] for number in (1, plan.count)) <= max(size * 2, PART_BYTES)
