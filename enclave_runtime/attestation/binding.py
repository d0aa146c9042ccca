"""Step (8) of docs/protocol.md section 4.3: the 64 signed bytes are the verifier's own."""

from __future__ import annotations

from enclave_runtime.attestation.errors import AttestationError, Step

__all__ = ["check_report_data"]

_PARTS = (
    ("signer", 0, 20),
    ("digest of keys, operator, purpose and challenge", 20, 52),
    ("layout tag", 52, 64),
)


def check_report_data(got: bytes, expected: bytes) -> None:
    """Refuse signed bytes that are not the expected ones, naming the part that differs.

    Raises:
        AttestationError: step (8).
    """
    if len(expected) != 64 or len(got) != 64:
        raise AttestationError(
            Step.REPORT_DATA, f"{len(got)} signed and {len(expected)} expected bytes", "64"
        )
    if got == expected:
        return
    for name, start, end in _PARTS:
        if got[start:end] != expected[start:end]:
            raise AttestationError(
                Step.REPORT_DATA, f"{name} {got[start:end].hex()}", expected[start:end].hex()
            )
