"""Sealed streams from several locations: wrong bytes dropped, right ones kept, none fetched twice."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.sealed.header import CiphertextMismatchError, SealedInfo
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.sealed.unseal import Unsealer
from enclave_runtime.wire.errors import RefusedError
from marketplace.storage.base import BlobStore, BlobTooLargeError
from marketplace.storage.local import LocalStore
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.partial import PartialFile
from marketplace.storage.patience import Patience, Shell
from marketplace.storage.places import NoLocationError
from marketplace.storage.ranges import Ranges
from marketplace.storage.source import StoreSource
from marketplace.storage.transfer import Transfer, open_from, transfer
from marketplace.storage.web import WebStore
from tests.fakes.range_server import Asked, Behaviour, RangeServer, head, honest
from tests.fakes.sealed_blob import SealedBlob, sealed_blob

SEGMENT = 16 << 10
HOW = Patience(tries=3, first_pause_s=0.25)


@pytest.fixture(scope="module")
def blob() -> SealedBlob:
    return sealed_blob(40 * SEGMENT - 5, SEGMENT)


@pytest.fixture
def web() -> Iterator[WebStore]:
    with closing(Ranges(NetworkPolicy(dangerous_allow_loopback=True), HOW)) as ranges:
        yield WebStore(ranges)


class Pauses:
    """A shell that does not wait, and remembers how long it would have."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.shell = Shell(time.monotonic, self.slept.append, lambda n: b"\xff" * n)


def fetch(
    blob: SealedBlob,
    path: Path,
    locations: list[str],
    store_of: Callable[[str], BlobStore],
    **options: object,
) -> Transfer:
    partial = PartialFile(path, blob.info)
    try:
        shell = options.pop("shell", Pauses().shell)
        done = transfer(
            locations,
            store_of,
            blob.info,
            partial,
            has_head=partial.has_head,
            patience=HOW,
            run_bytes=8 * SEGMENT,
            shell=shell,  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]
        )
        partial.finish(path.with_suffix(".done"))
    finally:
        partial.close()
    assert path.with_suffix(".done").read_bytes() == blob.stream
    return done


def flipped_at(place: int) -> Behaviour:
    def wrong(asked: Asked) -> None:
        body = bytearray(asked.body)
        if asked.offset <= place < asked.offset + len(body):
            body[place - asked.offset] ^= 1
        asked.answer(bytes(body))

    return wrong


