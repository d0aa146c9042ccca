"""What to do about a refusal, held to refusals that the verifiers themselves raise (protocol section 4.3).

Each piece of advice has a case here that the real road reaches: a file of evidence, collateral, a policy. A
rule that no longer names its cause, or advice that nothing asks for any more, is told by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import AttestationError, Cause, Step
from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.rules import GpuRules, UnsafeAcceptSimulated
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.simulated.intel_world import Form, World
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.attestation.simulated.snp import Crl, SnpWorld
from enclave_runtime.attestation.snp_rules import SnpRules
from enclave_runtime.wire.report_data import Purpose, gpu_nonce
from marketplace.sdk import attest_advice, attesting
from marketplace.sdk.attest_policy import Accepted
from marketplace.sdk.attest_reading import Found, recognise
from marketplace.sdk.attesting import Judged, Outcome, Wanted, judge
from tests.evidence import snp_case
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.intel_case import NOW, REPORT_DATA, IntelCase
from tests.fakes.simulated_tdx import SimulatedTdx

PADDED, UNSAID = "padded", "unsaid"
"""What the reader of a file knows by itself, beside the causes that verifiers name."""
Told = Cause | Step | str
CHALLENGE = b"\x66" * 32
TDX, CVM, GPUS = SimulatedTdx(), FakeCvm(), SimulatedNvidia.create()


@dataclass
class Case:
    """Arguments of one `judge` that pass, until something is spoiled."""

    found: Found
    collateral: Collateral
    rules: Accepted
    wanted: Wanted = field(default_factory=lambda: Wanted(REPORT_DATA))

    def judged(self) -> Judged:
        return judge(self.found, self.collateral, self.rules, self.wanted, now=NOW)


def intel(form: Form = Form.TDX_V4, **world: Any) -> Case:
    made = IntelCase(form, World(**world))
    root = made.vendor.roots.id
    rules = Accepted(root, frozenset({made.measurement()}), simulated=frozenset({root}))
    return Case(recognise(made.evidence.quote), made.collateral, rules)


def bytes_of(case: Case, change: Callable[[bytes], bytes]) -> Case:
    assert case.found.quote is not None
    return replace(case, found=recognise(change(case.found.quote)))


def rules(case: Case, **changed: Any) -> Case:
    return replace(case, rules=replace(case.rules, **changed))


def snp(world: SnpWorld = SnpWorld(), **changed: Any) -> Case:  # noqa: B008 - a frozen value
    vendor = snp_case.vendor("Genoa")
    registers = SnpRegisters(b"\x4d" * 48, b"\x68" * 32, world.guest_policy)
    root = vendor.roots.id
    made = Accepted(root, frozenset({registers.digest()}), simulated=frozenset({root}))
    found = recognise(vendor.report(REPORT_DATA, registers, world))
    return rules(Case(found, vendor.collateral(NOW, world), made), **changed)


def bundled(evidence: Callable[[Evidence], Evidence] = lambda good: good, gpu: bytes | None = None) -> Case:
    bundle = TDX.bundle(CVM, CHALLENGE)
    if gpu is not None:
        bound = CVM.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE, gpu=gpu)
        quote = TDX.vendor.quote(TDX.measured.body(bound))
        bundle = replace(bundle, evidence=Evidence(TeeKind.TDX, quote, bundle.evidence.event_log, gpu))
    bundle = replace(bundle, evidence=evidence(bundle.evidence))
    made = Accepted(TDX.root_set, frozenset({TDX.measurement}), simulated=frozenset({TDX.root_set}))
    wanted = Wanted(operator=OPERATOR, purpose=Purpose.CERTIFY, challenge=CHALLENGE)
    return Case(recognise(bundle.to_bytes()), TDX.collateral(NOW), made, wanted)


def with_gpus(*, consent: bool, collateral: bool) -> Case:
    made = bundled(gpu=GPUS.evidence(gpu_nonce(CVM.cvm_id, CHALLENGE), GpuWorld(gpus=1)))
    root = GPUS.roots.id
    asked = GpuRules(1, frozenset({root}), simulated=UnsafeAcceptSimulated(root))
    named = made.rules.simulated | ({root} if consent else set())
    both = replace(made.collateral, nvidia=GPUS.collateral(NOW, GpuWorld(gpus=1)) if collateral else None)
    return rules(replace(made, collateral=both), gpu=asked, simulated=frozenset(named))


CASES: list[tuple[Told, str, Callable[[], Case]]] = [
    (PADDED, "a bare quote", lambda: bytes_of(intel(), lambda quote: quote + bytes(9))),
    (UNSAID, "a bare quote", lambda: replace(intel(), wanted=Wanted())),
    (Cause.SIMULATED, "CPU", lambda: rules(intel(), simulated=frozenset())),
    (Cause.SIMULATED, "GPU", lambda: with_gpus(consent=False, collateral=True)),
    (Cause.TCB_STATUS, "tdx", lambda: intel(tcb_status="OutOfDate")),
    (Cause.TCB_STATUS, "sgx", lambda: intel(Form.SGX_V3, tcb_status="OutOfDate")),
    (Cause.TCB_STATUS, "sev-snp", lambda: rules(snp(), tcb=frozenset({"Revoked"}))),
    (
        Cause.ADVISORY,
        "tdx",
        lambda: rules(intel(advisories=("SA-7",)), rejected_advisories=frozenset({"SA-7"})),
    ),
    (Cause.PLATFORM, "tdx", lambda: rules(intel(), platforms=frozenset({bytes(32)}))),
    (Cause.PLATFORM, "sgx", lambda: rules(intel(Form.SGX_V3), platforms=frozenset({bytes(32)}))),
    (Cause.PLATFORM, "sev-snp", lambda: snp(platforms=frozenset({bytes(32)}))),
    (Cause.COLLATERAL_NONE, "tdx", lambda: replace(intel(), collateral=Collateral())),
    (Cause.COLLATERAL_NONE, "sev-snp", lambda: replace(snp(), collateral=Collateral())),
    (Cause.COLLATERAL_NONE, "GPU", lambda: with_gpus(consent=True, collateral=False)),
    (Cause.COLLATERAL_OVER, "statements", lambda: intel(statements_expired=True)),
    (Cause.COLLATERAL_OVER, "revocation lists", lambda: intel(crls_expired=True)),
    (Cause.COLLATERAL_OVER, "sev-snp", lambda: snp(SnpWorld(crl=Crl.EXPIRED))),
    (Cause.COLLATERAL_EARLY, "statements", lambda: intel(statements_future=True)),
    (Cause.COLLATERAL_EARLY, "revocation lists", lambda: intel(crls_future=True)),
    (
        Cause.COLLATERAL_OLD,
        "tdx",
        lambda: rules(intel(issued_days_ago=5), intel=IntelRules(max_collateral_age_s=86_400)),
    ),
    (Cause.COLLATERAL_OLD, "sev-snp", lambda: snp(snp=SnpRules(max_crl_age_s=1))),
    (Cause.COLLATERAL_CHANGED, "tdx", lambda: intel(unsigned=True)),
    (Cause.COLLATERAL_OTHER_TEE, "tdx", lambda: intel(other_tee=True)),
    (Cause.COLLATERAL_OTHER_TEE, "sgx", lambda: intel(Form.SGX_V3, other_tee=True)),
    (Cause.COLLATERAL_OTHER_PLATFORM, "FMSPC", lambda: intel(fmspc=b"\x01" * 6)),
    (Cause.COLLATERAL_OTHER_PLATFORM, "PCE id", lambda: intel(pce_id=b"\x00\x01")),
    (Step.POLICY, "no root set", lambda: replace(intel(), rules=Accepted())),
    (
        Step.PARSE,
        "a cut quote in a bundle",
        lambda: bundled(lambda good: replace(good, quote=good.quote[:700])),
    ),
    (
        Step.PARSE,
        "zeros behind a quote in a bundle, whose file nobody may cut",
        lambda: bundled(lambda good: replace(good, quote=good.quote + bytes(9))),
    ),
    (Step.CHAIN, "another root", lambda: rules(intel(), root_set="intel")),
    (Step.REVOCATION, "the platform", lambda: intel(pck_revoked=True)),
    (
        Step.SIGNATURE,
        "one bit",
        lambda: bytes_of(intel(), lambda quote: quote[:600] + bytes([quote[600] ^ 1]) + quote[601:]),
    ),
    (Step.TCB, "no level reached", lambda: intel(unreachable=True)),
    (Step.TCB, "a rule about the machine", lambda: snp(SnpWorld(alias_check=False))),
    (Step.DEBUG, "tdx", lambda: intel(debug=True)),
    (Step.DEBUG, "sev-snp", lambda: snp(SnpWorld(debug=True))),
    (
        Step.EVENT_LOG,
        "another boot's",
        lambda: bundled(lambda good: replace(good, event_log=b"no log at all")),
    ),
    (Step.MEASUREMENT, "another", lambda: rules(intel(), measurements=frozenset({bytes(32)}))),
    (Step.REPORT_DATA, "another", lambda: replace(intel(), wanted=Wanted(bytes(64)))),
    (Step.GPU, "none there", lambda: rules(bundled(), gpu=GpuRules(1, frozenset({"nvidia"})))),
]
TOLD = {**attest_advice._BY_STEP, **attest_advice._BY_CAUSE}


def refused(case: Case) -> str:
    (line,) = [line for line in case.judged().lines if line.outcome is Outcome.REFUSED]
    return line.todo


def expected(told: Told, case: Case) -> str:
    if told == PADDED:
        assert case.found.quote is not None
        size = len(case.found.quote) - case.found.padding
        return f"cut the zeros that the host appended: `head -c {size} FILE > CUT`"
    return "say what it must bind: you asked for it" if told == UNSAID else TOLD[told]


@pytest.mark.parametrize(
    ("told", "make"), [pytest.param(told, make, id=f"{told}: {words}") for told, words, make in CASES]
)
def test_each_refusal_is_answered_by_its_cause(told: Told, make: Callable[[], Case]) -> None:
    case = make()
    assert refused(case) == expected(told, case)


def test_every_advice_has_a_refusal_that_reaches_it() -> None:
    assert {told for told, _, _ in CASES} == {*Step, *Cause, PADDED, UNSAID}
    assert set(TOLD) == {*Step, *Cause}, "each step and each cause has advice"
    assert len(set(TOLD.values())) == len(TOLD), "and no two the same"


def test_advice_does_not_hang_on_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever rewords a refusal changes no advice: all words are taken away before advice is asked for."""

    def without_words(error: AttestationError, **facts: int) -> str:
        error.got = error.expected = ""
        error.args = ()
        return attest_advice.advice(error, **facts)

    monkeypatch.setattr(attesting, "advice", without_words)
    for told, words, make in CASES:
        case = make()
        todo = [line.todo for line in case.judged().lines if line.todo]
        assert todo == [expected(told, case)], words
