"""Who holds shares, as a manifest says it; and the manifest with and without (protocol section 5.4)."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from enclave_runtime.sealed.manifest import Manifest, Release
from enclave_runtime.sealed.threshold import ShareBroker, Threshold, deal
from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferKind
from tests.fakes.sealed_order import SealedInput, seal_input
from tests.fakes.shared_key import SharedInput, share_input

HOLDERS = tuple((f"http://{n}.test", bytes([n]) * 20) for n in (1, 2, 3))


@pytest.fixture(scope="module")
def plain() -> SealedInput:
    return seal_input(OfferKind.DATASET, {"a.txt": b"a"})


@pytest.fixture(scope="module")
def shared(plain: SealedInput) -> SharedInput:
    return share_input(plain, 2, 3)


def test_each_share_is_known_under_its_own_number_only() -> None:
    threshold, shares = deal(os.urandom(64), 2, HOLDERS, os.urandom)
    for number in (1, 2, 3):
        assert [threshold.is_share(number, share) for share in shares] == [n == number for n in (1, 2, 3)]
        assert not threshold.is_share(number, shares[number - 1] + b"\x00")
        assert not threshold.is_share(number, b"")
    for number in (0, 4):
        with pytest.raises(WireError, match="share number"):
            threshold.is_share(number, shares[0])


def test_two_splits_of_one_secret_have_two_names() -> None:
    secret = os.urandom(64)
    first, second = (deal(secret, 2, HOLDERS, os.urandom)[0] for _ in range(2))
    assert first.digest() != second.digest() and first.address() != second.address()
    third = replace(first, needed=3)
    assert third.address() != first.address()
    swapped = replace(first, brokers=first.brokers[::-1])
    assert swapped.address() != first.address()


def test_refuses_one_party_in_two_places() -> None:
    one, two = (ShareBroker(url, key, key + bytes(12)) for url, key in HOLDERS[:2])
    Threshold(2, (one, two))
    for brokers in (
        (one, replace(two, grant_key=one.grant_key)),
        (one, replace(two, commitment=one.commitment)),
    ):
        with pytest.raises(WireError, match="twice"):
            Threshold(2, brokers)


@pytest.mark.parametrize("needed", [0, 1, 4])
def test_refuses_a_threshold_that_is_none(needed: int) -> None:
    with pytest.raises(WireError, match="got"):
        deal(os.urandom(64), needed, HOLDERS, os.urandom)
    with pytest.raises(WireError, match="secret to share"):
        deal(os.urandom(32), 2, HOLDERS, os.urandom)


@pytest.mark.parametrize("url", ["", "ftp://a", "http://a b", "http://a?x", "http://a#x", "http://ä"])
def test_refuses_an_address_that_nobody_can_ask(url: str) -> None:
    with pytest.raises(WireError, match="release url"):
        ShareBroker(url, bytes(20), bytes(32))


def test_a_manifest_says_it_and_reads_it_back(shared: SharedInput) -> None:
    data = shared.manifest.to_bytes()
    assert Manifest.from_bytes(data) == shared.manifest
    assert Manifest.from_bytes(data).release.threshold == shared.threshold


def test_a_manifest_without_one_is_written_as_ever(plain: SealedInput) -> None:
    data = plain.manifest.to_bytes()
    assert b"threshold" not in data
    assert Manifest.from_bytes(data).release.threshold is None
    value = parse_object(data)
    release = value["release"]
    assert isinstance(release, dict)
    release["threshold"] = None
    with pytest.raises(WireError, match="threshold of null"):
        Manifest.from_bytes(dump(value))


def test_refuses_a_threshold_beside_another_word_on_who_grants(shared: SharedInput) -> None:
    with pytest.raises(WireError, match="not the group's"):
        Release(None, b"\x01" * 20, shared.threshold)
    with pytest.raises(WireError, match="not the group's"):
        Release("http://one.test", shared.threshold.address(), shared.threshold)