def test_fetches_each_byte_once(blob: SealedBlob, web: WebStore, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    with RangeServer(blob.stream) as server:
        done = fetch(
            blob, tmp_path / "x", [server.url], lambda _: web, progress=lambda *now: heard.append(now)
        )
    assert done == Transfer(len(blob.stream), ())
    assert heard[-1] == (len(blob.stream), len(blob.stream))
    assert [now for now, _ in heard] == sorted(now for now, _ in heard)


def test_downloads_and_opens_in_one_pass(blob: SealedBlob, web: WebStore) -> None:
    sink = MemorySink(len(blob.plaintext))
    unsealer = Unsealer(blob.info, blob.key, blob.salt, sink)
    with RangeServer(blob.stream) as server:
        open_from([server.url], lambda _: web, unsealer)
    opened = bytearray(len(blob.plaintext))
    sink.read_at(0, memoryview(opened))
    assert opened == blob.plaintext


class Substituted:
    """An unsealer that finds once, at the end, that a segment was made by somebody else who has the key."""

    def __init__(self, blob: SealedBlob) -> None:
        self.info = blob.info
        self.fed: dict[int, bytes] = {}
        self.found = False

    def begin(self, header: memoryview, index: memoryview) -> None:
        """Take them."""

    def feed(self, segment: int, ciphertext: memoryview) -> None:
        self.fed[segment] = bytes(ciphertext)

    def missing(self) -> list[int]:
        return [number for number in range(self.info.layout.segments) if number not in self.fed]

    def finish(self) -> str:
        if not self.found:
            self.found = True
            del self.fed[7]
            raise CiphertextMismatchError("segment", "leaf a", "leaf b", segment=7)
        return "content"


def test_asks_the_next_location_for_what_a_key_holder_replaced(blob: SealedBlob, web: WebStore) -> None:
    with RangeServer(blob.stream) as first, RangeServer(blob.stream) as second:
        unsealer: Any = Substituted(blob)
        assert open_from([first.url, second.url], lambda _: web, unsealer) == "content"
        assert blob.info.layout.segment_range(7) in second.asked
        again: Any = Substituted(blob)
        with pytest.raises(NoLocationError, match="segment 7"):
            open_from([first.url], lambda _: web, again)


@pytest.mark.parametrize("place", [0, 51, 52, 10 * SEGMENT, -1, -40 * 32])
def test_drops_a_location_at_its_first_wrong_segment(
    blob: SealedBlob, web: WebStore, tmp_path: Path, place: int
) -> None:
    place %= len(blob.stream)
    with RangeServer(blob.stream, flipped_at(place)) as bad, RangeServer(blob.stream) as good:
        done = fetch(blob, tmp_path / "x", [bad.url, good.url], lambda _: web, connections=1)
    (fault,) = done.faults
    assert fault[0] == bad.url
    assert "got" in fault[1]
    assert "expected" in fault[1]
    # What the bad one had right is kept: only the rest came from the good one.
    assert done.fetched_bytes <= len(blob.stream) + blob.info.layout.index_bytes + 52 + SEGMENT + 16


def stops_for_good(after: int) -> Behaviour:
    """Answer honestly until so many bytes went out, then with nothing."""

    def behaviour(asked: Asked) -> str | None:
        left = after - asked.server.sent
        if left <= 0:
            return "close"
        asked.send((head(asked) + asked.body)[:left])
        return "close" if left < len(asked.body) else None

    return behaviour


def test_goes_on_at_the_next_location_where_one_dies(blob: SealedBlob, web: WebStore, tmp_path: Path) -> None:
    half = stops_for_good(len(blob.stream) // 2)
    with RangeServer(blob.stream, half) as dying, RangeServer(blob.stream) as good:
        done = fetch(blob, tmp_path / "x", [dying.url, good.url], lambda _: web)
    assert [uri for uri, _ in done.faults] == [dying.url]
    assert done.fetched_bytes <= len(blob.stream) + 4 * (SEGMENT + 16)


def test_goes_on_in_the_middle_of_a_segment_after_a_cut(
    blob: SealedBlob, web: WebStore, tmp_path: Path
) -> None:
    def cuts_each_answer(asked: Asked) -> str | None:
        if asked.length < 2000:
            return honest(asked)
        asked.send(head(asked) + asked.body[: 3 * SEGMENT + 100])
        return "close" if asked.length > 3 * SEGMENT + 100 else None

    pauses = Pauses()
    with RangeServer(blob.stream, cuts_each_answer) as server:
        done = fetch(blob, tmp_path / "x", [server.url], lambda _: web, shell=pauses.shell)
    assert done == Transfer(len(blob.stream), ())
    assert pauses.slept == [pytest.approx(0.25, rel=0.01)] * len(pauses.slept)
    assert pauses.slept


def test_waits_longer_each_time_and_then_gives_up(blob: SealedBlob, web: WebStore, tmp_path: Path) -> None:
    def busy(asked: Asked) -> None:
        if asked.number == 1:
            return honest(asked)
        asked.answer(b"", status="503 Busy", content_length=0)

    pauses = Pauses()
    with RangeServer(blob.stream, busy) as server, pytest.raises(NoLocationError, match="status 503"):
        fetch(blob, tmp_path / "x", [server.url], lambda _: web, shell=pauses.shell)
    assert pauses.slept == [pytest.approx(0.25, rel=0.01), pytest.approx(0.5, rel=0.01)]


def test_names_every_location_and_its_fault(blob: SealedBlob, web: WebStore, tmp_path: Path) -> None:
    longer = blob.stream + b"x"
    with (
        RangeServer(blob.stream, flipped_at(60)) as wrong,
        RangeServer(longer) as long,
        pytest.raises(NoLocationError) as caught,
    ):
        fetch(blob, tmp_path / "x", [wrong.url, long.url, "gopher:x"], _web_alone(web))
    faults = dict(caught.value.faults)
    assert "segment 0" in faults[wrong.url]
    assert f"got {len(longer)} bytes, expected {len(blob.stream)}" in faults[long.url]
    assert "unknown scheme" in faults["gopher:x"]
    assert caught.value.hint


def _web_alone(web: WebStore) -> Callable[[str], BlobStore]:
    from marketplace.storage.registry import StorageConfig, store_for

    return lambda uri: web if uri.startswith("http") else store_for(uri, StorageConfig(Path("/nowhere")))


def test_refuses_at_once_what_the_owner_sealed_wrong(blob: SealedBlob, web: WebStore) -> None:
    unsealer = Unsealer(blob.info, bytes(32), blob.salt, MemorySink(len(blob.plaintext)))
    with RangeServer(blob.stream) as server, pytest.raises(RefusedError) as caught:
        transfer([server.url], lambda _: web, blob.info, unsealer)
    assert caught.value.step == "sealed.key"


def test_a_partial_file_proves_itself(blob: SealedBlob, web: WebStore, tmp_path: Path) -> None:
    path = tmp_path / "x"
    layout = blob.info.layout
    with RangeServer(blob.stream, stops_for_good(20 * SEGMENT)) as dying, pytest.raises(NoLocationError):
        fetch(blob, path, [dying.url], lambda _: web, connections=1)
    with open(path, "r+b") as file:  # a power cut: some pages of what was written are gone
        file.seek(layout.segment_range(3)[0] + 9)
        file.write(b"\x00" * 50)
    again = PartialFile(path, blob.info)
    assert again.has_head
    missing = list(again.missing())
    assert missing[0] == 3
    assert len(missing) < 25
    assert again.held_bytes == sum(
        layout.segment_range(number)[1] for number in range(layout.segments) if number not in missing
    )
    again.close()
    with RangeServer(blob.stream) as server:
        done = fetch(blob, path, [server.url], lambda _: web)
    assert done.fetched_bytes == sum(layout.segment_range(number)[1] for number in missing)


def test_a_partial_file_of_something_else_starts_anew(
    blob: SealedBlob, web: WebStore, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"y" * len(blob.stream))
    with RangeServer(blob.stream) as server:
        assert fetch(blob, tmp_path / "x", [server.url], lambda _: web).fetched_bytes == len(blob.stream)


def test_reads_out_of_the_local_store_too(blob: SealedBlob, tmp_path: Path) -> None:
    local = LocalStore(tmp_path / "store")
    uri = local.put([blob.stream])
    assert uri.endswith(hashlib.sha256(blob.stream).hexdigest())
    assert fetch(blob, tmp_path / "x", [uri], lambda _: local) == Transfer(len(blob.stream), ())


def test_a_sealed_reader_reads_over_any_store(blob: SealedBlob, web: WebStore) -> None:
    with RangeServer(blob.stream, stops_for_good(6 * SEGMENT)) as dying, RangeServer(blob.stream) as good:
        source = StoreSource(
            [dying.url, good.url], lambda _: web, len(blob.stream), patience=HOW, shell=Pauses().shell
        )
        with SealedReader(source, blob.info, blob.key, read_ahead=0) as reader:
            for offset, length in ((0, 100), (30 * SEGMENT + 7, 3 * SEGMENT), (SEGMENT - 1, 2)):
                reader.seek(offset)
                assert reader.read(length) == blob.plaintext[offset : offset + length]
        assert source.size == len(blob.stream)


def test_a_source_gives_up_the_location_that_it_is_told_to(blob: SealedBlob, web: WebStore) -> None:
    with RangeServer(blob.stream, flipped_at(100)) as bad, RangeServer(blob.stream) as good:
        source = StoreSource([bad.url, good.url], lambda _: web, len(blob.stream), patience=HOW)
        buffer = memoryview(bytearray(200))
        assert source.read_at(0, buffer) == 200
        assert buffer != blob.stream[:200]
        source.drop(ValueError("wrong leaf"))
        assert source.read_at(0, buffer) == 200
        assert buffer == blob.stream[:200]
        assert source.read_at(len(blob.stream) - 10, buffer) == 10
        with pytest.raises(NoLocationError, match="wrong leaf"):
            source.drop(ValueError("this one too"))


def test_refuses_an_index_that_fits_into_no_memory(web: WebStore, tmp_path: Path) -> None:
    hostile = SealedInfo(Algorithm.BLAKE3, 1 << 10, 1 << 44, bytes(32), bytes(32), bytes(32))
    with pytest.raises(BlobTooLargeError, match="expected at most 536870912"):
        PartialFile(tmp_path / "x", hostile)
    with pytest.raises(BlobTooLargeError):
        transfer(["https://nowhere.invalid/x"], lambda _: web, hostile, NotImplemented)
    assert not (tmp_path / "x").exists()
