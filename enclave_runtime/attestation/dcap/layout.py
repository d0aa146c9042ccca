"""The Intel DCAP quote, versions 3 to 5: one table of fields for parsing and for encoding.

Layout as in Intel's "TDX DCAP Quoting Library API" and "SGX ECDSA Quote Library API", all integers little
endian. Exact length is required: a quote followed by anything, zero padding too, is refused, and
`strip_zero_padding` is the one named way to normalise what some clouds emit (docs/protocol.md section 4.3).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Self

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = [
    "INTEL_QE_VENDOR_ID",
    "KEY_TYPE_ECDSA_P256",
    "SGX_DEBUG",
    "TEE_TYPE_SGX",
    "TEE_TYPE_TDX",
    "EnclaveBody",
    "Quote",
    "QuoteHeader",
    "SignatureSection",
    "TdBody",
    "canonical_id",
    "parse_quote",
    "strip_zero_padding",
]

TEE_TYPE_SGX = 0x00
TEE_TYPE_TDX = 0x81
KEY_TYPE_ECDSA_P256 = 2
SGX_DEBUG = 0x02
"""In the first byte of an enclave's attributes."""
INTEL_QE_VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")

_HEADER = struct.Struct("<HHIHH16s20s")
_DESCRIPTOR = struct.Struct("<HI")
_SECTION = struct.Struct("<I64s64sHI384s64sH")
"""From the length of the signature section to that of the QE's auth data."""
_SECTION_V3 = struct.Struct("<I64s64s384s64sH")
_CERTIFIED_AT = 64 + 64 + _DESCRIPTOR.size
"""Where what the QE report certifies begins in a section of versions 4 and 5."""
_QE_REPORT_CERTIFICATION, _PCK_CHAIN = 6, 5
_BODY_SGX, _BODY_TD10, _BODY_TD15 = 1, 2, 3
_SERVICE_TD_BYTES = 64
_KINDS = {(3, TEE_TYPE_SGX): _BODY_SGX, (4, TEE_TYPE_TDX): _BODY_TD10}
"""By version and TEE type, of the versions that do not say what their body is."""


class QuoteHeader(NamedTuple):
    """The 48 bytes at the start of every version."""

    version: int
    key_type: int
    tee_type: int
    qe_svn: int
    pce_svn: int
    vendor_id: bytes
    user_data: bytes

    def encode(self) -> bytes:
        """Return the 48 bytes."""
        values = (self.version, self.key_type, self.tee_type, self.qe_svn, self.pce_svn)
        return _HEADER.pack(*values, self.vendor_id, self.user_data)


class _FixedBody:
    """A body whose fields are byte strings of fixed sizes, in the order of the dataclass."""

    __slots__: ClassVar[tuple[str, ...]] = ()
    SIZES: ClassVar[tuple[int, ...]]
    _packing: ClassVar[struct.Struct]

    def __init_subclass__(cls) -> None:
        cls._packing = struct.Struct("<" + "".join(f"{size}s" for size in cls.SIZES))

    @classmethod
    def size(cls) -> int:
        """Return the length of the encoding, in bytes."""
        return cls._packing.size

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the body that `data` is, exactly.

        Raises:
            WireError: another length.
        """
        packing = cls._packing
        if len(data) != packing.size:
            raise WireError(f"dcap: got a {cls.__name__} of {len(data)} bytes, expected {packing.size}")
        return cls(*packing.unpack(data))

    def encode(self) -> bytes:
        """Return the body's bytes.

        Raises:
            WireError: a field of the wrong length.
        """
        out = b""
        for name, size in zip(self.__slots__, self.SIZES, strict=True):
            value: bytes = getattr(self, name)
            if len(value) != size:
                raise WireError(f"dcap: got {len(value)} bytes of {name}, expected {size}")
            out += value
        return out


@dataclass(frozen=True, slots=True)
class TdBody(_FixedBody):
    """A TD report in its 1.0 form; the 1.5 form appends 64 bytes, see `Quote.service_td`."""

    tee_tcb_svn: bytes
    mr_seam: bytes
    mrsigner_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mrtd: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    report_data: bytes

    SIZES: ClassVar[tuple[int, ...]] = (16, 48, 48, 8, 8, 8, 48, 48, 48, 48, 48, 48, 48, 48, 64)

    @property
    def rtmrs(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Return the four run-time registers."""
        return self.rtmr0, self.rtmr1, self.rtmr2, self.rtmr3


