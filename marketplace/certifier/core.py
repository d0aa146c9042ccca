"""What a certifier does, without HTTP, files or a chain (section 4.5): certify, renew, revoke.

Everything outside comes in: the appraiser, the clock (chain time, in Unix seconds), the keys, store and
audit log.

*Renewal* is cheap for a CVM: no new quote. It proves with its chain key that it still lives, and that key
never leaves the memory that the evidence on file is about; the evidence is judged again, with the
collateral and the policy of now. After some days it must show new evidence all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from coincurve import PrivateKey

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of, to_json
from enclave_runtime.wire.cvm import CvmCertificate, Possession, root_set_hash
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.scalars import ZERO_ADDRESS
from enclave_runtime.wire.signatures import address_of, recover_signer, secp256k1_sign
from marketplace.certifier.authority import Authority, serial_of
from marketplace.certifier.revocation import sign_list, sign_revocation
from marketplace.certifier.store import CertifierStore, KnownCvm, Revoked
from marketplace.domain.tcb import tcb_level
from marketplace.errors import ChainError
from marketplace.service.appraisal import Appraiser
from marketplace.service.audit import AuditLog
from marketplace.service.challenges import ChallengeBook
from marketplace.service.moments import JudgingTime

if TYPE_CHECKING:
    from enclave_runtime.attestation.bundle import EvidenceBundle
    from enclave_runtime.attestation.model import VerifiedEvidence

__all__ = [
    "STEP_POSSESSION",
    "STEP_RENEWAL",
    "STEP_REVOKED",
    "Certifier",
    "SignedCertificate",
    "Validity",
    "certificate_of",
    "revoke",
]

STEP_REVOKED = "certificate.revoked"
STEP_RENEWAL = "certificate.renewal"
STEP_POSSESSION = "certificate.possession"


@dataclass(frozen=True, slots=True)
class SignedCertificate:
    """A verdict and the certifier's signature over it, 65 bytes; and the same for TLS, X.509 in PEM."""

    certificate: CvmCertificate
    signature: bytes
    x509: bytes

    def to_json(self) -> JsonObject:
        """Return the members of the answer to POST /v1/certify and POST /v1/renew."""
        return {
            "certificate": to_json(self.certificate),
            "signature": hex_of(self.signature),
            "x509": self.x509.decode(),
        }


