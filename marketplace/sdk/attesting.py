"""Judging evidence step by step, and asking this machine for its own (docs/protocol.md section 4.3).

The verdict is `appraise`'s alone; here its one answer or refusal becomes a line for each numbered step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from enclave_runtime.attestation.appraise import appraise
from enclave_runtime.attestation.collateral import MAX_COLLATERAL_BYTES, Collateral
from enclave_runtime.attestation.errors import AttestationError, Cause, Step
from enclave_runtime.attestation.machine import INTERFACES, find_attesters
from enclave_runtime.attestation.model import (
    MAX_EVENT_LOG_BYTES,
    Attester,
    Evidence,
    TeeKind,
    VerifiedEvidence,
)
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.roots import DEV_PREFIX, RootSet
from enclave_runtime.wire.errors import EnclaveError, WireError
from enclave_runtime.wire.report_data import Purpose
from marketplace.errors import BadInputError, MarketError
from marketplace.sdk.attest_advice import UnsaidError, advice
from marketplace.sdk.attest_policy import Accepted, Suggestion, suggest
from marketplace.sdk.attest_reading import Found, read_file
from marketplace.sdk.attest_words import measurement_of

__all__ = ["Judged", "Line", "Outcome", "Wanted", "collect", "judge", "read_collateral", "read_event_log"]

_STEPS: Final = (
    (Step.PARSE, "the bytes are one piece of evidence, exactly"),
    (Step.CHAIN, "the vendor's chain ends in the accepted root"),
    (Step.REVOCATION, "nothing in it is revoked"),
    (Step.SIGNATURE, "the signatures hold"),
    (Step.TCB, "the patch level is accepted"),
    (Step.DEBUG, "debug is off"),
    (Step.EVENT_LOG, "the event log replays to the registers"),
    (Step.MEASUREMENT, "the measurement is a reference value"),
    (Step.REPORT_DATA, "report_data binds what you expect"),
    (Step.GPU, "the devices bind the same"),
)
_NUMBERS: Final = {step.value: number for number, (step, _) in enumerate(_STEPS)}
_INTEL: Final = (TeeKind.TDX, TeeKind.SGX)
_NO_LISTS: Final = (TeeKind.NITRO, TeeKind.CCA)


class Outcome(StrEnum):
    """What became of a step; OPEN where one act judges several steps and another of them refused."""

    PASSED = "pass"
    REFUSED = "refused"
    NOT_REACHED = "not reached"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Line:
    """One step: its number (None for the policy itself), name and outcome.

    Attributes:
        note: what passed, in words.
        got, expected, todo: of a refusal.
    """

    number: int | None
    name: str
    outcome: Outcome
    note: str = ""
    got: str = ""
    expected: str = ""
    todo: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What report_data must bind: the whole of it, or operator, purpose and challenge for a bundle's keys."""

    report_data: bytes | None = None
    operator: bytes | None = None
    purpose: Purpose | None = None
    challenge: bytes | None = None

    def bytes_for(self, found: Found) -> bytes:
        """Return the expected 64 bytes; none where nothing was said, which step (8) refuses.

        Raises:
            BadInputError: parts are missing, or said twice, or there are no keys to bind them to.
        """
        parts = (self.operator, self.purpose, self.challenge)
        if self.report_data is not None:
            if any(part is not None for part in parts):
                raise BadInputError("--report-data", "it and parts of it", "one of both")
            return self.report_data
        if all(part is None for part in parts):
            return b""
        if found.bundle is None:
            raise BadInputError(
                "--operator", f"a {found.kind}, which names no keys", "an evidence bundle, or --report-data"
            )
        if self.operator is None or self.purpose is None or self.challenge is None:
            raise BadInputError("--operator, --purpose, --challenge", "some of them", "all three")
        return found.bundle.keys.report_data(
            self.purpose, operator=self.operator, challenge=self.challenge, gpu=found.bundle.evidence.gpu
        )


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict, step by step.

    Attributes:
        lines: the policy, then steps (0) to (9).
        verified: the verdict, or None where a step refused.
        suggestion: what a policy would have to say, where policy, patch level or measurement refused.
        root_set: that it was held against; empty where none was named.
    """

    lines: tuple[Line, ...]
    verified: VerifiedEvidence | None
    suggestion: Suggestion | None
    root_set: str

    @property
    def simulated(self) -> bool:
        """Return whether a development root is involved."""
        named = (self.root_set, self.suggestion.root_set if self.suggestion else "")
        return any(one.startswith(DEV_PREFIX) for one in named)


def judge(
    found: Found,
    collateral: Collateral,
    rules: Accepted,
    wanted: Wanted,
    *,
    now: int,
    event_log: bytes | None = None,
) -> Judged:
    """Return the verdict on CPU evidence at Unix time `now`, in seconds.

    Raises:
        BadInputError: GPU evidence on its own, or expectations that do not fit the evidence.
    """
    evidence = _evidence(found, event_log)
    if event_log is not None and found.bundle is not None:
        raise BadInputError("--event-log", "a log beside a bundle, which has its own", "a bare quote")
    expected, policy = wanted.bytes_for(found), rules.policy()
    roots = RootSet.parse(rules.root_set) if rules.root_set else RootSet.intel()
    try:
        policy.check_roots(roots)
    except AttestationError as error:
        return Judged(_stopped(error), None, _suggestion(evidence, collateral, rules, now), rules.root_set)
    try:
        verified = _verdict(found, event_log, collateral, roots, policy, expected, now)
    except AttestationError as error:
        if error.step == Step.REPORT_DATA and not expected:
            error = UnsaidError()
        # No suggestion of another machine: whether to list it is not to be read out of its own evidence.
        told = error.step in (Step.TCB, Step.MEASUREMENT) and error.cause is not Cause.PLATFORM
        hint = _suggestion(evidence, collateral, rules, now) if told else None
        return Judged(_refused(error, evidence, found.padding), None, hint, roots.id)
    return Judged(_passed(verified, evidence), verified, None, roots.id)


def _verdict(
    found: Found,
    event_log: bytes | None,
    collateral: Collateral,
    roots: RootSet,
    policy: AppraisalPolicy,
    expected: bytes,
    now: int,
) -> VerifiedEvidence:
    """Return the verdict of `appraise`, or of a bare quote's own verifier: steps (0) to (8)."""
    if found.bundle is not None:
        return appraise(
            found.bundle, collateral, roots=roots, policy=policy, expected_report_data=expected, now=now
        )
    if policy.gpu is not None:
        raise BadInputError("policy", "GPU rules, and a bare quote", "an evidence bundle with its devices")
    evidence = _evidence(found, event_log)
    return verifier_for(evidence.tee).verify(
        evidence, collateral, roots=roots, policy=policy, expected_report_data=expected, now=now
    )


