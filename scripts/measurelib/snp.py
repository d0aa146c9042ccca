"""MEASUREMENT of a real SEV-SNP guest, from firmware, kernel, initrd, command line and processors.

Facts from AMD's "SEV Secure Nested Paging Firmware ABI" (8.17: every page added to a guest is hashed in, with
its kind and place), EDK2's SEV metadata, and QEMU under KVM: what it puts into the page of kernel hashes, and
with which registers its processors start. Other hosts (EC2, Google) start them otherwise.
"""

from __future__ import annotations

import hashlib
import struct
import uuid

from enclave_runtime.wire.errors import WireError
from scripts.measurelib.table import entries, place

__all__ = ["kernel_hashes", "launch_digest"]

_METADATA = uuid.UUID("dc886566-984a-4798-a75e-5585a7bf67cc")
_HASH_TABLE = uuid.UUID("7255371f-3a3b-4b04-927b-1da6efa8d454").bytes_le
_RESET_BLOCK = uuid.UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e").bytes_le
_HEADER = uuid.UUID("9438d606-4f22-4cc9-b479-a793d411fd21").bytes_le
_CMDLINE = uuid.UUID("97d02dd8-bd20-4c94-aa78-e7714d36ab2a").bytes_le
_INITRD = uuid.UUID("44baf731-3a2f-4bd7-9af1-41e29169781d").bytes_le
_KERNEL = uuid.UUID("4de79437-abd2-427f-b835-d5b172d2045b").bytes_le

_PAGE = 4096
_NORMAL, _VMSA, _ZERO, _SECRETS, _CPUID = 1, 2, 3, 5, 6
"""Kinds of page, as the firmware's page info has them."""
_MEMORY, _SECRETS_PAGE, _CPUID_PAGE, _CAA, _HASHES = 1, 2, 3, 4, 0x10
"""Kinds of section, as EDK2's metadata has them."""
_VMSA_ADDRESS = 0xFFFFFFFFF000
_RESET_VECTOR = 0xFFFFFFF0
_MAX_SECTIONS, _MAX_MEMORY, _MAX_VCPUS = 64, 1 << 28, 1024
_DESCRIPTOR, _SECTION = struct.Struct("<4sIII"), struct.Struct("<III")


class _Launch:
    """The digest while pages are added."""

    def __init__(self) -> None:
        self.digest = bytes(48)

    def add(self, kind: int, address: int, content: bytes | None = None) -> None:
        """Add one page; one without content is known by its kind."""
        held = bytes(48) if content is None else hashlib.sha384(content).digest()
        info = struct.pack("<HBBBBBBQ", 0x70, kind, 0, 0, 0, 0, 0, address)
        self.digest = hashlib.sha384(self.digest + held + info).digest()

    def add_all(self, kind: int, address: int, size: int) -> None:
        """Add pages without content."""
        for at in range(0, size, _PAGE):
            self.add(kind, address + at)


def launch_digest(
    firmware: bytes, *, vcpus: int, signature: int, features: int, hashes: bytes | None = None
) -> bytes:
    """Return MEASUREMENT of a guest that QEMU starts from `firmware`, 48 bytes.

    Args:
        vcpus: how many processors it starts with.
        signature: of their model, as CPUID function 1 gives it in EAX.
        features: SEV_FEATURES: bit 0 is SNP itself, bit 9 Secure TSC.
        hashes: of a kernel that QEMU boots itself, see `kernel_hashes`.
    Raises:
        WireError: no firmware with SEV metadata, or one that takes no kernel.
    """
    if not 0 < vcpus <= _MAX_VCPUS:
        raise WireError(f"sev-snp: got {vcpus} processors, expected 1 to {_MAX_VCPUS}")
    if len(firmware) % _PAGE:
        raise WireError(f"sev-snp: got a firmware of {len(firmware)} bytes, expected whole pages")
    table, launch = entries(firmware, "sev-snp"), _Launch()
    start = (1 << 32) - len(firmware)
    for at in range(0, len(firmware), _PAGE):
        launch.add(_NORMAL, start + at, firmware[at : at + _PAGE])
    taken = False
    for address, size, kind in _sections(firmware):
        taken |= kind == _HASHES
        _add_section(launch, address, size, kind, _hash_page(table, hashes) if kind == _HASHES else None)
    if hashes is not None and not taken:
        raise WireError("sev-snp: got a kernel, and a firmware that checks none")
    if vcpus > 1 and len(table.get(_RESET_BLOCK, b"")) < 4:
        raise WireError("sev-snp: got a firmware without an entry for further processors")
    further = int.from_bytes(table.get(_RESET_BLOCK, b"")[:4], "little")
    for number in range(vcpus):
        entry = further if number else _RESET_VECTOR
        launch.add(_VMSA, _VMSA_ADDRESS, _save_area(entry, signature, features))
    return launch.digest


