"""Every NVIDIA report, manifest and OCSP answer of the public record, under NVIDIA's pinned roots (step 9).

The record has the manifests of one driver and firmware only: evidence of all others is followed to the last
check, where it must be refused as unknown.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import NvidiaCollateral
from enclave_runtime.attestation.errors import Step
from enclave_runtime.attestation.model import VerifiedDevice
from enclave_runtime.attestation.nvidia.chain import raw_signature_holds
from enclave_runtime.attestation.nvidia.evidence import Device, DeviceKind
from enclave_runtime.attestation.nvidia.facts import read_facts
from enclave_runtime.attestation.nvidia.identity import identify
from enclave_runtime.attestation.nvidia.ocsp import check_certificate, parse_answers
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.nvidia.rim import verified_rim
from enclave_runtime.attestation.nvidia.spdm import Field, parse_report
from enclave_runtime.attestation.nvidia.verify import verify_devices
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import GpuRules, UnsafeAcceptSimulated
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.wire.errors import WireError
from tests.evidence import nvidia_vectors as record
from tests.evidence import vectors

pytestmark = vectors.REQUIRED

REPORTS, RIMS = record.report_rows(), record.rim_rows()
MATCHED = [row for row in REPORTS if row.get("rim_match")]
RULES = GpuRules(1, frozenset({"nvidia"}), ocsp_required=False)
# Both manifests of the matched rows hold: from the later beginning to the earlier end.
FIRST, LAST = 1717207709, 1771802278
NOON = 1_735_689_600
OCSP_DAY = 1755758828  # 2025-08-21, when the answers about the device's authorities begin
# A capture with one byte behind its signature: the record calls that a bad signature, we no report.
TRAILING = "nvidia/trustee/hopper_coco_report1.txt"


def judge(
    *devices: Device,
    now: int = NOON,
    rules: GpuRules = RULES,
    nonce: bytes | None = None,
    rims: tuple[bytes, ...] | None = None,
    ocsp: tuple[bytes, ...] = (),
    roots: GpuRoots | None = None,
) -> tuple[VerifiedDevice, ...]:
    """Judge devices with the record's two matching manifests unless others are given."""
    known = (record.file(record.DRIVER_RIM), record.file(record.VBIOS_RIM))
    collateral = NvidiaCollateral(known if rims is None else rims, ocsp)
    asked = devices[0].report[4:36] if nonce is None else nonce
    given = record.evidence_of(*devices)
    return verify_devices(
        given, collateral, roots=roots or GpuRoots.nvidia(), rules=rules, nonce=asked, now=now
    )


def refused(check: Check, *devices: Device, **changes: Any) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        judge(*devices, **changes)
    assert caught.value.step == Step.GPU and caught.value.check is check, caught.value
    return caught.value


def golden() -> Device:
    return record.device_of(MATCHED[0])


def test_the_record_is_as_large_as_it_was():
    assert (len(REPORTS), len(RIMS), len(MATCHED)) == (15, 5, 3)
    assert sum(map(record.works, REPORTS)) == 13 and all(map(record.works, RIMS))


@pytest.mark.parametrize("row", record.named(MATCHED))
def test_accepts_reports_whose_manifests_are_at_hand(row):
    (verdict,) = judge(record.device_of(row))
    assert (verdict.kind, verdict.architecture) == ("gpu", "HOPPER")
    assert verdict.driver == row["fields"]["driver"] and verdict.firmware.lower() == row["fields"]["vbios"]
    assert verdict.collateral_expires_at == LAST and verdict.facts["chip"] == "GH100"


@pytest.mark.parametrize("row", record.named([row for row in REPORTS if record.works(row)]))
def test_every_other_good_report_is_unknown_and_nothing_else(row):
    device = record.device_of(row)
    report, identity = parse_report(device.report, device.kind), identify(device.chain)
    assert raw_signature_holds(identity.key, report.signature, report.signed)
    assert GpuRoots.nvidia().accepts(identity.chain.root_der, verified_rim(golden_rim()).chain.root_der)
    if not row.get("rim_match"):
        error = refused(Check.RIM, device)
        assert "unknown" in error.got and row["fields"]["driver"] in error.got


def golden_rim() -> bytes:
    return record.file(record.DRIVER_RIM)


@pytest.mark.parametrize("row", record.named([row for row in REPORTS if not record.works(row)]))
def test_refuses_what_the_record_rejects_at_the_right_check(row):
    device = record.device_of(row)
    if row["file"] == TRAILING:
        assert "trailing" in refused(Check.PARSE, device).got
        return
    # The one NVSwitch report of the record is synthetic: its signature was never made by that key.
    assert device.kind is DeviceKind.NVSWITCH
    switch = replace(RULES, switches=1)
    error = refused(Check.SIGNATURE, golden(), device, rules=switch)
    assert error.device == 1 and "did not make" in error.got


