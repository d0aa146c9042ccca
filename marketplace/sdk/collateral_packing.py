"""Collateral that no service hands out, from files: a cloud's VLEK with its chain, Arm CCA's endorsed keys.

Nothing is verified here: a verifier judges every part, against roots and keys that its settings pin.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from enclave_runtime.attestation.collateral import AmdCollateral, CcaCollateral, CcaPlatformKey
from enclave_runtime.attestation.collateral.amd import PRODUCTS
from enclave_runtime.attestation.sev_snp.certificates import Certificate, parse_certificate, parse_crl
from marketplace.errors import BadInputError
from marketplace.sdk.attest_reading import read_file

__all__ = ["amd_from_files", "cca_from_files"]

_MAX_BYTES: Final = 1 << 16
_MAX_EVIDENCE_BYTES: Final = 1 << 20
_PEM: Final = b"-----BEGIN"
_Parsed = TypeVar("_Parsed")
_CURVES: Final[dict[str, type[ec.EllipticCurve]]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1}


def amd_from_files(vek: Path, chain: Iterable[Path], crl: Path) -> AmdCollateral:
    """Return AMD's collateral from certificates in PEM or DER.

    Args:
        vek: of the chip (VCEK) or of the cloud (VLEK); further certificates in the file count to the chain.
        chain: files that hold ASK or ASVK, and ARK, as the key service hands them out.
        crl: the ARK's revocation list.
    Raises:
        NotFoundError, BadInputError: files that cannot be read, or certificates that are no such chain.
    """
    leaf, *others = _certificates(vek)
    for path in chain:
        others += _certificates(path)
    roots = {der for der, one in others if one.issuer == one.subject}
    between = {der for der, one in others if one.subject == leaf[1].issuer and der not in roots}
    if len(roots) != 1 or len(between) != 1:
        raise BadInputError(
            "--chain",
            f"{len(roots)} self-signed certificates and {len(between)} of the issuer of --vek",
            "one of each: the ARK, and the ASK or ASVK that issued --vek",
            hint="AMD's key service has it under /vcek/v1/PRODUCT/cert_chain, or /vlek/v1/PRODUCT/cert_chain",
        )
    (ark,), (ask,) = roots, between
    name = parse_certificate(ark).common_name
    product = name.rpartition("ARK-")[2]
    if product not in PRODUCTS:
        expected = f"ARK- and a product line: {', '.join(PRODUCTS)}"
        raise BadInputError("--chain", f"a root named {name!r}", expected)
    return AmdCollateral(product, leaf[0], ask, ark, _crl(crl))


def cca_from_files(cpaks: Iterable[Path], tokens: Iterable[Path]) -> CcaCollateral:
    """Return the keys of CCA platforms, each beside a token that names its instance.

    Args:
        cpaks: public keys as PEM, DER (SubjectPublicKeyInfo) or JWK.
        tokens: of the same platforms, in the same order.
    Raises:
        NotFoundError, BadInputError: files that cannot be read, or are something else.
    """
    from enclave_runtime.attestation.cca.token import parse_token

    keys, found = list(cpaks), list(tokens)
    if len(keys) != len(found):
        raise BadInputError("--token", f"{len(found)} for {len(keys)} --cpak", "as many, in the same order")
    pairs = []
    for key, token in zip(keys, found, strict=True):
        parsed = _parsed(token, parse_token, "a CCA token", read_file(token, _MAX_EVIDENCE_BYTES))
        pairs.append(CcaPlatformKey(parsed.platform.instance_id, _spki(key)))
    return CcaCollateral(tuple(pairs))


def _certificates(path: Path) -> list[tuple[bytes, Certificate]]:
    """Return each certificate of a file, DER and parsed: at least one."""

    def parse(data: bytes) -> list[tuple[bytes, Certificate]]:
        return [(der, parse_certificate(der)) for der in _ders(data, b"CERTIFICATE")]

    return _parsed(path, parse, "AMD's certificates as PEM, or one as DER", read_file(path, _MAX_BYTES))


def _crl(path: Path) -> bytes:
    def parse(data: bytes) -> bytes:
        (der,) = _ders(data, b"X509 CRL")
        parse_crl(der)
        return der

    return _parsed(path, parse, "AMD's revocation list as PEM or DER", read_file(path, _MAX_BYTES))


def _ders(data: bytes, label: bytes) -> list[bytes]:
    """Return what PEM holds under `label` (RFC 7468), or DER as it is."""
    if _PEM not in data:
        return [data]
    texts: list[bytes] = re.findall(rb"-----BEGIN %b-----([^-]*)-----END %b-----" % (label, label), data)
    if not texts:
        raise ValueError(f"PEM without {label.decode()}")
    return [base64.b64decode(b"".join(text.split()), validate=True) for text in texts]


def _spki(path: Path) -> bytes:
    data = read_file(path, _MAX_BYTES)
    load = _jwk if data.lstrip()[:1] == b"{" else load_pem_public_key if _PEM in data else load_der_public_key
    key = _parsed(path, load, "a public key as PEM, DER or JWK", data)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _jwk(data: bytes) -> ec.EllipticCurvePublicKey:
    """Return an elliptic curve key (RFC 7518, section 6.2.1)."""
    value = json.loads(data)
    if not isinstance(value, dict) or value.get("kty") != "EC" or value.get("crv") not in _CURVES:
        raise ValueError(f"no key of kty EC on one of {', '.join(_CURVES)}")
    x, y = (int.from_bytes(base64.urlsafe_b64decode(str(value.get(name, "")) + "==")) for name in "xy")
    return ec.EllipticCurvePublicNumbers(x, y, _CURVES[value["crv"]]()).public_key()


def _parsed(path: Path, parse: Callable[[bytes], _Parsed], expected: str, data: bytes) -> _Parsed:
    try:
        return parse(data)
    except Exception as error:  # parsers of foreign libraries: whatever they say, it is the file's fault
        got = f"something else ({str(error)[:160] or type(error).__name__})"
        raise BadInputError(str(path), got, expected) from error
