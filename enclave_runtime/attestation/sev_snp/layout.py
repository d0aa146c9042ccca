"""The SEV-SNP attestation report, versions 2, 3 and 5: 1184 bytes, one table for parsing and for encoding.

Layout as in AMD's "SEV Secure Nested Paging Firmware ABI Specification" (document 56860), all integers little
endian. Every byte that a version reserves must be zero, the unsigned ones behind the signature too, so that a
report has one encoding but for the signature's twin (s -> n - s); its identity is that of the signed region.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = [
    "CHIP_ID_BYTES",
    "FAMILY_ZEN5",
    "KEY_VCEK",
    "KEY_VLEK",
    "REPORT_BYTES",
    "SIGNED_BYTES",
    "VERSIONS",
    "GuestPolicy",
    "PlatformInfo",
    "SnpReport",
    "canonical_id",
    "encode_report",
    "parse_report",
]

REPORT_BYTES = 0x4A0
SIGNED_BYTES = 0x2A0
CHIP_ID_BYTES = 64
VERSIONS = (2, 3, 5)
FAMILY_ZEN5 = 0x1A
KEY_VCEK, KEY_VLEK = 0, 1
"""Values of `signing_key`: the chip's own endorsement key, and one that a cloud loads into its chips."""

_ALGORITHM_P384_SHA384 = 1
_SIGNED = struct.Struct("<IIQ16s16sII8sQII64s48s32s48s48s32s32s8s3s21s64s8s4s4s8sQQ152s")
_SIGNATURE = struct.Struct("<72s72s368s")
_SCALAR_BYTES, _FIELD_BYTES = 48, 72


class GuestPolicy(IntFlag):
    """Bits of the policy under which the owner launched the guest; the firmware enforces it."""

    SMT_ALLOWED = 1 << 16
    MUST_BE_ONE = 1 << 17
    MIGRATION_AGENT = 1 << 18
    DEBUG = 1 << 19
    SINGLE_SOCKET = 1 << 20
    CXL_ALLOWED = 1 << 21
    AES_256_XTS = 1 << 22
    RAPL_DISABLED = 1 << 23
    CIPHERTEXT_HIDING = 1 << 24
    PAGE_SWAP_DISABLED = 1 << 25


class PlatformInfo(IntFlag):
    """Bits of what the firmware says about the machine."""

    SMT = 1 << 0
    TSME = 1 << 1
    ECC = 1 << 2
    RAPL_DISABLED = 1 << 3
    CIPHERTEXT_HIDING = 1 << 4
    ALIAS_CHECK_COMPLETE = 1 << 5
    IOMMU_WRITE_SAFE = 1 << 6
    TIO = 1 << 7


_POLICY_BITS = (1 << 26) - 1
_PLATFORM_BITS = (1 << 8) - 1
_KEY_BITS = (1 << 5) - 1


@dataclass(frozen=True, slots=True)
class SnpReport:
    """The signed fields, in the order of the report. TCB versions are 8 bytes whose meaning is the product's.

    Attributes:
        policy: see `GuestPolicy`; the low 16 bits are the least firmware interface that the guest takes.
        vmpl: privilege level that asked, 0 (most) to 3; 0xFFFFFFFF where the host asked.
        platform_info: see `PlatformInfo`.
        key_info: bit 0 an author key, bit 1 the chip id is masked, bits 2 to 4 the signing key.
        cpuid: family, model, stepping; zero in version 2, which has none.
        chip_id: 64 bytes, of which Turin uses 8; zero where it is masked.
        current_version, committed_version: build, minor, major and a zero byte of the firmware.
        launch_mitigations, current_mitigations: bits of mitigations in force (version 5).
    """

    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algorithm: int
    current_tcb: bytes
    platform_info: int
    key_info: int
    reserved1: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    reported_tcb: bytes
    cpuid: bytes
    reserved2: bytes
    chip_id: bytes
    committed_tcb: bytes
    current_version: bytes
    committed_version: bytes
    launch_tcb: bytes
    launch_mitigations: int
    current_mitigations: int
    reserved3: bytes

    @property
    def signing_key(self) -> int:
        """Return which key signed: `KEY_VCEK` or `KEY_VLEK`."""
        return self.key_info >> 2 & 7

    @property
    def chip_masked(self) -> bool:
        """Return whether the report hides the chip's id: zero, as it is where the host masks it."""
        return not any(self.chip_id)

    def guest(self, bit: GuestPolicy) -> bool:
        """Return whether `bit` is set in the guest's policy."""
        return bool(self.policy & bit.value)

    def platform(self, bit: PlatformInfo) -> bool:
        """Return whether `bit` is set in what the firmware says about the machine."""
        return bool(self.platform_info & bit.value)

    def encode(self) -> bytes:
        """Return the signed region, 672 bytes."""
        return _SIGNED.pack(*(getattr(self, name) for name in _NAMES))