@dataclass(frozen=True, slots=True)
class EnclaveBody(_FixedBody):
    """An SGX report: the body of a version 3 quote, and the quoting enclave's own report in every version.

    The fields of key separation and sharing (`isv_ext_prod_id`, `config_id`, `config_svn`, `isv_family_id`)
    are zero in an enclave that does not use it.
    """

    cpu_svn: bytes
    misc_select: bytes
    reserved1: bytes
    isv_ext_prod_id: bytes
    attributes: bytes
    mr_enclave: bytes
    reserved2: bytes
    mr_signer: bytes
    reserved3: bytes
    config_id: bytes
    isv_prod_id: bytes
    isv_svn: bytes
    config_svn: bytes
    reserved4: bytes
    isv_family_id: bytes
    report_data: bytes

    SIZES: ClassVar[tuple[int, ...]] = (16, 4, 12, 16, 16, 32, 32, 32, 32, 64, 2, 2, 2, 42, 16, 64)

    @property
    def reserved(self) -> bytes:
        """Return the reserved bytes together: all zero in every report that hardware makes."""
        return self.reserved1 + self.reserved2 + self.reserved3 + self.reserved4


@dataclass(frozen=True, slots=True)
class SignatureSection:
    """What follows the signed region: the quote's signature and who vouches for its key.

    Attributes:
        signature: r || s over the signed region by `attestation_key`, 64 bytes, big endian.
        attestation_key: x || y, 64 bytes.
        qe_report: the quoting enclave's report, 384 bytes.
        qe_report_signature: r || s over `qe_report` by the PCK key.
        qe_auth_data: bytes that the quoting enclave bound into its report.
        cert_type: 5 where `cert_data` is the PCK chain in PEM.
        cert_data: certification data.
    """

    signature: bytes
    attestation_key: bytes
    qe_report: bytes
    qe_report_signature: bytes
    qe_auth_data: bytes
    cert_type: int
    cert_data: bytes

    def encode(self, version: int) -> bytes:
        """Return the section with its length, in the nesting that `version` uses."""
        inner = self.qe_report + self.qe_report_signature
        inner += struct.pack("<H", len(self.qe_auth_data)) + self.qe_auth_data
        inner += _DESCRIPTOR.pack(self.cert_type, len(self.cert_data)) + self.cert_data
        if version > 3:
            inner = _DESCRIPTOR.pack(_QE_REPORT_CERTIFICATION, len(inner)) + inner
        section = self.signature + self.attestation_key + inner
        return struct.pack("<I", len(section)) + section


class Quote(NamedTuple):
    """A quote whose every length was consistent.

    Attributes:
        header: the 48 bytes in front.
        body: TD report or SGX report.
        service_td: for TD 1.5 reports, the extra 64 bytes: TEE_TCB_SVN_2 and MRSERVICETD; else empty.
        signed: header, descriptor and body exactly as signed.
        signatures: what vouches for it.
    """

    header: QuoteHeader
    body: TdBody | EnclaveBody
    service_td: bytes
    signed: bytes
    signatures: SignatureSection


def parse_quote(data: bytes) -> Quote:
    """Return the quote that `data` is, exactly.

    Raises:
        WireError: truncated, trailing bytes, an unknown version, body type, or inconsistent lengths.
    """
    header, body, service_td, end = _read_signed(data)
    signatures = _read_signatures(data, end, header.version)
    return Quote(header, body, service_td, data[:end], signatures)


def canonical_id(quote: Quote) -> bytes:
    """Return the identity of a quote, 32 bytes: a tagged digest of its signed region.

    Never hash raw quotes: the signature has a second valid form (s -> n - s), and a verifier may
    tolerate other bytes around the signed ones.
    """
    return tagged("dcap-signed/v1", quote.signed)


