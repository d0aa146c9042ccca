"""The Intel DCAP quote, versions 3 to 5: one table of fields for parsing and for encoding.

Layout as in Intel's "TDX DCAP Quoting Library API" and "SGX ECDSA Quote Library API", all integers little
endian. Exact length is required: a quote followed by anything, zero padding too, is refused, and
`strip_zero_padding` is the one named way to normalise what some clouds emit (docs/protocol.md section 4.3).
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import ClassVar, Self

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
_QE_REPORT_CERTIFICATION, _PCK_CHAIN = 6, 5
_BODY_SGX, _BODY_TD10, _BODY_TD15 = 1, 2, 3


@dataclass(frozen=True, slots=True)
class QuoteHeader:
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


@functools.cache
def _packing(sizes: tuple[int, ...]) -> struct.Struct:
    return struct.Struct("<" + "".join(f"{size}s" for size in sizes))


class _FixedBody:
    """A body whose fields are byte strings of fixed sizes, in the order of the dataclass."""

    __slots__: ClassVar[tuple[str, ...]] = ()
    SIZES: ClassVar[tuple[int, ...]]

    @classmethod
    def size(cls) -> int:
        """Return the length of the encoding, in bytes."""
        return sum(cls.SIZES)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the body that `data` is, exactly.

        Raises:
            WireError: another length.
        """
        if len(data) != cls.size():
            raise WireError(f"dcap: got a {cls.__name__} of {len(data)} bytes, expected {cls.size()}")
        return cls(*_packing(cls.SIZES).unpack(data))

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


@dataclass(frozen=True, slots=True)
class Quote:
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


class _Reader:
    """Cuts a byte string from the left; every cut that the bytes do not cover is refused by name."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._what, self.at = data, what, 0

    def take(self, size: int, name: str) -> bytes:
        end = self.at + size
        if end > len(self._data):
            raise WireError(f"{self._what}: got {len(self._data)} bytes, expected {end} to hold {name}")
        piece, self.at = self._data[self.at : end], end
        return piece

    def u16(self, name: str) -> int:
        return int.from_bytes(self.take(2, name), "little")

    def u32(self, name: str) -> int:
        return int.from_bytes(self.take(4, name), "little")

    def end(self) -> None:
        if self.at != len(self._data):
            raise WireError(f"{self._what}: got {len(self._data) - self.at} trailing bytes, expected none")


def parse_quote(data: bytes) -> Quote:
    """Return the quote that `data` is, exactly.

    Raises:
        WireError: truncated, trailing bytes, an unknown version, body type, or inconsistent lengths.
    """
    reader = _Reader(data, "dcap quote")
    header = QuoteHeader(*_HEADER.unpack(reader.take(_HEADER.size, "the header")))
    body, service_td = _read_body(reader, header)
    signed = data[: reader.at]
    section = _Reader(
        reader.take(reader.u32("the signature length"), "the signature section"), "dcap signature"
    )
    reader.end()
    return Quote(header, body, service_td, signed, _read_signatures(section, header.version))


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
    reader = _Reader(data, "dcap quote")
    header = QuoteHeader(*_HEADER.unpack(reader.take(_HEADER.size, "the header")))
    _read_body(reader, header)
    reader.take(reader.u32("the signature length"), "the signature section")
    if data[reader.at :].strip(b"\x00"):
        raise WireError("dcap quote: got trailing bytes that are not zero padding")
    return data[: reader.at]


def _read_body(reader: _Reader, header: QuoteHeader) -> tuple[TdBody | EnclaveBody, bytes]:
    kinds = {(3, TEE_TYPE_SGX): _BODY_SGX, (4, TEE_TYPE_TDX): _BODY_TD10}
    if header.version == 5:
        kind, size = reader.u16("the body type"), reader.u32("the body size")
    elif (header.version, header.tee_type) in kinds:
        kind, size = kinds[header.version, header.tee_type], -1
    else:
        raise WireError(
            f"dcap quote: got version {header.version} for TEE type {header.tee_type:#x}, expected 3 to 5"
        )
    extra = 64 if kind == _BODY_TD15 else 0
    expected = (EnclaveBody.size() if kind == _BODY_SGX else TdBody.size()) + extra
    if kind not in (_BODY_SGX, _BODY_TD10, _BODY_TD15) or size not in (-1, expected):
        raise WireError(f"dcap quote: got body type {kind} of {size} bytes, expected 1, 2 or 3 and its size")
    if (kind == _BODY_SGX) != (header.tee_type == TEE_TYPE_SGX):
        raise WireError(
            f"dcap quote: got body type {kind} for TEE type {header.tee_type:#x}, expected one kind"
        )
    raw = reader.take(expected - extra, "the body")
    body = EnclaveBody.decode(raw) if kind == _BODY_SGX else TdBody.decode(raw)
    return body, reader.take(extra, "the service TD fields")


def _read_signatures(reader: _Reader, version: int) -> SignatureSection:
    signature, key = reader.take(64, "the signature"), reader.take(64, "the attestation key")
    inner = reader
    if version > 3:
        kind, size = reader.u16("the certification type"), reader.u32("the certification length")
        if kind != _QE_REPORT_CERTIFICATION:
            raise WireError(
                f"dcap signature: got certification type {kind}, expected {_QE_REPORT_CERTIFICATION}"
            )
        inner = _Reader(reader.take(size, "the certification data"), "dcap certification")
        reader.end()
    report = inner.take(EnclaveBody.size(), "the QE report")
    report_signature = inner.take(64, "the QE report signature")
    auth = inner.take(inner.u16("the QE auth length"), "the QE auth data")
    cert_type = inner.u16("the certificate type")
    certs = inner.take(inner.u32("the certificate length"), "the certificate data")
    inner.end()
    return SignatureSection(signature, key, report, report_signature, auth, cert_type, certs)