def _evidence(found: Found, event_log: bytes | None) -> Evidence:
    """Return what the CPU's verifier takes: no devices, which are not its part.

    Raises:
        BadInputError: it is evidence of devices alone.
    """
    if found.tee is None or found.quote is None:
        raise BadInputError(
            "evidence file",
            f"{found.kind} on its own",
            "the evidence bundle that it came in",
            hint="only the CPU's quote binds devices to a CVM; `cloister attest show` reads them alone",
        )
    own = event_log if found.bundle is None else found.bundle.evidence.event_log
    return Evidence(found.tee, found.quote, own)


def collect(
    out: Path, report_data: bytes, find: Callable[[], Attester] | None = None
) -> tuple[Evidence, Path | None]:
    """Ask this machine's TEE for evidence over `report_data` (64 bytes) and write the quote to `out`.

    A TD's boot log is written beside it, under the same name with ".ccel" behind. Devices are left out: they
    answer a nonce of a CVM's keys, which only its runtime has.

    Args:
        find: finds the TEE; by default as the CVM's process does.
    Returns:
        The evidence, and the path of the log where there is one.
    Raises:
        MarketError: this is no CVM, or it gives no evidence; says what was looked for.
        OSError: a file cannot be written, or is there already.
    """
    try:
        evidence = (find or this_machine)().evidence(report_data)
    except EnclaveError as error:
        raise MarketError(
            f"attestation device: got {error}, expected one of {', '.join(INTERFACES)}",
            hint="run it as root inside a TDX, SEV-SNP or CCA guest",
        ) from error
    _write_new(out, evidence.quote)
    if evidence.event_log is None:
        return evidence, None
    log = out.with_name(out.name + ".ccel")
    _write_new(log, evidence.event_log)
    return evidence, log


def this_machine() -> Attester:
    """Return the attester of this machine's TEE.

    Raises:
        EnclaveError: there is none; names all that was looked for.
    """
    return find_attesters(gpus=lambda: None)[0]


