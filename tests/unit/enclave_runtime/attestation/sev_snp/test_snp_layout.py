"""Reports are read exactly, written back byte by byte, and identified by what is signed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.sev_snp import layout
from enclave_runtime.attestation.sev_snp.layout import REPORT_BYTES, SIGNED_BYTES, parse_report
from enclave_runtime.attestation.sev_snp.products import decode_tcb, encode_tcb, part_of, product_of
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.simulated.snp import SnpWorld
from enclave_runtime.attestation.snp_rules import SnpTcb
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged
from tests.evidence.snp_case import SnpCase

LEVELS = st.integers(0, 255)


def report(version: int = 5) -> bytes:
    data = SnpCase(SnpWorld(version=version, mitigations=7 if version == 5 else 0)).report
    assert data is not None
    return data


@pytest.mark.parametrize("version", layout.VERSIONS)
def test_parsing_and_encoding_are_inverse(version):
    data = report(version)
    parsed, r, s = parse_report(data)
    assert parsed.encode() == data[:SIGNED_BYTES]
    assert layout.encode_report(parsed.encode(), r, s) == data


def test_every_signed_byte_is_of_a_field():
    parsed, _, _ = parse_report(report())
    assert len(parsed.encode()) == SIGNED_BYTES
    offsets = {
        "report_data": 0x50,
        "measurement": 0x90,
        "host_data": 0xC0,
        "report_id": 0x140,
        "chip_id": 0x1A0,
    }
    for name, offset in offsets.items():
        value = getattr(parsed, name)
        assert report()[offset : offset + len(value)] == value or name == "report_id"


@pytest.mark.parametrize("place", [0x2A0 + 48, 0x2E7, 0x2E8 + 48, 0x32F, 0x330, REPORT_BYTES - 1])
def test_unsigned_bytes_are_zero(place):
    data = bytearray(report())
    data[place] = 1
    with pytest.raises(WireError, match="unsigned"):
        parse_report(bytes(data))


def test_identity_is_of_the_signed_region_alone():
    data = report()
    assert layout.canonical_id(data) == layout.canonical_id(data[:SIGNED_BYTES] + bytes(512))
    assert layout.canonical_id(data) != layout.canonical_id(b"\x02" + data[1:])


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=1300) | st.binary(min_size=REPORT_BYTES, max_size=REPORT_BYTES))
def test_strangers_bytes_are_refused_as_such(data):
    with pytest.raises(WireError):
        parse_report(data)


@pytest.mark.parametrize(
    ("cpuid", "product"),
    [
        ((0x19, 0x00, 0), "Milan"),
        ((0x19, 0x0F, 1), "Milan"),
        ((0x19, 0x10, 0), "Genoa"),
        ((0x19, 0x1F, 2), "Genoa"),
        ((0x19, 0xA0, 1), "Genoa"),
        ((0x19, 0xAF, 1), "Genoa"),
        ((0x1A, 0x00, 0), "Turin"),
        ((0x1A, 0x11, 0), "Turin"),
    ],
)
def test_processors_are_of_their_product_line(cpuid, product):
    parsed, _, _ = parse_report(report())
    parsed = replace(parsed, cpuid=bytes(cpuid))
    assert product_of(parsed) == product and part_of(parsed) == cpuid[1:]


@pytest.mark.parametrize(
    "cpuid", [(0x17, 0x31, 0), (0x19, 0x20, 0), (0x19, 0xB0, 0), (0x1A, 0x12, 0), (0, 0, 0)]
)
def test_other_processors_are_of_none(cpuid):
    parsed, _, _ = parse_report(report())
    with pytest.raises(WireError, match="CPU family"):
        product_of(replace(parsed, cpuid=bytes(cpuid)))


@given(st.builds(SnpTcb, bl=LEVELS, tee=LEVELS, snp=LEVELS, ucode=LEVELS))
def test_patch_levels_keep_their_bytes(tcb):
    for product in ("Milan", "Genoa", "Turin"):
        assert decode_tcb(encode_tcb(tcb, product), product) == tcb
    assert encode_tcb(SnpTcb(1, 2, 3, 4), "Genoa") == bytes([1, 2, 0, 0, 0, 0, 3, 4])
    assert encode_tcb(SnpTcb(1, 2, 3, 4, 5), "Turin") == bytes([5, 1, 2, 3, 0, 0, 0, 4])


def test_the_measurement_is_of_kind_and_registers():
    registers = SnpRegisters(b"\x01" * 48, b"\x02" * 32, 0x30000)
    policy = (0x30000).to_bytes(8, "little")
    expected = tagged("measurement/v1", b"sev-snp", b"\x01" * 48, b"\x02" * 32, policy)
    assert registers.digest() == expected
    for other in ({"measurement": bytes(48)}, {"host_data": bytes(32)}, {"policy": 0xB0000}):
        assert replace(registers, **other).digest() != expected
    assert registers.to_json()["policy"] == "0000000000030000"
