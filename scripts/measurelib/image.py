"""Registers of a real TDX guest, as far as files say them: firmware, kernel, initrd, command line.

MRTD comes from the firmware. RTMR1 and RTMR2 come from kernel, initrd and command line where QEMU boots the
kernel itself through EDK2's firmware. **RTMR0 comes from no file**: it holds what the host makes up for one
machine (hand-off block, ACPI tables, boot variables, so also memory and processor count). It is taken from a
boot log recorded on a machine of the same shape, as are RTMR1 and RTMR2 of any other way to boot; such a log
is as good as whoever recorded it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

from enclave_runtime.attestation.dcap.rtmr import ZERO_REGISTER
from enclave_runtime.wire.errors import WireError

__all__ = ["authenticode", "behind_kernel", "extend", "rtmr1", "rtmr2"]

_SEPARATOR = b"\x00\x00\x00\x00"
_AFTER_KERNEL = (
    b"Calling EFI Application from Boot Option",
    _SEPARATOR,
    b"Exit Boot Services Invocation",
    b"Exit Boot Services Returned with Success",
)
"""What EDK2 extends into RTMR1 behind the kernel, each as its text's digest. Public boot logs show two kinds
of EDK2: the separator goes into RTMR1, or a second time into RTMR0."""
_PE32_PLUS = 0x20B
_CERTIFICATES = 4
"""Number of the PE data directory that a signature leaves out."""


def extend(digests: Iterable[bytes]) -> bytes:
    """Return a register that began at zero and was extended with `digests`."""
    register = ZERO_REGISTER
    for digest in digests:
        register = hashlib.sha384(register + digest).digest()
    return register


def rtmr1(kernel: bytes, *, separator: bool = True) -> bytes:
    """Return RTMR1 after EDK2 has started `kernel`, a bzImage with its EFI stub, 48 bytes.

    Args:
        separator: whether this firmware puts the separator behind the kernel into RTMR1.
    Raises:
        WireError: no EFI image.
    """
    return behind_kernel(authenticode(kernel), separator=separator)


def behind_kernel(kernel: bytes, *, separator: bool = True) -> bytes:
    """Return RTMR1 from the digest of a kernel; see `rtmr1`."""
    texts = [text for text in _AFTER_KERNEL if separator or text != _SEPARATOR]
    return extend([kernel, *(hashlib.sha384(text).digest() for text in texts)])


def rtmr2(command_line: str, initrd: bytes) -> bytes:
    """Return RTMR2 after the kernel's EFI stub has measured its options and its initrd, 48 bytes."""
    options = f"initrd=initrd {command_line}".encode("utf-16-le") + b"\x00\x00"
    return extend([hashlib.sha384(options).digest(), hashlib.sha384(initrd).digest()])


def authenticode(image: bytes) -> bytes:
    """Return the SHA-384 of a PE image as its signer would compute it: without checksum and certificates.

    Raises:
        WireError: no PE image, or one whose tables point outside of it.
    """
    try:
        return _authenticode(image)
    except struct.error as error:
        raise WireError("kernel: got an image whose headers are cut") from error


def _authenticode(image: bytes) -> bytes:
    (header,) = struct.unpack_from("<I", image, 0x3C)
    if image[header : header + 4] != b"PE\x00\x00":
        raise WireError("kernel: got something else than an EFI image")
    count, optional_size = struct.unpack_from("<H12xH", image, header + 6)
    optional = header + 24
    (magic,) = struct.unpack_from("<H", image, optional)
    directories = optional + (112 if magic == _PE32_PLUS else 96)
    (headers_size,) = struct.unpack_from("<I", image, optional + 60)
    (entries,) = struct.unpack_from("<I", image, directories - 4)
    checksum, security = optional + 64, directories + 8 * _CERTIFICATES
    signed = entries > _CERTIFICATES
    (certificates,) = struct.unpack_from("<I", image, security + 4) if signed else (0,)
    skipped = security if signed else checksum + 4
    if not checksum + 4 <= skipped <= headers_size <= len(image):
        raise WireError("kernel: got an image whose headers do not fit it")
    digest = hashlib.sha384(image[:checksum])
    digest.update(image[checksum + 4 : skipped] + image[skipped + (8 if signed else 0) : headers_size])
    end = headers_size
    for size, start in sorted(_raw_sections(image, optional + optional_size, count), key=lambda one: one[1]):
        if start + size > len(image):
            raise WireError("kernel: got an image whose sections do not fit it")
        digest.update(image[start : start + size])
        end += size
    digest.update(image[end : max(end, len(image) - certificates)])
    return digest.digest()


def _raw_sections(image: bytes, table: int, count: int) -> list[tuple[int, int]]:
    """Return (size, offset) of each section with content."""
    found = [struct.unpack_from("<II", image, table + 40 * i + 16) for i in range(count)]
    return [(size, start) for size, start in found if size]
