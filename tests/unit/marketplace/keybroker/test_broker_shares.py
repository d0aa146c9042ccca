"""A broker that holds a share: what it takes from its owner, and what it answers (protocol section 5.4)."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.sealed.shamir import combine
from enclave_runtime.sealed.threshold import Threshold, deal
from enclave_runtime.sealed.wrap import open_with
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.grant import Grant
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.orders import OrderPreimage, order_id
from enclave_runtime.wire.share_grant import ShareGrant
from enclave_runtime.wire.signatures import address_of
from marketplace.domain.release import ReleaseStep
from marketplace.errors import BadInputError, NotFoundError
from marketplace.keybroker.core import BrokerStep
from marketplace.keybroker.shares import HeldShare, ShareFile, StoreRing, take_share
from marketplace.sealing.keystore import KeyStore, ScryptCost
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.order_world import DOMAIN, named, order_preimage
from tests.unit.marketplace.keybroker.conftest import CONTENT_KEY, Make, World

MANIFEST = named("dataset A manifest")
KEYS = tuple(PrivateKey() for _ in range(3))
HOLDERS = tuple((f"http://{number}.test", address_of(key)) for number, key in enumerate(KEYS, start=1))

_THRESHOLD, _SHARES = deal(CONTENT_KEY, 2, HOLDERS, os.urandom)
_FILE = ShareFile(MANIFEST, _THRESHOLD, 1, bytes(_SHARES[0])).to_bytes()


@pytest.fixture
def dealt() -> tuple[Threshold, list[bytes]]:
    threshold, shares = deal(CONTENT_KEY, 2, HOLDERS, os.urandom)
    return threshold, [bytes(share) for share in shares]


@pytest.fixture
def worlds(make: Make, dealt: tuple[Threshold, list[bytes]]) -> list[World]:
    """Three brokers that share nothing but the chain."""
    threshold, shares = dealt
    first = make(grant_key=KEYS[0])
    found = [first, *(make(grant_key=key, chains=first.chains) for key in KEYS[1:])]
    for number, world in enumerate(found, start=1):
        world.ring.keys.clear()  # no broker has the whole key
        world.ring.shares[MANIFEST] = HeldShare(threshold.digest(), number, shares[number - 1])
    return found


def running(world: World, group: bytes, salt: int = 1) -> tuple[FakeCvm, OrderPreimage]:
    cvm, preimage = FakeCvm(), order_preimage(group, salt=salt)
    for chain in world.chains:
        chain.run(order_id(DOMAIN, preimage.terms), cvm.cvm_id, OPERATOR)
    return cvm, preimage


def test_two_brokers_that_agree_give_the_key_and_neither_has_it(
    worlds: list[World], dealt: tuple[Threshold, list[bytes]]
) -> None:
    threshold, shares = dealt
    cvm, preimage = running(worlds[0], threshold.address())
    opened: dict[int, bytes] = {}
    for world in (worlds[2], worlds[0]):
        answer = world.release(world.body(cvm, preimage))
        assert answer.status_code == 200, answer.text
        grant = ShareGrant.from_bytes(answer.json()["grant"].encode())
        assert grant.grant_key() == address_of(world.grant_key)
        assert grant.conditions.threshold == threshold.digest()
        opened[grant.conditions.share] = open_with(cvm.hpke, grant.sealed_share, grant.conditions.to_bytes())
        with pytest.raises(WireError):
            Grant.from_bytes(answer.json()["grant"].encode())
    assert combine(opened) == CONTENT_KEY
    assert opened == {1: shares[0], 3: shares[2]}
    entry = worlds[2].entries()[-1]
    assert entry["event"] == "granted" and entry["facts"]["share"] == 3
    for world in worlds:
        assert CONTENT_KEY[:32].hex() not in str(world.entries())


def test_each_broker_decides_for_itself(worlds: list[World], dealt: tuple[Threshold, list[bytes]]) -> None:
    cvm, preimage = running(worlds[0], dealt[0].address())
    worlds[1].broker.store.deactivate()
    assert worlds[1].refused(worlds[1].body(cvm, preimage))["step"] == BrokerStep.POLICY
    assert worlds[2].release(worlds[2].body(cvm, preimage)).status_code == 200


def test_each_house_lists_machines_of_its_own(make: Make, dealt: tuple[Threshold, list[bytes]]) -> None:
    """A house with a share refuses a machine that it does not list; it takes t that do to release the key."""
    threshold, shares = dealt
    first = make(grant_key=KEYS[0], platforms=frozenset({sha256(b"platform")}))
    strict = make(grant_key=KEYS[1], chains=first.chains, platforms=frozenset({sha256(b"our own hall")}))
    open_ = make(grant_key=KEYS[2], chains=first.chains)
    for number, world in enumerate((first, strict, open_), start=1):
        world.ring.keys.clear()
        world.ring.shares[MANIFEST] = HeldShare(threshold.digest(), number, shares[number - 1])
    cvm, preimage = running(first, threshold.address())
    assert strict.refused(strict.body(cvm, preimage)) == {
        "step": ReleaseStep.PLATFORM,
        "got": hex_of(sha256(b"platform")),
        "expected": "one of the policy's 1 platforms",
    }
    opened: dict[int, bytes] = {}
    for world in (first, open_):
        grant = ShareGrant.from_bytes(world.release(world.body(cvm, preimage)).json()["grant"].encode())
        opened[grant.conditions.share] = open_with(cvm.hpke, grant.sealed_share, grant.conditions.to_bytes())
    assert combine(opened) == CONTENT_KEY


def test_an_offer_of_another_group_gets_nothing(
    worlds: list[World], dealt: tuple[Threshold, list[bytes]]
) -> None:
    again = deal(CONTENT_KEY, 2, HOLDERS, os.urandom)[0]
    lower = replace(dealt[0], needed=3)
    for group in (again.address(), lower.address(), b"\x01" * 20):
        cvm, preimage = running(worlds[0], group)
        assert worlds[0].refused(worlds[0].body(cvm, preimage))["step"] == BrokerStep.GRANT_KEY


def test_a_share_is_no_whole_key(worlds: list[World]) -> None:
    """An offer that names this broker's own key alone gets nothing from a broker that has but a share."""
    world = worlds[0]
    assert world.refused(world.body(*world.running()))["step"] == BrokerStep.CONTENT


