"""The simulated vendor: root key, PCK chain, collateral and quotes, byte-exact and under a name of its own.

Every certificate says `DEV SIMULATED TEE - NOT INTEL`. `World` orders what the vendor says about its
platform, the bad news too, so that each refusal of a verifier can be shown.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.collateral import Collateral, IntelCollateral
from enclave_runtime.attestation.dcap import layout, pck
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.simulated import certs, statements
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256

__all__ = ["SimulatedVendor", "World"]

_ROLES = ("root", "pck_ca", "pck", "tcb_signing")
_FMSPC = bytes.fromhex("00906ed50000")
_CPU_SVN = bytes([3, 3, 2, 2, 4, 1, 0, 5]) + bytes(8)
_PCE_SVN = 13
_AUTH_DATA = bytes(range(32))


@dataclass(frozen=True, slots=True)
class World:
    """What the simulated vendor says; the defaults are the good world.

    Attributes:
        tcb_status: the platform's TCB status, one of Intel's words.
        eval_number: TCB evaluation data number of the collateral.
        expired: collateral whose dates are over.
        pck_revoked: the platform's PCK certificate is on the revocation list.
    """

    tcb_status: str = "UpToDate"
    eval_number: int = 20
    expired: bool = False
    pck_revoked: bool = False


@dataclass(frozen=True, slots=True)
class _Identity:
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    cert: x509.Certificate


class SimulatedVendor:
    """Keys and certificates of one simulated vendor with one platform."""

    def __init__(self, identities: Mapping[str, _Identity]) -> None:
        self._of = dict(identities)
        # A quoting enclave makes its attestation key when it starts; so does this one.
        self._attestation_key = ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def create(cls) -> SimulatedVendor:
        """Return a vendor with fresh keys; its certificates hold from 2020 to 2049."""
        keys = {role: ec.generate_private_key(ec.SECP256R1()) for role in _ROLES}
        platform = pck.PckExtension(secrets.token_bytes(16), _CPU_SVN, _PCE_SVN, bytes(2), _FMSPC)
        extension = pck.encode_extension(platform, platform_instance_id=secrets.token_bytes(16))
        root = certs.issue("Root CA", keys["root"], None, keys["root"], ca_path=1)
        pck_ca = certs.issue("PCK Platform CA", keys["pck_ca"], root, keys["root"], ca_path=0)
        made = {
            "root": root,
            "pck_ca": pck_ca,
            "pck": certs.issue(
                "PCK Certificate", keys["pck"], pck_ca, keys["pck_ca"], sgx_extension=extension
            ),
            "tcb_signing": certs.issue("TCB Signing", keys["tcb_signing"], root, keys["root"]),
        }
        return cls({role: _Identity(keys[role], made[role]) for role in _ROLES})

    @property
    def root_der(self) -> bytes:
        """Return the root certificate, DER."""
        return self._of["root"].cert.public_bytes(Encoding.DER)

    @property
    def roots(self) -> RootSet:
        """Return the root set to put into settings: "dev:<digest>"."""
        return RootSet.dev(self.root_der)

    def to_state(self) -> bytes:
        """Return keys and certificates, JSON: secret, for a file that only the platform can read."""
        state = {}
        for role, identity in self._of.items():
            key = identity.key.private_bytes(
                Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            state[role] = {"key": key.decode(), "cert": identity.cert.public_bytes(Encoding.PEM).decode()}
        return json.dumps(state).encode()

    @classmethod
    def from_state(cls, data: bytes) -> SimulatedVendor:
        """Return the vendor that `to_state` wrote.

        Raises:
            WireError: something else.
        """
        try:
            state = json.loads(data)
            identities = {role: _load(state[role]) for role in _ROLES}
        except (ValueError, KeyError, TypeError) as error:
            raise WireError("simulated vendor: got a state file of another shape") from error
        return cls(identities)

    def collateral(self, now: int, world: World = World()) -> Collateral:
        """Return collateral issued around Unix time `now`, in seconds, that says what `world` orders."""
        dates = statements.Dates.around(now, expired=world.expired)
        signer = self._of["tcb_signing"]
        info = statements.tcb_info(
            dates, world.tcb_status, world.eval_number, fmspc=_FMSPC, cpu_svn=_CPU_SVN, pce_svn=_PCE_SVN
        )
        identity = statements.qe_identity(dates, world.eval_number)
        signers, issuers = (
            _pem(signer.cert, self._of["root"].cert),
            _pem(self._of["pck_ca"].cert, self._of["root"].cert),
        )
        revoked = [self._of["pck"].cert.serial_number] if world.pck_revoked else []
        intel = IntelCollateral(
            pck_crl_issuer_chain=issuers,
            root_ca_crl=self._crl("root", dates, []),
            pck_crl=self._crl("pck_ca", dates, revoked),
            tcb_info_issuer_chain=signers,
            tcb_info=info,
            tcb_info_signature=certs.raw_signature(signer.key, info.encode()),
            qe_identity_issuer_chain=signers,
            qe_identity=identity,
            qe_identity_signature=certs.raw_signature(signer.key, identity.encode()),
        )
        return Collateral(intel=intel)

    def quote(self, body: layout.TdBody) -> bytes:
        """Return a TDX quote, version 4, over `body`."""
        header = layout.QuoteHeader(
            version=4,
            key_type=layout.KEY_TYPE_ECDSA_P256,
            tee_type=layout.TEE_TYPE_TDX,
            qe_svn=0,
            pce_svn=0,
            vendor_id=layout.INTEL_QE_VENDOR_ID,
            user_data=bytes(20),
        )
        signed = header.encode() + body.encode()
        key = certs.raw_public_key(self._attestation_key)
        report = statements.qe_report(_CPU_SVN, sha256(key + _AUTH_DATA))
        section = layout.SignatureSection(
            signature=certs.raw_signature(self._attestation_key, signed),
            attestation_key=key,
            qe_report=report,
            qe_report_signature=certs.raw_signature(self._of["pck"].key, report),
            qe_auth_data=_AUTH_DATA,
            cert_type=pck.PCK_CHAIN_PEM,
            cert_data=pck.encode_chain(*(self._of[role].cert for role in ("pck", "pck_ca", "root"))),
        )
        return signed + section.encode(header.version)

    def _crl(self, role: str, dates: statements.Dates, revoked: list[int]) -> bytes:
        issuer = self._of[role]
        first, last = (datetime.fromtimestamp(t, UTC) for t in (dates.issued, dates.next_update))
        return certs.revocation_list(issuer.cert, issuer.key, first, last, revoked)


def _pem(*chain: x509.Certificate) -> str:
    return "".join(cert.public_bytes(Encoding.PEM).decode() for cert in chain)


def _load(state: Mapping[str, str]) -> _Identity:
    key = serialization.load_pem_private_key(state["key"].encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise WireError("simulated vendor: got a key that is not on P-256")
    return _Identity(key, x509.load_pem_x509_certificate(state["cert"].encode()))
