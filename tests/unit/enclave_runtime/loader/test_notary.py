"""The notary has no way to sign two different things in one place (section 6.8)."""

from __future__ import annotations

import os
from typing import Any

import pytest

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.loader.admission import AdmittedOrder, admit
from enclave_runtime.loader.keys import CvmKeyring
from enclave_runtime.loader.messages import Admit, parse_message
from enclave_runtime.loader.report import End, EquivocationError, Notary, clip
from enclave_runtime.loader.trust import PlatformFacts, TrustNotes
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.orders import Outcome, Phase
from enclave_runtime.wire.report import MAX_TEXT_BYTES, Refusal
from tests.fakes.sealed_order import engine_and_data

TRUST = TrustNotes(PlatformFacts(TeeKind.TDX, simulated=True)).trust()
REFUSAL = RefusedError("content-digest", "a", "b")


@pytest.fixture(scope="module")
def order() -> AdmittedOrder:
    _, message = parse_message({"op": "admit", **engine_and_data().admit()})
    assert isinstance(message, Admit)
    return admit(message, plaintext_bytes=1 << 30)


@pytest.fixture
def notary(order: AdmittedOrder) -> Notary:
    return Notary(order, CvmKeyring(os.urandom), 1)


def end(outcome: Outcome) -> End:
    return End(outcome, None, "why", None, 5, 6)


def test_integrity_report_is_signed_once_and_remembered(notary: Notary) -> None:
    first = notary.sign_integrity(TRUST, 1, 2)
    assert notary.sign_integrity(TRUST, 99, 99) is first
    assert notary.phase is Phase.ENGINE


def test_no_refusal_beside_an_integrity_report(notary: Notary) -> None:
    notary.sign_integrity(TRUST, 1, 2)
    with pytest.raises(EquivocationError):
        notary.sign_refusal(REFUSAL, 0, TRUST, 1, 2)


@pytest.mark.parametrize("first", ["refusal", "host", "completed"])
def test_nothing_after_a_terminal_statement(notary: Notary, first: str) -> None:
    signers: dict[str, Any] = {
        "refusal": lambda: notary.sign_refusal(REFUSAL, None, TRUST, 1, 2),
        "host": lambda: notary.sign_report(end(Outcome.HOST), TRUST),
        "completed": lambda: notary.sign_report(end(Outcome.COMPLETED), TRUST),
    }
    if first == "completed":
        notary.sign_integrity(TRUST, 1, 2)
    signers[first]()
    for sign in signers.values():
        with pytest.raises(EquivocationError):
            sign()
    if first != "completed":
        with pytest.raises(EquivocationError):
            notary.sign_integrity(TRUST, 1, 2)


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.FAILED])
def test_no_result_without_an_integrity_report(notary: Notary, outcome: Outcome) -> None:
    with pytest.raises(EquivocationError):
        notary.sign_report(end(outcome), TRUST)


@pytest.mark.parametrize("outcome", [Outcome.NONE, Outcome.LAPSED, Outcome.REFUSED])
def test_no_report_with_an_outcome_that_is_none_of_a_report(notary: Notary, outcome: Outcome) -> None:
    notary.sign_integrity(TRUST, 1, 2)
    with pytest.raises(EquivocationError):
        notary.sign_report(end(outcome), TRUST)


def test_long_texts_are_cut_to_what_a_statement_takes(notary: Notary) -> None:
    signed = notary.sign_refusal(RefusedError("step", "ü" * 5000, "\ud800"), 0, TRUST, 1, 2)
    refusal = Refusal.from_statement(signed.envelope.statement())
    assert len(refusal.got.encode()) <= MAX_TEXT_BYTES
    assert clip("ü" * 5000).encode()