@pytest.mark.parametrize("row", record.named(REPORTS))
def test_reads_the_fields_that_the_record_has(row):
    device, fields = record.device_of(row), row["fields"]
    data = device.report[:-1] if fields["sig_len"] == 97 else device.report
    report = parse_report(data, device.kind)
    facts, identity = read_facts(report, device.kind), identify(device.chain)
    assert len(report.measurements) == fields["blocks"] and report.nonce.hex() == fields["nonce"]
    assert (facts.driver or None, (facts.fwid or b"").hex()) == (fields["driver"], fields["fwid"])
    for field, name in (
        (Field.FEATURE_FLAG, "feature_flag"),
        (Field.PROTECTED_PCIE_STATUS, "protected_pcie"),
    ):
        assert report.opaque.get(field, b"").hex() == fields[name]
    assert f"{facts.nvdec:02x}" == fields["nvdec0"] if fields["nvdec0"] else facts.nvdec is None
    if device.kind is DeviceKind.GPU:
        assert facts.vbios.lower() == fields["vbios"]
        assert fields["vbios_rim_id"] == f"NV_GPU_VBIOS_{facts.board}_{facts.vbios.replace('.', '')}"
        assert fields["driver_rim_id"] == f"NV_GPU_DRIVER_{identity.chip}_{facts.driver}"
        assert identity.firmware.fwid == facts.fwid
    assert identity.chain.leaf.subject.rfc4514_string() == fields["leaf"]
    assert (fields["fwid_oid"] == "2.23.133.5.4.1.1") == (identity.firmware.rom_key is None)


@pytest.mark.parametrize("row", record.named(RIMS))
def test_manifests_hold_and_say_what_the_record_says(row):
    rim = verified_rim((vectors.ROOT / row["file"]).read_bytes())
    assert (rim.version, len(rim.measurements)) == (row["version"], row["active_measurements"])
    assert (rim.product, len(rim.chain.certs)) == ("GH100", row["chain_len"])
    first, last = map(record.seconds, row["leaf_valid"])
    assert (rim.chain.not_before, rim.chain.not_after) == (first, last) and first <= row["now"] <= last


def test_manifests_count_a_second_inside_their_dates_and_not_a_second_outside():
    for now in (FIRST, LAST):
        judge(golden(), now=now)
    for now in (FIRST - 1, LAST + 1):
        refused(Check.RIM, golden(), now=now)
    at_signing = replace(RULES, rim_dates_at_signing=True)
    judge(golden(), now=LAST + 1, rules=at_signing)
    refused(Check.RIM, golden(), now=FIRST - 1, rules=at_signing)


def test_each_binding_and_rule_counts():
    device = golden()
    refused(Check.NONCE, device, nonce=bytes(32))
    refused(Check.SET, device, rules=replace(RULES, count=2))
    refused(Check.SET, device, rules=replace(RULES, switches=1))
    refused(Check.SET, device, device, rules=replace(RULES, count=2))
    refused(Check.REVOCATION, device, rules=replace(RULES, ocsp_required=True))
    refused(Check.CONFIGURATION, device, rules=replace(RULES, architectures=frozenset({"BLACKWELL"})))
    refused(Check.CONFIGURATION, device, rules=replace(RULES, modes=frozenset({"mpt"})))
    refused(Check.CONFIGURATION, device, rules=replace(RULES, min_driver=(550, 90, 8)))
    floor = frozenset({("GH100", (0x96, 0, 0x9F, 0, 2))})
    refused(Check.CONFIGURATION, device, rules=replace(RULES, min_firmware=floor))
    refused(Check.CONFIGURATION, device, rules=replace(RULES, devices=frozenset({bytes(32)})))
    (verdict,) = judge(device)
    exact = frozenset({("GH100", (0x96, 0, 0x9F, 0, 1)), ("GB100", (0xFF,))})
    narrow = replace(RULES, min_driver=(550, 90, 7), min_firmware=exact)
    assert judge(device, rules=replace(narrow, devices=frozenset({verdict.device_id}))) == (verdict,)


def test_manifests_of_another_firmware_or_of_none_are_no_match():
    device, driver = golden(), record.file(record.DRIVER_RIM)
    old = record.file("nvtrust/1010_0200_882_96005E0001_PROD.swidtag")
    for rims in ((), (driver,), (record.file(record.VBIOS_RIM),), (driver, old)):
        assert "unknown" in refused(Check.RIM, device, rims=rims).got


