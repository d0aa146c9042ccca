"""What to do about a refusal of evidence: by the step that refused, and by its cause where it has several."""

from __future__ import annotations

from typing import Final

from enclave_runtime.attestation.errors import AttestationError, Step

__all__ = ["UNSAID", "advice"]

UNSAID: Final = "--report-data, or --operator, --purpose and --challenge"
"""What step (8) expects of a reader who said nothing."""

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
_BY_CAUSE: Final = (
    (Step.CHAIN, "SIMULATED", "no hardware: for development, --unsafe-accept-simulated and its whole id"),
    (Step.PARSE, "trailing bytes", "cut the zeros that the host appended: `head -c {size} FILE > CUT`"),
    (Step.TCB, "TCB status", "the platform wants updates; --tcb accepts less, knowingly"),
    (Step.TCB, "advisories", "the platform wants updates, or your policy rejects less, knowingly"),
    (Step.TCB, "still valid", f"the collateral is over: {_FETCH}; or is --at wrong?"),
    (
        Step.TCB,
        "valid already",
        f"the collateral is of a later time: {_FETCH}; or is --at wrong?",
    ),
    (Step.TCB, "seconds ago", f"the collateral is older than your policy takes: {_FETCH}"),
    (Step.TCB, "TCB info for", f"the collateral is of another platform: {_FETCH}"),
    (Step.TCB, "QE identity TD_QE", f"the collateral is of another TEE: {_FETCH}"),
    (Step.TCB, "signed by the vendor", f"the collateral was changed: {_FETCH}"),
    (Step.REPORT_DATA, UNSAID, "say what it must bind: you asked for it"),
)


def advice(error: AttestationError, *, size: int) -> str:
    """Return what to do, in words; causes are told apart by what was got and expected.

    Args:
        size: of the evidence without zeros behind it, in bytes.
    """
    said = f"{error.got} {error.expected}"
    for step, words, todo in _BY_CAUSE:
        if error.step == step and words in said:
            return todo.format(size=size)
    return _BY_STEP[Step(error.step)]
