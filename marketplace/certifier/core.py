"""What a certifier does, without HTTP, files or a chain: challenge -> verify -> certificate (section 4.5).

Everything outside comes in: the appraiser, the clock (chain time, in Unix seconds), the key, the audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of, to_json
from enclave_runtime.wire.cvm import CvmCertificate, root_set_hash
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.signatures import address_of, secp256k1_sign
from marketplace.domain.tcb import tcb_level
from marketplace.service.appraisal import Appraiser
from marketplace.service.audit import AuditLog
from marketplace.service.challenges import ChallengeBook

if TYPE_CHECKING:
    from enclave_runtime.attestation.bundle import EvidenceBundle
    from enclave_runtime.attestation.model import VerifiedEvidence

__all__ = ["Certifier", "SignedCertificate", "Validity", "certificate_of"]


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A verdict and the certifier's signature over it, 65 bytes."""

    certificate: CvmCertificate
    signature: bytes

    def to_json(self) -> JsonObject:
        """Return the members of the answer to POST /v1/certify."""
        return {"certificate": to_json(self.certificate), "signature": hex_of(self.signature)}


@dataclass(frozen=True, slots=True)
class Validity:
    """How long certificates last, in seconds.

    Attributes:
        longest_s: from issue to expiry, unless the collateral expires earlier.
        shortest_s: a certificate that collateral would cut below this is refused: it could not
            outlast an order's start.
    """

    longest_s: int
    shortest_s: int = 60

    def expiry(self, now: int, collateral_expires_at: int) -> int:
        """Return when a certificate issued at `now` expires.

        Raises:
            RefusedError: step `certificate.validity`.
        """
        expires_at = min(now + self.longest_s, collateral_expires_at)
        if expires_at < now + self.shortest_s:
            raise RefusedError(
                "certificate.validity",
                f"collateral that expires at {collateral_expires_at}",
                f"at least {now + self.shortest_s}",
            )
        return expires_at


@dataclass(frozen=True, slots=True)
class Certifier:
    """One certification authority; several in one process share nothing.

    Attributes:
        name: shown to people.
        key: signs certificates.
        domain: of the CertifierQuorum that will read them.
        validity: of certificates.
        appraiser: believes evidence or refuses it.
        challenges: this certifier's own.
        clock: chain time, Unix seconds.
        audit: gets each certificate and each refusal.
    """

    name: str
    key: PrivateKey
    domain: Domain
    validity: Validity
    appraiser: Appraiser
    challenges: ChallengeBook
    clock: Callable[[], int]
    audit: AuditLog

    @property
    def address(self) -> bytes:
        """The address that CertifierQuorum knows this certifier by, 20 bytes."""
        return address_of(self.key)

    def challenge(self, operator: bytes) -> tuple[bytes, int]:
        """Return a fresh challenge for CVMs of `operator`, and the Unix time, in seconds, of its expiry."""
        return self.challenges.issue(operator), self.clock() + self.challenges.lifetime_s

    def certify(self, bundle: EvidenceBundle, operator: bytes) -> SignedCertificate:
        """Return a certificate for the CVM whose evidence answers a challenge made for `operator`.

        Raises:
            RefusedError: challenge, evidence or validity, as its step says. It is in the audit log.
            MarketError: collateral or chain time cannot be had.
        """
        now = self.clock()
        try:
            # The operator of the request, not the bundle's word for it, enters challenge and report_data.
            self.challenges.check(bundle.challenge, operator)
            verified = self.appraiser(
                bundle, purpose=Purpose.CERTIFY, operator=operator, challenge=bundle.challenge, now=now
            )
            expires_at = self.validity.expiry(now, verified.collateral_expires_at)
            self.challenges.take(bundle.challenge, operator)
        except RefusedError as refused:
            self._record_refusal(bundle, operator, refused, now)
            raise
        certificate = replace(
            certificate_of(bundle, verified, operator), issued_at=now, expires_at=expires_at
        )
        signature = secp256k1_sign(self.key, typed_digest(self.domain, certificate))
        signed = SignedCertificate(certificate, signature)
        # On disk before it leaves: nobody holds a certificate that the log does not know.
        believed = {"trust_class": verified.trust_class, "devices": verified.device_words}
        self.audit.append("certified", {**signed.to_json(), **believed}, at=now)
        return signed

    def _record_refusal(
        self, bundle: EvidenceBundle, operator: bytes, refused: RefusedError, at: int
    ) -> None:
        self.audit.append(
            "refused",
            {
                "cvm_id": hex_of(bundle.keys.cvm_id),
                "operator": hex_of(operator),
                "step": refused.step,
                "got": refused.got[:500],
                "expected": refused.expected[:500],
            },
            at=at,
        )


def certificate_of(bundle: EvidenceBundle, verified: VerifiedEvidence, operator: bytes) -> CvmCertificate:
    """Return what `verified` proves about the CVM, with times still zero."""
    keys = bundle.keys.digests
    return CvmCertificate(
        cvm_id=bundle.keys.cvm_id,
        signer=keys.signer,
        hpke=keys.hpke,
        statement=keys.statement,
        tls=keys.tls,
        operator=operator,
        measurement=verified.measurement,
        tee=int(verified.tee.wire),
        root_set=root_set_hash(verified.root_set),
        tcb_status=int(tcb_level(verified.tcb_status)),
        platform_id=verified.platform_id_hash,
        gpu_digest=verified.devices_digest,
        evidence_id=verified.canonical_id,
        challenge=bundle.challenge,
        issued_at=0,
        expires_at=0,
    )