def kernel_hashes(kernel: bytes, initrd: bytes, command_line: str) -> bytes:
    """Return the table of hashes that QEMU hands to the firmware with a kernel, 176 bytes."""
    values = (
        (_CMDLINE, command_line.encode() + b"\x00"),
        (_INITRD, initrd),
        (_KERNEL, kernel),
    )
    rows = b"".join(
        guid + struct.pack("<H", 16 + 2 + 32) + hashlib.sha256(value).digest() for guid, value in values
    )
    return (_HEADER + struct.pack("<H", 16 + 2 + len(rows)) + rows).ljust(176, b"\x00")


def _sections(firmware: bytes) -> list[tuple[int, int, int]]:
    """Return (address, size, kind) of each region that the metadata name."""
    at = place(firmware, _METADATA, "sev-snp")
    if at is None or not 0 <= at <= len(firmware) - _DESCRIPTOR.size:
        raise WireError("sev-snp: got a firmware without SEV metadata")
    name, _, version, count = _DESCRIPTOR.unpack_from(firmware, at)
    first = at + _DESCRIPTOR.size
    if (name, version) != (b"ASEV", 1) or not 0 < count <= _MAX_SECTIONS:
        raise WireError(f"sev-snp: got metadata {name!r}, version {version}, of {count} sections")
    if first + count * _SECTION.size > len(firmware):
        raise WireError("sev-snp: got a table of sections that the file cuts")
    found = [_SECTION.unpack_from(firmware, first + number * _SECTION.size) for number in range(count)]
    if any(address % _PAGE or size % _PAGE for address, size, _ in found):
        raise WireError("sev-snp: got a section that is not made of whole pages")
    if sum(size for _, size, _ in found) > _MAX_MEMORY:
        raise WireError(f"sev-snp: got sections of more than {_MAX_MEMORY} bytes")
    return found


def _add_section(launch: _Launch, address: int, size: int, kind: int, hashes: bytes | None) -> None:
    if kind == _HASHES and hashes is not None:
        if size != _PAGE:
            raise WireError(f"sev-snp: got {size} bytes for kernel hashes, expected one page")
        launch.add(_NORMAL, address, hashes)
    elif kind in (_MEMORY, _CAA, _HASHES):
        launch.add_all(_ZERO, address, size)
    elif kind in (_SECRETS_PAGE, _CPUID_PAGE):
        launch.add(_SECRETS if kind == _SECRETS_PAGE else _CPUID, address)
    else:
        raise WireError(f"sev-snp: got a section of kind {kind}, which nothing here knows")


def _hash_page(table: dict[bytes, bytes], hashes: bytes | None) -> bytes | None:
    """Return the page with the hashes where the firmware looks for them, or None where there is no kernel."""
    if hashes is None:
        return None
    entry = table.get(_HASH_TABLE, b"")
    offset = int.from_bytes(entry[:4], "little") % _PAGE
    if len(entry) < 4 or offset + len(hashes) > _PAGE:
        raise WireError("sev-snp: got a kernel, and a firmware that has no place for its hashes")
    return (bytes(offset) + hashes).ljust(_PAGE, b"\x00")


def _save_area(entry: int, signature: int, features: int) -> bytes:
    """Return the page of registers with which a processor starts at `entry` (APM volume 2, table B-4)."""
    page = bytearray(_PAGE)
    segments = {
        0x00: (0, 0x93), 0x10: (0xF000, 0x9B), 0x20: (0, 0x93), 0x30: (0, 0x93), 0x40: (0, 0x93),
        0x50: (0, 0x93), 0x60: (0, 0), 0x70: (0, 0x82), 0x80: (0, 0), 0x90: (0, 0x8B),
    }  # fmt: skip
    for at, (selector, attributes) in segments.items():
        base = entry & 0xFFFF0000 if at == 0x10 else 0
        struct.pack_into("<HHIQ", page, at, selector, attributes, 0xFFFF, base)
    registers = {
        0x0D0: 0x1000, 0x148: 0x40, 0x158: 0x10, 0x160: 0x400, 0x168: 0xFFFF0FF0, 0x170: 0x2,
        0x178: entry & 0xFFFF, 0x268: 0x0007040600070406, 0x310: signature, 0x3B0: features, 0x3E8: 1,
    }  # fmt: skip
    for at, value in registers.items():
        struct.pack_into("<Q", page, at, value)
    struct.pack_into("<I", page, 0x408, 0x1F80)
    struct.pack_into("<H", page, 0x410, 0x37F)
    return bytes(page)
