"""The agent's sealed input: fetched once into the cache, read from there, dropped when doubted or done."""

from __future__ import annotations

from pathlib import Path

from marketplace.sdk.agent_blobs import AgentBlobs
from marketplace.storage.cache import CiphertextCache
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.registry import StorageConfig
from marketplace.storage.stores import Stores
from tests.fakes.range_server import RangeServer
from tests.fakes.sealed_blob import sealed_blob

ORDER = bytes(32)


def blobs(root: Path) -> AgentBlobs:
    network = NetworkPolicy(dangerous_allow_loopback=True)
    stores = Stores(StorageConfig(root / "blobs", network=network))
    return AgentBlobs(stores, CiphertextCache(root / "cache", 1 << 30, stores.store_of))


def test_sealed_input_is_fetched_once_and_read_from_the_cache(tmp_path: Path) -> None:
    agent, blob = blobs(tmp_path), sealed_blob(100_000)
    with RangeServer(blob.stream) as server:
        assert agent.size(server.url) == len(blob.stream)
        assert not agent.holds(blob.info)
        assert agent.read_sealed(blob.info, server.url, 10, 50) == blob.stream[10:60]
        assert agent.hold(ORDER, blob.info, [server.url])
        asked = len(server.asked)
        assert agent.hold(bytes(31) + b"\1", blob.info, [server.url])
        assert agent.read_sealed(blob.info, server.url, 10, 50) == blob.stream[10:60]
        assert len(server.asked) == asked
        agent.doubt(blob.info)
        assert not agent.holds(blob.info)
        assert agent.read_sealed(blob.info, server.url, 10, 50) == blob.stream[10:60]
        assert len(server.asked) > asked
    agent.let_go(ORDER)


def test_what_lies_here_is_not_copied(tmp_path: Path) -> None:
    agent, blob = blobs(tmp_path), sealed_blob(100_000)
    uri = agent.put(iter([blob.stream]))
    assert not agent.hold(ORDER, blob.info, [uri])
    assert agent.read_sealed(blob.info, uri, 10, 50) == blob.stream[10:60]
    assert not agent.holds(blob.info)


def test_an_agent_without_a_cache_reads_the_store(tmp_path: Path) -> None:
    stores, blob = Stores(StorageConfig(tmp_path)), sealed_blob(100_000)
    agent = AgentBlobs(stores)
    uri = stores.put([blob.stream])
    assert not agent.hold(ORDER, blob.info, [uri])
    assert not agent.holds(blob.info)
    agent.doubt(blob.info)
    agent.let_go(ORDER)
    assert agent.read_sealed(blob.info, uri, 0, 52) == blob.stream[:52]
