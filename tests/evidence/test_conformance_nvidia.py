"""The GPU lines of the conformance list, each against devices SIMULATED in every bad way (step 9)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import NvidiaCollateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import VerifiedDevice
from enclave_runtime.attestation.nvidia.evidence import GpuEvidence
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.nvidia.verify import verify_devices
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import GpuRules, UnsafeAcceptSimulated
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GOOD, GpuWorld
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.report_data import gpu_nonce

NOW = 1_790_000_000
NONCE = gpu_nonce(b"\x01" * 32, b"\x02" * 32)
DAY_S = 86_400
VENDOR = SimulatedNvidia.create()
PPCIE = frozenset({"ppcie"})


def rules_for(world: GpuWorld, **changes: Any) -> GpuRules:
    """Return rules that the good world of this size satisfies."""
    roots = VENDOR.roots.id
    base = GpuRules(world.gpus, frozenset({roots}), world.switches, simulated=UnsafeAcceptSimulated(roots))
    return replace(base, **changes)


def judge(
    world: GpuWorld = GOOD,
    *,
    nonce: bytes = NONCE,
    now: int = NOW,
    roots: GpuRoots | None = None,
    evidence: bytes | None = None,
    collateral: NvidiaCollateral | None = None,
    rules: GpuRules | None = None,
    **changes: Any,
) -> tuple[VerifiedDevice, ...]:
    given = VENDOR.evidence(NONCE, world) if evidence is None else evidence
    statements = VENDOR.collateral(NOW, world) if collateral is None else collateral
    rules = rules or rules_for(world, **changes)
    return verify_devices(given, statements, roots=roots or VENDOR.roots, rules=rules, nonce=nonce, now=now)


def refused(check: Check, world: GpuWorld = GOOD, **changes: Any) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        judge(world, **changes)
    error = caught.value
    assert (error.step, error.check) == (Step.GPU, check), error
    return error


GOOD_WORLDS = {
    "one Hopper": GOOD,
    "one Blackwell": GpuWorld(architecture="BLACKWELL"),
    "eight Blackwells, links protected": GpuWorld(gpus=8, architecture="BLACKWELL", mode="mpt"),
    "decoder on": GpuWorld(nvdec=0xAA),
    "decoder off, its measurement whatever it is": GpuWorld(nvdec=0x55, changed=frozenset({35})),
    "an index that no manifest measures": GpuWorld(changed=frozenset({50})),
}


@pytest.mark.parametrize("world", GOOD_WORLDS.values(), ids=GOOD_WORLDS)
def test_good_worlds_are_accepted(world):
    verdicts = judge(world)
    assert [item.kind for item in verdicts] == ["gpu"] * world.gpus
    assert {item.architecture for item in verdicts} == {world.architecture}
    assert {(item.driver, item.firmware) for item in verdicts} == {(world.driver, world.vbios)}
    assert {item.facts["mode"] for item in verdicts} == {world.mode}
    assert {item.collateral_expires_at for item in verdicts} == {NOW - 3600 + DAY_S}  # the OCSP answers' end


def test_eight_gpus_and_four_switches_are_accepted_where_rules_ask_for_them():
    world = GpuWorld(gpus=8, switches=4, mode="ppcie")
    verdicts = judge(world, modes=PPCIE)
    assert [item.kind for item in verdicts] == ["gpu"] * 8 + ["nvswitch"] * 4
    assert {item.architecture for item in verdicts} == {"HOPPER", "LS10"}
    assert len({item.device_id for item in verdicts}) == 12


BLACKWELL = GpuWorld(architecture="BLACKWELL")
PAIR = GpuWorld(gpus=2)
WIRED = GpuWorld(gpus=2, switches=2, mode="ppcie")
BAD: dict[str, tuple[Check, GpuWorld]] = {
    # chain
    "root of the same name": (Check.CHAIN, GpuWorld(chain="impostor")),
    "missing intermediate": (Check.CHAIN, GpuWorld(chain="short")),
    "another device's leaf": (Check.CHAIN, GpuWorld(chain="swapped")),
    "a switch's chain": (Check.CHAIN, GpuWorld(chain="other kind")),
    "revoked identity authority": (Check.REVOCATION, GpuWorld(revoked="identity")),
    "revoked provisioner": (Check.REVOCATION, GpuWorld(revoked="provisioner")),
    "revoked chip": (Check.REVOCATION, GpuWorld(revoked="rom")),
    "OCSP missing": (Check.REVOCATION, GpuWorld(ocsp="missing")),
    "OCSP stale": (Check.REVOCATION, GpuWorld(ocsp="stale")),
    "OCSP of tomorrow": (Check.REVOCATION, GpuWorld(ocsp="future")),
    "OCSP unknown": (Check.REVOCATION, GpuWorld(ocsp="unknown")),
    "OCSP by another responder": (Check.REVOCATION, GpuWorld(ocsp="impostor")),
    "OCSP without an end": (Check.REVOCATION, GpuWorld(ocsp="endless")),
    # binding
    "firmware id of another firmware": (Check.CHAIN, GpuWorld(leaf="other firmware")),
    "firmware id of another firmware, Blackwell": (Check.CHAIN, replace(BLACKWELL, leaf="other firmware")),
    "leaf about another boot ROM": (Check.CHAIN, GpuWorld(leaf="other rom")),
    "leaf without its extension": (Check.CHAIN, GpuWorld(leaf="no extension")),
    "report signed by another key": (Check.SIGNATURE, GpuWorld(signature=False)),
    "nonce of another CVM": (Check.NONCE, GpuWorld(other_machine=True)),
    "one of two in another machine": (Check.NONCE, replace(PAIR, other_machine=True, device=1)),
    "one device twice": (Check.SET, replace(PAIR, duplicate=True)),
    # policy
    "debug flag": (Check.CONFIGURATION, replace(BLACKWELL, leaf="debug")),
    "recovery flag": (Check.CONFIGURATION, replace(BLACKWELL, leaf="recovery")),
    "insecure flag": (Check.CONFIGURATION, replace(BLACKWELL, leaf="insecure")),
    "debug firmware on Hopper": (Check.MEASUREMENT, GpuWorld(leaf="debug")),
    "feature flag ppcie": (Check.CONFIGURATION, GpuWorld(mode="ppcie")),
    "driver measurement": (Check.MEASUREMENT, GpuWorld(changed=frozenset({21}))),
    "firmware measurement": (Check.MEASUREMENT, GpuWorld(changed=frozenset({0}))),
    "decoder on, its measurement another": (Check.MEASUREMENT, GpuWorld(nvdec=0xAA, changed=frozenset({35}))),
    "decoder neither on nor off": (Check.MEASUREMENT, GpuWorld(nvdec=0)),
    "no driver manifest": (Check.RIM, GpuWorld(rim_missing="driver")),
    "no firmware manifest": (Check.RIM, GpuWorld(rim_missing="firmware")),
    "manifest of another root": (Check.RIM, GpuWorld(rim="impostor")),
    "manifest changed after signing": (Check.RIM, GpuWorld(rim="tampered")),
    "manifests that both measure an index": (Check.RIM, GpuWorld(rim="conflict")),
    # time
    "manifest signer expired": (Check.RIM, GpuWorld(rim="expired")),
    "manifest signer of tomorrow": (Check.RIM, GpuWorld(rim="future")),
    "manifest signer revoked": (Check.REVOCATION, GpuWorld(revoked="rim signer")),
    "manifest authority revoked": (Check.REVOCATION, GpuWorld(revoked="rim ca")),
    "manifest root authority revoked": (Check.REVOCATION, GpuWorld(revoked="rim root ca")),
}


@pytest.mark.parametrize(("check", "world"), BAD.values(), ids=BAD)
def test_bad_worlds_are_refused_at_the_right_check(check, world):
    error = refused(check, world)
    assert error.got and error.expected


LINKS = {
    "a switch that nobody attested": replace(WIRED, links="strange"),
    "no links at all": replace(WIRED, links="missing"),
    "a switch that sees another GPU": replace(WIRED, links="other gpus"),
}


@pytest.mark.parametrize("world", LINKS.values(), ids=LINKS)
def test_links_that_leave_the_attested_set_are_refused(world):
    judge(replace(world, links="attested"), modes=PPCIE)
    refused(Check.TOPOLOGY, world, modes=PPCIE)


def test_links_in_the_clear_want_attested_switches():
    refused(Check.TOPOLOGY, replace(PAIR, mode="ppcie"), modes=PPCIE)


def test_a_device_missing_or_surplus_is_refused():
    for count, switches in ((1, 0), (3, 0), (2, 1)):
        refused(Check.SET, PAIR, rules=replace(rules_for(GOOD), count=count, switches=switches))


def test_gpus_of_different_setups_are_refused():
    one = GpuEvidence.from_bytes(VENDOR.evidence(NONCE, GOOD)).devices
    other_world = replace(PAIR, driver="575.57.08")
    other = GpuEvidence.from_bytes(VENDOR.evidence(NONCE, other_world)).devices[1:]
    first, second = VENDOR.collateral(NOW, PAIR), VENDOR.collateral(NOW, other_world)
    both = NvidiaCollateral(first.rims + second.rims, first.ocsp + second.ocsp)
    mixed = GpuEvidence(one + other).to_bytes()
    assert "set-ups" in refused(Check.SET, PAIR, evidence=mixed, collateral=both).got


def test_evidence_for_one_nonce_serves_no_other_cvm_and_no_other_challenge():
    for nonce in (gpu_nonce(b"\x03" * 32, b"\x02" * 32), gpu_nonce(b"\x01" * 32, b"\x03" * 32), b"short"):
        refused(Check.NONCE, nonce=nonce)


def test_rules_hold_their_floors_and_lists():
    (verdict,) = judge()
    listed = frozenset({verdict.device_id})
    judge(
        min_driver=(570, 172, 8), devices=listed, min_firmware=frozenset({("GH100", (0x96, 0, 0xBC, 0, 2))})
    )
    refused(Check.CONFIGURATION, min_driver=(570, 172, 9))
    refused(Check.CONFIGURATION, min_firmware=frozenset({("GH100", (0x96, 0, 0xBC, 0, 3))}))
    refused(Check.CONFIGURATION, devices=frozenset({bytes(32)}))
    refused(Check.CONFIGURATION, architectures=frozenset({"BLACKWELL"}))


def test_without_required_ocsp_only_what_is_there_counts():
    judge(GpuWorld(ocsp="missing"), ocsp_required=False)
    for world in (GpuWorld(ocsp="missing", revoked="rom"), GpuWorld(ocsp="stale"), GpuWorld(ocsp="unknown")):
        refused(Check.REVOCATION, world, ocsp_required=False)


def test_revoked_counts_however_old_the_answer_is():
    world = GpuWorld(revoked="provisioner")
    old = VENDOR.collateral(NOW - 30 * DAY_S, world).ocsp
    fresh = VENDOR.collateral(NOW)
    refused(Check.REVOCATION, collateral=NvidiaCollateral(fresh.rims, fresh.ocsp + old))


def test_every_accept_ends_with_its_window():
    collateral = VENDOR.collateral(NOW)
    evidence = VENDOR.evidence(NONCE)
    for now in (NOW - 3600, NOW - 3600 + DAY_S):
        judge(evidence=evidence, collateral=collateral, now=now)
    for now in (NOW - 3601, NOW - 3600 + DAY_S + 1):
        refused(Check.REVOCATION, evidence=evidence, collateral=collateral, now=now)
    signer = {"evidence": evidence, "collateral": NvidiaCollateral(collateral.rims), "ocsp_required": False}
    for now in (NOW - 60 * DAY_S, NOW + 660 * DAY_S):
        judge(now=now, **signer)
    for now in (NOW - 60 * DAY_S - 1, NOW + 660 * DAY_S + 1):
        refused(Check.RIM, now=now, **signer)
    refused(Check.CHAIN, now=1_600_000_000, **signer)


def test_dates_of_a_manifest_are_judged_by_the_policy_that_is_asked_for():
    expired = GpuWorld(rim="expired")
    judge(expired, rim_dates_at_signing=True)
    refused(Check.RIM, GpuWorld(rim="future"), rim_dates_at_signing=True)
    refused(Check.REVOCATION, replace(expired, revoked="rim signer"), rim_dates_at_signing=True)


def test_simulated_devices_need_their_acknowledgement():
    for rules in (
        rules_for(GOOD, simulated=None),
        rules_for(GOOD, simulated=UnsafeAcceptSimulated("dev:" + "00" * 32)),
        rules_for(GOOD, root_sets=frozenset({"nvidia"})),
        rules_for(GOOD).refusing(),
    ):
        with pytest.raises(AttestationError) as caught:
            judge(rules=rules)
        assert caught.value.step == Step.GPU


def test_roots_named_by_their_digest_alone_do_as_well():
    roots = GpuRoots.parse(VENDOR.roots.id)
    assert roots.device is None
    judge(roots=roots)
    # One digest is of both roots: it does not tell which of two is the other's.
    refused(Check.CHAIN, GpuWorld(rim="impostor"), roots=roots)
    refused(Check.RIM, GpuWorld(rim_missing="all"), roots=roots)
    refused(Check.CHAIN, GpuWorld(chain="impostor"), roots=roots)


def test_rules_compose_to_what_both_accept():
    floor, listed = frozenset({("GH100", (1,))}), frozenset({bytes(32)})
    first = rules_for(GOOD, min_driver=(550, 1), rim_dates_at_signing=True, ocsp_required=False)
    second = rules_for(GOOD, min_driver=(570,), modes=frozenset({"spt"}), min_firmware=floor, devices=listed)
    both = first & second
    assert both == second & first
    assert (both.min_driver, both.min_firmware, both.devices) == ((570,), floor, listed)
    assert both.ocsp_required and not both.rim_dates_at_signing and both.modes == frozenset({"spt"})
    assert (both & rules_for(GOOD, devices=frozenset())).devices == frozenset()
    assert not (first & rules_for(PAIR)).root_sets
    assert (rules_for(GOOD, devices=listed) & first).devices == listed


def test_the_vendor_is_the_same_after_its_state_was_read():
    again = SimulatedNvidia.from_state(VENDOR.to_state())
    assert again.roots == VENDOR.roots and again.device_serial(0) == VENDOR.device_serial(0)
    judge(evidence=again.evidence(NONCE), collateral=again.collateral(NOW))
    for state in (b"", b"[]", b'{"device root": {"key": 1, "cert": 2}}'):
        with pytest.raises(WireError):
            SimulatedNvidia.from_state(state)
    with pytest.raises(WireError):
        GpuWorld(rim="perfect")
    with pytest.raises(WireError):
        GpuWorld(gpus=9)
