"""Issuers of Nitro documents and CCA tokens for tests: same bytes, keys of their own, any bad news to order.

Written with cbor2, which the verifiers do not use: an error of theirs cannot repeat itself here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.roots import RootSet

__all__ = ["NOW", "Realm", "SimulatedNitro", "sign1"]

NOW = 1_800_000_000
_MADE = datetime.fromtimestamp(NOW, UTC)


def sign1(key: ec.EllipticCurvePrivateKey, payload: bytes, *, header: Any = None) -> list[Any]:
    """Return the four items of a COSE_Sign1, ES384 unless `header` says otherwise."""
    protected = cbor2.dumps({1: -35} if header is None else header)
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA384())))
    return [protected, {}, payload, r.to_bytes(48, "big") + s.to_bytes(48, "big")]


def _issue(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    path_length: int | None,
    is_ca: bool = True,
    last: datetime | None = None,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"DEV SIMULATED {name} - NOT AWS")])
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    usage |= {"encipher_only": False, "decipher_only": False}
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_MADE - timedelta(minutes=1))
        .not_valid_after(last or _MADE + timedelta(hours=3))
        .add_extension(x509.BasicConstraints(is_ca, path_length if is_ca else None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=not is_ca, key_cert_sign=is_ca, **usage), critical=True
        )
        .sign(issuer_key, hashes.SHA384())
    )


@dataclass
class SimulatedNitro:
    """AWS's hypervisor, in software: root, region, instance, and the key of one enclave.

    Attributes:
        debug: started in debug mode: registers are zero.
        path_length: of the root: 1 is what the chain needs.
        region_is_ca: whether the region may issue.
        leaf_is_ca: whether the signing key is an authority's.
    """

    debug: bool = False
    path_length: int | None = 1
    region_is_ca: bool = True
    leaf_is_ca: bool = False
    leaf_until: datetime | None = None
    certificates: list[x509.Certificate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._keys = [ec.generate_private_key(ec.SECP384R1()) for _ in range(3)]
        root_key, region_key, key = self._keys
        root = _issue("Root", root_key, None, root_key, path_length=self.path_length)
        region = _issue("Region", region_key, root, root_key, path_length=0, is_ca=self.region_is_ca)
        leaf = _issue(
            "Enclave", key, region, region_key, path_length=None, is_ca=self.leaf_is_ca, last=self.leaf_until
        )
        self.certificates = [root, region, leaf]

    @property
    def roots(self) -> RootSet:
        """The root set that a test believes."""
        return RootSet.dev(self.certificates[0].public_bytes(Encoding.DER))

    def members(self, given: bytes) -> dict[str, Any]:
        """Return the payload's members."""
        *bundle, leaf = (one.public_bytes(Encoding.DER) for one in self.certificates)
        return {
            "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
            "digest": "SHA384",
            "timestamp": NOW * 1000,
            "pcrs": {number: bytes(48) if self.debug else bytes([number + 1]) * 48 for number in range(16)},
            "certificate": leaf,
            "cabundle": bundle,
            "public_key": None,
            "user_data": given,
            "nonce": None,
        }

    def document(self, given: bytes, *, header: Any = None, tag: int | None = None, **changes: Any) -> bytes:
        """Return a signed document; `changes` replace members, "-" takes one out."""
        members = {name: value for name, value in (self.members(given) | changes).items() if value != "-"}
        return self.sign(cbor2.dumps(members), header=header, tag=tag)

    def sign(self, payload: bytes, *, header: Any = None, tag: int | None = None) -> bytes:
        """Return any payload, signed by the enclave's key."""
        signed = sign1(self._keys[2], payload, header=header)
        return cbor2.dumps(signed if tag is None else cbor2.CBORTag(tag, signed))


@dataclass
class Realm:
    """A CCA platform and one realm on it, in software.

    Attributes:
        lifecycle: of the platform; 0x3003 is secured.
        current: a token behind tag 907 with a COSE_Key, else a legacy one.
        vouches_for_other: the platform names another realm's key.
    """

    lifecycle: int = 0x3003
    current: bool = True
    vouches_for_other: bool = False
    instance_id: bytes = b"\x01" + b"\x07" * 32

    def __post_init__(self) -> None:
        self.platform_key, self.realm_key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))

    @property
    def spki(self) -> bytes:
        """The platform's endorsed key."""
        return self.platform_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def written_key(self) -> bytes:
        """Return the realm's key as the realm half has it."""
        point = self.realm_key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        if not self.current:
            return point
        return cbor2.dumps({1: 2, -1: 2, -2: point[1:49], -3: point[49:]})

    def platform_members(self) -> dict[int, Any]:
        """Return the platform half's members."""
        key = b"another key" if self.vouches_for_other else self.written_key()
        return {
            265: "tag:arm.com,2023:cca_platform#1.0.0",
            10: hashlib.sha256(key).digest(),
            2396: b"\x05" * 32,
            256: self.instance_id,
            2401: b"config",
            2395: self.lifecycle,
            2402: "sha-256",
            2399: [{1: "RMM", 2: b"\x09" * 32, 5: b"\x08" * 32, 4: "1.0", 6: "sha-256"}],
        }

    def realm_members(self, challenge: bytes) -> dict[int, Any]:
        """Return the realm half's members."""
        return {
            265: "tag:arm.com,2023:realm#1.0.0",
            10: challenge,
            44235: b"\x0a" * 64,
            44236: "sha-256",
            44237: self.written_key(),
            44238: b"\x0b" * 32,
            44239: [bytes([number]) * 32 for number in range(4)],
            44240: "sha-256",
        }

    def token(
        self,
        challenge: bytes,
        *,
        platform: dict[int, Any] | None = None,
        realm: dict[int, Any] | None = None,
        tag: int | None = None,
    ) -> bytes:
        """Return a signed token; `platform` and `realm` replace members of their half."""
        halves = (
            (self.platform_key, self.platform_members() | (platform or {})),
            (self.realm_key, self.realm_members(challenge) | (realm or {})),
        )
        signed = [cbor2.dumps(cbor2.CBORTag(18, sign1(key, cbor2.dumps(members)))) for key, members in halves]
        number = tag if tag is not None else (907 if self.current else 399)
        return cbor2.dumps(cbor2.CBORTag(number, {44234: signed[0], 44241: signed[1]}))
