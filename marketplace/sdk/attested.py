"""What holds a certifier's keys: its own attestation, asked for and judged (docs/protocol.md section 4.5).

The reader's settings say which certifier is meant and what is believed; the answer says neither.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from enclave_runtime.wire.canonical import Json, JsonObject
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.errors import RefusedError, WireError
from marketplace.errors import UnreachableError
from marketplace.sdk.services import answer_of
from marketplace.service.attesting import Identity, check_attestation

if TYPE_CHECKING:
    from enclave_runtime.attestation.model import Evidence, VerifiedEvidence
    from marketplace.sdk.profile import Session
    from marketplace.sdk.verdict import TrustAnchor

__all__ = ["Attested", "Meant", "ask", "judge", "meant_by"]

_PATH: Final = "/v1/attestation"
_TIMEOUT_S: Final = 30.0
_MAX_BYTES: Final = 2 << 20
"""Evidence of eight GPUs and four switches, in hex within hex, is half a megabyte."""
_STEP: Final = "service.attestation"
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Meant:
    """Which certifier the reader means.

    Attributes:
        chain_id, contract: where its signatures count: CertifierQuorum of the reader's deployment.
        is_known: whether a certifier with this address is one: named by the reader, or by the quorum.
    """

    chain_id: int
    contract: bytes
    is_known: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Attested:
    """What a certifier showed.

    Attributes:
        verified: the verdict on its evidence; None where it says, signed, that it runs in no CVM.
        statement: its own words.
    """

    identity: Identity
    verified: VerifiedEvidence | None
    statement: str


def meant_by(session: Session, address: bytes | None) -> Meant:
    """Return the certifier with this address, or, where there is none, any that the quorum knows."""
    deployment, reader = session.deployment, session.reader

    def is_known(shown: bytes) -> bool:
        if address is not None:
            return shown == address
        return bool(reader.node.view("CertifierQuorum", "isCertifier", shown))

    return Meant(deployment.chain_id, deployment.certifier_quorum, is_known)


def ask(url: str, challenge: bytes) -> JsonObject:
    """Return what a certifier answers to a challenge of 32 bytes.

    Raises:
        UnreachableError: nothing usable answers there.
    """
    status, value, size = answer_of(
        "POST",
        f"{url}{_PATH}",
        named=url,
        limit=_MAX_BYTES,
        timeout_s=_TIMEOUT_S,
        hint="is it a certifier's address?",
        body={"challenge": hex_of(challenge)},
    )
    if status != _OK or value is None:
        text = f"{url}: got HTTP {status}, {size} bytes, expected an attestation"
        raise UnreachableError(text, hint="is it a certifier's address? its log says more")
    return value


def judge(
    body: JsonObject, meant: Meant, challenge: bytes, anchor: Callable[[Evidence], TrustAnchor], *, now: int
) -> Attested:
    """Return the verdict on a certifier's answer at Unix time `now`, in seconds.

    Args:
        challenge: the one that was sent.
        anchor: what the reader believes, with collateral for this evidence; not asked where there is none.
    Raises:
        RefusedError: step `service.attestation`: another certifier or an answer that it did not sign; or the
            first step of verification that failed.
        WireError: malformed members.
        MarketError: nothing to believe, or no collateral.
    """
    identity = _identity(body.get("service"), meant)

    def appraise(evidence: Evidence, bound: bytes, nonce: bytes) -> VerifiedEvidence:
        from enclave_runtime.attestation.appraise import appraise_service

        believed = anchor(evidence)
        return appraise_service(
            evidence,
            believed.collateral,
            roots=believed.roots,
            policy=believed.policy,
            expected_report_data=bound,
            nonce=nonce,
            now=now,
        )

    verified = check_attestation(body, identity, challenge, appraise)
    return Attested(identity, verified, str(body.get("statement"))[:200])


def _identity(claimed: Json, meant: Meant) -> Identity:
    """Return who answers, as far as its signature will cover it; the rest is the reader's.

    Name and X.509 root are the certifier's own word: whoever signs as this address says them.
    """
    if not isinstance(claimed, dict):
        raise WireError("service attestation: got no service")
    address = bytes_from_hex(claimed.get("address"), 20)
    if not meant.is_known(address):
        raise RefusedError(
            _STEP, f"certifier {hex_of(address)}", "the one that is meant, or one of the quorum"
        )
    root = bytes_from_hex(claimed.get("x509_root_sha256"), 32)
    name = str(claimed.get("name"))[:200]
    return Identity("certifier", name, address, root, meant.chain_id, meant.contract)
