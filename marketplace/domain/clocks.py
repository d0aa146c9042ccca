"""Whose clock a grant's time runs on, as far as evidence proves it (docs/protocol.md section 5.1, ADR 0029).

No quote states a clock. What is verified are the kind of TEE and the measurement, and from these it follows:
a TDX module sets a TD's counter once and keeps it from the host; an SEV-SNP guest has such a counter only
where it was launched with Secure TSC, which an owner knows of a measurement or does not know. Whether the
kernel uses that counter is in the measurement too. Everything else is the host's clock.
"""

from __future__ import annotations

from collections.abc import Set
from enum import StrEnum

from enclave_runtime.attestation.model import TeeKind, VerifiedEvidence

__all__ = ["Clock", "clock_of"]


class Clock(StrEnum):
    """The words that reports use, too."""

    PROTECTED = "protected"
    HOST = "host"


def clock_of(verified: VerifiedEvidence, secure_tsc: Set[bytes]) -> Clock:
    """Return whose clock a CVM counts on.

    Args:
        verified: the verdict on its evidence.
        secure_tsc: measurements of SEV-SNP guests that start with Secure TSC only, by their owner's word.
    """
    if verified.simulated:
        return Clock.HOST
    if verified.tee is TeeKind.TDX:
        return Clock.PROTECTED
    known = verified.tee is TeeKind.SEV_SNP and verified.measurement in secure_tsc
    return Clock.PROTECTED if known else Clock.HOST