def read_collateral(path: Path | None) -> Collateral:
    """Return the collateral in a file; none at all where no file is named.

    Raises:
        NotFoundError, BadInputError: it cannot be read, or is none.
    """
    if path is None:
        return Collateral()
    try:
        return Collateral.from_bytes(read_file(path, MAX_COLLATERAL_BYTES))
    except WireError as error:
        raise BadInputError(
            str(path), str(error), "collateral of ours, or Intel's", hint="fetch it anew"
        ) from error


def read_event_log(path: Path | None) -> bytes | None:
    """Return the log in a file, or None where no file is named.

    Raises:
        NotFoundError, BadInputError: it cannot be read, or is too large.
    """
    return None if path is None else read_file(path, MAX_EVENT_LOG_BYTES)


def _suggestion(evidence: Evidence, collateral: Collateral, rules: Accepted, now: int) -> Suggestion | None:
    try:
        return suggest(evidence, collateral, rules, now)
    except WireError:
        return None  # it does not read: step (0) says so once there is a policy


def _stopped(error: AttestationError) -> tuple[Line, ...]:
    """Return the lines where the policy itself refused, before any evidence was looked at."""
    rest = (Line(number, name, Outcome.NOT_REACHED) for number, (_, name) in enumerate(_STEPS))
    todo = advice(error, size=0)
    return Line(None, "the policy", Outcome.REFUSED, "", error.got, error.expected, todo), *rest


def _refused(error: AttestationError, evidence: Evidence, padding: int) -> tuple[Line, ...]:
    at, first, notes = _NUMBERS[error.step], _first_open(error, evidence), _notes(evidence)
    lines = [Line(None, "the policy", Outcome.PASSED, "names this root set, and accepts something")]
    for number, (step, name) in enumerate(_STEPS):
        if number == at:
            todo = advice(error, size=len(evidence.quote) - padding, padding=padding)
            lines.append(Line(number, name, Outcome.REFUSED, "", error.got, error.expected, todo))
        elif number > at:
            lines.append(Line(number, name, Outcome.NOT_REACHED))
        elif number >= first:
            lines.append(Line(number, name, Outcome.OPEN, f"judged in one act with ({at})"))
        else:
            lines.append(Line(number, name, Outcome.PASSED, notes.get(step, "")))
    return tuple(lines)


def _first_open(error: AttestationError, evidence: Evidence) -> int:
    """Return the first step before the refused one of which the refusal does not say that it passed.

    The numbered argument passes each step before the next, but for two. Intel's steps (1) to (3), and what
    the vendor's library says of (4) and (5), are one act; its own words are such a refusal's cause. And
    missing collateral is told before the evidence is read.
    """
    try:
        measurement_of(evidence.tee, evidence.quote)
    except WireError:
        return 0
    at = _NUMBERS[error.step]
    if evidence.tee in _INTEL and (at <= _NUMBERS[Step.SIGNATURE] or error.__cause__ is not None):
        return 1 if at <= _NUMBERS[Step.DEBUG] else at
    return at


def _passed(verified: VerifiedEvidence, evidence: Evidence) -> tuple[Line, ...]:
    advisories = f", advisories {', '.join(verified.advisory_ids)}" if verified.advisory_ids else ""
    notes = _notes(evidence) | {
        Step.CHAIN: verified.trust_class,
        Step.TCB: verified.tcb_status + advisories,
        Step.MEASUREMENT: "0x" + verified.measurement.hex(),
        Step.REPORT_DATA: "0x" + verified.report_data.hex(),
        Step.GPU: verified.device_words,
    }
    passed = (
        Line(number, name, Outcome.PASSED, notes.get(step, "")) for number, (step, name) in enumerate(_STEPS)
    )
    return Line(None, "the policy", Outcome.PASSED, "names this root set, and accepts something"), *passed


def _notes(evidence: Evidence) -> dict[Step, str]:
    """Return what passing means of this evidence, where it means little."""
    log = evidence.event_log
    return {
        Step.PARSE: f"{evidence.tee.value}, {len(evidence.quote)} bytes",
        Step.REVOCATION: "the platform has no revocation lists" if evidence.tee in _NO_LISTS else "",
        Step.EVENT_LOG: "there is none" if log is None else f"{len(log)} bytes",
    }


def _write_new(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
