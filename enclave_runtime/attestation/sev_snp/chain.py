"""The chain from a pinned AMD root to the key that signs reports, and the root's revocation list.

Steps (1) and (2) of docs/protocol.md section 4.3. What does not depend on the time is verified once per set
of certificates and kept (the result of a pure function of those bytes, in a bounded cache); every date is
held against `now` on every call. The root itself is believed for its pins, never for its own signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from enclave_runtime.attestation.collateral import AmdCollateral
from enclave_runtime.attestation.errors import AttestationError, Cause, OtherRootError, Step
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.sev_snp import der
from enclave_runtime.attestation.sev_snp.certificates import (
    Certificate,
    RevocationList,
    parse_certificate,
    parse_crl,
)
from enclave_runtime.attestation.sev_snp.layout import KEY_VCEK, KEY_VLEK
from enclave_runtime.attestation.sev_snp.vek import Vek, parse_vek
from enclave_runtime.attestation.snp_rules import SnpRules
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import sha256

__all__ = [
    "CACHED_CHAINS",
    "NO_CRL",
    "PSS",
    "Chain",
    "check_dates",
    "check_revocation",
    "clear_cache",
    "forget_chains",
    "load_chain",
    "rsa_key",
]

CACHED_CHAINS = 256
"""Chains kept: about 10 kB each. A fleet's machines come back; a stranger can only push others out."""
CACHED_ISSUERS = 16
"""Roots with an intermediate kept: AMD has two per product line."""

NO_CRL = bytes.fromhex("0500")
"""DER NULL: how collateral says that it has no revocation list. Refused, but by a rule named unsafe."""

_RSA_BITS, _RSA_EXPONENT = 4096, 65537
_BASIC_CONSTRAINTS, _KEY_USAGE = "2.5.29.19", "2.5.29.15"
_KNOWN_CRITICAL = frozenset({_BASIC_CONSTRAINTS, _KEY_USAGE})
_CERT_SIGN = 0x04
_ISSUERS = {KEY_VCEK: "SEV-{}", KEY_VLEK: "SEV-VLEK-{}"}
PSS = padding.PSS(padding.MGF1(hashes.SHA384()), salt_length=48)
"""How AMD's issuers sign."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain whose signatures, names and key sizes hold; its dates are for `check_dates`.

    Attributes:
        ark, ask, vek: root, intermediate and endorsement key, as certified.
        facts: what the endorsement key's certificate says.
        product: product line that all three name.
        ark_key, vek_key: public keys.
    """

    ark: Certificate
    ask: Certificate
    vek: Certificate
    facts: Vek
    product: str
    ark_key: rsa.RSAPublicKey
    vek_key: ec.EllipticCurvePublicKey

    @property
    def expires_at(self) -> int:
        """Return when the first certificate ends, Unix time in seconds."""
        return min(self.ark.not_after, self.ask.not_after, self.vek.not_after)


def load_chain(collateral: AmdCollateral, roots: RootSet) -> Chain:
    """Return the chain in `collateral`, verified down from the pinned root but for its dates.

    Raises:
        AttestationError: step (1).
    """
    got = sha256(collateral.ark)
    if got != roots.der_sha256:
        raise OtherRootError(f"a chain that ends in root {got.hex()}", roots.der_sha256.hex())
    chain = _verified(collateral.ark, collateral.ask, collateral.vek)
    key = sha256(chain.ark.spki)
    if roots.key_sha256 is not None and key != roots.key_sha256:
        raise AttestationError(Step.CHAIN, f"root key {key.hex()}", roots.key_sha256.hex())
    if collateral.product != chain.product:
        raise AttestationError(
            Step.CHAIN, f"collateral for {collateral.product}", f"{chain.product}, as its certificates say"
        )
    return chain


