"""The certificate chain inside a quote, and Intel's SGX extension in its leaf (PCK certificate).

Extension 1.2.840.113741.1.13.1 as in Intel's "SGX PCK Certificate and CRL Profile". The chain must be what
Intel's tools write: leaf, intermediate and root in PEM with 64 columns, at most one NUL behind them.
"""

from __future__ import annotations

import binascii
import functools
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.certificates import MALFORMED
from enclave_runtime.wire.errors import WireError

__all__ = [
    "PCK_CHAIN_PEM",
    "SGX_EXTENSION",
    "PckExtension",
    "encode_chain",
    "encode_extension",
    "parse_chain",
    "parse_extension",
    "read_certificate",
    "read_extension",
]

PCK_CHAIN_PEM = 5
"""The certification data type whose content is a PEM chain."""
SGX_EXTENSION = "1.2.840.113741.1.13.1"

_SEQUENCE, _OID, _OCTETS, _INTEGER, _BOOLEAN, _ENUMERATED = 0x30, 0x06, 0x04, 0x02, 0x01, 0x0A
_PREFIX = bytes.fromhex("2a864886f84d010d01")
"""`SGX_EXTENSION` as the content of a DER object identifier; its parts append one byte per arc."""
_MAX_CHAIN_BYTES = 1 << 13
_BEGIN, _END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"


@dataclass(frozen=True, slots=True)
class PckExtension:
    """Facts about the platform that Intel signed into a PCK certificate.

    Attributes:
        ppid: platform provisioning id, 16 bytes: names the processor package.
        cpu_svn: 16 patch levels.
        pce_svn: patch level of the provisioning certification enclave.
        pce_id: 2 bytes.
        fmspc: family, model, stepping, platform type and custom SKU, 6 bytes: selects the TCB info.
        sgx_type: 0 standard, 1 scalable, 2 scalable with integrity of memory.
        flags: dynamic platform, cached keys, hyper-threading; None for a processor-issued certificate, which
            does not say.
    """

    ppid: bytes
    cpu_svn: bytes
    pce_svn: int
    pce_id: bytes
    fmspc: bytes
    sgx_type: int = 1
    flags: tuple[bool, bool, bool] | None = (False, False, False)


def parse_chain(cert_data: bytes) -> tuple[x509.Certificate, x509.Certificate, x509.Certificate]:
    """Return leaf, intermediate and root of a quote's certification data.

    Raises:
        WireError: not three certificates, or any byte that belongs to none of them.
    """
    if len(cert_data) > _MAX_CHAIN_BYTES:
        raise WireError(f"pck chain: got {len(cert_data)} bytes, expected at most {_MAX_CHAIN_BYTES}")
    front, *blocks = cert_data.removesuffix(b"\x00").split(_BEGIN)
    if len(blocks) != 3:
        raise WireError(f"pck chain: got {len(blocks)} certificates, expected leaf, intermediate and root")
    if front:
        raise WireError("pck chain: got bytes in front of the certificates, expected plain PEM")
    return read_certificate(blocks[0]), read_certificate(blocks[1]), read_certificate(blocks[2])


@functools.lru_cache(maxsize=64)  # issuer and root are the same in every quote
def read_certificate(block: bytes) -> x509.Certificate:
    """Return the certificate in what follows the first line of a PEM block, up to the next block.

    Raises:
        WireError: no certificate, or one that is written in another way than Intel's tools do.
    """
    try:
        der = binascii.a2b_base64(block.removesuffix(_END))
        cert = x509.load_der_x509_certificate(der)
    except MALFORMED as error:  # binascii.Error is a ValueError
        raise WireError("pck chain: got bytes that are not certificates in PEM") from error
    text = binascii.b2a_base64(der, newline=False)
    if b"".join(text[at : at + 64] + b"\n" for at in range(0, len(text), 64)) + _END != block:
        raise WireError("pck chain: got bytes around or inside the certificates, expected plain PEM")
    return cert


def encode_chain(*certs: x509.Certificate) -> bytes:
    """Return certification data as Intel's tools write it: PEM, leaf first, and one NUL."""
    return b"".join(cert.public_bytes(Encoding.PEM) for cert in certs) + b"\x00"


def parse_extension(leaf: x509.Certificate) -> PckExtension:
    """Return the SGX extension of a PCK certificate.

    Raises:
        WireError: no such extension, or one without its required parts.
    """
    try:
        extension = leaf.extensions.get_extension_for_oid(x509.ObjectIdentifier(SGX_EXTENSION)).value
    except (x509.ExtensionNotFound, *MALFORMED) as error:
        raise WireError("pck certificate: got no SGX extension") from error
    if not isinstance(extension, x509.UnrecognizedExtension):
        raise WireError("pck certificate: got an SGX extension of an unknown kind")
    return read_extension(extension.value)


