"""MRTD from a TDX virtual firmware file: what the host adds to a TD before it runs.

Facts from Intel's "TDX Virtual Firmware Design Guide" (metadata) and "TDX Module Base Specification" (MRTD):
one 128-byte record per page added, and per 256 bytes of measured content a record and the content itself. The
order is that of KVM, page by page.
"""

from __future__ import annotations

import hashlib
import struct
import uuid
from dataclasses import dataclass

from enclave_runtime.wire.errors import WireError
from scripts.measurelib.table import place

__all__ = ["Section", "mrtd", "sections"]

_METADATA = uuid.UUID("e47a6535-984a-4798-865e-4685a7bf8ec2")
_DESCRIPTOR = struct.Struct("<4sIII")
_SECTION = struct.Struct("<IIQQII")
_PAGE, _CHUNK = 4096, 256
_EXTEND, _AUGMENT = 1, 2
_MAX_SECTIONS, _MAX_MEMORY = 64, 1 << 28


@dataclass(frozen=True)
class Section:
    """One region of memory that the firmware's metadata asks the host to add.

    Attributes:
        offset, size: of its content in the file.
        address, memory: guest physical address and length, whole pages.
        kind: 0 code, 1 configuration, 2 hand-off block, 3 temporary memory, and others.
        attributes: bit 0: its content is measured; bit 1: its pages are added later.
    """

    offset: int
    size: int
    address: int
    memory: int
    kind: int
    attributes: int


def mrtd(firmware: bytes) -> bytes:
    """Return MRTD of a TD that starts from `firmware`, 48 bytes.

    Raises:
        WireError: no TDX firmware.
    """
    digest = hashlib.sha384()
    for section in sections(firmware):
        for page in range(section.memory // _PAGE):
            address = section.address + page * _PAGE
            if not section.attributes & _AUGMENT:
                digest.update(_record(b"MEM.PAGE.ADD", address))
            if section.attributes & _EXTEND:
                for at in range(0, _PAGE, _CHUNK):
                    start = section.offset + page * _PAGE + at
                    digest.update(_record(b"MR.EXTEND", address + at) + firmware[start : start + _CHUNK])
    return digest.digest()


def sections(firmware: bytes) -> tuple[Section, ...]:
    """Return the regions, in the order of the metadata.

    Raises:
        WireError: no TDX metadata, or regions that do not fit the file.
    """
    at = place(firmware, _METADATA, "tdvf")
    if at is None:
        raise WireError("tdvf: got a firmware without TDX metadata")
    if at < 0 or at + _DESCRIPTOR.size > len(firmware):
        raise WireError("tdvf: got metadata outside of the file")
    signature, _, version, count = _DESCRIPTOR.unpack_from(firmware, at)
    table = at + _DESCRIPTOR.size
    if (signature, version) != (b"TDVF", 1) or not 0 < count <= _MAX_SECTIONS:
        raise WireError(f"tdvf: got metadata {signature!r}, version {version}, of {count} sections")
    if table + count * _SECTION.size > len(firmware):
        raise WireError("tdvf: got a table of sections that the file cuts")
    found = tuple(Section(*_SECTION.unpack_from(firmware, table + i * _SECTION.size)) for i in range(count))
    for index, section in enumerate(found):
        _check(index, section, len(firmware))
    if sum(section.memory for section in found) > _MAX_MEMORY:
        raise WireError(f"tdvf: got sections of more than {_MAX_MEMORY} bytes")
    return found


def _check(index: int, section: Section, size: int) -> None:
    if section.address % _PAGE or section.memory % _PAGE or section.size > section.memory:
        raise WireError(f"tdvf: got section {index} that is not made of whole pages")
    if section.offset + section.size > size:
        raise WireError(f"tdvf: got section {index} beyond the file's end")
    if section.attributes & _EXTEND and section.size != section.memory:
        raise WireError(f"tdvf: got section {index}, measured and only in part in the file")


def _record(name: bytes, address: int) -> bytes:
    return name.ljust(16, b"\x00") + address.to_bytes(8, "little") + bytes(104)
