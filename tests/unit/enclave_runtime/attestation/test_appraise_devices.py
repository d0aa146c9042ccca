"""Step (9): which GPU evidence is judged at all, and what the quote must bind (docs/protocol.md 4.1, 4.3)."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.attestation import devices
from enclave_runtime.attestation.appraise import appraise
from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.collateral import NvidiaCollateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedDevice, VerifiedEvidence
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import GpuRules, UnsafeAcceptSimulated
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.report_data import Purpose, gpu_digest, gpu_nonce
from enclave_runtime.wire.scalars import ZERO32
from tests.fakes.cvm import OPERATOR, FakeCvm

CHALLENGE, GPU = b"\x66" * 32, b"gpu evidence"
ROOTS = GpuRoots.dev(b"device root", b"rim root")
RULES = GpuRules(1, frozenset({ROOTS.id}), simulated=UnsafeAcceptSimulated(ROOTS.id))
DEVICE = VerifiedDevice("gpu", b"\x01" * 32, "HOPPER", "550.90.07", "96.00.9F.00.01", MappingProxyType({}), 5)
CVM = FakeCvm()
WORDS = st.binary(min_size=32, max_size=32)


def bundle_of(case, *, gpu: bytes | None = GPU, bound: bytes | None = GPU) -> EvidenceBundle:
    """Return evidence that hands out `gpu` and whose quote binds `bound`."""
    data = CVM.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE, gpu=bound)
    quote = case.vendor.quote(case.measured.body(data))
    evidence = Evidence(TeeKind.TDX, quote, case.measured.event_log, gpu)
    return EvidenceBundle(evidence, CVM.keys, OPERATOR, Purpose.CERTIFY, CHALLENGE)


def judge(case, bundle: EvidenceBundle, **changes) -> VerifiedEvidence:
    """Judge as a service does, with purpose, operator and challenge of its own."""
    expected = bundle.keys.report_data(
        Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE, gpu=bundle.evidence.gpu
    )
    return appraise(
        bundle,
        replace(case.collateral, nvidia=changes.pop("nvidia", NvidiaCollateral((b"rim",)))),
        roots=case.roots,
        policy=replace(case.policy, **{"gpu": RULES, **changes}),
        expected_report_data=expected,
        now=case.now,
    )


def refused(case, bundle: EvidenceBundle, step: Step, **changes) -> AttestationError:
    with pytest.raises(AttestationError) as caught:
        judge(case, bundle, **changes)
    assert caught.value.step == step, caught.value
    return caught.value


@pytest.fixture
def asked(monkeypatch) -> list[dict[str, object]]:
    """Put a vendor in place that believes everything; return what it was asked."""
    calls: list[dict[str, object]] = []

    def verify(evidence, collateral, roots, rules, nonce, now):
        calls.append({"evidence": evidence, "roots": roots, "nonce": nonce, "now": now})
        return (DEVICE,)

    monkeypatch.setattr(devices, "_verify", verify)
    return calls


def test_the_vendor_is_asked_with_the_nonce_of_these_keys_and_this_challenge(case, asked):
    verdict = judge(case, bundle_of(case))
    nonce = gpu_nonce(CVM.cvm_id, CHALLENGE)
    assert asked == [{"evidence": GPU, "roots": ROOTS, "nonce": nonce, "now": case.now}]
    assert verdict.devices == (DEVICE,) and verdict.gpu_digest == gpu_digest(GPU) != ZERO32
    assert verdict.gpu_root_set == ROOTS.id and verdict.collateral_expires_at == 5
    assert verdict.device_words == f"1 x gpu under SIMULATED ({ROOTS.id})" and "HOPPER" in DEVICE.words()


def test_devices_have_one_name_whatever_the_challenge_and_another_under_other_roots(case, asked):
    verdict = judge(case, bundle_of(case))
    name = verdict.devices_digest
    assert len(name) == 32 and name != verdict.gpu_digest
    other = replace(DEVICE, device_id=b"\x02" * 32)
    pair = replace(verdict, devices=(DEVICE, other), gpu_digest=bytes(32))
    assert (
        pair.devices_digest == replace(pair, devices=(other, DEVICE), gpu_digest=b"\x07" * 32).devices_digest
    )
    updated = replace(DEVICE, driver="590.1")
    assert replace(verdict, devices=(updated,)).devices_digest == name
    changed = [
        replace(verdict, devices=(other,)),
        replace(verdict, devices=(replace(DEVICE, kind="nvswitch"),)),
        replace(verdict, gpu_root_set="nvidia"),
        replace(verdict, devices=()),
        pair,
    ]
    assert len({name, *(one.devices_digest for one in changed)}) == len(changed) + 1
    assert changed[3].devices_digest == ZERO32


def test_evidence_without_devices_says_so(case, asked):
    verdict = judge(case, bundle_of(case, gpu=None, bound=None), gpu=None)
    assert (verdict.devices, verdict.gpu_digest, verdict.gpu_root_set) == ((), ZERO32, None)
    assert verdict.device_words == "no GPU" and not asked


def test_surplus_and_missing_devices_are_refused(case, asked):
    assert "no rules" in refused(case, bundle_of(case), Step.GPU, gpu=None).got
    assert "no GPU evidence" in refused(case, bundle_of(case, gpu=None, bound=None), Step.GPU).got
    assert not asked


@pytest.mark.parametrize("bound", [None, b"another", GPU + b"\x00"])
def test_gpu_evidence_that_the_quote_does_not_bind_is_refused(case, asked, bound):
    refused(case, bundle_of(case, bound=bound), Step.REPORT_DATA)
    refused(case, bundle_of(case, gpu=None, bound=GPU), Step.REPORT_DATA, gpu=None)
    assert not asked


def test_words_of_the_bundle_are_not_believed_for_the_nonce(case, asked):
    honest = bundle_of(case)
    for lie in ({"challenge": b"\x67" * 32}, {"purpose": Purpose.RELEASE}, {"operator": b"\x01" * 20}):
        assert "does not bind" in refused(case, replace(honest, **lie), Step.GPU).got
    assert not asked


def test_a_caller_that_forgets_the_gpu_evidence_is_refused(case, asked):
    forgotten = CVM.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE)
    bundle = bundle_of(case, bound=None)
    with pytest.raises(AttestationError) as caught:
        appraise(
            bundle,
            case.collateral,
            roots=case.roots,
            policy=replace(case.policy, gpu=RULES),
            expected_report_data=forgotten,
            now=case.now,
        )
    assert caught.value.step == Step.GPU and not asked


def test_simulated_devices_never_stand_beside_a_hardware_root(case, asked):
    with pytest.raises(AttestationError) as caught:
        devices.judge_devices(
            GPU,
            replace(case.collateral, nvidia=NvidiaCollateral((b"rim",))),
            rules=RULES,
            nonce=bytes(32),
            on_simulated_cpu=False,
            now=case.now,
        )
    assert caught.value.step == Step.GPU and "SIMULATED" in caught.value.got and not asked


def test_without_the_vendors_statements_nothing_is_judged(case, asked):
    assert "NVIDIA collateral" in refused(case, bundle_of(case), Step.GPU, nvidia=None).got
    unacknowledged = replace(RULES, simulated=None)
    assert "SIMULATED" in refused(case, bundle_of(case), Step.GPU, gpu=unacknowledged).got
    refused(case, bundle_of(case), Step.POLICY, gpu=RULES.refusing())
    assert not asked


def test_the_reason_of_the_devices_own_root_is_told_whatever_its_place(case, monkeypatch):
    rules = GpuRules(1, frozenset({ROOTS.id, "nvidia"}), simulated=UnsafeAcceptSimulated(ROOTS.id))

    def refusing(own: str):
        def verify(evidence, collateral, roots, rules, nonce, now):
            raise DeviceError(Check.NONCE if roots.id == own else Check.CHAIN, roots.id, "another")

        return verify

    for own in rules.root_sets:
        monkeypatch.setattr(devices, "_verify", refusing(own))
        error = refused(case, bundle_of(case), Step.GPU, gpu=rules)
        assert isinstance(error, DeviceError) and error.check is Check.NONCE and own in error.got


@given(WORDS, WORDS, WORDS, WORDS)
def test_nonces_name_one_cvm_and_one_challenge(cvm, challenge, other_cvm, other_challenge):
    same = (cvm, challenge) == (other_cvm, other_challenge)
    assert (gpu_nonce(cvm, challenge) == gpu_nonce(other_cvm, other_challenge)) == same
    assert len(gpu_nonce(cvm, challenge)) == 32 and gpu_digest(None) == ZERO32
    assert len({gpu_digest(cvm), gpu_nonce(cvm, challenge), ZERO32}) == 3
    for wrong in ((cvm[1:], challenge), (cvm, challenge + b"x")):
        with pytest.raises(WireError, match="gpu nonce"):
            gpu_nonce(*wrong)
