"""A key in shares: only t share grants that fit in everything make it; a bad one is named (section 5.4)."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from coincurve import PrivateKey

from enclave_runtime.sealed.manifest import Manifest
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.grant import GrantConditions
from enclave_runtime.wire.signatures import address_of
from tests.fakes.sealed_order import SealedOrder, engine_and_data
from tests.fakes.session import SessionDriver
from tests.fakes.shared_key import SharedInput, share_input, with_shares

OTHER = b"\x66" * 32
INDEX = 1


@pytest.fixture(scope="module")
def plain() -> SealedOrder:
    return engine_and_data()


@pytest.fixture(scope="module")
def world(plain: SealedOrder) -> tuple[SealedOrder, SharedInput]:
    return with_shares(plain, INDEX, 2, 3)


@pytest.fixture
def owner(world: tuple[SealedOrder, SharedInput]) -> SharedInput:
    return world[1]


@pytest.fixture
def cvm(world: tuple[SealedOrder, SharedInput]) -> SessionDriver:
    driver = SessionDriver()
    driver.admit(world[0])
    return driver


def give(cvm: SessionDriver, owner: SharedInput, number: int, **lies: Any) -> dict[str, Any]:
    """Let broker `number` answer a request of its own."""
    request = cvm.ask(INDEX, bytes([number]) * 32)
    return cvm.ok("grant", owner.grant(number, request, cvm.hpke, **lies), input_index=INDEX)


def test_two_of_three_make_the_key_and_one_does_not(cvm: SessionDriver, owner: SharedInput) -> None:
    assert give(cvm, owner, 3)["missing"] == [0, 1, 2]
    assert cvm.ok("status")["shares"] == {"1": [3]}
    assert cvm.session._core.order().keys == {}
    assert give(cvm, owner, 1)["missing"] == [0, 2]
    key = cvm.session._core.order().keys[INDEX]
    assert bytes(key.key.view()) == owner.key and key.salt == owner.salt
    assert cvm.ok("status")["shares"] == {"1": [1, 3]}


def test_the_order_goes_its_way_with_such_a_key(
    cvm: SessionDriver, world: tuple[SealedOrder, SharedInput]
) -> None:
    order, owner = world
    give(cvm, owner, 2)
    give(cvm, owner, 3)
    for index in (0, 2):
        cvm.ok("grant", order.grant(cvm.ask(index), cvm.hpke), input_index=index)
    assert cvm.state == "OPENED"
    cvm.load(order)
    cvm.ok("check")
    assert cvm.state == "CHECKED"


def test_one_broker_twice_is_one_broker(cvm: SessionDriver, owner: SharedInput) -> None:
    give(cvm, owner, 2)
    again = cvm.ask(INDEX, OTHER)
    answer = cvm.ok("grant", owner.grant(2, again, cvm.hpke), input_index=INDEX)
    assert answer["missing"] == [0, 1, 2]
    assert cvm.ok("status")["shares"] == {"1": [2]}


def test_a_broker_that_gives_another_share_is_named_and_the_others_answer(
    cvm: SessionDriver, owner: SharedInput
) -> None:
    give(cvm, owner, 1)
    bad = owner.grant(2, cvm.ask(INDEX), cvm.hpke, share=os.urandom(64))
    error = cvm.error("grant", bad, input_index=INDEX)
    assert (error["step"], error["final"]) == ("grant-share", False)
    assert "broker 2" in error["got"] and hex_of(address_of(owner.brokers[1])) in error["got"]
    assert give(cvm, owner, 3)["missing"] == [0, 2]


@pytest.mark.parametrize(
    ("lies", "step"),
    [
        ({"order_id": OTHER}, "grant-order"),
        ({"cvm_id": OTHER}, "grant-cvm"),
        ({"input_index": 2}, "grant-input"),
        ({"manifest_digest": OTHER}, "grant-input"),
        ({"engine_digest": OTHER}, "grant-engine"),
        ({"config_digest": OTHER}, "grant-config"),
        ({"result_key_digest": OTHER}, "grant-result-key"),
        ({"request_digest": OTHER}, "grant-request"),
        ({"signer": PrivateKey()}, "grant-signer"),
        ({"threshold": OTHER}, "grant-threshold"),
        ({"said": 2}, "grant-signer"),
        ({"said": 4}, "grant-share"),
        ({"said": 255}, "grant-share"),
        ({"share": b"\x01" * 63}, "grant-opens"),
        ({"info": b"other conditions"}, "grant-opens"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_refuses_a_share_grant_with_one_wrong_condition(
    cvm: SessionDriver, owner: SharedInput, lies: dict[str, Any], step: str
) -> None:
    give(cvm, owner, 2)
    bad = owner.grant(1, cvm.ask(INDEX), cvm.hpke, **lies)
    error = cvm.error("grant", bad, input_index=INDEX)
    assert (error["kind"], error["step"], error["final"]) == ("refused", step, False)
    assert cvm.ok("status")["missing_keys"] == [0, 1, 2]
    give(cvm, owner, 1)


def test_refuses_a_share_sealed_to_another_cvm(
    cvm: SessionDriver, world: tuple[SealedOrder, SharedInput]
) -> None:
    order, owner = world
    twin = SessionDriver()
    twin.admit(order)
    cvm.ask(INDEX)
    stolen = owner.grant(1, twin.ask(INDEX), twin.hpke)
    assert cvm.step("grant", stolen, input_index=INDEX) == "grant-cvm"


def test_refuses_shares_of_two_splits_of_one_key(
    cvm: SessionDriver, plain: SealedOrder, owner: SharedInput
) -> None:
    other = share_input(plain.inputs[INDEX], 2, 3)
    give(cvm, owner, 1)
    request = cvm.ask(INDEX)
    mixed = other.grant(2, request, cvm.hpke)
    assert cvm.step("grant", mixed, input_index=INDEX) == "grant-threshold"
    dressed = owner.grant(2, request, cvm.hpke, share=other.shares[1])
    assert cvm.step("grant", dressed, input_index=INDEX) == "grant-share"
    assert cvm.ok("status")["shares"] == {"1": [1]}


def test_a_whole_grant_does_nothing_where_the_key_is_in_shares_and_the_other_way_round(
    cvm: SessionDriver, world: tuple[SealedOrder, SharedInput]
) -> None:
    order, owner = world
    whole = order.grant(cvm.ask(INDEX), cvm.hpke, signer=owner.grant_key)
    assert cvm.step("grant", whole, input_index=INDEX) == "grant-form"
    share = owner.grant(1, cvm.ask(2), cvm.hpke)
    assert cvm.step("grant", share, input_index=2) == "grant-form"
    assert set(GrantConditions.__dataclass_fields__) & {"grant", "threshold", "share"} == set()


def test_a_share_whose_time_is_over_counts_no_more(cvm: SessionDriver, owner: SharedInput) -> None:
    give(cvm, owner, 1, ttl_s=10)
    cvm.sleep(10)
    assert cvm.ok("status")["shares"] == {"1": []}
    assert give(cvm, owner, 2)["missing"] == [0, 1, 2]
    assert give(cvm, owner, 3)["missing"] == [0, 2]


def test_the_key_s_time_ends_when_fewer_than_t_consent(cvm: SessionDriver, owner: SharedInput) -> None:
    give(cvm, owner, 1, ttl_s=100)
    give(cvm, owner, 2, ttl_s=50)
    assert cvm.ok("status")["grants_last"] == {"1": 50}
    give(cvm, owner, 3, ttl_s=80)  # consent counts, the share is not needed any more
    assert cvm.ok("status")["grants_last"] == {"1": 80}
    again = cvm.ask(INDEX, OTHER)
    cvm.ok("grant", owner.grant(2, again, cvm.hpke, ttl_s=90), input_index=INDEX)
    assert cvm.ok("status")["grants_last"] == {"1": 90}


def test_nothing_of_the_shares_stays(cvm: SessionDriver, owner: SharedInput) -> None:
    give(cvm, owner, 1)
    shelf = cvm.session._core.order().desk._shelves[INDEX]
    (held,) = shelf._shares.values()
    data = held.view()
    assert bytes(data) == owner.shares[0]
    cvm.ok("abandon")
    assert shelf._shares == {} and not any(data)


def test_put_together_the_shares_are_erased_at_once(cvm: SessionDriver, owner: SharedInput) -> None:
    give(cvm, owner, 1)
    shelf = cvm.session._core.order().desk._shelves[INDEX]
    data = shelf._shares[1].view()
    give(cvm, owner, 2)
    assert shelf._shares == {} and not any(data)


def test_errors_hold_no_share(cvm: SessionDriver, owner: SharedInput) -> None:
    bad = owner.grant(2, cvm.ask(INDEX), cvm.hpke, share=owner.shares[0])
    error = cvm.error("grant", bad, input_index=INDEX)
    assert owner.shares[0].hex() not in str(error)


def test_the_order_pins_the_whole_split(owner: SharedInput) -> None:
    manifest = Manifest.from_bytes(owner.manifest.to_bytes())
    assert manifest.release.threshold is not None
    assert owner.terms.grant_key == manifest.release.threshold.address()


def test_an_engine_dealt_with_a_salt_is_refused_and_none_of_its_shares_counts(plain: SealedOrder) -> None:
    salted = replace(plain.inputs[0], salt=b"\x01" * 32)
    order, owner = with_shares(replace(plain, inputs=(salted, *plain.inputs[1:])), 0, 2, 3)
    cvm = SessionDriver()
    cvm.admit(order)
    cvm.ok("grant", owner.grant(1, cvm.ask(0), cvm.hpke), input_index=0)
    assert cvm.step("grant", owner.grant(2, cvm.ask(0, OTHER), cvm.hpke), input_index=0) == "grant-salt"
    assert cvm.ok("status")["shares"] == {"0": []}