def test_a_chain_of_another_device_does_not_fit():
    other = record.device_of(next(row for row in REPORTS if row["encoding"].startswith("hex, drop")))
    assert other.chain != golden().chain
    refused(Check.CHAIN, replace(golden(), chain=other.chain))  # another firmware id
    (first, second, *_) = record.eight_gpus().devices
    refused(Check.SIGNATURE, replace(first, chain=second.chain))  # the same firmware, another key


def test_eight_real_gpus_answer_one_nonce_and_are_eight():
    devices = record.eight_gpus().devices
    identities = [identify(device.chain) for device in devices]
    assert len({identity.device_id for identity in identities}) == 8
    assert {device.report[4:36] for device in devices} == {devices[0].report[4:36]}
    rules = replace(RULES, count=8)
    assert "unknown" in refused(Check.RIM, *devices, rules=rules).got
    refused(Check.SET, *devices[:7], rules=rules)


def test_real_devices_are_refused_under_simulated_roots_and_the_other_way_round():
    vendor = SimulatedNvidia.create()
    acknowledged = UnsafeAcceptSimulated(vendor.roots.id)
    rules = replace(RULES, root_sets=frozenset({vendor.roots.id}), simulated=acknowledged)
    refused(Check.CHAIN, golden(), roots=vendor.roots, rules=rules)
    simulated, rims = vendor.evidence(bytes(32)), vendor.collateral(NOON)
    with pytest.raises(DeviceError) as caught:
        verify_devices(simulated, rims, roots=GpuRoots.nvidia(), rules=RULES, nonce=bytes(32), now=NOON)
    assert caught.value.check is Check.CHAIN


def test_ocsp_of_the_devices_authorities_counts_inside_its_day():
    answers = (record.ocsp("gpu_certificate_l2"), record.ocsp("gpu_certificate_l3"))
    (verdict,) = judge(golden(), now=OCSP_DAY, ocsp=answers)
    assert verdict.collateral_expires_at == OCSP_DAY - 1 + 86_400
    for now in (OCSP_DAY - 1, OCSP_DAY + 86_400):
        assert "OCSP" in refused(Check.REVOCATION, golden(), now=now, ocsp=answers).got
    # Two of the three certificates above the leaf have an answer in the record.
    required = replace(RULES, ocsp_required=True)
    assert "BROM" in refused(Check.REVOCATION, golden(), now=OCSP_DAY, ocsp=answers, rules=required).got


def test_ocsp_of_a_manifests_signer_counts_inside_its_day():
    answers, first = parse_answers((record.ocsp("gpu_driver_rim_l3"),)), 1761305541
    chain = verified_rim(golden_rim()).chain
    for now in (first, first + 86_400):
        end = check_certificate(chain.certs[1], chain.ders[2], answers, required=True, now=now)
        assert end == first + 86_400
    for now in (first - 1, first + 86_401):
        with pytest.raises(DeviceError):
            check_certificate(chain.certs[1], chain.ders[2], answers, required=False, now=now)
    assert check_certificate(chain.certs[0], chain.ders[1], answers, required=False, now=first) is None


def test_flipped_bits_of_a_report_are_refused():
    device, dice = golden(), random.Random("report")
    lengths = [41, 42, 43, 44, 45, 46, 47, 49, 50, 3597, 3598]
    for place in (*lengths, *dice.sample(range(len(device.report)), 220)):
        spoiled = bytearray(device.report)
        spoiled[place] ^= 1 << dice.randrange(8)
        with pytest.raises(DeviceError):
            judge(replace(device, report=bytes(spoiled)), nonce=device.report[4:36])


def test_flipped_bits_of_a_chain_are_refused():
    device, dice = golden(), random.Random("chain")
    for _ in range(80):
        which = dice.randrange(len(device.chain))
        der = bytearray(device.chain[which])
        der[dice.randrange(len(der))] ^= 1 << dice.randrange(8)
        chain = (*device.chain[:which], bytes(der), *device.chain[which + 1 :])
        with pytest.raises(DeviceError):
            judge(replace(device, chain=chain))


def test_flipped_bits_of_a_manifest_are_refused():
    xml, dice = golden_rim(), random.Random("manifest")
    key_info = xml.index(b"<ds:KeyInfo>")
    for place in dice.sample(range(key_info), 60):
        spoiled = bytearray(xml)
        spoiled[place] ^= 1 << dice.randrange(8)
        with pytest.raises(WireError):
            verified_rim(bytes(spoiled))
