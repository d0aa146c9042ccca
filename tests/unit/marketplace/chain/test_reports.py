"""What a CVM signed, as calldata and events carry it (protocol section 8)."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.wire.cvm import CvmCertificate
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import NO_INPUT, InputRef, OrderTerms, ReportSummary, inputs_root
from enclave_runtime.wire.scalars import ZERO32
from enclave_runtime.wire.signatures import address_of, secp256k1_sign
from marketplace.chain.certificates import CLAIM, OWN, claim_of, quorum_evidence
from marketplace.chain.reports import (
    checkpoint_in,
    compact,
    event_number,
    numbers_of,
    report_of,
    terminal_in,
)
from tests.conformance.strategies import preimages

DOMAIN = Domain("Cloister CertifierQuorum", "1", 31337, b"\x06" * 20)
KEYS = [PrivateKey(bytes([n]) * 32) for n in (1, 2, 3)]

numbers = st.builds(
    lambda phase, outcome, blamed, sequence, seconds, units: (
        phase, outcome, blamed, sequence, seconds, units
    ),
    st.integers(0, 255), st.integers(0, 255), st.integers(0, 255),
    st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1),
)  # fmt: skip


def summary(terms: OrderTerms, values: tuple[int, ...]) -> ReportSummary:
    phase, outcome, blamed, sequence, seconds, units = values
    return ReportSummary(
        b"\x01" * 32, b"\x02" * 32, phase, sequence, outcome, blamed,
        inputs_root(terms.inputs), b"\x03" * 32, b"\x04" * 32, seconds, units,
    )  # fmt: skip


@given(preimages().map(lambda item: item.terms), numbers, st.integers(0, 2**16 - 1))
def test_an_event_gives_back_what_the_cvm_signed(
    terms: OrderTerms, values: tuple[int, ...], count: int
) -> None:
    signed = summary(terms, values)
    word = numbers_of(signed) | count << 240
    assert event_number(word) == count
    members = {
        "id": signed.order_id,
        "numbers": word,
        "resultDigest": signed.result_digest,
        "statementDigest": signed.statement_digest,
    }
    assert terminal_in(members, signed.cvm_id, terms) == signed
    signature = secp256k1_sign(KEYS[0], b"\x07" * 32)
    cvm_id, result, statement, numbers_, r, vs = report_of(signed, signature)
    assert (cvm_id, result, statement) == (signed.cvm_id, signed.result_digest, signed.statement_digest)
    assert (numbers_, r, vs) == (numbers_of(signed), *compact(signature))


def test_a_checkpoint_names_neither_cvm_nor_inputs() -> None:
    word = 2 | NO_INPUT << 16 | 5 << 24 | 41 << 56
    members = {"id": b"\x01" * 32, "numbers": word | 3 << 240}
    found = checkpoint_in(members, b"\x04" * 32)
    assert (found.phase, found.sequence, found.seconds_used) == (2, 5, 41)
    assert found.cvm_id == found.inputs_root == found.result_digest == ZERO32
    assert found.statement_digest == b"\x04" * 32
    for wrong in (word | 1 << 8, word ^ NO_INPUT << 16):
        with pytest.raises(WireError, match="no checkpoint has"):
            checkpoint_in(members | {"numbers": wrong}, ZERO32)


@given(st.binary(min_size=32, max_size=32))
def test_a_compact_signature_carries_the_parity_in_its_top_bit(digest: bytes) -> None:
    signature = secp256k1_sign(KEYS[0], digest)
    r, vs = compact(signature)
    number = int.from_bytes(vs, "big")
    assert r == signature[:32] and len(vs) == 32
    assert (number & (1 << 255) - 1).to_bytes(32, "big") == signature[32:64]
    assert number >> 255 == signature[64] - 27


@pytest.mark.parametrize(
    "signature", [b"", b"\x01" * 64, b"\x01" * 64 + b"\x00", b"\x01" * 32 + b"\xff" * 32 + b"\x1b"]
)
def test_refuses_what_is_no_signature(signature: bytes) -> None:
    with pytest.raises(WireError, match="65 bytes"):
        compact(signature)


def certificate(**changes: object) -> CvmCertificate:
    members: dict[str, object] = {
        "cvm_id": b"\x09" * 32, "evidence_id": b"\x0a" * 32, "challenge": b"\x0b" * 32,
        "issued_at": 1_000, "expires_at": 2_000,
    }  # fmt: skip
    for number, (name, size) in enumerate(CLAIM):
        members[name] = number + 1 if size == 1 else bytes([number + 1]) * size
    return CvmCertificate(**(members | changes))  # type: ignore[arg-type]


def signed(item: CvmCertificate, key: PrivateKey) -> tuple[CvmCertificate, bytes]:
    return item, secp256k1_sign(key, typed_digest(DOMAIN, item))


def test_evidence_is_the_claim_once_and_each_ones_own_part_in_rising_order() -> None:
    items = [signed(certificate(challenge=bytes([n]) * 32), key) for n, key in enumerate(KEYS)]
    evidence = quorum_evidence(DOMAIN, items)
    assert len(claim_of(items[0][0])) == 266 and sum(size for _, size in OWN) == 74
    assert len(evidence) == 266 + 3 * 138
    assert evidence == quorum_evidence(DOMAIN, items[::-1]), "in any order"
    order = sorted(range(3), key=lambda n: address_of(KEYS[n]))
    challenges = [evidence[266 + 138 * n + 32 : 266 + 138 * n + 64] for n in range(3)]
    assert challenges == [bytes([n]) * 32 for n in order]


def test_certificates_that_claim_different_things_are_no_evidence() -> None:
    items = [signed(certificate(), KEYS[0]), signed(certificate(tcb_status=3), KEYS[1])]
    with pytest.raises(WireError, match="2 different claims"):
        quorum_evidence(DOMAIN, items)
    with pytest.raises(WireError, match="0 different claims"):
        quorum_evidence(DOMAIN, [])


def test_an_input_under_a_lease_is_part_of_the_root() -> None:
    plain = InputRef(1, 1, ZERO32, ZERO32)
    assert inputs_root((plain,)) != inputs_root((InputRef(1, 1, ZERO32, b"\x01" * 32),))