def strip_zero_padding(data: bytes) -> bytes:
    """Return `data` without the zero bytes that some hosts append to a quote.

    Quoting services answer in buffers of a fixed size (8000 bytes and others), which kernels hand on.
    For attesters, and for tools that read such captures; verifiers never call it.

    Raises:
        WireError: not a quote, or the bytes after it are not all zero.
    """
    end = _section_end(data, _read_signed(data)[-1])
    if data[end:].strip(b"\x00"):
        raise WireError("dcap quote: got trailing bytes that are not zero padding")
    return data[:end]


def _read_signed(data: bytes) -> tuple[QuoteHeader, TdBody | EnclaveBody, bytes, int]:
    """Return header, body and service TD fields, and where the signed region ends."""
    at = _HEADER.size
    _check_holds(data, at + _DESCRIPTOR.size, "header and descriptor")
    header = QuoteHeader._make(_HEADER.unpack_from(data))
    if header.version == 5:
        kind, size = _DESCRIPTOR.unpack_from(data, at)
        at += _DESCRIPTOR.size
    elif (header.version, header.tee_type) in _KINDS:
        kind, size = _KINDS[header.version, header.tee_type], -1
    else:
        raise WireError(
            f"dcap quote: got version {header.version} for TEE type {header.tee_type:#x}, expected 3 to 5"
        )
    form: type[TdBody | EnclaveBody] = EnclaveBody if kind == _BODY_SGX else TdBody
    body_end = at + form.size()
    end = body_end + (_SERVICE_TD_BYTES if kind == _BODY_TD15 else 0)
    if kind not in (_BODY_SGX, _BODY_TD10, _BODY_TD15) or size not in (-1, end - at):
        raise WireError(f"dcap quote: got body type {kind} of {size} bytes, expected 1, 2 or 3 and its size")
    if (kind == _BODY_SGX) != (header.tee_type == TEE_TYPE_SGX):
        raise WireError(
            f"dcap quote: got body type {kind} for TEE type {header.tee_type:#x}, expected one kind"
        )
    _check_holds(data, end, "the body")
    return header, form.decode(data[at:body_end]), data[body_end:end], end


def _read_signatures(data: bytes, at: int, version: int) -> SignatureSection:
    """Return what follows the signed region; every length in it must add up to the length of `data`."""
    section = _SECTION if version > 3 else _SECTION_V3
    auth_at = at + section.size
    _check_holds(data, auth_at, "the QE report")
    if version > 3:
        size, signature, key, kind, inner, report, report_signature, auth = section.unpack_from(data, at)
        if (kind, inner) != (_QE_REPORT_CERTIFICATION, size - _CERTIFIED_AT):
            raise WireError(
                f"dcap quote: got certification type {kind} of {inner} bytes,"
                f" expected {_QE_REPORT_CERTIFICATION} of {size - _CERTIFIED_AT}"
            )
    else:
        _, signature, key, report, report_signature, auth = section.unpack_from(data, at)
    end = _section_end(data, at)
    if end != len(data):
        raise WireError(f"dcap quote: got {len(data) - end} trailing bytes, expected none")
    auth_end = auth_at + auth
    certs_at = auth_end + _DESCRIPTOR.size
    _check_holds(data, certs_at, "the QE auth data")
    cert_type, size = _DESCRIPTOR.unpack_from(data, auth_end)
    if certs_at + size != end:
        raise WireError(f"dcap quote: got {size} bytes of certificates, expected {end - certs_at}")
    qe_auth_data, cert_data = data[auth_at:auth_end], data[certs_at:]
    return SignatureSection(signature, key, report, report_signature, qe_auth_data, cert_type, cert_data)


def _section_end(data: bytes, at: int) -> int:
    """Return where the signature section ends whose length stands at `at`."""
    end = at + 4 + int.from_bytes(data[at : at + 4], "little")
    _check_holds(data, end, "the signature section")
    return end


def _check_holds(data: bytes, size: int, name: str) -> None:
    if size > len(data):
        raise WireError(f"dcap quote: got {len(data)} bytes, expected {size} to hold {name}")
