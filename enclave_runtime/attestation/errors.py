"""The numbered argument of evidence and its refusals (docs/protocol.md section 4.3)."""

from __future__ import annotations

from enum import StrEnum

from enclave_runtime.wire.errors import RefusedError

__all__ = ["AttestationError", "OtherRootError", "Step"]


class Step(StrEnum):
    """Names of the checks, stable across versions; the digit is the number in the protocol."""

    POLICY = "evidence.policy"
    PARSE = "evidence.0.parse"
    CHAIN = "evidence.1.chain"
    REVOCATION = "evidence.2.revocation"
    SIGNATURE = "evidence.3.signature"
    TCB = "evidence.4.tcb"
    DEBUG = "evidence.5.debug"
    EVENT_LOG = "evidence.6.event_log"
    MEASUREMENT = "evidence.7.measurement"
    REPORT_DATA = "evidence.8.report_data"
    GPU = "evidence.9.gpu"


class AttestationError(RefusedError):
    """Evidence was refused; `step` is a value of `Step`."""

    def __init__(self, step: Step, got: object, expected: object) -> None:
        super().__init__(step.value, got, expected)


class OtherRootError(AttestationError):
    """Step (1): the chain ends in another root than the one that was tried, and no more than that is known.

    Whoever tries several anchors goes on to the next, and gives this reason only where there is no other.
    """

    def __init__(self, got: object, expected: object) -> None:
        super().__init__(Step.CHAIN, got, expected)
