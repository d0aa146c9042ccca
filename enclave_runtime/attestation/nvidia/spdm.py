"""Layout of a device's attestation report: an SPDM 1.1 GET_MEASUREMENTS exchange and NVIDIA's opaque data.

Request (37 bytes): 11 E0 01 FF, nonce 32, slot 0. Response: 11 60 00 00, number of blocks u8, length of the
record u24; blocks {index u8 from 1, specification u8 = 1, size u16, type u8, value size u16, value 48};
responder nonce 32; opaque length u16, opaque {type u16, size u16, value}; signature r || s, 96 bytes, big
endian, over all before it. Integers are little endian. Sources: DMTF DSP0274 1.1, and the field ids of
NVIDIA's attestation SDK. Pure: every length is checked before it is used, and nothing may be left over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from enclave_runtime.attestation.nvidia.evidence import MAX_REPORT_BYTES, DeviceKind
from enclave_runtime.wire.errors import WireError

__all__ = ["BLOCKS", "NONCE_BYTES", "SIGNATURE_BYTES", "Field", "Report", "parse_report"]

NONCE_BYTES = 32
SIGNATURE_BYTES = 96
BLOCKS = {DeviceKind.GPU: 64, DeviceKind.NVSWITCH: 31}
"""Measurement blocks of each kind of device; NVIDIA's reference values count them from 0."""

_REQUEST = bytes.fromhex("11e001ff")
_RESPONSE = bytes.fromhex("11600000")
_VALUE_BYTES = 48
_BLOCK_BYTES = 7 + _VALUE_BYTES
_DMTF = 1
_MAX_FIELDS = 64


class Field(IntEnum):
    """Ids of the opaque fields that are judged; others are carried along, signed and unread."""

    DRIVER_VERSION = 3
    VBIOS_VERSION = 6
    NVDEC0_STATUS = 11
    CHIP_SKU = 15
    PROJECT = 17
    PROJECT_SKU = 18
    FWID = 20
    PROTECTED_PCIE_STATUS = 21
    SWITCH_PDI = 22
    SWITCH_GPU_PDIS = 26
    OPAQUE_DATA_VERSION = 34
    CHIP_INFO = 35
    FEATURE_FLAG = 36


@dataclass(frozen=True, slots=True)
class Report:
    """One report, its lengths proven and nothing else.

    Attributes:
        nonce: what the asker sent, 32 bytes.
        measurements: 48 bytes each, by index from 0.
        responder_nonce: what the device added, 32 bytes.
        opaque: values by field id.
        signed: everything that the signature covers.
        signature: r || s, 96 bytes, big endian.
    """

    nonce: bytes
    measurements: tuple[bytes, ...]
    responder_nonce: bytes
    opaque: Mapping[int, bytes]
    signed: bytes
    signature: bytes


def parse_report(data: bytes, kind: DeviceKind) -> Report:
    """Return the report of a device of `kind` that `data` is, exactly.

    Raises:
        WireError: another version, message, number of blocks or size; bytes missing or left over.
    """
    if len(data) > MAX_REPORT_BYTES:
        raise WireError(f"gpu report: got {len(data)} bytes, expected at most {MAX_REPORT_BYTES}")
    reader = _Reader(data)
    reader.expect(_REQUEST, "request header")
    nonce = reader.take(NONCE_BYTES, "nonce")
    reader.expect(b"\x00", "slot")
    reader.expect(_RESPONSE, "response header")
    blocks = reader.number(1, "number of blocks")
    record = reader.take(reader.number(3, "record length"), "measurement record")
    measurements = _measurements(record, blocks, BLOCKS[kind])
    responder_nonce = reader.take(NONCE_BYTES, "responder nonce")
    opaque = _opaque(reader.take(reader.number(2, "opaque length"), "opaque data"))
    signed = data[: reader.at]
    signature = reader.take(SIGNATURE_BYTES, "signature")
    if reader.at != len(data):
        raise WireError(f"gpu report: got {len(data) - reader.at} trailing bytes, expected none")
    return Report(nonce, measurements, responder_nonce, opaque, signed, signature)


def _measurements(record: bytes, blocks: int, expected: int) -> tuple[bytes, ...]:
    if blocks != expected or len(record) != expected * _BLOCK_BYTES:
        raise WireError(f"gpu report: got {blocks} blocks in {len(record)} bytes, expected {expected}")
    values = []
    for number in range(1, expected + 1):
        block = record[(number - 1) * _BLOCK_BYTES : number * _BLOCK_BYTES]
        size, value_size = int.from_bytes(block[2:4], "little"), int.from_bytes(block[5:7], "little")
        facts = (block[0], block[1], size, value_size)
        if facts != (number, _DMTF, _VALUE_BYTES + 3, _VALUE_BYTES):
            raise WireError(f"gpu report: got block {facts}, expected index {number} of {_VALUE_BYTES} bytes")
        values.append(block[7:])
    return tuple(values)


def _opaque(data: bytes) -> dict[int, bytes]:
    reader = _Reader(data)
    fields: dict[int, bytes] = {}
    while reader.at < len(data):
        field = reader.number(2, "opaque type")
        value = reader.take(reader.number(2, "opaque size"), "opaque value")
        if field in fields or len(fields) == _MAX_FIELDS:
            raise WireError(f"gpu report: got opaque field {field} twice, or over {_MAX_FIELDS} fields")
        fields[field] = value
    return fields


class _Reader:
    """A cursor that never reads past the end."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int, what: str) -> bytes:
        value = self.data[self.at : self.at + size]
        if len(value) != size:
            raise WireError(f"gpu report: got {len(value)} bytes of {what}, expected {size}")
        self.at += size
        return value

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "little")

    def expect(self, constant: bytes, what: str) -> None:
        got = self.take(len(constant), what)
        if got != constant:
            raise WireError(f"gpu report: got {what} {got.hex()}, expected {constant.hex()}")
