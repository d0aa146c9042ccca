"""Reports of simulated GPUs and NVSwitches, field for field as real ones have them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld

__all__ = [
    "DICE_OID",
    "dice_extension",
    "golden",
    "gpu_fields",
    "measured",
    "switch_fields",
    "unsigned_report",
]

DICE_OID = {"HOPPER": "2.23.133.5.4.1", "BLACKWELL": "2.23.133.5.4.1.1", "LS10": "2.23.133.5.4.1"}
_SHA384 = bytes.fromhex("0609608648016503040202")
_FLAGS = {"debug": 0x10, "recovery": 0x20, "insecure": 0x40}
_INDICES = {"driver": (7, *range(21, 41)), "firmware": (*range(7), *range(8, 13)), "switch": tuple(range(16))}
_FEATURES = {"spt": 0, "mpt": 1, "ppcie": 2}


def golden(name: str, chip: str, version: str) -> dict[int, bytes]:
    """Return what a driver or firmware of a version measures: index from 0 to 48 bytes."""
    text = f"DEV SIMULATED {chip} {name} {version}"
    return {index: hashlib.sha384(f"{text} {index}".encode()).digest() for index in _INDICES[name]}


def measured(parts: Iterable[dict[int, bytes]], blocks: int, changed: Iterable[int]) -> list[bytes]:
    """Return all measurement blocks: those of the parts, zeros elsewhere, and other values where ordered."""
    values = {index: value for part in parts for index, value in part.items()}
    for index in changed:
        values[index] = hashlib.sha384(b"something else").digest()
    return [values.get(index, bytes(48)) for index in range(blocks)]


def gpu_fields(world: GpuWorld, fwid: bytes, switches: Iterable[bytes]) -> list[tuple[int, bytes]]:
    """Return a GPU's opaque fields in the order in which GPUs write them."""
    hopper = world.architecture == "HOPPER"
    parts = bytes.fromhex(world.vbios.replace(".", ""))
    board = (b"1010\0", b"0200\0", b"882") if hopper else (b"G525\0", b"0220\0", b"886")
    fields = [
        (6, parts[3::-1] + parts[4:] + bytes(3)),
        (14, struct.pack("<I", 0x3B1)),
        (15, board[2].ljust(9, b"\0")),
        (16, b"0".ljust(5, b"\0")),
        (17, board[0]),
        (18, board[1]),
        (19, b"0\0"),
        (3, world.driver.encode() + b"\0"),
        (4, bytes.fromhex("8001000000000000")),
        (12, bytes(256)),
        (13, bytes.fromhex("00c00100")),
        (11, bytes([world.nvdec])),
        (20, fwid),
    ]
    links = [pdi[::-1] for pdi in switches]
    if links:
        fields.append((22, b"".join((links * 18)[:16]) + bytes(16)))
    fields += [(21, b"\xaa" if world.mode == "ppcie" else b"\x55")] if hopper else [(33, b"\7\7")]
    fields += [] if hopper else [(35, world.chip.encode() + b"\0")]
    return [*fields, (34, b"\1\0"), (36, struct.pack("<H", _FEATURES[world.mode]))]


def switch_fields(bios: str, pdi: bytes, gpus: Iterable[bytes]) -> list[tuple[int, bytes]]:
    """Return an NVSwitch's opaque fields."""
    seen = b"".join(gpus).ljust(64, b"\0")
    fixed = [(23, bytes.fromhex("ec00")), (24, b"\1\0"), (25, b"\1\0")]
    return [(6, bios.encode()), (22, pdi), (12, bytes(108)), (26, seen + b"\xff" * 64), *fixed]


def unsigned_report(
    nonce: bytes, values: list[bytes], responder_nonce: bytes, fields: list[tuple[int, bytes]]
) -> bytes:
    """Return request and response up to the signature."""
    record = b"".join(
        struct.pack("<BBHBH", number, 1, len(value) + 3, 1, len(value)) + value
        for number, value in enumerate(values, 1)
    )
    opaque = b"".join(struct.pack("<HH", field, len(value)) + value for field, value in fields)
    request = b"\x11\xe0\x01\xff" + nonce + b"\0"
    head = b"\x11\x60\0\0" + bytes([len(values)]) + len(record).to_bytes(3, "little")
    return request + head + record + responder_nonce + struct.pack("<H", len(opaque)) + opaque


def dice_extension(architecture: str, rom_key: bytes, fwid: bytes, leaf: str) -> bytes:
    """Return the value of a leaf's DICE extension (DER), with the flags that the order `leaf` is about."""
    digest = _tlv(0x30, _SHA384 + _tlv(0x04, fwid))
    if architecture != "BLACKWELL":
        return _tlv(0x30, _tlv(0x02, b"\1") + rom_key + digest)
    zero = _tlv(0x30, _SHA384 + _tlv(0x04, bytes(48)))
    flags = bytes([0, 0x80 | _FLAGS.get(leaf, 0), 0, 0, 1])
    texts = _tlv(0x80, b"NVIDIA") + _tlv(0x81, b"GB100 A01 GSP") + _tlv(0x82, b"01")
    numbers = _tlv(0x83, b"\1") + _tlv(0x84, b"\0") + _tlv(0x85, b"\0")
    rest = _tlv(0xA6, digest + zero) + _tlv(0x87, flags) + _tlv(0x88, b"\xc0") + _tlv(0x89, b"\0")
    return _tlv(0x30, texts + numbers + rest)


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes([tag, size] if size < 0x80 else [tag, 0x81, size]) + content
