"""The numbered argument of evidence and its refusals (docs/protocol.md section 4.3)."""

from __future__ import annotations

from enum import StrEnum

from enclave_runtime.wire.errors import RefusedError

__all__ = ["AttestationError", "Cause", "OtherRootError", "Step"]


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


class Cause(StrEnum):
    """Why a step refused, where its reasons ask for different remedies; names are stable across versions.

    Said by the rule that refuses, so that nobody has to read it out of the words of `got` and `expected`.
    """

    SIMULATED = "simulated"
    TCB_STATUS = "tcb-status"
    ADVISORY = "advisory"
    PLATFORM = "platform"
    COLLATERAL_NONE = "collateral.none"
    COLLATERAL_OVER = "collateral.over"
    COLLATERAL_EARLY = "collateral.early"
    COLLATERAL_OLD = "collateral.old"
    COLLATERAL_CHANGED = "collateral.changed"
    COLLATERAL_OTHER_TEE = "collateral.other-tee"
    COLLATERAL_OTHER_PLATFORM = "collateral.other-platform"


class AttestationError(RefusedError):
    """Evidence was refused.

    Attributes:
        step: a value of `Step`.
        cause: where the step alone does not say what to do about it, else None.
    """

    def __init__(self, step: Step, got: object, expected: object, cause: Cause | None = None) -> None:
        super().__init__(step.value, got, expected)
        self.cause = cause


class OtherRootError(AttestationError):
    """Step (1): the chain ends in another root than the one that was tried, and no more than that is known.

    Whoever tries several anchors goes on to the next, and gives this reason only where there is no other.
    """

    def __init__(self, got: object, expected: object) -> None:
        super().__init__(Step.CHAIN, got, expected)
