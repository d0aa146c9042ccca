"""The table from dcap-qvl's words to our steps: the words are the library's, each known error lands."""

from __future__ import annotations

from pathlib import Path

import dcap_qvl
import pytest

from enclave_runtime.attestation.dcap.qvl import STEPS, refusal_of
from enclave_runtime.attestation.errors import Step

CHAIN = "Failed to verify certificate chain\n\nCaused by:\n    "
KNOWN = [
    ("Failed to decode quote", Step.PARSE),
    (CHAIN + "UnknownIssuer", Step.CHAIN),
    (CHAIN + "CertNotValidYet { time: UnixTime(1), not_before: UnixTime(2) }", Step.CHAIN),
    (CHAIN + "CertExpired { time: UnixTime(2), not_after: UnixTime(1) }", Step.CHAIN),
    (CHAIN + "InvalidSignatureForPublicKey", Step.CHAIN),
    (CHAIN + "CertRevoked", Step.REVOCATION),
    (CHAIN + "UnknownRevocationStatus", Step.REVOCATION),
    (CHAIN + "CrlExpired { time: UnixTime(2), next_update: UnixTime(1) }", Step.REVOCATION),
    (CHAIN + "InvalidCrlSignatureForPublicKey", Step.REVOCATION),
    ("Signature is invalid for qe_report in quote", Step.SIGNATURE),
    ("QE report hash mismatch", Step.SIGNATURE),
    ("ISV enclave report signature is invalid", Step.SIGNATURE),
    ("QE MRSIGNER mismatch: expected 00, got 11", Step.SIGNATURE),
    ("Signature is invalid for tcb_info in quote_collateral", Step.TCB),
    ("TCBInfo issue date is in the future", Step.TCB),
    ("QE Identity expired", Step.TCB),
    ("No matching TCB level found", Step.TCB),
    ("Fmspc mismatch", Step.TCB),
    ("TCB status is invalid: Revoked", Step.TCB),
    ("TDX module MRSIGNER mismatch: expected 00, got 11", Step.TCB),
    ("No TDX module identity with id TDX_07 found in TCB Info", Step.TCB),
    ("Debug mode is enabled", Step.DEBUG),
    ("SEPT_VE_DISABLE is not enabled", Step.DEBUG),
    ("Invalid MR service TD", Step.DEBUG),
]


@pytest.mark.parametrize(("message", "step"), KNOWN)
def test_known_errors_land_on_their_step(message, step):
    refusal = refusal_of("Verification failed: " + message)
    assert refusal.step == step
    assert "\n" not in refusal.got and refusal.got.startswith(message.split("\n")[0])


def test_every_row_uses_words_that_the_installed_library_has():
    (library,) = Path(dcap_qvl.__file__).parent.glob("_dcap_qvl*.so")
    content = library.read_bytes()
    assert [row.words for row in STEPS if row.words.encode() not in content] == []


def test_an_unknown_error_is_a_refusal_too():
    refusal = refusal_of("Verification failed: something new" + "x" * 1000)
    assert refusal.step == Step.CHAIN and len(refusal.got) <= 300
