"""The notary has no way to sign two different things in one place (section 6.8)."""

from __future__ import annotations

import os
from typing import Any

import pytest

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.loader.admission import AdmittedOrder, admit
from enclave_runtime.loader.keys import CvmKeyring
from enclave_runtime.loader.messages import Admit, parse_message
from enclave_runtime.loader.report import LAST_SEQUENCE, End, EquivocationError, Notary, clip
from enclave_runtime.loader.trust import PlatformFacts, TrustNotes
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.orders import NO_INPUT, Outcome, Phase
from enclave_runtime.wire.report import MAX_TEXT_BYTES, Refusal
from enclave_runtime.wire.scalars import ZERO32
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


def test_each_sequence_is_signed_once_and_in_order(notary: Notary) -> None:
    first = notary.sign_checkpoint(1, 5).summary
    assert (first.sequence, first.phase, first.seconds_used) == (1, Phase.SETUP, 5)
    assert notary.sign_integrity(TRUST, 6, 7).summary.sequence == 2
    for used in (0, 1, 2, 4):
        with pytest.raises(RefusedError, match="sequence"):
            notary.sign_checkpoint(used, 9)
    last = notary.sign_checkpoint(3, 9).summary
    assert (last.phase, last.statement_digest, last.inputs_root) == (Phase.ENGINE, ZERO32, ZERO32)
    assert (last.outcome, last.attributable_input, last.result_digest) == (Outcome.NONE, NO_INPUT, ZERO32)


def test_no_sequence_beyond_the_contracts_and_the_last_one_is_the_integrity_reports(notary: Notary) -> None:
    notary.sequence = LAST_SEQUENCE - 2
    notary.sign_checkpoint(LAST_SEQUENCE - 1, 5)
    with pytest.raises(RefusedError, match="sequence"):
        notary.sign_checkpoint(LAST_SEQUENCE, 5)
    assert notary.sign_integrity(TRUST, 6, 7).summary.sequence == LAST_SEQUENCE < (1 << 24) - 1


def test_a_checkpoint_that_failed_to_be_signed_has_used_its_sequence(
    notary: Notary, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError("no luck")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no luck"):
        patch.setattr(CvmKeyring, "sign", fail)
        notary.sign_checkpoint(1, 5)
    with pytest.raises(RefusedError, match="sequence"):
        notary.sign_checkpoint(1, 6)


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
        "checkpoint": lambda: notary.sign_checkpoint(notary.sequence + 1, 1),
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


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.FAILED, Outcome.LAPSED])
def test_no_result_without_an_integrity_report(notary: Notary, outcome: Outcome) -> None:
    with pytest.raises(EquivocationError):
        notary.sign_report(end(outcome), TRUST)


@pytest.mark.parametrize("outcome", [Outcome.NONE, Outcome.REFUSED])
def test_no_report_with_an_outcome_that_is_none_of_a_report(notary: Notary, outcome: Outcome) -> None:
    notary.sign_integrity(TRUST, 1, 2)
    with pytest.raises(EquivocationError):
        notary.sign_report(end(outcome), TRUST)


def test_long_texts_are_cut_to_what_a_statement_takes(notary: Notary) -> None:
    signed = notary.sign_refusal(RefusedError("step", "ü" * 5000, "\ud800"), 0, TRUST, 1, 2)
    refusal = Refusal.from_statement(signed.envelope.statement())
    assert len(refusal.got.encode()) <= MAX_TEXT_BYTES
    assert clip("ü" * 5000).encode()
