"""Each condition of a grant is a check of its own; a bad grant is a refused message, not the order's end."""

from __future__ import annotations

from typing import Any

import pytest
from coincurve import PrivateKey

from enclave_runtime.loader.grants import MAX_REQUESTS
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.grant import SignedKeyRequest
from enclave_runtime.wire.orders import OrderStart
from enclave_runtime.wire.signatures import recover_signer
from tests.fakes.sealed_order import SealedOrder, engine_and_data
from tests.fakes.session import SessionDriver

OTHER = b"\x66" * 32


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return engine_and_data()


@pytest.fixture
def cvm(order: SealedOrder) -> SessionDriver:
    driver = SessionDriver()
    driver.admit(order)
    return driver


def test_request_names_everything_and_is_signed(cvm: SessionDriver, order: SealedOrder) -> None:
    signed = cvm.ask(1)
    asked, terms = signed.request, order.preimage.terms
    assert signed.verify()
    assert (asked.order_id, asked.input_index, asked.orders_before) == (order.order_id, 1, 0)
    assert asked.manifest_digest == order.inputs[1].terms.manifest_digest
    assert asked.engine_digest == order.inputs[0].terms.content_digest
    assert (asked.config_digest, asked.result_key_digest) == (terms.config_digest, terms.result_key_digest)
    start = OrderStart(order.order_id, asked.cvm_id, cvm.session._core.order().order.inputs_root)
    signer = recover_signer(typed_digest(order.domain, start), signed.start_signature)
    assert hex_of(signer) == cvm.ok("identify")["public"]["signer"]


def test_same_challenge_gets_the_same_request_and_another_gets_another(cvm: SessionDriver) -> None:
    first = cvm.ask(1)
    assert cvm.ask(1) == first
    assert cvm.ask(1, b"\x08" * 32).digest != first.digest
    assert cvm.ask(2).digest != first.digest