def share_file(folder: Path, dealt: tuple[Threshold, list[bytes]], number: int, share: bytes = b"") -> Path:
    threshold, shares = dealt
    path = folder / f"share-{number}.json"
    path.touch(mode=0o600)
    path.write_bytes(ShareFile(MANIFEST, threshold, number, share or shares[number - 1]).to_bytes())
    return path


@pytest.fixture
def keystore(tmp_path: Path) -> KeyStore:
    cost = ScryptCost(log2_n=14)
    return KeyStore.open(tmp_path / "keys.json", "a passphrase", entropy=os.urandom, cost=cost)


def test_takes_its_own_share_into_the_keystore(
    tmp_path: Path, keystore: KeyStore, dealt: tuple[Threshold, list[bytes]]
) -> None:
    ring = StoreRing(keystore)
    assert ring.share(MANIFEST) is None and ring.content_key(MANIFEST) is None
    taken = take_share(share_file(tmp_path, dealt, 2), keystore, address_of(KEYS[1]))
    assert (taken.number, taken.manifest_digest) == (2, MANIFEST)
    held = ring.share(MANIFEST)
    assert held is not None and held.share == dealt[1][1] and held.group == dealt[0].address()
    assert ring.content_key(MANIFEST) is None
    assert dealt[1][1].hex() not in (tmp_path / "keys.json").read_text()
    assert dealt[1][1].hex() not in repr(taken) + repr(held)


def test_refuses_another_broker_s_share_and_a_damaged_one(
    tmp_path: Path, keystore: KeyStore, dealt: tuple[Threshold, list[bytes]]
) -> None:
    with pytest.raises(BadInputError, match=f"broker 1, whose grant address is {hex_of(HOLDERS[0][1])}"):
        take_share(share_file(tmp_path, dealt, 1), keystore, address_of(KEYS[1]))
    with pytest.raises(BadInputError, match="another share"):
        take_share(share_file(tmp_path, dealt, 2, dealt[1][0]), keystore, address_of(KEYS[1]))
    good = share_file(tmp_path, dealt, 2)
    for data in (b"", b"{}", good.read_bytes().replace(b'"number":2', b'"number":true')):
        good.write_bytes(data)
        with pytest.raises(BadInputError):
            take_share(good, keystore, address_of(KEYS[1]))
    good.chmod(0o644)
    with pytest.raises(BadInputError, match="mode"):
        take_share(good, keystore, address_of(KEYS[1]))
    with pytest.raises(NotFoundError):
        take_share(tmp_path / "none", keystore, address_of(KEYS[1]))
    assert StoreRing(keystore).share(MANIFEST) is None


@given(data=st.binary(max_size=200) | st.text(max_size=80).map(str.encode))
def test_bytes_that_are_no_share_file_are_refused_as_such(data: bytes) -> None:
    with pytest.raises(BadInputError, match="share file"):
        ShareFile.from_bytes(data)


@given(place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_share_file_with_one_byte_changed_is_no_share_file(place: int, flip: int) -> None:
    data = bytearray(_FILE)
    data[place % len(data)] ^= flip
    try:
        read = ShareFile.from_bytes(bytes(data))
    except BadInputError:
        return
    # What is not under the commitment is told by the loader: another manifest, or another split, is none.
    whole = ShareFile.from_bytes(_FILE)
    assert (read.manifest_digest, read.threshold.digest()) != (
        whole.manifest_digest,
        whole.threshold.digest(),
    )
