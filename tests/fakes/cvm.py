"""A CVM's public face without a CVM: keys, evidence bundles, key requests.

The "quote" is nothing but the 64 bytes of report_data; `ReportDataAppraiser` believes it when they are the
ones that the caller's own purpose, operator and challenge make. So what binds evidence is real, and only
the hardware's signature is missing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.sealed.wrap import PrivateKey as HpkeKey
from enclave_runtime.sealed.wrap import generate_keypair
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.grant import KeyRequest, SignedKeyRequest, sign_request
from enclave_runtime.wire.hashes import sha256, tagged
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.orders import OrderPreimage, OrderStart, inputs_root, order_id
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.signatures import address_of, secp256k1_sign, spki

__all__ = ["DEV_ROOT", "MEASUREMENT", "OPERATOR", "FakeCvm", "ReportDataAppraiser"]

OPERATOR = b"\x0a" * 20
MEASUREMENT = sha256(b"the runtime that everybody knows")
DEV_ROOT = "dev:" + sha256(b"a generated root").hex()


def _p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class FakeCvm:
    """Four keys and what they sign."""

    signer: PrivateKey = field(default_factory=PrivateKey)
    statement: ec.EllipticCurvePrivateKey = field(default_factory=_p256)
    tls: ec.EllipticCurvePrivateKey = field(default_factory=_p256)
    hpke: HpkeKey = field(default_factory=lambda: generate_keypair(os.urandom))

    @property
    def keys(self) -> CvmPublic:
        """Return the public halves."""
        return CvmPublic(
            address_of(self.signer),
            self.hpke.public_bytes,
            spki(self.statement.public_key()),
            spki(self.tls.public_key()),
        )

    @property
    def cvm_id(self) -> bytes:
        """Return the id of this CVM."""
        return self.keys.cvm_id

    def bundle(
        self, challenge: bytes, *, purpose: Purpose = Purpose.CERTIFY, operator: bytes = OPERATOR
    ) -> EvidenceBundle:
        """Return evidence that honestly binds these keys to all arguments."""
        quote = self.keys.report_data(purpose, operator=operator, challenge=challenge)
        return EvidenceBundle(Evidence(TeeKind.TDX, quote), self.keys, operator, purpose, challenge)

    def request(
        self, domain: Domain, preimage: OrderPreimage, index: int, challenge: bytes, **changed: object
    ) -> SignedKeyRequest:
        """Return a signed key request; `changed` members are lied about."""
        terms, offer = preimage.terms, preimage.inputs[index]
        honest = KeyRequest(
            order_id=order_id(domain, terms),
            cvm_id=self.cvm_id,
            input_index=index,
            manifest_digest=offer.manifest_digest,
            engine_digest=preimage.inputs[0].content_digest,
            config_digest=terms.config_digest,
            result_key_digest=terms.result_key_digest,
            challenge=challenge,
            orders_before=0,
        )
        asked = replace(honest, **changed)  # type: ignore[arg-type]
        start = OrderStart(asked.order_id, asked.cvm_id, inputs_root(terms.inputs))
        return sign_request(asked, self.statement, secp256k1_sign(self.signer, typed_digest(domain, start)))


@dataclass
class ReportDataAppraiser:
    """An `Appraiser` for the bundles of `FakeCvm`; its verdict's other members are the test's choice."""

    root_set: str = "intel"
    measurement: bytes = MEASUREMENT
    tcb_status: str = "UpToDate"
    platform: bytes = sha256(b"platform")
    collateral_expires_at: int = 4_000_000_000
    refusal: Exception | None = None
    calls: int = 0
    judged_at: int | None = None

    def __call__(
        self, bundle: EvidenceBundle, *, purpose: Purpose, operator: bytes, challenge: bytes, now: int
    ) -> VerifiedEvidence:
        """Return the verdict; see `marketplace.service.appraisal.Appraiser`."""
        self.calls += 1
        self.judged_at = now
        if self.refusal is not None:
            raise self.refusal
        expected = bundle.keys.report_data(purpose, operator=operator, challenge=challenge)
        if bundle.evidence.quote != expected:
            raise AttestationError(Step.REPORT_DATA, bundle.evidence.quote.hex(), expected.hex())
        return VerifiedEvidence(
            tee=bundle.evidence.tee,
            root_set=self.root_set,
            simulated=self.root_set.startswith("dev:"),
            measurement=self.measurement,
            report_data=bundle.evidence.quote,
            tcb_status=self.tcb_status,
            advisory_ids=(),
            tcb_eval_number=17,
            platform_id_hash=self.platform,
            canonical_id=tagged("fake-evidence/v1", bundle.evidence.quote),
            collateral_expires_at=self.collateral_expires_at,
        )
