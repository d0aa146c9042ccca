"""One order whose dataset lies in IPFS and whose result lands in S3, each party with settings of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain.order_state import OrderState
from marketplace.sdk.results import open_result
from tests.integration.market_kit import Market
from tests.integration.storage.conftest import IpfsNode

pytestmark = pytest.mark.integration


@pytest.fixture
def market_over_stores(
    market: Market, ipfs_nodes: tuple[IpfsNode, IpfsNode], s3_endpoint: str, tmp_path: Path
) -> Iterator[Market]:
    """The market with stores: the owner's node is not the provider's."""
    homes = market.world.homes
    puts = {"hospital-a": ("ipfs", ipfs_nodes[0].api), "operator": ("s3", ipfs_nodes[1].api)}
    puts["centre"] = ("file", ipfs_nodes[1].api)
    before = {slug: (homes[slug].path / "config.toml").read_text() for slug in puts}
    for slug, (put, api) in puts.items():
        sections = (
            f'[storage]\nput = "{put}"\n[storage.ipfs]\napi = "{api}"\n[storage.s3]\nbucket = "blobs"\n'
            f'endpoint = "{s3_endpoint}"\nregion = "us-east-1"\n'
        )
        (homes[slug].path / "config.toml").write_text(before[slug] + sections)
        homes[slug].close()
    try:
        numbers = tmp_path / "numbers"
        numbers.mkdir()
        (numbers / "numbers.txt").write_text("\n".join(str(number) for number in range(400_000)))
        yield replace(market, data=market.story.publish_dataset("hospital-a", numbers).offer)
    finally:
        for slug, text in before.items():
            (homes[slug].path / "config.toml").write_text(text)
            homes[slug].close()


def test_an_order_runs_from_ipfs_and_ends_in_s3(market_over_stores: Market, tmp_path: Path) -> None:
    market = market_over_stores
    cache = market.world.homes["operator"].path / "cache"
    order = market.place()
    agent = market.start_agent()
    try:
        market.wait_for(order, OrderState.COMPLETED)
        assert market.wait_done(order) == "the order is COMPLETED"
        # The dataset came over the network and is kept; what it was pinned for is over.
        assert len(list((cache / "sealed").iterdir())) == 1
        assert list((cache / "pins").iterdir()) == []
    finally:
        market.stop_agent(agent)
    session = market.world.homes["centre"].session
    assert "output/sum.txt" in open_result(session, order, tmp_path / "result")
    assert (tmp_path / "result" / "output" / "sum.txt").read_text() == str(sum(range(400_000)))
    journal = market.journal()
    try:
        assert (journal.fact(order, "result") or "").startswith("s3://blobs/sha256/")
    finally:
        journal.close()
