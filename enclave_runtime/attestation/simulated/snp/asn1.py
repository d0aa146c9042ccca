"""Writing the DER of AMD's certificates, with the serial number 0 that no builder lets through."""

from __future__ import annotations

import time as clock
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.sev_snp.certificates import PSS_SHA384

__all__ = ["authority_extensions", "certificate", "name", "revocation_list"]

_SEQUENCE, _SET, _OID, _INTEGER, _BITS, _OCTETS, _UTF8, _PRINTABLE = 0x30, 0x31, 0x06, 2, 3, 4, 0x0C, 0x13
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TRUE = bytes.fromhex("0101ff")
_PSS = padding.PSS(padding.MGF1(hashes.SHA384()), salt_length=48)
_ALGORITHM = min(PSS_SHA384, key=len)
_FIRST_GENERALIZED = 2_524_608_000  # 2050-01-01: UTCTime has two digits for the year


def _tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = bytearray([40 * first + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        content += bytes(reversed(groups))
    return _tlv(_OID, bytes(content))


def _integer(number: int) -> bytes:
    return _tlv(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _time(seconds: int) -> bytes:
    late = seconds >= _FIRST_GENERALIZED
    layout = "%Y%m%d%H%M%SZ" if late else "%y%m%d%H%M%SZ"
    text = clock.strftime(layout, clock.gmtime(seconds))
    return _tlv(_GENERALIZED_TIME if late else _UTC_TIME, text.encode())


def name(organization: str, common_name: str) -> bytes:
    """Return a Name with the attributes of AMD's, in AMD's order."""
    attributes = (
        ("2.5.4.11", _UTF8, "Engineering"),
        ("2.5.4.6", _PRINTABLE, "US"),
        ("2.5.4.7", _UTF8, "Nowhere"),
        ("2.5.4.8", _UTF8, "XX"),
        ("2.5.4.10", _UTF8, organization),
        ("2.5.4.3", _UTF8, common_name),
    )
    sets = (_tlv(_SET, _tlv(_SEQUENCE, _oid(oid), _tlv(tag, text.encode()))) for oid, tag, text in attributes)
    return _tlv(_SEQUENCE, *sets)


def authority_extensions(*, may_sign_lists: bool) -> tuple[tuple[str, bool, bytes], ...]:
    """Return basic constraints and key usage of an authority, both critical."""
    usage = bytes([1, 0x06]) if may_sign_lists else bytes([2, 0x04])
    constraints = _tlv(_SEQUENCE, _TRUE) if may_sign_lists else _tlv(_SEQUENCE, _TRUE, _integer(0))
    return (("2.5.29.19", True, constraints), ("2.5.29.15", True, _tlv(_BITS, usage)))


def certificate(
    *,
    subject: bytes,
    issuer: bytes,
    serial: int,
    dates: tuple[int, int],
    key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    extensions: Iterable[tuple[str, bool, bytes]],
    issuer_key: rsa.RSAPrivateKey,
) -> bytes:
    """Return a certificate, DER, signed as AMD signs: RSASSA-PSS, SHA-384, 48 bytes of salt.

    Args:
        subject, issuer: from `name`.
        serial: 0 for an endorsement key, as AMD has it.
        dates: first and last second, Unix time.
        key: the subject's.
        extensions: (identifier, critical, value).
        issuer_key: signs.
    """
    entries = (
        _tlv(_SEQUENCE, _oid(oid), _TRUE if critical else b"", _tlv(_OCTETS, value))
        for oid, critical, value in extensions
    )
    return _signed(
        issuer_key,
        _tlv(0xA0, _integer(2)),
        _integer(serial),
        _ALGORITHM,
        issuer,
        _tlv(_SEQUENCE, *map(_time, dates)),
        subject,
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        _tlv(0xA3, _tlv(_SEQUENCE, *entries)),
    )


def revocation_list(
    *, issuer: bytes, dates: tuple[int, int], revoked: Iterable[int], issuer_key: rsa.RSAPrivateKey
) -> bytes:
    """Return a revocation list, DER, that names the serial numbers in `revoked`."""
    entries = b"".join(_tlv(_SEQUENCE, _integer(serial), _time(dates[0])) for serial in revoked)
    number = _tlv(_SEQUENCE, _oid("2.5.29.20"), _tlv(_OCTETS, _integer(1)))
    return _signed(
        issuer_key,
        _integer(1),
        _ALGORITHM,
        issuer,
        *map(_time, dates),
        _tlv(_SEQUENCE, entries) if entries else b"",
        _tlv(0xA0, _tlv(_SEQUENCE, number)),
    )


def _signed(key: rsa.RSAPrivateKey, *fields: bytes) -> bytes:
    tbs = _tlv(_SEQUENCE, *fields)
    return _tlv(_SEQUENCE, tbs, _ALGORITHM, _tlv(_BITS, b"\x00", key.sign(tbs, _PSS, hashes.SHA384())))