def read_extension(der: bytes) -> PckExtension:
    """Return what the DER of an SGX extension says.

    Raises:
        WireError: other DER, or a required part that is missing.
    """
    top = _pairs(_whole(der))
    tcb = _pairs(_value_of(top, ".2", _SEQUENCE, None))
    return PckExtension(
        ppid=_value_of(top, ".1", _OCTETS, 16),
        cpu_svn=_value_of(tcb, ".2.18", _OCTETS, 16),
        pce_svn=int.from_bytes(_value_of(tcb, ".2.17", _INTEGER, None), "big"),
        pce_id=_value_of(top, ".3", _OCTETS, 2),
        fmspc=_value_of(top, ".4", _OCTETS, 6),
        sgx_type=_value_of(top, ".5", _ENUMERATED, 1)[0],
        flags=_flags(top),
    )


def _flags(top: dict[bytes, tuple[int, bytes]]) -> tuple[bool, bool, bool] | None:
    if _suffix(".7") not in top:
        return None
    inner = _pairs(_value_of(top, ".7", _SEQUENCE, None))
    dynamic, cached, smt = (_value_of(inner, f".7.{i}", _BOOLEAN, 1) != b"\x00" for i in (1, 2, 3))
    return dynamic, cached, smt


def encode_extension(extension: PckExtension, *, platform_instance_id: bytes) -> bytes:
    """Return the DER of an SGX extension; without flags it is that of a processor-issued certificate."""
    levels = [(f".2.{i + 1}", _integer(svn)) for i, svn in enumerate(extension.cpu_svn)]
    levels += [(".2.17", _integer(extension.pce_svn)), (".2.18", _value(_OCTETS, extension.cpu_svn))]
    entries = [
        (".1", _value(_OCTETS, extension.ppid)),
        (".2", _entries(levels)),
        (".3", _value(_OCTETS, extension.pce_id)),
        (".4", _value(_OCTETS, extension.fmspc)),
        (".5", _value(_ENUMERATED, bytes([extension.sgx_type]))),
    ]
    if extension.flags is not None:
        flags = [
            (f".7.{i + 1}", _value(_BOOLEAN, b"\xff" if flag else b"\x00"))
            for i, flag in enumerate(extension.flags)
        ]
        entries += [(".6", _value(_OCTETS, platform_instance_id)), (".7", _entries(flags))]
    return _entries(entries)


def _entries(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    return _value(
        _SEQUENCE, b"".join(_value(_SEQUENCE, _oid(SGX_EXTENSION + name) + der) for name, der in pairs)
    )


def _value(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = (
        bytes([size])
        if size < 0x80
        else bytes([0x81, size])
        if size < 0x100
        else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes([tag]) + length + content


def _integer(number: int) -> bytes:
    return _value(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = bytes([40 * first + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return _value(_OID, content)


@functools.cache
def _suffix(dotted: str) -> bytes:
    """Return the content bytes of `SGX_EXTENSION` + `dotted`."""
    return _PREFIX + bytes(int(part) for part in dotted.split(".")[1:])


def _value_of(pairs: dict[bytes, tuple[int, bytes]], dotted: str, tag: int, size: int | None) -> bytes:
    found, value = pairs.get(_suffix(dotted), (-1, b""))
    if found != tag or (size is not None and len(value) != size):
        raise WireError(
            f"pck certificate: got tag {found} of {len(value)} bytes for {dotted}, expected {tag}"
        )
    return value


def _whole(der: bytes) -> bytes:
    tag, start, end = _value_at(der, 0)
    if tag != _SEQUENCE or end != len(der):
        raise WireError("pck certificate: got an SGX extension that is no single sequence")
    return der[start:end]


def _pairs(der: bytes) -> dict[bytes, tuple[int, bytes]]:
    """Return {content of the OID: (tag, content)} of consecutive SEQUENCE {OID, value}."""
    pairs: dict[bytes, tuple[int, bytes]] = {}
    at = 0
    while at < len(der):
        outer, start, at = _value_at(der, at)
        oid, name_start, name_end = _value_at(der, start)
        tag, value_start, value_end = _value_at(der, name_end)
        if outer != _SEQUENCE or oid != _OID or value_end != at:
            raise WireError("pck certificate: got an SGX extension entry that is no pair")
        name = der[name_start:name_end]
        if name in pairs:
            raise WireError(f"pck certificate: got {name.hex()} twice in the SGX extension")
        pairs[name] = tag, der[value_start:value_end]
    return pairs


def _value_at(der: bytes, at: int) -> tuple[int, int, int]:
    """Return tag, start and end of the DER value at `at`, of a length below 64 KiB."""
    start = at + 2
    if start > len(der):
        raise WireError("pck certificate: got a cut DER value")
    size = der[at + 1]
    if size & 0x80:
        count = size & 0x7F
        size = int.from_bytes(der[start : start + count], "big")
        start += count
        if count not in (1, 2) or size < 0x80 or (count == 2 and size < 0x100):
            raise WireError("pck certificate: got a DER length in another than its shortest form")
    if start + size > len(der):
        raise WireError("pck certificate: got a cut DER value")
    return der[at], start, start + size
