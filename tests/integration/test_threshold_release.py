"""A content key that no broker has: two of three must agree, with real processes and orders (section 5.4)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from coincurve import PrivateKey

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.signatures import address_of
from marketplace.demo.processes import Child
from marketplace.demo.settings import broker_settings, policy_text, put_in_force, write_secret
from marketplace.domain.order_state import OrderState
from marketplace.keybroker.__main__ import main
from marketplace.keybroker.config import load_config
from marketplace.keybroker.shares import HeldShare, StoreRing
from marketplace.keybroker.wiring import open_keystore
from marketplace.sdk.splitting import Split, parse_holder, split_offer
from marketplace.sealing.keystore import KeyStore, ScryptCost
from marketplace.service.audit import read_log
from tests.integration.market_kit import Market

pytestmark = pytest.mark.integration

PASSPHRASE = "each house has its own"
OWNER = "hospital-a"


@dataclass
class House:
    """One of the houses that hold a share: its folder, its address, its broker."""

    path: Path
    key: PrivateKey
    port: int
    child: Child | None = None

    @property
    def config(self) -> Path:
        return self.path / "broker.toml"

    @property
    def holder(self) -> str:
        """What the owner is told: URL=address."""
        return f"http://127.0.0.1:{self.port}={hex_of(address_of(self.key))}"

    def start(self, market: Market) -> None:
        self.child = market.world._start_service(
            self.path.name, "marketplace.keybroker", self.config, str(self.port)
        )
        market.world.wait_for(self.path.name, self.child)

    def stop(self) -> None:
        if self.child is not None and self.child.running:
            self.child.process.terminate()
            self.child.process.wait(60)

    def events(self) -> list[str]:
        return [str(entry["event"]) for entry in read_log(self.path / "state" / "audit.log")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def build(market: Market, name: str) -> House:
    """Write a house's settings, policy, keys and empty keystore."""
    world = market.world
    house = House(world.folder / name, PrivateKey(), free_port())
    write_secret(house.path / "grant-key", house.key.to_hex() + "\n")
    write_secret(house.path / "passphrase", PASSPHRASE + "\n")
    cost = ScryptCost(log2_n=14)
    KeyStore.open(house.path / "content-keys.json", PASSPHRASE, entropy=os.urandom, cost=cost)
    house.config.write_text(
        broker_settings(
            world.accept,
            rpc=world.chain.url,
            deployment=world.folder / "deployment.json",
            collateral=world.collateral,
            approve="auto",
        )
    )
    policy = policy_text(
        world.accept,
        engines=world.engines,
        clients=(world.homes["centre"].text,),
        listed_by=world.homes[OWNER].text,
        min_price_due=0,
    )
    (house.path / "policy.toml").write_text(policy)
    put_in_force(house.config)
    return house


@pytest.fixture(scope="module")
def houses(market: Market) -> Iterator[list[House]]:
    built = [build(market, f"house-{number}") for number in (1, 2, 3)]
    yield built
    for house in built:
        house.stop()


@pytest.fixture(scope="module")
def shared(market: Market, houses: list[House]) -> Split:
    """A dataset of its own, its key cut for the houses, each house's share taken in."""
    numbers = market.world.folder / "shared-numbers"
    numbers.mkdir()
    (numbers / "numbers.txt").write_text("1\n2\n3\n")
    offer = market.story.publish_dataset(OWNER, numbers).offer
    session = market.world.homes[OWNER].session
    holders = [parse_holder(house.holder) for house in houses]
    made = split_offer(session, offer, 2, holders, market.world.folder / "shares")
    for house, file in zip(houses, made.files, strict=True):
        assert file.stat().st_mode & 0o777 == 0o600
        assert main(["take-share", str(file), "--config", str(house.config)]) == 0
        file.unlink()
    return made


def run_order(market: Market, shared: Split) -> bytes:
    with_shares = replace(market, data=shared.published.offer)
    agent = market.start_agent()
    order = with_shares.place()
    try:
        market.wait_done(order)
    finally:
        market.stop_agent(agent)
    return order


def test_an_order_is_served_when_two_of_three_houses_agree_and_one_is_down(
    market: Market, houses: list[House], shared: Split
) -> None:
    for house in houses[1:]:
        house.start(market)
    order = run_order(market, shared)
    assert market.record(order).state is OrderState.COMPLETED, market.agent_says()
    assert market.verify(order).passed
    for house in houses[1:]:
        assert house.events().count("granted") == 1
        config = load_config(house.config)
        ring = StoreRing(open_keystore(config))
        digest = shared.published.manifest_digest
        assert ring.content_key(digest) is None and ring.share(digest) is not None


def test_a_house_that_gives_another_share_is_named_and_the_others_serve(
    market: Market, houses: list[House], shared: Split
) -> None:
    liar = houses[0]
    keystore = open_keystore(load_config(liar.config))
    digest = shared.published.manifest_digest
    held = StoreRing(keystore).share(digest)
    assert held is not None
    forged = HeldShare(held.threshold, held.number, os.urandom(64))
    # As whoever took the house over would: a keystore of its own, the same grant key.
    (liar.path / "content-keys.json").unlink()
    cost = ScryptCost(log2_n=14)
    fresh = KeyStore.open(liar.path / "content-keys.json", PASSPHRASE, entropy=os.urandom, cost=cost)
    fresh.put_secret(f"share/{digest.hex()}", forged.to_bytes())
    for house in houses:
        if house.child is None:
            house.start(market)
    order = run_order(market, shared)
    assert market.record(order).state is OrderState.COMPLETED, market.agent_says()
    assert f"another share than broker 1 ({hex_of(address_of(liar.key))})" in market.agent_says(200)
