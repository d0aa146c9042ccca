"""A CVM with devices: they answer a nonce of its own making first, then the quote binds what they said."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.report_data import Purpose, gpu_nonce
from tests.fakes.sealed_order import SealedOrder, engine_and_data
from tests.fakes.session import SessionDriver

WORD = st.binary(min_size=32, max_size=32)


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return engine_and_data()


def bundle_of(cvm: SessionDriver, purpose: str, operator: bytes, challenge: bytes) -> EvidenceBundle:
    where = {"purpose": purpose, "operator": hex_of(operator), "challenge": hex_of(challenge)}
    return EvidenceBundle.from_bytes(dump(cvm.ok("evidence", **where)["bundle"]))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    purpose=st.sampled_from([Purpose.CERTIFY, Purpose.CONNECT]),
    operator=st.binary(min_size=20, max_size=20),
    challenge=WORD,
    gpu=st.none() | st.binary(min_size=1, max_size=9),
)
def test_the_quote_binds_what_the_devices_answered_to_the_nonce(purpose, operator, challenge, gpu):
    cvm = SessionDriver()
    cvm.gpu = gpu
    bundle = bundle_of(cvm, purpose.value, operator, challenge)
    keys = bundle.keys
    expected = None if gpu is None else gpu + gpu_nonce(keys.cvm_id, challenge)
    assert bundle.evidence.gpu == expected
    # The fake attester's quote is the report_data itself.
    assert bundle.evidence.quote == keys.report_data(
        purpose, operator=operator, challenge=challenge, gpu=expected
    )


def test_a_key_request_carries_the_devices_evidence_over_the_brokers_challenge(order):
    cvm = SessionDriver()
    cvm.gpu = b"gpu"
    keys = CvmPublic.from_json(cvm.ok("identify")["public"])
    cvm.admit(order)
    challenge = b"\x07" * 32
    answer = cvm.ok("key_request", input_index=0, challenge=hex_of(challenge))
    bundle = EvidenceBundle.from_bytes(dump(answer["bundle"]))
    assert bundle.purpose is Purpose.RELEASE and bundle.challenge == challenge
    assert bundle.evidence.gpu == b"gpu" + gpu_nonce(keys.cvm_id, challenge)
    assert bytes_from_hex(answer["bundle"]["gpu"]) == bundle.evidence.gpu
