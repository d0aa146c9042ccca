"""Verifying a CCA token, as the numbered argument of docs/protocol.md section 4.3.

There is no public authority: a platform's key comes as an endorsement in the collateral, and settings pin
that key itself ("cca:<digest>"). Nobody rates the platform either: the TCB status is always "Unrated", which
a policy refuses unless it names that word. Pure: no clock, network, file or environment.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from enclave_runtime.attestation.binding import check_report_data
from enclave_runtime.attestation.cca.token import CcaToken, parse_token
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import AttestationError, OtherRootError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = ["NO_EXPIRY", "UNRATED", "CcaVerifier", "measurement_of", "platform_id_hash"]

UNRATED = "Unrated"
NO_EXPIRY = 253_402_300_799
"""9999-12-31: an endorsement says nothing of when it ends, and settings drop the key instead."""
_SECURED = range(0x3000, 0x3100)


class CcaVerifier:
    """Tokens of Arm CCA realms, legacy and current."""

    tee = TeeKind.CCA

    def verify(
        self,
        evidence: Evidence,
        collateral: Collateral,
        *,
        roots: RootSet,
        policy: AppraisalPolicy,
        expected_report_data: bytes,
        now: int,
    ) -> VerifiedEvidence:
        """Return the verdict on `evidence`.

        Args:
            evidence: the token from the realm.
            collateral: with the endorsed key of its platform, from anywhere.
            roots: the one platform key to believe, from settings.
            policy: what is accepted; an empty one refuses.
            expected_report_data: the 64 bytes that `wire.report_data` makes of the keys in the bundle and
                the verifier's own operator, purpose and challenge.
            now: not looked at: neither token nor endorsement has a date; freshness is the challenge's.
        Raises:
            AttestationError: names the first step that failed, what was got and what was expected.
        """
        # A policy that allows nothing, or does not name this trust anchor, ends it here.
        policy.check_roots(roots)
        # (0) The bytes are one token, exactly.
        token = _parse(evidence)
        # (1) The platform's endorsed key is the pinned one. (2) Revoking it is to pin it no longer.
        key = _platform_key(token, collateral, roots)
        # (3) The platform signed its half, vouches for the realm's key, and that key signed the other half.
        _check_signatures(token, key)
        # (4) Nobody rates the platform; policy has to accept that by name, and may list the chip.
        policy.check_tcb(UNRATED, (), (0, 0))
        platform = platform_id_hash(token.platform.instance_id)
        policy.check_platform(platform)
        # (5) The platform is in its secured state, in which nobody debugs a realm.
        if token.platform.lifecycle not in _SECURED:
            raise AttestationError(
                Step.DEBUG, f"platform lifecycle {token.platform.lifecycle:#06x}", "0x3000 to 0x30ff, secured"
            )
        # (6) There is no event log: no rule says yet what would replay to the realm's registers.
        if evidence.event_log is not None:
            raise AttestationError(Step.EVENT_LOG, "an event log", "none: no register vouches for it")
        # (7) The measurement is a reference value.
        policy.check_measurement(measurement_of(token))
        # (8) The realm's challenge binds these keys, this operator, this purpose and this challenge.
        check_report_data(token.realm.challenge, expected_report_data)
        return VerifiedEvidence(
            tee=TeeKind.CCA,
            root_set=roots.id,
            simulated=roots.simulated,
            measurement=measurement_of(token),
            report_data=token.realm.challenge,
            tcb_status=UNRATED,
            advisory_ids=(),
            tcb_eval_number=0,
            platform_id_hash=platform,
            canonical_id=tagged(
                "cca-signed/v1", token.platform_signed.identity(), token.realm_signed.identity()
            ),
            collateral_expires_at=NO_EXPIRY,
            facts=_facts(token),
        )


def platform_id_hash(instance_id: bytes) -> bytes:
    """Return the tagged digest of a chip's instance id, 32 bytes: names hardware without spelling its id."""
    return tagged("platform-id/arm/v1", instance_id)


def measurement_of(token: CcaToken) -> bytes:
    """Return the tagged digest over the TEE kind and all that decides what runs, 32 bytes.

    That is the realm's initial measurement and personalization, and the platform's design, configuration and
    firmware: whoever replaces the realm manager replaces everything above it.
    """
    platform, realm = token.platform, token.realm
    firmware = [
        tagged("cca-component/v1", one.kind.encode(), one.measurement, one.signer)
        for one in platform.components
    ]
    return tagged(
        "measurement/v1",
        b"cca",
        realm.hash_name.encode(),
        realm.initial_measurement,
        realm.personalization,
        platform.implementation_id,
        platform.config,
        *firmware,
    )


def _parse(evidence: Evidence) -> CcaToken:
    if evidence.tee is not TeeKind.CCA:
        raise AttestationError(Step.PARSE, f"evidence of a {evidence.tee.value} TEE", "cca")
    try:
        return parse_token(evidence.quote)
    except WireError as error:
        raise AttestationError(Step.PARSE, str(error), "one CCA token, exactly") from error


def _platform_key(token: CcaToken, collateral: Collateral, roots: RootSet) -> ec.EllipticCurvePublicKey:
    endorsed = [
        one.spki for one in collateral.need("cca").cpaks if one.instance_id == token.platform.instance_id
    ]
    if not endorsed:
        raise OtherRootError("a platform that no endorsement is about", "its key in the collateral")
    digest = hashlib.sha256(endorsed[0]).digest()
    if digest != roots.der_sha256:
        raise OtherRootError(f"platform key {digest.hex()}", f"root set {roots.id}")
    return _load(endorsed[0])


@lru_cache(maxsize=64)
def _load(spki: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AttestationError(Step.CHAIN, "an endorsement that is no public key", "an EC key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise AttestationError(Step.CHAIN, f"a {type(key).__name__}", "an EC key")
    return key


def _check_signatures(token: CcaToken, key: ec.EllipticCurvePublicKey) -> None:
    if not token.platform_signed.is_signed_by(key):
        raise AttestationError(Step.SIGNATURE, "a platform half that its key did not sign", "the platform's")
    if token.platform.challenge != token.realm.key_digest:
        raise AttestationError(
            Step.SIGNATURE,
            f"a platform that vouches for key {token.platform.challenge.hex()}",
            f"the realm's, {token.realm.key_digest.hex()}",
        )
    if not token.realm_signed.is_signed_by(token.realm.key):
        raise AttestationError(
            Step.SIGNATURE, "a realm half that its key did not sign", "the realm manager's"
        )


def _facts(token: CcaToken) -> dict[str, str]:
    """Return words for people about a token that was believed; the chip's id is not spelled out."""
    platform, realm = token.platform, token.realm
    firmware = {f"firmware {one.kind}": one.measurement.hex() for one in platform.components}
    registers = {f"rem{number}": value.hex() for number, value in enumerate(realm.extended)}
    return {
        "implementation": platform.implementation_id.hex(),
        "lifecycle": f"{platform.lifecycle:#06x}",
        "rim": realm.initial_measurement.hex(),
        "personalization": realm.personalization.hex(),
        **registers,
        **firmware,
    }