@pytest.mark.parametrize(
    ("changed", "step"),
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
        ({"secret": b"\x01" * 63}, "grant-opens"),
        ({"seal_info": b"other conditions"}, "grant-opens"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_refuses_a_grant_with_one_wrong_condition(
    cvm: SessionDriver, order: SealedOrder, changed: dict[str, Any], step: str
) -> None:
    bad = order.grant(cvm.ask(1), cvm.hpke, **changed)
    error = cvm.error("grant", bad, input_index=1)
    assert (error["kind"], error["step"], error["final"]) == ("refused", step, False)
    assert error["got"] != error["expected"]
    assert cvm.state == "AWAIT_KEYS"
    cvm.ok("grant", order.grant(cvm.ask(1), cvm.hpke), input_index=1)


def test_refuses_a_grant_for_another_input(cvm: SessionDriver, order: SealedOrder) -> None:
    other = order.grant(cvm.ask(2), cvm.hpke)
    cvm.ask(1)
    assert cvm.step("grant", other, input_index=1) == "grant-signer"


def test_refuses_a_grant_for_another_cvm(cvm: SessionDriver, order: SealedOrder) -> None:
    twin = SessionDriver()
    twin.admit(order)
    cvm.ask(1)
    assert cvm.step("grant", order.grant(twin.ask(1), twin.hpke), input_index=1) == "grant-cvm"


def test_refuses_a_grant_sealed_to_another_key(cvm: SessionDriver, order: SealedOrder) -> None:
    bad = order.grant(cvm.ask(1), SessionDriver().hpke)
    assert cvm.step("grant", bad, input_index=1) == "grant-opens"


def test_refuses_a_request_s_grant_under_another_of_its_requests_that_was_never_made(
    cvm: SessionDriver, order: SealedOrder
) -> None:
    asked = cvm.ask(1)
    forged = SignedKeyRequest(asked.request, asked.statement_spki, asked.signature, asked.start_signature)
    assert forged.digest == asked.digest
    never = order.grant(forged, cvm.hpke, request_digest=b"\x01" * 32)
    assert cvm.step("grant", never, input_index=1) == "grant-request"


def test_time_to_live_runs_from_the_request_on_the_cvm_s_clock(
    cvm: SessionDriver, order: SealedOrder
) -> None:
    grant = order.grant(cvm.ask(1), cvm.hpke, ttl_s=30)
    cvm.sleep(29.9)
    cvm.ask(1)  # asking the same again does not start it anew
    cvm.sleep(0.1)
    assert cvm.step("grant", grant, input_index=1) == "grant-expired"
    cvm.ok("grant", order.grant(cvm.ask(1, b"\x09" * 32), cvm.hpke, ttl_s=30), input_index=1)


def test_refuses_a_salt_for_the_engine_whose_digest_is_bare(cvm: SessionDriver, order: SealedOrder) -> None:
    bad = order.grant(cvm.ask(0), cvm.hpke, secret=order.inputs[0].key + b"\x01" * 32)
    assert cvm.step("grant", bad, input_index=0) == "grant-salt"


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff" * 100, b"x" * (17 << 10)])
def test_refuses_bytes_that_are_no_grant(cvm: SessionDriver, data: bytes) -> None:
    cvm.ask(1)
    assert cvm.step("grant", data, input_index=1) == "grant-form"


def test_same_grant_again_is_answered_the_same(cvm: SessionDriver, order: SealedOrder) -> None:
    grant = order.grant(cvm.ask(1), cvm.hpke)
    answer = cvm.ok("grant", grant, input_index=1)
    assert answer["missing"] == [0, 2]
    assert cvm.ok("grant", grant, input_index=1) == answer


def test_another_grant_gives_more_time_never_less_and_no_other_key(
    cvm: SessionDriver, order: SealedOrder
) -> None:
    run = cvm.session._core.order()
    cvm.ok("grant", order.grant(cvm.ask(1), cvm.hpke, ttl_s=60), input_index=1)
    first = run.keys[1]
    for ttl_s, last in ((30, 60), (90, 90)):
        renewal = order.grant(cvm.ask(1), cvm.hpke, ttl_s=ttl_s, secret=b"\x09" * 64)
        assert cvm.ok("grant", renewal, input_index=1)["missing"] == [0, 2]
        assert cvm.ok("status")["grants_last"] == {"1": last}
        assert (run.keys[1].key, run.keys[1].salt) == (first.key, first.salt)


@pytest.mark.parametrize(
    ("changed", "step"),
    [
        ({"cvm_id": OTHER}, "grant-cvm"),
        ({"input_index": 2}, "grant-input"),
        ({"engine_digest": OTHER}, "grant-engine"),
        ({"request_digest": OTHER}, "grant-request"),
        ({"signer": PrivateKey()}, "grant-signer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_renewal_needs_every_condition_of_a_grant(
    cvm: SessionDriver, order: SealedOrder, changed: dict[str, Any], step: str
) -> None:
    cvm.ok("grant", order.grant(cvm.ask(1), cvm.hpke, ttl_s=60), input_index=1)
    again = cvm.ask(1, OTHER)
    assert cvm.step("grant", order.grant(again, cvm.hpke, ttl_s=900, **changed), input_index=1) == step
    late = order.grant(again, cvm.hpke, ttl_s=10)
    cvm.sleep(10)
    assert cvm.step("grant", late, input_index=1) == "grant-expired"
    assert cvm.ok("status")["grants_last"] == {"1": 50}


def test_refuses_an_input_that_the_order_has_not(cvm: SessionDriver) -> None:
    assert cvm.step("key_request", input_index=3, challenge=hex_of(OTHER)) == "input-index"
    cvm.ask(0)
    assert cvm.step("grant", b"", input_index=16) == "input-index"


def test_remembers_a_bounded_number_of_requests(cvm: SessionDriver, order: SealedOrder) -> None:
    first = cvm.ask(1, (1).to_bytes(32, "big"))
    for number in range(2, MAX_REQUESTS + 2):
        cvm.ask(1, number.to_bytes(32, "big"))
    assert cvm.step("grant", order.grant(first, cvm.hpke), input_index=1) == "grant-request"


def test_last_grant_opens_the_order_and_ends_the_key_that_grants_are_sealed_to(
    cvm: SessionDriver, order: SealedOrder
) -> None:
    cvm.open_keys(order)
    assert cvm.state == "OPENED"
    assert cvm.session._core.keyring._hpke is None
    assert cvm.step("grant", b"late", input_index=1) == "grant-form"


def test_errors_hold_no_key(cvm: SessionDriver, order: SealedOrder) -> None:
    owner = order.inputs[1]
    for secret in (owner.key, owner.key + owner.salt + b"\x00"):
        error = cvm.error("grant", order.grant(cvm.ask(1), cvm.hpke, secret=secret), input_index=1)
        assert owner.key.hex() not in str(error)
