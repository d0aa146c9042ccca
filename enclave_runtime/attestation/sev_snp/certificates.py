"""AMD's certificates and revocation lists, as its KDS specification (document 57230) has them.

Parsing believes nothing: `chain` checks signatures, dates and names. What is not of AMD's profile is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from enclave_runtime.attestation.sev_snp import der
from enclave_runtime.wire.errors import WireError

__all__ = ["PSS_SHA384", "Certificate", "Extension", "RevocationList", "parse_certificate", "parse_crl"]

_PSS = (
    bytes.fromhex("06092a864886f70d01010a"),
    bytes.fromhex("a00f300d06096086480165030402020500"),
    bytes.fromhex("a11c301a06092a864886f70d010108300d06096086480165030402020500"),
    bytes.fromhex("a203020130"),
)


def _pss(*more: bytes) -> bytes:
    parameters = b"".join((*_PSS[1:], *more))
    content = _PSS[0] + bytes([der.SEQUENCE, len(parameters)]) + parameters
    return bytes([der.SEQUENCE, len(content)]) + content


PSS_SHA384 = frozenset({_pss(), _pss(bytes.fromhex("a303020101"))})
"""RSASSA-PSS, SHA-384, MGF1 with SHA-384, 48 bytes of salt; AMD writes the trailer field or leaves it out."""

_COMMON_NAME = bytes.fromhex("0603550403")  # 2.5.4.3
_MAX_CERTIFICATE_BYTES = 1 << 12  # AMD's have 1.3 to 1.7 kB
_MAX_CRL_BYTES = 1 << 16
_MAX_NAME = 64  # X.520's bound for a common name


@dataclass(frozen=True, slots=True)
class Extension:
    """One extension: whether it must be understood, and its value in DER or raw."""

    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a certificate says, signed or not.

    Attributes:
        tbs, signature: what is signed, and RSASSA-PSS over it.
        issuer, subject: names in DER; compared byte by byte.
        common_name: of the subject.
        not_before, not_after: Unix times, in seconds, both included.
        spki: SubjectPublicKeyInfo, DER.
        extensions: by their identifier in dots.
    """

    tbs: bytes
    signature: bytes
    serial: int
    issuer: bytes
    subject: bytes
    common_name: str
    not_before: int
    not_after: int
    spki: bytes
    extensions: Mapping[str, Extension]


@dataclass(frozen=True, slots=True)
class RevocationList:
    """What a revocation list says, signed or not; times are Unix times, in seconds.

    Its entries stay as they came until `revoked` reads them: after the signature, since they may be many.
    """

    tbs: bytes
    signature: bytes
    issuer: bytes
    this_update: int
    next_update: int
    entries: bytes

    def revoked(self) -> frozenset[int]:
        """Return the serial numbers on the list.

        Raises:
            WireError: an entry that is none.
        """
        return frozenset(_entry(entry) for entry in der.parts(self.entries, limit=_MAX_CRL_BYTES))


def parse_certificate(data: bytes) -> Certificate:
    """Return the certificate that `data` is, exactly.

    Raises:
        WireError: not a certificate of AMD's profile.
    """
    tbs, algorithm, signature = _signed(data, _MAX_CERTIFICATE_BYTES)
    fields = der.parts(tbs.content)
    # [0] {version 3} serial algorithm issuer validity subject spki [3] {extensions}
    tags = [0xA0, der.INTEGER, *[der.SEQUENCE] * 5, 0xA3]
    if [field.tag for field in fields] not in (tags, tags[:-1]) or fields[0].content != b"\x02\x01\x02":
        raise WireError("amd: got a certificate of another shape, expected X.509 version 3")
    _check_algorithm(fields[2], algorithm)
    dates = [der.time(part) for part in der.parts(fields[4].content)]
    if len(dates) != 2:
        raise WireError(f"amd: got {len(dates)} dates in a certificate, expected 2")
    return Certificate(
        tbs=tbs.whole,
        signature=signature,
        serial=der.small_integer(fields[1]),
        issuer=fields[3].whole,
        subject=fields[5].whole,
        common_name=_common_name(fields[5]),
        not_before=dates[0],
        not_after=dates[1],
        spki=fields[6].whole,
        extensions=_extensions(fields[7].content) if len(fields) == 8 else MappingProxyType({}),
    )


