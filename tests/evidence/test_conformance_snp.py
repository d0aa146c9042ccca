"""The conformance list of verifiers, line by line, for SEV-SNP: each line is a simulated world (section 4.3).

A line says what is wrong with an otherwise good world, and the step that must refuse it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import AmdCollateral, Collateral
from enclave_runtime.attestation.errors import Step
from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.sev_snp.verify import platform_id_hash
from enclave_runtime.attestation.simulated.snp import Crl, SnpWorld, Validity
from enclave_runtime.attestation.simulated.snp.world import TCBS
from enclave_runtime.attestation.snp_rules import SnpFloor, SnpFloors, SnpRules, SnpTcb
from tests.evidence.snp_case import NOW, REPORT_DATA, SnpCase, refused, vendor

GENOA = TCBS["Genoa"]
YEAR = 365 * 86_400
LISTED = {"platforms": frozenset({bytes(32)})}


def line(name: str, step: Step, **world: Any) -> Any:
    return pytest.param(step, SnpWorld(**world), id=name)


def at(offset: int, *values: int) -> dict[str, Any]:
    return {"patches": ((offset, bytes(values)),)}


PARSE = [
    line("version 0", Step.PARSE, **at(0x00, 0)),
    line("version 4", Step.PARSE, **at(0x00, 4)),
    line("version 6", Step.PARSE, **at(0x00, 6)),
    line("another signature algorithm", Step.PARSE, **at(0x34, 2)),
    line("policy bit 17 clear", Step.PARSE, **at(0x0A, 0x01)),
    line("policy bit 26", Step.PARSE, **at(0x0B, 0x06)),
    line("policy bit 63", Step.PARSE, **at(0x0F, 0x80)),
    line("platform bit 8", Step.PARSE, **at(0x41, 0x01)),
    line("platform bit 63", Step.PARSE, **at(0x47, 0x80)),
    line("key info bit 5", Step.PARSE, **at(0x48, 0x20)),
    line("signed by nobody", Step.PARSE, **at(0x48, 7 << 2)),
    line("signed by a reserved key", Step.PARSE, **at(0x48, 2 << 2)),
    line("reserved 0x4c", Step.PARSE, **at(0x4C, 1)),
    line("reserved byte of the current TCB", Step.PARSE, **at(0x3A, 1)),
    line("reserved byte of the reported TCB", Step.PARSE, **at(0x185, 1)),
    line("reserved 0x18b", Step.PARSE, **at(0x18B, 1)),
    line("reserved 0x19f", Step.PARSE, **at(0x19F, 1)),
    line("reserved byte of the current firmware", Step.PARSE, **at(0x1EB, 1)),
    line("reserved byte of the committed firmware", Step.PARSE, **at(0x1EF, 1)),
    line("a masked chip id that is there", Step.PARSE, **at(0x48, 0x02)),
    line("mitigations in version 3", Step.PARSE, **at(0x1F8, 1)),
    line("reserved 0x208", Step.PARSE, version=5, **at(0x208, 1)),
    line("reserved 0x29f", Step.PARSE, version=5, **at(0x29F, 1)),
    line("a processor in version 2", Step.PARSE, version=2, **at(0x188, 0x19)),
]
CHAIN = [
    line("ASK of another issuer", Step.CHAIN, ask_forged=True),
    line("VCEK of another issuer", Step.CHAIN, vek_forged=True),
    line("VCEK expired", Step.CHAIN, validity=Validity.EXPIRED),
    line("VCEK not valid yet", Step.CHAIN, validity=Validity.FUTURE),
    line("collateral names another product", Step.CHAIN, collateral_product="Turin"),
    line("VCEK certified for another product", Step.CHAIN, certified_product="Milan-B0"),
    line("a processor of another product", Step.CHAIN, cpuid=(0x19, 0x01, 1)),
    line("a processor of no known product", Step.CHAIN, cpuid=(0x19, 0x50, 0)),
    line("a chip that the VCEK is not for", Step.CHAIN, certified_chip=b"\x07" * 64),
    line("VLEK under the VCEKs' issuer", Step.CHAIN, vlek=True, vlek_under_ask=True),
    line("VLEK, where nobody asked for one", Step.CHAIN, vlek=True),
]
REVOCATION = [
    line("no revocation list", Step.REVOCATION, crl=Crl.ABSENT),
    line("an expired list", Step.REVOCATION, crl=Crl.EXPIRED),
    line("a list of the future", Step.REVOCATION, crl=Crl.FUTURE),
    line("a list of another signer", Step.REVOCATION, crl=Crl.FORGED),
    line("a list that is none", Step.REVOCATION, crl=Crl.GARBLED),
    line("ARK revoked", Step.REVOCATION, ark_revoked=True),
    line("ASK revoked", Step.REVOCATION, ask_revoked=True),
    line("VCEK revoked", Step.REVOCATION, vek_revoked=True),
]
POLICY = [
    line("report signed by another key", Step.SIGNATURE, report_forged=True),
    line("certified for older levels", Step.TCB, certified=replace(GENOA, snp=0x1A)),
    line("certified for newer levels", Step.TCB, certified=replace(GENOA, ucode=0x57)),
    line("reported above current", Step.TCB, current=replace(GENOA, bl=9)),
    line("committed above current", Step.TCB, committed=replace(GENOA, snp=0x1C)),
    line("launched above current", Step.TCB, launch=replace(GENOA, tee=1)),
    line("committed firmware above current", Step.TCB, committed_firmware=(50, 55, 1)),
    line("reported below a floor", Step.TCB, tcb=replace(GENOA, snp=0x17)),
    line("launched below a floor", Step.TCB, launch=replace(GENOA, ucode=0x54)),
    line("committed below a floor", Step.TCB, committed=replace(GENOA, ucode=0x55)),
    line("a part that no floor is about", Step.TCB, cpuid=(0x19, 0xA0, 2)),
    line("ALIAS_CHECK_COMPLETE off", Step.TCB, alias_check=False),
    line("page swaps and ciphertext open", Step.TCB, page_swap_disabled=False),
    line("memory behind CXL", Step.TCB, cxl=True),
    line("SMT against the guest's policy", Step.TCB, smt=False, smt_on=True),
    line("chip id masked", Step.TCB, masked_chip=True),
    line("DEBUG", Step.DEBUG, debug=True),
    line("MIGRATE_MA", Step.DEBUG, migration_agent=True),
    line("an agent that the policy does not name", Step.DEBUG, **at(0x160, 0)),
    line("VMPL 1", Step.DEBUG, vmpl=1),
    line("VMPL 3", Step.DEBUG, vmpl=3),
    line("asked by the host", Step.DEBUG, vmpl=0xFFFFFFFF),
]


@pytest.mark.parametrize(("step", "world"), PARSE + CHAIN + REVOCATION + POLICY)
def test_refuses_at_the_right_step(step, world):
    refused(step, SnpCase(world))


@pytest.mark.parametrize("product", ["Genoa", "Turin"])
@pytest.mark.parametrize("version", [3, 5])
def test_accepts_the_good_world(product, version):
    verdict = SnpCase(SnpWorld(version=version), product).verify()
    assert verdict.simulated and verdict.trust_class.startswith("SIMULATED (dev:")
    assert (verdict.tcb_status, verdict.advisory_ids, verdict.tcb_eval_number) == ("UpToDate", (), 202601)
    assert verdict.platform_id_hash == platform_id_hash(vendor(product).chip_id)
    assert verdict.facts["product"] == product and not verdict.devices


MILAN_FLOOR = SnpFloors(202601, frozenset({SnpFloor("Milan", TCBS["Milan"])}))


@pytest.mark.parametrize("version", [2, 3, 5])
def test_milan_is_refused_by_default_and_accepted_by_name_only(version):
    world = SnpWorld(version=version)
    assert "extract" in refused(Step.TCB, SnpCase(world, "Milan")).got
    rules = SnpRules(accept_milan=True)
    assert "Unrated" in refused(Step.TCB, SnpCase(world, "Milan", rules)).got
    rules = SnpRules(floors=frozenset({MILAN_FLOOR}), accept_milan=True)
    assert SnpCase(world, "Milan", rules).verify().tcb_status == "UpToDate"


def test_version_2_names_no_part_and_is_rated_by_floors_of_the_whole_line_only():
    world = SnpWorld(version=2)
    assert "Unrated" in refused(Step.TCB, SnpCase(world)).got
    floors = SnpFloors(202601, frozenset({SnpFloor("Genoa", GENOA)}))
    assert SnpCase(world, rules=SnpRules(floors=frozenset({floors}))).verify().tcb_status == "UpToDate"


def test_version_2_of_turin_does_not_exist():
    refused(Step.PARSE, SnpCase(SnpWorld(version=2), "Turin"))
    refused(Step.CHAIN, SnpCase(SnpWorld(version=2, tcb=SnpTcb(fmc=1, bl=1)), "Turin"))


def test_turin_uses_eight_bytes_of_the_chip_id_and_other_tcb_bytes():
    refused(Step.PARSE, SnpCase(SnpWorld(patches=((0x1A8, b"\x01"),)), "Turin"))
    refused(Step.PARSE, SnpCase(SnpWorld(patches=((0x184, b"\x01"),)), "Turin"))
    refused(Step.TCB, SnpCase(SnpWorld(certified=replace(TCBS["Turin"], fmc=0)), "Turin"))


@pytest.mark.parametrize(
    ("rule", "world"),
    [
        ({"accept_vlek": True}, {"vlek": True}),
        ({"accept_masked_chip": True}, {"masked_chip": True}),
        ({"accept_cxl": True}, {"cxl": True}),
        ({"max_vmpl": 1}, {"vmpl": 1}),
        ({"require_alias_check": False}, {"alias_check": False}),
        ({"require_closed_page_oracle": False}, {"page_swap_disabled": False}),
        ({}, {"page_swap_disabled": False, "ciphertext_hiding": True}),
        ({"require_ciphertext_hiding": True}, {"ciphertext_hiding": True}),
        ({"require_page_swap_disabled": True}, {}),
        ({"require_rapl_disabled": True}, {"rapl_disabled": True}),
        ({"require_smt_off": True}, {"smt": False, "smt_on": False}),
        ({"required_mitigations": 5}, {"version": 5, "mitigations": 7}),
        ({"unsafe_accept_without_crl": True}, {"crl": Crl.ABSENT}),
        ({"max_crl_age_s": 3600}, {}),
        ({}, {"current": replace(GENOA, snp=0x1C), "current_firmware": (50, 55, 1)}),
    ],
)
def test_rules_accept_what_they_name(rule, world):
    SnpCase(SnpWorld(**world), rules=SnpRules(**rule)).verify()


@pytest.mark.parametrize(
    ("rule", "world"),
    [
        ({"require_ciphertext_hiding": True}, {}),
        ({"require_ciphertext_hiding": True}, {"patches": ((0x0B, b"\x03"),)}),
        ({"require_ciphertext_hiding": True}, {"patches": ((0x40, b"\x35"),)}),
        ({}, {"page_swap_disabled": False, "patches": ((0x40, b"\x35"),)}),
        ({"require_page_swap_disabled": True}, {"page_swap_disabled": False, "ciphertext_hiding": True}),
        ({"require_rapl_disabled": True}, {}),
        ({"require_rapl_disabled": True}, {"patches": ((0x0A, b"\x83"),)}),
        ({"require_rapl_disabled": True}, {"patches": ((0x40, b"\x2d"),)}),
        ({"require_smt_off": True}, {}),
        ({"require_smt_off": True}, {"smt_on": False}),
        ({"required_mitigations": 5}, {"version": 5, "mitigations": 4}),
        ({"required_mitigations": 1}, {}),
        ({"floors": frozenset({SnpFloors(0)})}, {}),
    ],
)
def test_stricter_rules_refuse_what_the_defaults_accept(rule, world):
    refused(Step.TCB, SnpCase(SnpWorld(**world), rules=SnpRules(**rule)))


@pytest.mark.parametrize("status", ["OutOfDate", "Unrated"])
def test_each_tcb_status_can_be_ordered_and_is_accepted_by_name_only(status):
    worlds = {
        "OutOfDate": SnpWorld(tcb=replace(GENOA, ucode=0x55)),
        "Unrated": SnpWorld(cpuid=(0x19, 0x12, 0)),
    }
    policy = {"tcb_statuses": frozenset({status})}
    verdict = SnpCase(worlds[status], policy=policy).verify()
    assert verdict.tcb_status == status
    assert verdict.advisory_ids == (("AMD-SB-3027",) if status == "OutOfDate" else ())
    assert f"TCB status {status}" in refused(Step.TCB, SnpCase(worlds[status])).got
    if status == "OutOfDate":
        policy["rejected_advisories"] = frozenset({"AMD-SB-3027"})
        refused(Step.TCB, SnpCase(worlds[status], policy=policy))


def test_the_edition_of_the_oldest_table_is_the_evaluation_number():
    older = SnpFloors(202512, frozenset({SnpFloor("Genoa", SnpTcb(snp=1))}))
    rules = SnpRules() & SnpRules(floors=frozenset({older}))
    assert SnpCase(rules=rules).verify().tcb_eval_number == 202512
    refused(Step.TCB, SnpCase(rules=rules, policy={"min_tcb_eval_number": 202601}))


def test_a_platform_list_takes_listed_chips_only_and_never_a_masked_one():
    chip = platform_id_hash(vendor("Genoa").chip_id)
    SnpCase(policy={"platforms": frozenset({chip})}).verify()
    refused(Step.TCB, SnpCase(policy=LISTED))
    masked, rules = SnpWorld(masked_chip=True), SnpRules(accept_masked_chip=True)
    listed = frozenset({platform_id_hash(bytes(64)), chip})
    assert "masked" in refused(Step.TCB, SnpCase(masked, rules=rules, policy={"platforms": listed})).got


def test_a_vlek_chain_is_of_the_cloud_and_a_revoked_asvk_ends_it():
    rules = SnpRules(accept_vlek=True)
    assert "cloud" in SnpCase(SnpWorld(vlek=True), rules=rules).verify().facts["signing key"]
    refused(Step.REVOCATION, SnpCase(SnpWorld(vlek=True, ask_revoked=True), rules=rules))
    refused(Step.CHAIN, SnpCase(SnpWorld(vlek=True, vlek_under_ask=True), rules=rules))
    # A VCEK's report beside a VLEK's chain, and the other way round.
    chains = {vlek: vendor("Genoa").collateral(NOW, SnpWorld(vlek=vlek)) for vlek in (False, True)}
    for vlek in (False, True):
        refused(Step.CHAIN, SnpCase(SnpWorld(vlek=vlek), rules=rules, collateral=chains[not vlek]))


def test_no_other_root_is_believed():
    refused(Step.CHAIN, SnpCase(roots=vendor("Turin").roots))
    refused(Step.CHAIN, SnpCase(roots=RootSet.amd("Genoa")))
    # The root's certificate is right, and its key is pinned to be another.
    refused(Step.CHAIN, SnpCase(roots=replace(vendor("Genoa").roots, key_sha256=bytes(32))))


@pytest.mark.parametrize("part", ["ask", "ark", "vek"])
def test_a_certificate_in_anothers_place_is_refused(part):
    good, other = (vendor(name).collateral(NOW).need("amd") for name in ("Genoa", "Turin"))
    mixed = Collateral(amd=replace(good, **{part: getattr(other, part)}))
    refused(Step.CHAIN, SnpCase(collateral=mixed))
    missing = AmdCollateral(
        good.product,
        *(b"\x30\x00" if name == part else getattr(good, name) for name in ("vek", "ask", "ark", "crl")),
    )
    refused(Step.CHAIN, SnpCase(collateral=Collateral(amd=missing)))


def test_no_collateral_of_amd_is_a_missing_chain():
    refused(Step.CHAIN, SnpCase(collateral=Collateral()))


def test_dates_count_to_the_second():
    verdict = SnpCase().verify()
    end = verdict.collateral_expires_at
    assert SnpCase(now=end).verify() and refused(Step.REVOCATION, SnpCase(now=end + 1))
    rules = SnpRules(unsafe_accept_without_crl=True)
    world = SnpWorld(crl=Crl.ABSENT)
    end = SnpCase(world, rules=rules).verify().collateral_expires_at
    assert end == NOW - 3600 + 7 * YEAR
    for now in (NOW - 3600, end):
        SnpCase(world, rules=rules, now=now).verify()
    for now in (NOW - 3601, end + 1):
        refused(Step.CHAIN, SnpCase(world, rules=rules, now=now))


def test_a_list_can_be_too_old_before_it_ends():
    refused(Step.REVOCATION, SnpCase(rules=SnpRules(max_crl_age_s=3599)))


@pytest.mark.parametrize("name", ["Genoa", "Genoa-B1", "Bergamo", "Siena"])
def test_names_of_one_line_are_of_one_root(name):
    assert SnpCase(SnpWorld(certified_product=name)).verify().facts["product"] == name


def test_bindings_count():
    refused(Step.EVENT_LOG, SnpCase(event_log=b"[]"))
    refused(Step.MEASUREMENT, SnpCase(policy={"measurements": frozenset({bytes(32)})}))
    for place, word in ((0, "signer"), (20, "digest"), (51, "digest"), (52, "tag"), (63, "tag")):
        wrong = bytearray(range(64))
        wrong[place] ^= 1
        assert word in refused(Step.REPORT_DATA, SnpCase(report_data=bytes(wrong))).got
    for other in (b"", REPORT_DATA[:63], REPORT_DATA + b"\x00"):
        refused(Step.REPORT_DATA, SnpCase(report_data=other))
    refused(Step.PARSE, SnpCase(tee=TeeKind.CCA))


def test_an_empty_policy_refuses_before_anything_is_read():
    for name in ("root_sets", "measurements", "tcb_statuses", "platforms"):
        refused(Step.POLICY, SnpCase(policy={name: frozenset()}, report=b"\x00"))


def test_a_simulated_root_needs_its_acknowledgement():
    assert "SIMULATED" in refused(Step.CHAIN, SnpCase(policy={"simulated": None})).got


@pytest.mark.parametrize("size", [1, 4, 0x1F, 0x29F, 0x2A0, 0x2A1, 0x330, 0x49F])
def test_truncated_and_trailing_reports_are_refused(size):
    report = SnpCase().report
    assert report is not None
    refused(Step.PARSE, SnpCase(report=report[:size]))
    refused(Step.PARSE, SnpCase(report=report + report[:size]))