@dataclass(frozen=True, slots=True)
class Validity:
    """How long certificates last, in seconds.

    Attributes:
        longest_s: from issue to expiry, unless the collateral expires earlier.
        shortest_s: a certificate that collateral would cut below this is refused: it could not
            outlast an order's start.
        evidence_s: how long after it was shown evidence serves for renewals.
        list_s: of a revocation list.
    """

    longest_s: int
    shortest_s: int = 60
    evidence_s: int = 7 * 86_400
    list_s: int = 86_400

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
        clock: chain time, Unix seconds: certificates begin and end by it.
        time: what time it is for evidence: the node does not decide that alone.
        audit: gets each certificate, each refusal and each revocation.
        authority: signs the X.509 certificates.
        possession: EIP-712 domain under which a CVM proves that it has its chain key (CvmRegistry's).
        store: what was issued, shown and revoked.
    """

    name: str
    key: PrivateKey
    domain: Domain
    validity: Validity
    appraiser: Appraiser
    challenges: ChallengeBook
    clock: Callable[[], int]
    time: JudgingTime
    audit: AuditLog
    authority: Authority
    possession: Domain
    store: CertifierStore

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
        moment = self.time.latest([now])
        try:
            self.time.check([now])
            self._refuse_revoked(bundle.keys.cvm_id)
            # The operator of the request, not the bundle's word for it, enters challenge and report_data.
            self.challenges.check(bundle.challenge, operator)
            verified, expires_at = self._judge(bundle, operator, now, moment)
            self.challenges.take(bundle.challenge, operator)
        except RefusedError as refused:
            self._record_refusal(bundle.keys.cvm_id, operator, refused, now)
            raise
        known = KnownCvm(operator, bundle.to_bytes(), moment, expires_at)
        return self._issue("certified", bundle, verified, known, now)

    def renew(self, cvm_id: bytes, challenge: bytes, possession: bytes) -> SignedCertificate:
        """Return a later certificate for a CVM that was certified here, on the evidence that it showed then.

        Args:
            challenge: made here for the CVM's operator, and used for nothing yet.
            possession: the CVM's signature over `Possession` with that challenge.
        Raises:
            RefusedError: unknown or revoked, not its signature, evidence that is too old or does not verify
                any more, or nothing gained. It is in the audit log.
            MarketError: collateral or chain time cannot be had.
        """
        from enclave_runtime.attestation.bundle import EvidenceBundle

        now, operator = self.clock(), ZERO_ADDRESS
        moment = self.time.latest([now])
        try:
            self.time.check([now])
            self._refuse_revoked(cvm_id)
            known = self._fresh(cvm_id, moment)
            operator, bundle = known.operator, EvidenceBundle.from_bytes(known.bundle)
            self.challenges.check(challenge, operator)
            self._check_possession(bundle, operator, challenge, possession)
            verified, expires_at = self._judge(bundle, operator, now, moment)
            if expires_at <= known.expires_at:
                got = f"a certificate until {expires_at}"
                raise RefusedError(STEP_RENEWAL, got, f"later than the last one's {known.expires_at}")
            self.challenges.take(challenge, operator)
        except RefusedError as refused:
            self._record_refusal(cvm_id, operator, refused, now)
            raise
        return self._issue("renewed", bundle, verified, replace(known, expires_at=expires_at), now)

    def revoke(self, cvm_id: bytes, reason: str) -> Revoked | None:
        """Vouch for a CVM no more, for good; None where that is so already.

        Nothing is certified or renewed for it from now on. What is on chain stands until it expires there, or
        until the revoker's role acts on this signature.

        Raises:
            WireError: a reason that is empty or too long.
        """
        return revoke(
            self.store, self.audit, cvm_id, reason, now=self.own_time(), domain=self.domain, key=self.key
        )

    def revocations(self) -> JsonObject:
        """Return the signed list of all revocations, as of now."""
        return sign_list(
            self.store.revocations(),
            now=self.own_time(),
            next_s=self.validity.list_s,
            domain=self.domain,
            key=self.key,
        )

    def revocation_list(self) -> bytes:
        """Return the same as X.509 list, DER: certificates of revoked CVMs that have not expired."""
        now = self.own_time()
        serials = self.store.revoked_serials()
        # A list made later never has a lower number, and one that says more has a higher one.
        number = now << 20 | min(len(self.store.revocations()), (1 << 20) - 1)
        return self.authority.revocation_list(serials, number=number, now=now, next_s=self.validity.list_s)

    def own_time(self) -> int:
        """Return when revocations and lists are made: no node that is silent, or froze, holds them up."""
        try:
            return self.time.latest([self.clock()])
        except ChainError:
            return self.time.wall()

    def _judge(
        self, bundle: EvidenceBundle, operator: bytes, now: int, moment: int
    ) -> tuple[VerifiedEvidence, int]:
        """Return the verdict on evidence at `moment`, and when a certificate of chain time `now` expires."""
        verified = self.appraiser(
            bundle, purpose=Purpose.CERTIFY, operator=operator, challenge=bundle.challenge, now=moment
        )
        return verified, self.validity.expiry(now, verified.collateral_expires_at)

    def _fresh(self, cvm_id: bytes, now: int) -> KnownCvm:
        known = self.store.known(cvm_id)
        if known is None or now >= known.expires_at:
            got = f"CVM {hex_of(cvm_id)}, of which this certifier has no certificate in force"
            raise RefusedError(STEP_RENEWAL, got, "a CVM that was certified here: show evidence")
        if now >= known.shown_at + self.validity.evidence_s:
            got = f"evidence of {now - known.shown_at} s ago"
            raise RefusedError(
                STEP_RENEWAL, got, f"less than {self.validity.evidence_s} s: show new evidence"
            )
        return known

    def _check_possession(
        self, bundle: EvidenceBundle, operator: bytes, challenge: bytes, signature: bytes
    ) -> None:
        contract = self.possession.verifying_contract
        claim = Possession(bundle.keys.cvm_id, operator, contract, challenge)
        try:
            signer = recover_signer(typed_digest(self.possession, claim), signature)
        except WireError as error:
            raise RefusedError(STEP_POSSESSION, error, "the CVM's signature") from None
        if signer != bundle.keys.signer:
            raise RefusedError(STEP_POSSESSION, f"signed by {hex_of(signer)}", hex_of(bundle.keys.signer))

    def _refuse_revoked(self, cvm_id: bytes) -> None:
        revoked = self.store.revocation(cvm_id)
        if revoked is not None:
            got = f"CVM {hex_of(cvm_id)}, revoked at {revoked.at}: {revoked.reason}"
            raise RefusedError(STEP_REVOKED, got, "a CVM that is not revoked")

    def _issue(
        self, event: str, bundle: EvidenceBundle, verified: VerifiedEvidence, known: KnownCvm, now: int
    ) -> SignedCertificate:
        certificate = replace(
            certificate_of(bundle, verified, known.operator), issued_at=now, expires_at=known.expires_at
        )
        digest = typed_digest(self.domain, certificate)
        x509 = self.authority.certify(
            certificate, digest, bundle.keys.tls_spki, verified.root_set, simulated=verified.simulated
        )
        signed = SignedCertificate(certificate, secp256k1_sign(self.key, digest), x509)
        self.store.issue(certificate.cvm_id, digest, serial_of(digest), known, now=now)
        # On disk before it leaves: nobody holds a certificate that the log does not know.
        believed = {"trust_class": verified.trust_class, "devices": verified.device_words}
        self.audit.append(event, {**signed.to_json(), **believed}, at=now)
        return signed

    def _record_refusal(self, cvm_id: bytes, operator: bytes, refused: RefusedError, at: int) -> None:
        self.audit.append(
            "refused",
            {
                "cvm_id": hex_of(cvm_id),
                "operator": hex_of(operator),
                "step": refused.step,
                "got": refused.got[:500],
                "expected": refused.expected[:500],
            },
            at=at,
        )


def revoke(
    store: CertifierStore,
    audit: AuditLog,
    cvm_id: bytes,
    reason: str,
    *,
    now: int,
    domain: Domain,
    key: PrivateKey,
) -> Revoked | None:
    """Sign and keep a revocation; the service and its command line do the same; see `Certifier.revoke`."""
    revoked = sign_revocation(cvm_id, now, reason, domain, key)
    if not store.revoke(revoked):
        return None
    facts: JsonObject = {"cvm_id": hex_of(cvm_id), "reason": reason, "signature": hex_of(revoked.signature)}
    audit.append("revoked", facts, at=now)
    return revoked


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