def check_dates(chain: Chain, now: int) -> None:
    """Refuse a certificate that is not valid yet, or no longer.

    Args:
        chain: from `load_chain`.
        now: Unix time, in seconds.
    Raises:
        AttestationError: step (1).
    """
    for certificate in (chain.ark, chain.ask, chain.vek):
        if not certificate.not_before <= now <= certificate.not_after:
            raise AttestationError(
                Step.CHAIN,
                f"{certificate.common_name} valid from {certificate.not_before} to {certificate.not_after}",
                f"certificates valid at {now}",
            )


def check_revocation(collateral: AmdCollateral, chain: Chain, now: int, rules: SnpRules) -> int:
    """Refuse a revoked chain, and a revocation list that is absent, stale, of the future or not the root's.

    AMD gives every VCEK serial number 0: a list that names it revokes all of them, and so it does here.

    Args:
        collateral: with the list.
        chain: from the same collateral.
        now: Unix time, in seconds.
        rules: how old a list may be, and whether there may be none.
    Returns:
        When the list ends, or the chain where there is no list, Unix time in seconds.
    Raises:
        AttestationError: step (2).
    """
    if collateral.crl == NO_CRL:
        if rules.unsafe_accept_without_crl:
            return chain.expires_at
        raise AttestationError(Step.REVOCATION, "no revocation list", "the root's revocation list")
    crl, revoked = _verified_crl(collateral.crl, chain.ark.spki, chain.ark.subject)
    if not crl.this_update <= now <= crl.next_update:
        raise AttestationError(
            Step.REVOCATION,
            f"a revocation list for {crl.this_update} to {crl.next_update}",
            f"one that holds at {now}",
            Cause.COLLATERAL_EARLY if now < crl.this_update else Cause.COLLATERAL_OVER,
        )
    if rules.max_crl_age_s is not None and now - crl.this_update > rules.max_crl_age_s:
        age = now - crl.this_update
        got, expected = f"a revocation list of {age} s ago", f"at most {rules.max_crl_age_s} s"
        raise AttestationError(Step.REVOCATION, got, expected, Cause.COLLATERAL_OLD)
    for certificate in (chain.ark, chain.ask, chain.vek):
        if certificate.serial in revoked:
            raise AttestationError(
                Step.REVOCATION,
                f"{certificate.common_name} on the revocation list",
                "none of it",
            )
    return crl.next_update


def forget_chains() -> None:
    """Forget every endorsement key, not AMD's issuers: for measurements; verdicts never depend on it."""
    _verified.cache_clear()


def clear_cache() -> None:
    """Forget every chain, issuer and list: for measurements and tests; verdicts never depend on it."""
    forget_chains()
    _verified_issuers.cache_clear()
    _verified_crl.cache_clear()


@dataclass(frozen=True, slots=True)
class _Issuers:
    ark: Certificate
    ask: Certificate
    product: str
    ark_key: rsa.RSAPublicKey
    ask_key: rsa.RSAPublicKey


@lru_cache(maxsize=CACHED_CHAINS)
def _verified(ark_der: bytes, ask_der: bytes, vek_der: bytes) -> Chain:
    issuers = _verified_issuers(ark_der, ask_der)
    ark, ask, product = issuers.ark, issuers.ask, issuers.product
    vek = _read(vek_der)
    try:
        facts = parse_vek(vek)
    except WireError as error:
        raise AttestationError(Step.CHAIN, str(error), "a VCEK or VLEK of AMD's") from error
    names, expected = (ask.common_name, facts.product), (_ISSUERS[facts.key].format(product), product)
    if names != expected:
        raise AttestationError(Step.CHAIN, f"issuer and product {names}", f"{expected}")
    if vek.issuer != ask.subject:
        raise AttestationError(Step.CHAIN, f"{vek.common_name} of another issuer", ask.common_name)
    _check_signature(issuers.ask_key, vek, Step.CHAIN, vek.common_name)
    return Chain(ark, ask, vek, facts, product, issuers.ark_key, _p384(vek))


