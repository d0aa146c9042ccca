"""Longer certificates for a CVM that waits, without another quote (docs/protocol.md section 4.5).

Certifiers keep the evidence that they saw; the CVM proves over a fresh challenge of each that it lives.
What a certifier answers belongs to the evidence whose challenge its certificate names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from enclave_runtime.wire.canonical import Json, JsonObject
from enclave_runtime.wire.codec import hex_of
from marketplace.errors import MarketError
from marketplace.provider.cvm import CvmClient
from marketplace.provider.services import Certification, Services

__all__ = ["Renewed", "renew"]


@dataclass(frozen=True, slots=True)
class Renewed:
    """What renewing came to.

    Attributes:
        certified: evidence, certificate and signature of each certifier, as the journal keeps them.
        challenge, possession: the last proof that the CVM gave, for the registry.
    """

    certified: tuple[JsonObject, ...]
    challenge: bytes
    possession: bytes


def renew(
    services: Services,
    client: CvmClient,
    certifiers: Sequence[str],
    place: dict[str, Any],
    known: Sequence[JsonObject],
    wanted: int,
) -> Renewed:
    """Return later certificates of as many certifiers as the chain asks for.

    Args:
        certifiers: addresses, asked in turn.
        place: members of `possess` but for the challenge: operator, registry, chain_id.
        known: what the journal keeps of the CVM's certification.
        wanted: how many certifiers must agree.
    Raises:
        MarketError: too few did.
        CvmGoneError: the CVM does not answer.
    """
    cvm_id = str(_certificate(known[0])["cvm_id"]) if known else ""
    found: list[JsonObject] = []
    trouble = MarketError(f"renewal: got {len(certifiers)} certifiers, expected {wanted} or more")
    challenge = possession = b""
    for url in certifiers:
        try:
            challenge = services.certifier_challenge(url, str(place["operator"]))
            signature = client.call("possess", **place, challenge=hex_of(challenge)).members["signature"]
            possession = bytes.fromhex(str(signature)[2:])
            found.append(_beside(known, services.renew(url, cvm_id, challenge, possession)))
        except MarketError as error:
            trouble = error
        if len(found) == wanted:
            return Renewed(tuple(found), challenge, possession)
    raise trouble


def _beside(known: Sequence[JsonObject], answer: Certification) -> JsonObject:
    """Return the evidence that a renewed certificate is about, with the certificate."""
    for entry in known:
        if _certificate(entry)["challenge"] == answer.certificate.get("challenge"):
            certificate: Json = answer.certificate
            return {**entry, "certificate": certificate, "signature": answer.signature}
    raise MarketError("renewal: got a certificate about other evidence than this CVM has shown")


def _certificate(entry: JsonObject) -> dict[str, Json]:
    certificate = entry["certificate"]
    assert isinstance(certificate, dict)  # the journal's own writing
    return certificate
