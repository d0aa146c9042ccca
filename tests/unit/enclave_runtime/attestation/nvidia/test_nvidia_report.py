"""The layout of reports and of GPU evidence: every boundary, every length, nothing left over."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.attestation.nvidia.evidence import (
    MAX_CHAIN,
    MAX_DEVICES,
    MAX_EVIDENCE_BYTES,
    MAX_REPORT_BYTES,
    Device,
    DeviceKind,
    GpuEvidence,
)
from enclave_runtime.attestation.nvidia.facts import read_facts, version_key
from enclave_runtime.attestation.nvidia.spdm import Field, parse_report
from enclave_runtime.attestation.simulated.nvidia import reports
from enclave_runtime.attestation.simulated.nvidia.world import GOOD, GpuWorld
from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import WireError

NONCE = bytes(range(32))
VALUES = [bytes([index]) * 48 for index in range(64)]
SWITCHES = [b"switch 1", b"switch 2"]
GPUS = [b"gpu id %d" % number for number in range(8)]
OPAQUE = 37 + 8 + 64 * 55 + 32


def report(fields: list[tuple[int, bytes]] | None = None, values: list[bytes] = VALUES) -> bytes:
    fields = reports.gpu_fields(GOOD, b"\x22" * 48, []) if fields is None else fields
    return reports.unsigned_report(NONCE, values, b"\x11" * 32, fields) + b"\x33" * 96


def facts_of(fields: dict[int, bytes], kind: DeviceKind = DeviceKind.GPU):
    values = VALUES if kind is DeviceKind.GPU else VALUES[:31]
    return read_facts(parse_report(report(list(fields.items()), values), kind), kind)


GPU_FIELDS = dict(reports.gpu_fields(GOOD, b"\x22" * 48, SWITCHES))
SWITCH_FIELDS = dict(reports.switch_fields("96.10.6D.00.01", b"switch 1", GPUS))


def test_every_part_is_where_the_layout_says():
    data = report()
    parsed = parse_report(data, DeviceKind.GPU)
    assert (parsed.nonce, parsed.responder_nonce) == (NONCE, b"\x11" * 32)
    assert parsed.measurements == tuple(VALUES)
    assert (parsed.signed, parsed.signature) == (data[:-96], b"\x33" * 96)
    assert parsed.opaque[Field.FWID] == b"\x22" * 48


def test_a_cut_anywhere_and_anything_behind_are_refused():
    data = report()
    boundaries = {
        0,
        1,
        4,
        36,
        37,
        41,
        42,
        44,
        45,
        46,
        47,
        49,
        50,
        52,
        100,
        OPAQUE,
        OPAQUE + 2,
        len(data) - 96,
    }
    for end in (*boundaries, *range(0, len(data), 61), len(data) - 1):
        with pytest.raises(WireError):
            parse_report(data[:end], DeviceKind.GPU)
    for more in (b"\x00", b"\xff" * 96, bytes(MAX_REPORT_BYTES)):
        with pytest.raises(WireError):
            parse_report(data + more, DeviceKind.GPU)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((at, 0x7F) for at in (0, 1, 2, 3, 36, 37, 38, 39, 40, 41, 42, 43, 44)),
        *(
            (45 + at, 0x7F) for at in range(7) if at != 4
        ),  # at 4 stands the type of the value, which is signed
        *((45 + 55 + at, 0xFF) for at in range(4)),
        (OPAQUE, 0xFF),
        (OPAQUE + 1, 0xFF),
        (OPAQUE + 4, 0xFF),
        (OPAQUE + 5, 0xFF),
    ],
)
def test_a_header_count_or_length_that_lies_is_refused(place, value):
    data = bytearray(report())
    data[place] = value
    with pytest.raises(WireError):
        parse_report(bytes(data), DeviceKind.GPU)


def test_each_kind_has_its_number_of_blocks():
    switch = report([], VALUES[:31])
    assert len(parse_report(switch, DeviceKind.NVSWITCH).measurements) == 31
    for data, kind in ((switch, DeviceKind.GPU), (report(), DeviceKind.NVSWITCH)):
        with pytest.raises(WireError):
            parse_report(data, kind)
    with pytest.raises(WireError):
        parse_report(report(values=VALUES[:63]), DeviceKind.GPU)
    with pytest.raises(WireError):
        parse_report(report(values=[*VALUES[:63], bytes(47)]), DeviceKind.GPU)


def test_opaque_fields_come_once_and_not_by_the_hundred():
    for fields in ([(3, b"a"), (3, b"a")], [(number, b"") for number in range(65)]):
        with pytest.raises(WireError):
            parse_report(report(fields), DeviceKind.GPU)
    assert len(parse_report(report([(number, b"") for number in range(64)]), DeviceKind.GPU).opaque) == 64


def test_facts_of_each_architecture():
    hopper = facts_of(GPU_FIELDS)
    assert (hopper.driver, hopper.vbios, hopper.board) == ("570.172.08", "96.00.BC.00.02", "1010_0200_882")
    assert (hopper.mode, hopper.chip, hopper.nvdec) == ("spt", "", 0x55)
    assert hopper.switches == frozenset(SWITCHES) and not hopper.gpus
    world = GpuWorld(architecture="BLACKWELL", mode="mpt")
    blackwell = facts_of(dict(reports.gpu_fields(world, b"\x22" * 48, [])))
    assert (blackwell.mode, blackwell.chip, blackwell.vbios) == ("mpt", "GB100", "97.00.E4.00.11")
    switch = facts_of(SWITCH_FIELDS, DeviceKind.NVSWITCH)
    assert (switch.vbios, switch.driver, switch.fwid) == ("96.10.6D.00.01", "", None)
    assert (switch.switches, switch.gpus) == (frozenset({b"switch 1"}), frozenset(GPUS))


def test_the_mode_is_read_from_either_field_and_from_both_where_there_are_both():
    flag, status = Field.FEATURE_FLAG, Field.PROTECTED_PCIE_STATUS
    rest = {field: value for field, value in GPU_FIELDS.items() if field not in (flag, status)}
    for fields, mode in (
        ({status: b"\x55"}, "spt"),
        ({status: b"\xaa"}, "ppcie"),
        ({flag: b"\1\0"}, "mpt"),
        ({flag: b"\2\0", status: b"\xaa"}, "ppcie"),
    ):
        assert facts_of(rest | fields).mode == mode
    for bad in (
        {},
        {flag: b"\3\0"},
        {flag: b"\0"},
        {status: b"\x54"},
        {status: b""},
        {status: b"\x55\0"},
        {flag: b"\0\0", status: b"\xaa"},
        {flag: b"\2\0", status: b"\x55"},
    ):
        with pytest.raises(WireError):
            facts_of(rest | bad)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (Field.DRIVER_VERSION, b"570.172.08; rm\0"),
        (Field.DRIVER_VERSION, b"570,172\0"),
        (Field.DRIVER_VERSION, b"\xff\0"),
        (Field.DRIVER_VERSION, b"5" * 65),
        (Field.DRIVER_VERSION, b""),
        (Field.VBIOS_VERSION, bytes(7)),
        (Field.VBIOS_VERSION, bytes(7) + b"\1"),
        (Field.PROJECT, b"10/10\0"),
        (Field.CHIP_SKU, b""),
        (Field.FWID, bytes(47)),
        (Field.NVDEC0_STATUS, b"\x55\1"),
        (Field.NVDEC0_STATUS, b""),
        (Field.SWITCH_PDI, bytes(9)),
    ],
)
def test_facts_of_another_shape_are_refused(field, value):
    with pytest.raises(WireError):
        facts_of(GPU_FIELDS | {field: value})


@pytest.mark.parametrize("field", [Field.DRIVER_VERSION, Field.VBIOS_VERSION, Field.PROJECT, Field.CHIP_SKU])
def test_missing_facts_are_refused(field):
    with pytest.raises(WireError):
        facts_of({key: value for key, value in GPU_FIELDS.items() if key != field})


@pytest.mark.parametrize(
    ("field", "value"),
    [(Field.SWITCH_PDI, bytes(8)), (Field.SWITCH_PDI, bytes(16)), (Field.SWITCH_GPU_PDIS, bytes(63))],
)
def test_switches_without_an_id_or_a_view_are_refused(field, value):
    with pytest.raises(WireError):
        facts_of(SWITCH_FIELDS | {field: value}, DeviceKind.NVSWITCH)


def test_versions_order_as_they_are_meant():
    assert (
        version_key("550.90.07")
        < version_key("550.90.12")
        < version_key("550.127.05")
        < version_key("570.10")
        < version_key("1000.00")
    )
    assert version_key("96.00.9F.00.01") < version_key("96.00.BC.00.02") < version_key("97.00.00.00.00")
    for text in ("", "550", "550.1", "550.90.07.01", "96.00.9f.00.01", "550.90.x", "٣٣٣.٣٣"):
        with pytest.raises(WireError):
            version_key(text)


DEVICE = Device(DeviceKind.GPU, b"report", (b"leaf", b"root"))


def test_evidence_travels_as_canonical_json():
    evidence = GpuEvidence((DEVICE, replace(DEVICE, kind=DeviceKind.NVSWITCH)))
    assert GpuEvidence.from_bytes(evidence.to_bytes()) == evidence
    for data in (
        evidence.to_bytes() + b" ",
        b" " + evidence.to_bytes(),
        evidence.to_bytes()[:-1],
        b"",
        b"{}",
    ):
        with pytest.raises(WireError):
            GpuEvidence.from_bytes(data)


def encoded(**changes: object) -> bytes:
    item = {"kind": "gpu", "report": "00", "chain": ["00", "01"]} | changes
    return canonical.dump({"type": "cloister/gpu-evidence/v1", "devices": [item]})


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "tpu"},
        {"kind": 1},
        {"kind": []},
        {"report": ""},
        {"report": "0"},
        {"report": "AA"},
        {"report": "0 0"},
        {"report": None},
        {"report": "00" * (MAX_REPORT_BYTES + 1)},
        {"chain": []},
        {"chain": ["00"]},
        {"chain": "0001"},
        {"chain": [1, 2]},
        {"chain": ["00", ""]},
        {"chain": ["00"] * (MAX_CHAIN + 1)},
        {"chain": ["00", "00" * 5000]},
        {"more": 1},
    ],
)
def test_devices_of_another_shape_are_refused(changes):
    GpuEvidence.from_bytes(encoded())
    with pytest.raises(WireError):
        GpuEvidence.from_bytes(encoded(**changes))


def test_evidence_of_another_type_or_size_is_refused():
    for value in (
        {"type": "cloister/gpu-evidence/v2", "devices": [{}]},
        {"type": "cloister/gpu-evidence/v1", "devices": []},
        {"type": "cloister/gpu-evidence/v1", "devices": {}},
        {"type": "cloister/gpu-evidence/v1", "devices": [1]},
        {"type": "cloister/gpu-evidence/v1"},
    ):
        with pytest.raises(WireError):
            GpuEvidence.from_bytes(canonical.dump(value))
    with pytest.raises(WireError):
        GpuEvidence.from_bytes(b"[" * (MAX_EVIDENCE_BYTES + 1))
    with pytest.raises(WireError):
        GpuEvidence((DEVICE,) * (MAX_DEVICES + 1))


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=20, unique_by=lambda f: f[0])
)
def test_what_is_written_is_read_back(fields):
    parsed = parse_report(report(fields), DeviceKind.GPU)
    assert parsed.opaque == dict(fields)
    size = sum(4 + len(value) for _, value in fields)
    assert struct.unpack_from("<H", parsed.signed, OPAQUE) == (size,)
