"""The defect: where a manifest's first location was this machine's own store, no other one was ever asked.

A file of the right name was enough for "it lies here": cut short, rotten or unreadable, the order failed,
though the next location had it. A first location that is no URI ended it as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from enclave_runtime.sealed.header import CiphertextMismatchError
from marketplace.errors import MarketError
from marketplace.provider.job import hold_inputs, read_segment
from marketplace.sdk.agent_blobs import AgentBlobs
from marketplace.storage.cache import CiphertextCache
from marketplace.storage.local import LocalStore
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.registry import StorageConfig
from marketplace.storage.stores import Stores
from tests.fakes.range_server import RangeServer
from tests.fakes.sealed_blob import SealedBlob, sealed_blob

_ORDER = bytes(32)


@pytest.fixture(scope="module")
def blob() -> SealedBlob:
    return sealed_blob(100_000, 16 << 10)


@pytest.fixture
def server(blob: SealedBlob) -> Iterator[RangeServer]:
    with RangeServer(blob.stream) as running:
        yield running


class World:
    """An agent whose own store has the blob, and a job that needs it."""

    def __init__(self, root: Path, blob: SealedBlob) -> None:
        stores = Stores(StorageConfig(root / "blobs", network=NetworkPolicy(dangerous_allow_loopback=True)))
        self.agent = AgentBlobs(stores, CiphertextCache(root / "cache", 1 << 30, stores.store_of))
        self.here = self.agent.put(iter([blob.stream]))
        store = stores.store_of(self.here)
        assert isinstance(store, LocalStore)
        self.file = store._path(self.here.rpartition("/")[2])
        self.file.chmod(0o600)
        self.blob = blob

    def hold(self, uri: str, locations: list[str]) -> None:
        manifest = SimpleNamespace(sealed=self.blob.info, locations=tuple(locations))
        job = SimpleNamespace(inputs=(SimpleNamespace(manifest=manifest, ciphertext_uri=uri),))
        hold_inputs(job, self.agent, _ORDER)  # type: ignore[arg-type]
        got = read_segment(self.agent, uri, self.blob.info, 3)
        offset, length = self.blob.info.layout.segment_range(3)
        assert got == self.blob.stream[offset : offset + length]


def rot(data: bytes) -> bytes:
    return data[:50_000] + bytes([data[50_000] ^ 1]) + data[50_001:]


@pytest.mark.parametrize("damage", [rot, lambda data: data[:-1]], ids=["flipped", "shorter"])
def test_the_next_location_is_asked(
    tmp_path: Path, blob: SealedBlob, server: RangeServer, damage: object
) -> None:
    world = World(tmp_path, blob)
    world.file.write_bytes(damage(blob.stream))  # type: ignore[operator]
    world.hold(world.here, [world.here, server.url])
    assert world.agent.holds(blob.info)


def test_one_that_is_no_location_is_passed_over(
    tmp_path: Path, blob: SealedBlob, server: RangeServer
) -> None:
    world = World(tmp_path, blob)
    world.hold(server.url, ["file:nonsense", server.url])


def test_what_is_right_is_not_copied(tmp_path: Path, blob: SealedBlob, server: RangeServer) -> None:
    world = World(tmp_path, blob)
    world.hold(world.here, [world.here, server.url])
    assert not server.asked
    assert not world.agent.holds(blob.info)


def test_where_there_is_no_other_one_the_fault_is_named(tmp_path: Path, blob: SealedBlob) -> None:
    world = World(tmp_path, blob)
    world.file.write_bytes(rot(blob.stream))
    with pytest.raises((CiphertextMismatchError, MarketError)):
        world.hold(world.here, [world.here])