def parse_crl(data: bytes) -> RevocationList:
    """Return the revocation list that `data` is, exactly.

    Raises:
        WireError: not a revocation list of AMD's profile, or one with an extension that must be understood.
    """
    tbs, algorithm, signature = _signed(data, _MAX_CRL_BYTES)
    fields = der.parts(tbs.content)
    if len(fields) < 5 or fields[0].whole != b"\x02\x01\x01":
        raise WireError("amd: got a revocation list of another shape, expected X.509 version 2")
    _check_algorithm(fields[1], algorithm)
    rest = fields[5:]
    entries = rest.pop(0).content if rest and rest[0].tag == der.SEQUENCE else b""
    extensions = _extensions(rest.pop(0).content) if rest and rest[0].tag == 0xA0 else {}
    critical = sorted(name for name, extension in extensions.items() if extension.critical)
    if rest or fields[2].tag != der.SEQUENCE or critical:
        raise WireError(f"amd: got a revocation list with more than ours to read, critical {critical}")
    return RevocationList(
        tbs=tbs.whole,
        signature=signature,
        issuer=fields[2].whole,
        this_update=der.time(fields[3]),
        next_update=der.time(fields[4]),
        entries=entries,
    )


def _signed(data: bytes, limit: int) -> tuple[der.Value, bytes, bytes]:
    """Return what is signed, the algorithm and the signature of SEQUENCE {signed, algorithm, BIT STRING}."""
    if len(data) > limit:
        raise WireError(f"amd: got {len(data)} bytes of certificate or list, expected at most {limit}")
    fields = der.parts(der.value(data, der.SEQUENCE).content)
    if [field.tag for field in fields] != [der.SEQUENCE, der.SEQUENCE, der.BIT_STRING]:
        raise WireError("amd: got something else than a signed certificate or list")
    bits = fields[2].content
    if bits[:1] != b"\x00":
        raise WireError("amd: got a signature that is not whole bytes")
    return fields[0], fields[1].whole, bits[1:]


def _check_algorithm(inner: der.Value, outer: bytes) -> None:
    if inner.whole != outer or outer not in PSS_SHA384:
        raise WireError(
            "amd: got another signature algorithm, expected RSASSA-PSS with SHA-384 and 48 bytes of salt"
        )


def _common_name(name: der.Value) -> str:
    found = []
    for rdn in der.parts(name.content):
        # Most of a name is not the common name: look before taking it apart.
        attributes = der.parts(rdn.content) if _COMMON_NAME in rdn.content else []
        pairs = [der.parts(attribute.content) for attribute in attributes]
        found += [pair[1].content for pair in pairs if len(pair) == 2 and pair[0].whole == _COMMON_NAME]
    text = found[0].decode("ascii", "replace") if len(found) == 1 else ""
    if not 0 < len(text) <= _MAX_NAME or not (text.isascii() and text.isprintable()):
        raise WireError(f"amd: got a subject with {len(found)} common names, expected 1 in printable ASCII")
    return text


def _extensions(data: bytes) -> Mapping[str, Extension]:
    extensions: dict[str, Extension] = {}
    for entry in der.parts(der.value(data, der.SEQUENCE).content):
        fields = der.parts(entry.content)
        critical = len(fields) == 3 and fields[1].whole == b"\x01\x01\xff"
        if not fields or len(fields) != 2 + critical or fields[-1].tag != der.OCTET_STRING:
            raise WireError("amd: got an extension that is no identifier and value")
        name = der.oid(fields[0])
        if name in extensions:
            raise WireError(f"amd: got extension {name} twice")
        extensions[name] = Extension(critical, fields[-1].content)
    return MappingProxyType(extensions)


def _entry(entry: der.Value) -> int:
    fields = der.parts(entry.content)
    if entry.tag != der.SEQUENCE or len(fields) not in (2, 3):
        raise WireError("amd: got a revocation entry that is no serial number and date")
    der.time(fields[1])
    return der.small_integer(fields[0])