@lru_cache(maxsize=CACHED_ISSUERS)
def _verified_issuers(ark_der: bytes, ask_der: bytes) -> _Issuers:
    ark, ask = _read(ark_der), _read(ask_der)
    product = ark.common_name.removeprefix("ARK-")
    names = (ark.common_name, ask.common_name)
    if names not in {(f"ARK-{product}", issuer.format(product)) for issuer in _ISSUERS.values()}:
        raise AttestationError(Step.CHAIN, f"issuers {names}", "AMD's ARK, and its ASK or ASVK")
    if (ark.issuer, ask.issuer) != (ark.subject, ark.subject):
        raise AttestationError(Step.CHAIN, f"{ask.common_name} of another issuer", ark.common_name)
    for certificate in (ark, ask):
        _check_authority(certificate)
    ark_key = rsa_key(ark)
    _check_signature(ark_key, ask, Step.CHAIN, ask.common_name)
    return _Issuers(ark, ask, product, ark_key, rsa_key(ask))


def _read(data: bytes) -> Certificate:
    try:
        return parse_certificate(data)
    except WireError as error:
        raise AttestationError(Step.CHAIN, str(error), "a certificate of AMD's") from error


@lru_cache(maxsize=CACHED_ISSUERS)
def _verified_crl(
    crl_der: bytes, ark_spki: bytes, ark_subject: bytes
) -> tuple[RevocationList, frozenset[int]]:
    key = load_der_public_key(ark_spki)
    assert isinstance(key, rsa.RSAPublicKey), "`load_chain` has seen to it"
    try:
        crl = parse_crl(crl_der)
        if crl.issuer != ark_subject:
            raise AttestationError(Step.REVOCATION, "another issuer's revocation list", "the root's")
        _check_signature(key, crl, Step.REVOCATION, "the revocation list")
        return crl, crl.revoked()
    except WireError as error:
        raise AttestationError(Step.REVOCATION, str(error), "AMD's revocation list") from error


def _check_authority(certificate: Certificate) -> None:
    """Refuse an issuer that may not sign certificates, or has an extension that we do not understand."""
    extensions, name = certificate.extensions, certificate.common_name
    strange = sorted(k for k, e in extensions.items() if e.critical and k not in _KNOWN_CRITICAL)
    if strange:
        raise AttestationError(Step.CHAIN, f"critical extensions {strange} in {name}", "none but known ones")
    try:
        constraints = der.parts(der.value(extensions[_BASIC_CONSTRAINTS].value, der.SEQUENCE).content)
        usage = der.value(extensions[_KEY_USAGE].value, der.BIT_STRING).content
    except (KeyError, WireError) as error:
        raise AttestationError(Step.CHAIN, f"{name} without an authority's extensions", "them") from error
    authority = bool(constraints) and constraints[0].whole == b"\x01\x01\xff"
    if not authority or len(usage) < 2 or not usage[1] & _CERT_SIGN:
        raise AttestationError(Step.CHAIN, f"{name}, which is no authority", "a certificate authority")


def _check_signature(
    key: rsa.RSAPublicKey, signed: Certificate | RevocationList, step: Step, name: str
) -> None:
    try:
        key.verify(signed.signature, signed.tbs, PSS, hashes.SHA384())
    except (InvalidSignature, ValueError) as error:
        raise AttestationError(step, f"{name}, not signed by its issuer", "its issuer's signature") from error


def rsa_key(certificate: Certificate) -> rsa.RSAPublicKey:
    """Return an issuer's public key.

    Raises:
        AttestationError: step (1), not RSA of AMD's size and exponent.
    """
    try:
        key = load_der_public_key(certificate.spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AttestationError(Step.CHAIN, f"a bad key in {certificate.common_name}", "RSA") from error
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != _RSA_BITS:
        raise AttestationError(Step.CHAIN, f"another key in {certificate.common_name}", "RSA of 4096 bits")
    if key.public_numbers().e != _RSA_EXPONENT:
        raise AttestationError(Step.CHAIN, f"another exponent in {certificate.common_name}", "65537")
    return key


def _p384(certificate: Certificate) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(certificate.spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AttestationError(Step.CHAIN, f"a bad key in {certificate.common_name}", "P-384") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise AttestationError(Step.CHAIN, f"another key in {certificate.common_name}", "P-384")
    return key
