"""What Intel's collateral says, read once: anchors, dates, and what TCB info and QE identity are about.

Nothing here is believed yet: `platform` holds it against the pinned root, against the quote and against time.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.certificates import MALFORMED
from enclave_runtime.attestation.collateral.intel import IntelCollateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.hashes import sha256

__all__ = ["Anchors", "RevocationList", "Span", "Statements", "read_anchors", "read_statements", "span_of"]


@dataclass(frozen=True, slots=True)
class Span:
    """Unix times, in seconds, between which something holds: `first` <= now < `last`."""

    first: int
    last: int

    def __and__(self, other: Span) -> Span:
        """Return when both hold."""
        return Span(max(self.first, other.first), min(self.last, other.last))

    def __contains__(self, now: int) -> bool:
        return self.first <= now < self.last

    @classmethod
    def of(cls, first: datetime, last: datetime) -> Span:
        """Return the span between two moments."""
        return cls(int(first.timestamp()), int(last.timestamp()))


@functools.lru_cache(maxsize=64)  # the same few issuers in every quote
def span_of(cert: x509.Certificate) -> Span:
    """Return when a certificate is valid."""
    return Span.of(cert.not_valid_before_utc, cert.not_valid_after_utc)


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A revocation list: serial numbers, and when it holds."""

    serials: frozenset[int]
    span: Span


@dataclass(frozen=True, slots=True)
class Anchors:
    """Certificates and revocation lists of the collateral.

    Attributes:
        below_root: what signs TCB info, QE identity and the PCK list, without the root, each once.
        root_list: what the root revoked.
        pck_list: what the issuer of PCK certificates revoked.
        span: when every certificate and list holds.
    """

    below_root: tuple[x509.Certificate, ...]
    root_list: RevocationList
    pck_list: RevocationList
    span: Span


@dataclass(frozen=True, slots=True)
class Statements:
    """What TCB info and QE identity are about.

    Attributes:
        kind: id of the TCB info, "TDX" or "SGX".
        enclave: id of the QE identity, "TD_QE" or "QE".
        fmspc: which processors, 6 bytes.
        pce_id: which provisioning enclave, 2 bytes.
        eval_numbers: evaluation data numbers of TCB info and QE identity.
        issued_at: Unix time of the older one's issue, in seconds.
        span: when both hold.
    """

    kind: str
    enclave: str
    fmspc: bytes
    pce_id: bytes
    eval_numbers: tuple[int, int]
    issued_at: int
    span: Span


def read_anchors(collateral: IntelCollateral, roots: RootSet) -> Anchors:
    """Return certificates and lists; every chain must end in the one pinned root.

    Raises:
        AttestationError: step (1) for certificates, (2) for lists that do not parse.
    """
    texts = (
        collateral.tcb_info_issuer_chain,
        collateral.qe_identity_issuer_chain,
        collateral.pck_crl_issuer_chain,
    )
    chains = [_chain(pem, roots) for pem in dict.fromkeys(texts)]
    root_list = _crl("root", collateral.root_ca_crl)
    pck_list = _crl("PCK", collateral.pck_crl)
    span = root_list.span & pck_list.span & span_of(chains[0][-1])
    below_root = tuple(cert for chain in chains for cert in chain[:-1])
    for cert in below_root:
        span &= span_of(cert)
    return Anchors(below_root, root_list, pck_list, span)


def read_statements(collateral: IntelCollateral) -> Statements:
    """Return what the signed texts say.

    Raises:
        AttestationError: step (0), a text that is not what Intel signs.
    """
    try:
        info, identity = json.loads(collateral.tcb_info), json.loads(collateral.qe_identity)
        spans = [_span_of_json(info), _span_of_json(identity)]
        return Statements(
            kind=str(info["id"]),
            enclave=str(identity["id"]),
            fmspc=bytes.fromhex(info["fmspc"]),
            pce_id=bytes.fromhex(info["pceId"]),
            eval_numbers=(_number(info), _number(identity)),
            issued_at=min(span.first for span in spans),
            span=spans[0] & spans[1],
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise AttestationError(Step.PARSE, "TCB info or QE identity of another shape", "Intel's") from error


def _chain(pem: str, roots: RootSet) -> tuple[x509.Certificate, ...]:
    try:
        chain = tuple(x509.load_pem_x509_certificates(pem.encode()))
        key = chain[-1].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except MALFORMED as error:
        raise AttestationError(Step.CHAIN, "an issuer chain that is not PEM", "certificates") from error
    digest = sha256(chain[-1].public_bytes(Encoding.DER))
    if digest != roots.der_sha256:
        got = f"collateral whose chain ends in root {digest.hex()}"
        raise AttestationError(Step.CHAIN, got, roots.der_sha256.hex())
    if roots.key_sha256 is not None and sha256(key) != roots.key_sha256:
        raise AttestationError(Step.CHAIN, f"root key {sha256(key).hex()}", roots.key_sha256.hex())
    return chain


def _crl(name: str, der: bytes) -> RevocationList:
    try:
        crl = x509.load_der_x509_crl(der)
        last = crl.next_update_utc
        if last is None:
            raise ValueError("no nextUpdate")
        serials = frozenset(entry.serial_number for entry in crl)
        return RevocationList(serials, Span.of(crl.last_update_utc, last))
    except MALFORMED as error:
        raise AttestationError(Step.REVOCATION, f"a {name} CRL that does not parse", "a DER CRL") from error


def _span_of_json(statement: dict[str, Any]) -> Span:
    first, last = (datetime.fromisoformat(statement[name]) for name in ("issueDate", "nextUpdate"))
    return Span.of(first, last)


def _number(statement: dict[str, Any]) -> int:
    number = statement["tcbEvaluationDataNumber"]
    if type(number) is not int:
        raise TypeError("an evaluation number that is no integer")
    return number
