"""What to do about a refusal of evidence: by the cause that the rule which refused names, else by its step.

Never by its words: those are for people, and may change. What this reader knows and no verifier does, zeros
behind a quote and an auditor who said nothing to compare with, is told here by facts of its own.
"""

from __future__ import annotations

from typing import Final

from enclave_runtime.attestation.errors import AttestationError, Cause, Step

__all__ = ["UnsaidError", "advice"]

_BY_STEP: Final = {
    Step.POLICY: "say what you accept: --roots, --measurement and --tcb, or a file with [trust] as --policy",
    Step.PARSE: "damaged, or not exact: ask for it anew (`cloister attest show` says more)",
    Step.CHAIN: "is it the collateral of this platform and of this time? another root set is another vendor",
    Step.REVOCATION: "fetch fresh collateral; a platform that is revoked stays refused",
    Step.SIGNATURE: "it was changed after it was signed, or never signed: do not use it",
    Step.TCB: "the platform, or a rule of your policy's vendor section, is in the way: see what was expected",
    Step.DEBUG: "nothing accepts debug: ask for a CVM without it",
    Step.EVENT_LOG: "the log is not this boot's: ask for both anew",
    Step.MEASUREMENT: "rebuild the runtime that you mean and compare (scripts/measure_runtime.py)",
    Step.REPORT_DATA: "the quote was made for another CVM, operator, purpose or challenge than yours",
    Step.GPU: "see [trust.gpu] of the policy file; devices are believed beside their own CPU only",
}
_FETCH: Final = "`cloister collateral fetch` for this very evidence"
_BY_CAUSE: Final = {
    Cause.SIMULATED: "no hardware: for development, --unsafe-accept-simulated and its whole id",
    Cause.TCB_STATUS: "the platform wants updates; --tcb accepts less, knowingly",
    Cause.ADVISORY: "the platform wants updates, or your policy rejects less, knowingly",
    Cause.PLATFORM: "no machine that you list: find out where it stands before you list it too",
    Cause.COLLATERAL_NONE: f"{_FETCH}, and give it as --collateral",
    Cause.COLLATERAL_OVER: f"the collateral is over: {_FETCH}; or is --at wrong?",
    Cause.COLLATERAL_EARLY: f"the collateral is of a later time: {_FETCH}; or is --at wrong?",
    Cause.COLLATERAL_OLD: f"the collateral is older than your policy takes: {_FETCH}",
    Cause.COLLATERAL_CHANGED: f"the collateral was changed: {_FETCH}",
    Cause.COLLATERAL_OTHER_TEE: f"the collateral is of another TEE: {_FETCH}",
    Cause.COLLATERAL_OTHER_PLATFORM: f"the collateral is of another platform: {_FETCH}",
}


class UnsaidError(AttestationError):
    """Step (8): the reader did not say what report_data must bind, so nothing could be compared."""

    def __init__(self) -> None:
        super().__init__(
            Step.REPORT_DATA,
            "nothing of yours to compare with",
            "--report-data, or --operator, --purpose and --challenge",
        )


def advice(error: AttestationError, *, size: int, padding: int = 0) -> str:
    """Return what to do, in words.

    Args:
        size: of a bare quote without the zeros behind it, in bytes.
        padding: how many zeros these are; 0 for a quote in a bundle, which no tool of ours cuts.
    """
    step = Step(error.step)
    if step is Step.PARSE and padding:
        return f"cut the zeros that the host appended: `head -c {size} FILE > CUT`"
    if isinstance(error, UnsaidError):
        return "say what it must bind: you asked for it"
    return _BY_STEP[step] if error.cause is None else _BY_CAUSE[error.cause]
