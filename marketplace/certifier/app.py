"""The certifier's HTTP interface.

GET /healthz -> {ok, service, name, address, trust_classes, simulated}
GET /v1/certifier -> {address, name, chain_id, verifier}
POST /v1/challenge {operator} -> {challenge, expires_at, lifetime_s}
POST /v1/certify {bundle, operator} -> {certificate, signature} | 403 {refusal: {step, got, expected}}
GET /v1/audit -> {entries, head}
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.wire.canonical import JsonObject, dump
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from marketplace.certifier.core import Certifier
from marketplace.service.http import Answer, Shell
from marketplace.service.jsonio import MAX_BODY_BYTES, members
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog

__all__ = ["create_app"]


def create_app(
    certifier: Certifier,
    *,
    trust_classes: Sequence[str],
    log: ServiceLog,
    rate: RateLimit,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """Return the application around `certifier`.

    Args:
        trust_classes: ids of the root sets that it accepts; shown, with SIMULATED where it applies.
        log: gets refusals and failures.
        rate: per-address limit.
        max_body_bytes: larger bodies are refused.
    """
    simulated = any(item.startswith("dev:") for item in trust_classes)

    def health() -> JsonObject:
        return {
            "name": certifier.name,
            "address": hex_of(certifier.address),
            "trust_classes": list(trust_classes),
            "simulated": simulated,
        }

    def about() -> Answer:
        domain = certifier.domain
        return Answer(
            {
                "address": hex_of(certifier.address),
                "name": certifier.name,
                "chain_id": domain.chain_id,
                "verifier": hex_of(domain.verifying_contract),
            }
        )

    def challenge(body: JsonObject) -> Answer:
        operator = bytes_from_hex(members(body, "operator")["operator"], 20)
        value, expires_at = certifier.challenge(operator)
        return Answer(
            {
                "challenge": hex_of(value),
                "expires_at": expires_at,
                "lifetime_s": certifier.challenges.lifetime_s,
            }
        )

    def certify(body: JsonObject) -> Answer:
        members(body, "bundle", "operator")
        operator = bytes_from_hex(body["operator"], 20)
        bundle = EvidenceBundle.from_bytes(dump(body["bundle"]))
        signed = certifier.certify(bundle, operator)
        log.info(
            "certified", cvm_id=hex_of(signed.certificate.cvm_id), expires_at=signed.certificate.expires_at
        )
        return Answer(signed.to_json())

    def audit() -> Answer:
        head = certifier.audit.head()
        return Answer({"entries": head.entries, "head": hex_of(head.digest)})

    shell = Shell("certifier", health=health, log=log, rate=rate, max_body_bytes=max_body_bytes)
    shell.get("/v1/certifier", about)
    shell.post("/v1/challenge", challenge)
    shell.post("/v1/certify", certify)
    shell.get("/v1/audit", audit)
    return shell.app