_NAMES = tuple(SnpReport.__dataclass_fields__)


def parse_report(data: bytes) -> tuple[SnpReport, int, int]:
    """Return the report that `data` is, exactly, and its signature's r and s.

    Raises:
        WireError: another length, version or algorithm, or a reserved bit that is not zero.
    """
    if len(data) != REPORT_BYTES:
        raise WireError(f"snp: got a report of {len(data)} bytes, expected {REPORT_BYTES}")
    report = SnpReport(*_SIGNED.unpack_from(data))
    if report.version not in VERSIONS:
        raise WireError(f"snp: got report version {report.version}, expected one of {VERSIONS}")
    if report.signature_algorithm != _ALGORITHM_P384_SHA384:
        got = report.signature_algorithm
        raise WireError(f"snp: got signature algorithm {got}, expected 1 (P-384 with SHA-384)")
    r, s, tail = _SIGNATURE.unpack_from(data, SIGNED_BYTES)
    for name, value in _reserved(report, r[_SCALAR_BYTES:] + s[_SCALAR_BYTES:] + tail):
        if value:
            raise WireError(f"snp: got reserved bits {value:#x} in {name}, expected zero")
    if not report.guest(GuestPolicy.MUST_BE_ONE):
        raise WireError(f"snp: got guest policy {report.policy:#x}, expected bit 17 set")
    if report.signing_key not in (KEY_VCEK, KEY_VLEK):
        raise WireError(f"snp: got signing key {report.signing_key}, expected VCEK (0) or VLEK (1)")
    return report, int.from_bytes(r, "little"), int.from_bytes(s, "little")


def _reserved(report: SnpReport, unsigned: bytes) -> tuple[tuple[str, int], ...]:
    """Return every place that has to be zero in a report of this version, by name."""
    turin = report.cpuid[0] == FAMILY_ZEN5
    tcbs = (report.current_tcb, report.reported_tcb, report.committed_tcb, report.launch_tcb)
    unused = slice(4, 7) if turin else slice(2, 6)
    late = report.launch_mitigations | report.current_mitigations
    return (
        ("the guest policy", report.policy & ~_POLICY_BITS),
        ("the platform info", report.platform_info & ~_PLATFORM_BITS),
        ("the key info", report.key_info & ~_KEY_BITS),
        ("bytes 0x4c to 0x50", report.reserved1),
        ("the TCB versions", int.from_bytes(b"".join(tcb[unused] for tcb in tcbs), "little")),
        ("the CPUID of version 2", int.from_bytes(report.cpuid, "little") if report.version < 3 else 0),
        ("bytes 0x18b to 0x1a0", int.from_bytes(report.reserved2, "little")),
        (
            "the chip id, which is masked",
            int.from_bytes(report.chip_id, "little") if report.key_info & 2 else 0,
        ),
        ("the chip id of Zen 5", int.from_bytes(report.chip_id[8:], "little") if turin else 0),
        ("the firmware versions", report.current_version[3] | report.committed_version[3]),
        ("the mitigations before version 5", late if report.version < 5 else 0),
        ("bytes 0x208 to 0x2a0", int.from_bytes(report.reserved3, "little")),
        ("the unsigned bytes", int.from_bytes(unsigned, "little")),
    )


def encode_report(signed: bytes, r: int, s: int) -> bytes:
    """Return a report of the signed region `signed` and its signature.

    Raises:
        OverflowError: `r` or `s` is longer than 72 bytes.
    """
    return signed + _SIGNATURE.pack(
        r.to_bytes(_FIELD_BYTES, "little"), s.to_bytes(_FIELD_BYTES, "little"), bytes(368)
    )


def canonical_id(report: bytes) -> bytes:
    """Return the identity of a report, 32 bytes: a tagged digest of its signed region.

    Never hash raw reports: the signature has a second valid form (s -> n - s).
    """
    return tagged("snp-signed/v1", report[:SIGNED_BYTES])
