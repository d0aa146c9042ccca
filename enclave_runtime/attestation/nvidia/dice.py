"""What a device's leaf certificate says of the firmware that holds its key (TCG DICE attestation extensions).

Hopper and NVSwitch: 2.23.133.5.4.1 = SEQUENCE {INTEGER 1, SubjectPublicKeyInfo of the boot ROM's key,
SEQUENCE {sha384, digest}}. Blackwell: 2.23.133.5.4.1.1, DiceTcbInfo with context tags: [6] firmware ids, the
first of which counts, [7] operational flags. Strict DER, nothing left over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509

from enclave_runtime.wire.errors import WireError

__all__ = ["COMPOSITE_DEVICE_ID", "DEBUG", "DICE_TCB_INFO", "UNFIT", "Firmware", "parse_firmware"]

COMPOSITE_DEVICE_ID = "2.23.133.5.4.1"
DICE_TCB_INFO = "2.23.133.5.4.1.1"

DEBUG = 1 << 3
UNFIT = 1 << 1 | 1 << 2 | DEBUG
"""notSecure, recovery, debug. Bit 0, notConfigured, is set on every GPU that NVIDIA ships: no sign."""

_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
_SHA384_OID = bytes.fromhex("0609608648016503040202")
_FWIDS, _FLAGS = 0xA6, 0x87
_TCB_TAGS = frozenset((*range(0x80, 0x86), _FWIDS, *range(0x87, 0x8B)))


@dataclass(frozen=True, slots=True)
class Firmware:
    """Attributes:
    fwid: SHA-384 of the firmware, 48 bytes.
    rom_key: SubjectPublicKeyInfo (DER) that the extension names, or None where it names none (Blackwell).
    flags: operational flags, bit n as the specification numbers them; 0 where there are none (Hopper).
    """

    fwid: bytes
    rom_key: bytes | None
    flags: int


def parse_firmware(leaf: x509.Certificate) -> Firmware:
    """Return what the leaf says of its firmware.

    Raises:
        WireError: none of the two extensions, both, or one in another shape.
    """
    found = {
        item.oid.dotted_string: item.value
        for item in leaf.extensions
        if item.oid.dotted_string in (COMPOSITE_DEVICE_ID, DICE_TCB_INFO)
    }
    if len(found) != 1:
        raise WireError(f"gpu certificate: got {len(found)} DICE extensions, expected one")
    (oid, value), *_ = found.items()
    if not isinstance(value, x509.UnrecognizedExtension):
        raise WireError("gpu certificate: got a DICE extension of an unknown kind")
    return _composite(value.value) if oid == COMPOSITE_DEVICE_ID else _tcb_info(value.value)


def _composite(der: bytes) -> Firmware:
    parts = list(_items(_only(der, _SEQUENCE)))
    if [tag for tag, _, _ in parts] != [_INTEGER, _SEQUENCE, _SEQUENCE]:
        raise WireError("gpu certificate: got a composite device id of another shape")
    if parts[0][1] != b"\x01":
        raise WireError(f"gpu certificate: got composite device id version {parts[0][1].hex()}, expected 1")
    return Firmware(_fwid(parts[2][1]), parts[1][2], 0)


def _tcb_info(der: bytes) -> Firmware:
    fields: dict[int, bytes] = {}
    for tag, content, _ in _items(_only(der, _SEQUENCE)):
        if tag not in _TCB_TAGS or any(tag & 0x1F <= seen & 0x1F for seen in fields):
            raise WireError(f"gpu certificate: got DICE field {tag:#x} out of place")
        fields[tag] = content
    if not {_FWIDS, _FLAGS} <= fields.keys():
        raise WireError("gpu certificate: got DICE information without firmware ids and flags")
    ids = [content for tag, content, _ in _items(fields[_FWIDS]) if tag == _SEQUENCE]
    if not 1 <= len(ids) <= 4:
        raise WireError(f"gpu certificate: got {len(ids)} firmware ids, expected 1 to 4")
    return Firmware(_fwid(ids[0]), None, _flags(fields[_FLAGS]))


def _flags(content: bytes) -> int:
    """Return a BIT STRING with its first bit as bit 0, as the specification numbers them."""
    if not 2 <= len(content) <= 5 or content[0]:
        raise WireError(f"gpu certificate: got flags {content.hex()}, expected whole bytes, 1 to 4")
    return sum(
        1 << (8 * place + bit)
        for place, byte in enumerate(content[1:])
        for bit in range(8)
        if byte & 0x80 >> bit
    )


def _fwid(content: bytes) -> bytes:
    digest = content.removeprefix(_SHA384_OID)
    if len(content) != len(_SHA384_OID) + 50 or digest[:2] != bytes((_OCTETS, 48)) or len(digest) != 50:
        raise WireError("gpu certificate: got a firmware id that is no SHA-384")
    return digest[2:]


def _only(der: bytes, tag: int) -> bytes:
    items = list(_items(der))
    if len(items) != 1 or items[0][0] != tag:
        raise WireError("gpu certificate: got a DICE extension that is no single sequence")
    return items[0][1]


def _items(der: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (tag, content, whole value) of consecutive DER values, lengths in their shortest form."""
    at = 0
    while at < len(der):
        start, size = at, -1
        if at + 2 <= len(der):
            size, at = der[at + 1], at + 2
            if size & 0x80:
                count = size & 0x7F
                size, at = int.from_bytes(der[at : at + count], "big"), at + count
                if count not in (1, 2) or size < (0x80 if count == 1 else 0x100):
                    size = -1
        if size < 0 or at + size > len(der):
            raise WireError("gpu certificate: got a cut or ill-formed DER value")
        yield der[start], der[at : at + size], der[start : at + size]
        at += size
