"""The simulated vendor: root key, PCK chain, collateral and quotes, byte-exact and under a name of its own.

Every certificate says `DEV SIMULATED TEE - NOT INTEL`. `World` orders what the vendor says about its
platform, the bad news too, so that each refusal of a verifier can be shown.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.collateral import Collateral, IntelCollateral
from enclave_runtime.attestation.dcap import layout, pck
from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.simulated import certs, statements
from enclave_runtime.attestation.simulated.intel_quote import QuotingEnclave
from enclave_runtime.attestation.simulated.intel_world import GOOD_WORLD, Form, World
from enclave_runtime.attestation.simulated.state import Identity, identities_of, reading, state_of

__all__ = ["Form", "SimulatedVendor", "World"]

_ROLES = ("root", "pck_ca", "pck", "tcb_signing")
_FMSPC = bytes.fromhex("00906ed50000")
_CPU_SVN = bytes([3, 3, 2, 2, 4, 1, 0, 5]) + bytes(8)
_PCE_SVN = 13


class SimulatedVendor:
    """Keys and certificates of one simulated vendor with one platform."""

    def __init__(self, identities: Mapping[str, Identity]) -> None:
        self._of = dict(identities)
        # A quoting enclave makes its attestation key when it starts; so does this one.
        self._attestation_key = ec.generate_private_key(ec.SECP256R1())
        self._endorsed: dict[bytes, bytes] = {}

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
        return cls({role: Identity(keys[role], made[role]) for role in _ROLES})

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
        return state_of(self._of)

    @classmethod
    def from_state(cls, data: bytes) -> SimulatedVendor:
        """Return the vendor that `to_state` wrote.

        Raises:
            WireError: something else.
        """
        found = identities_of(data, "simulated vendor", ec.SECP256R1)
        with reading("simulated vendor"):
            return cls({role: found[role] for role in _ROLES})

    def collateral(self, now: int, world: World = GOOD_WORLD, *, tee: TeeKind = TeeKind.TDX) -> Collateral:
        """Return collateral for TDX or SGX issued around Unix time `now`, in seconds, as `world` orders."""
        sgx = (tee is TeeKind.SGX) != world.other_tee
        told = statements.Dates.around(
            now,
            expired=world.expired or world.statements_expired,
            future=world.statements_future,
            days_ago=world.issued_days_ago,
        )
        listed = statements.Dates.around(
            now,
            expired=world.expired or world.crls_expired,
            future=world.crls_future,
            days_ago=world.issued_days_ago,
        )
        key = ec.generate_private_key(ec.SECP256R1()) if world.unsigned else self._of["tcb_signing"].key
        info = statements.tcb_info(told, world, self._platform(world), sgx=sgx)
        identity = statements.qe_identity(told, world, sgx=sgx)
        root, issuer, signer = (self._cert(role, world) for role in ("root", "pck_ca", "tcb_signing"))
        below_root = [cert for cert, on in ((issuer, world.ca_revoked), (signer, world.signer_revoked)) if on]
        leaves = [self._of["pck"].cert] if world.pck_revoked else []
        intel = IntelCollateral(
            pck_crl_issuer_chain=_pem(issuer, root),
            root_ca_crl=self._crl("root", listed, below_root),
            pck_crl=self._crl("pck_ca", listed, leaves),
            tcb_info_issuer_chain=_pem(signer, root),
            tcb_info=info,
            tcb_info_signature=certs.raw_signature(key, info.encode()),
            qe_identity_issuer_chain=_pem(signer, root),
            qe_identity=identity,
            qe_identity_signature=certs.raw_signature(key, identity.encode()),
        )
        return Collateral(intel=intel)

    def quote(
        self,
        body: layout.TdBody | layout.EnclaveBody,
        world: World = GOOD_WORLD,
        *,
        form: Form | None = None,
    ) -> bytes:
        """Return a quote over `body` from a platform in `world`.

        Args:
            body: TD report or enclave report.
            world: what is wrong with the platform.
            form: by default TDX version 4, or SGX version 3.
        Raises:
            WireError: a form for the other TEE.
        """
        default = Form.SGX_V3 if isinstance(body, layout.EnclaveBody) else Form.TDX_V4
        enclave = QuotingEnclave(self._attestation_key, _CPU_SVN, self._endorse, self._certify)
        return enclave.quote(body, form or default, world)

    def _endorse(self, report: bytes) -> bytes:
        """Return the PCK key's signature over a QE report: one for all its quotes, as Intel's."""
        if report not in self._endorsed:
            self._endorsed[report] = certs.raw_signature(self._of["pck"].key, report)
        return self._endorsed[report]

    def _certify(self, world: World) -> bytes:
        roles = ("pck", "root") if world.no_intermediate else ("pck", "pck_ca", "root")
        return pck.encode_chain(*(self._cert(role, world) for role in roles))

    def _platform(self, world: World) -> pck.PckExtension:
        return replace(pck.parse_extension(self._of["pck"].cert), flags=(False, False, world.smt))

    def _cert(self, role: str, world: World) -> x509.Certificate:
        """Return the certificate of `role`, issued again where its content or its dates are ordered."""
        own, root = self._of[role], self._of["root"]
        if role == "pck" and (world.pck_expired or world.pck_future or world.smt):
            extension = pck.encode_extension(self._platform(world), platform_instance_id=bytes(16))
            return certs.issue(
                "PCK Certificate",
                own.key,
                self._of["pck_ca"].cert,
                self._of["pck_ca"].key,
                sgx_extension=extension,
                serial=own.cert.serial_number,
                validity=_validity(world.pck_expired, world.pck_future),
            )
        if role == "pck_ca" and (world.ca_expired or world.ca_future):
            dates = _validity(world.ca_expired, world.ca_future)
            return certs.issue("PCK Platform CA", own.key, root.cert, root.key, ca_path=0, validity=dates)
        if role == "tcb_signing" and (world.signer_expired or world.signer_future):
            dates = _validity(world.signer_expired, world.signer_future)
            return certs.issue("TCB Signing", own.key, root.cert, root.key, validity=dates)
        return own.cert

    def _crl(self, role: str, dates: statements.Dates, revoked: Sequence[x509.Certificate]) -> bytes:
        issuer = self._of[role]
        first, last = (datetime.fromtimestamp(t, UTC) for t in (dates.issued, dates.next_update))
        serials = [cert.serial_number for cert in revoked]
        return certs.revocation_list(issuer.cert, issuer.key, first, last, serials)


def _validity(expired: bool, future: bool) -> certs.Validity:
    if expired:
        return certs.PAST
    return certs.FUTURE if future else certs.ALWAYS


def _pem(*chain: x509.Certificate) -> str:
    return "".join(cert.public_bytes(Encoding.PEM).decode() for cert in chain)
