"""Policies compose to what both accept, and never to more; roots have one spelling each."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import AMD, GpuRoots, RootSet
from enclave_runtime.attestation.rules import MAX_GPUS, GpuRules, SnpRules, UnsafeAcceptSimulated
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256

DEV = GpuRoots.dev(b"device root", b"rim root")
SNP = st.builds(SnpRules)
GPU = st.builds(
    GpuRules,
    count=st.integers(1, 2),
    root_sets=st.frozensets(st.sampled_from(["nvidia", DEV.id])),
    switches=st.integers(0, 1),
    simulated=st.sampled_from([None, UnsafeAcceptSimulated(DEV.id)]),
)
POLICY = st.builds(
    AppraisalPolicy,
    root_sets=st.just(frozenset({"intel"})),
    measurements=st.just(frozenset({bytes(32)})),
    snp=SNP,
    gpu=st.none() | GPU,
)


def accepts_roots(rules: GpuRules, roots: GpuRoots) -> bool:
    try:
        rules.check_roots(roots)
    except AttestationError as refused:
        assert refused.step == Step.GPU
        return False
    return True


def usable(policy: AppraisalPolicy) -> bool:
    try:
        policy.check_roots(RootSet.intel())
    except AttestationError as refused:
        assert refused.step == Step.POLICY
        return False
    return True


@settings(max_examples=50, deadline=None)
@given(GPU, GPU)
def test_gpu_rules_accept_together_only_what_each_accepts(first, second):
    both = first & second
    for roots in (GpuRoots.nvidia(), DEV):
        if accepts_roots(both, roots):
            assert accepts_roots(first, roots) and accepts_roots(second, roots)
            assert (both.count, both.switches) == (first.count, first.switches)
            assert (both.count, both.switches) == (second.count, second.switches)


@settings(max_examples=50, deadline=None)
@given(POLICY, POLICY)
def test_policies_never_widen_in_what_they_ask_of_devices(first, second):
    both = first & second
    assert both == first & second and both & both == both
    if usable(both):
        assert usable(first) and usable(second)
        assert (both.gpu is None) == (first.gpu is None) == (second.gpu is None)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_snp_rules_take_the_stricter_side_of_each_member(data):
    strict, loose = SnpRules(), _loosest()
    assert strict & loose == strict and loose & strict == strict
    picked = SnpRules(
        **{
            field.name: getattr(data.draw(st.sampled_from([strict, loose])), field.name)
            for field in fields(SnpRules)
        }
    )
    assert strict & picked == strict and loose & picked == picked


def _loosest() -> SnpRules:
    return SnpRules(accept_milan=True, accept_vlek=True, max_vmpl=3, require_alias_check=False)


def test_a_policy_with_devices_and_one_without_accept_nothing_together():
    with_gpu = AppraisalPolicy(
        frozenset({"intel"}), frozenset({bytes(32)}), gpu=GpuRules(1, frozenset({"nvidia"}))
    )
    without = AppraisalPolicy(frozenset({"intel"}), frozenset({bytes(32)}))
    assert usable(with_gpu) and usable(without)
    assert not usable(with_gpu & without) and not usable(without & with_gpu)


@pytest.mark.parametrize(("count", "switches"), [(0, 0), (-1, 0), (MAX_GPUS + 1, 0), (1, -1), (1, 99)])
def test_gpu_rules_ask_for_devices_that_a_machine_has(count, switches):
    with pytest.raises(WireError, match="GPU rules"):
        GpuRules(count, frozenset({"nvidia"}), switches)


def test_simulated_devices_need_their_own_acknowledgement():
    other = UnsafeAcceptSimulated(GpuRoots.dev(b"x", b"y").id)
    for simulated in (None, other):
        assert not accepts_roots(GpuRules(1, frozenset({DEV.id}), simulated=simulated), DEV)
    assert accepts_roots(GpuRules(1, frozenset({DEV.id}), simulated=UnsafeAcceptSimulated(DEV.id)), DEV)


def test_every_root_set_has_one_spelling():
    named = [
        RootSet.intel(),
        RootSet.nitro(),
        RootSet.cca(b"spki"),
        RootSet.dev(b"der"),
        *map(RootSet.amd, AMD),
    ]
    for roots in named:
        assert RootSet.parse(roots.id) == roots
        assert roots.simulated == roots.id.startswith("dev:")
    assert (
        len({roots.chain_id for roots in named}) == len({roots.der_sha256 for roots in named}) == len(named)
    )
    assert (
        RootSet.cca(b"spki").id == "cca:" + sha256(b"spki").hex() and RootSet.amd("Genoa").id == "amd-genoa"
    )
    for bad in ("amd", "amd-naples", "AMD-Genoa", "nvidia", "cca:", "cca:" + "0" * 63, "aws", "nitro"):
        with pytest.raises(WireError, match="root set"):
            RootSet.parse(bad)
    with pytest.raises(WireError, match="root set"):
        RootSet.amd("Naples")


def test_gpu_roots_pin_both_certificates_together():
    nvidia = GpuRoots.nvidia()
    assert GpuRoots.parse("nvidia") == nvidia and not nvidia.simulated and nvidia.device != nvidia.rim
    assert GpuRoots.parse(DEV.id) == DEV and DEV.simulated
    for roots in (DEV, GpuRoots.parse(DEV.id)):
        assert roots.accepts(b"device root", b"rim root")
        for pair in ((b"rim root", b"device root"), (b"device root", b"other"), (b"other", b"rim root")):
            assert not roots.accepts(*pair)
    assert DEV.id == "dev:" + sha256(sha256(b"device root") + sha256(b"rim root")).hex()
    for bad in ("intel", "amd-genoa", "NVIDIA", "dev:", "dev:" + "A" * 64):
        with pytest.raises(WireError, match="GPU root set"):
            GpuRoots.parse(bad)
