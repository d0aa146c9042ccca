"""The certifier's HTTP interface.

GET /healthz -> {ok, service, name, address, trust_classes, simulated}
GET /v1/certifier -> {address, name, chain_id, verifier, registry}
POST /v1/challenge {operator} -> {challenge, expires_at, lifetime_s}
POST /v1/certify {bundle, operator} -> {certificate, signature, x509} | 403 {refusal: {step, got, expected}}
POST /v1/renew {cvm_id, challenge, possession} -> the same
GET /v1/revocations -> {certifier, number, issued_at, next_update, revocations: [...], signature}
GET /v1/crl -> application/pkix-crl; GET /v1/ca -> application/x-pem-file
GET /v1/attestation, POST /v1/attestation {challenge} -> see `service.attesting`
GET /v1/audit -> {entries, head}
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.wire.canonical import JsonObject, dump
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.hashes import sha256
from marketplace.certifier.core import Certifier, SignedCertificate
from marketplace.service.attesting import AskDevices, Attest, Identity, OwnAttestation
from marketplace.service.http import Answer, File, Shell
from marketplace.service.jsonio import MAX_BODY_BYTES, members
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog

__all__ = ["certifier_identity", "create_app"]


def create_app(
    certifier: Certifier,
    *,
    trust_classes: Sequence[str],
    log: ServiceLog,
    rate: RateLimit,
    max_body_bytes: int = MAX_BODY_BYTES,
    attest: Attest | None = None,
    devices: AskDevices | None = None,
) -> FastAPI:
    """Return the application around `certifier`.

    Args:
        trust_classes: ids of the root sets that it accepts; shown, with SIMULATED where it applies.
        log: gets refusals and failures.
        rate: limits for each address and for all.
        max_body_bytes: larger bodies are refused.
        attest: makes evidence of the CVM that this certifier runs in, or None where it runs in none.
        devices: makes evidence of that CVM's GPUs, or None where it has none.
    """
    own = OwnAttestation(certifier_identity(certifier), attest, certifier.key, devices)
    simulated = any(item.startswith("dev:") for item in trust_classes)

    def health() -> JsonObject:
        return {
            "name": certifier.name,
            "address": hex_of(certifier.address),
            "trust_classes": list(trust_classes),
            "simulated": simulated,
            "in_cvm": attest is not None,
            "with_gpus": devices is not None,
        }

    def about() -> Answer:
        domain = certifier.domain
        return Answer(
            {
                "address": hex_of(certifier.address),
                "name": certifier.name,
                "chain_id": domain.chain_id,
                "verifier": hex_of(domain.verifying_contract),
                "registry": hex_of(certifier.possession.verifying_contract),
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
        return issued("certified", certifier.certify(bundle, operator))

    def renew(body: JsonObject) -> Answer:
        members(body, "cvm_id", "challenge", "possession")
        cvm_id, challenge = (bytes_from_hex(body[name], 32) for name in ("cvm_id", "challenge"))
        return issued("renewed", certifier.renew(cvm_id, challenge, bytes_from_hex(body["possession"], 65)))

    def issued(event: str, signed: SignedCertificate) -> Answer:
        certificate = signed.certificate
        log.info(event, cvm_id=hex_of(certificate.cvm_id), expires_at=certificate.expires_at)
        return Answer(signed.to_json())

    def attestation(body: JsonObject) -> Answer:
        challenge = bytes_from_hex(members(body, "challenge")["challenge"], 32)
        return Answer(own.fresh(challenge, certifier.own_time()))

    def audit() -> Answer:
        head = certifier.audit.head()
        return Answer({"entries": head.entries, "head": hex_of(head.digest)})

    shell = Shell("certifier", health=health, log=log, rate=rate, max_body_bytes=max_body_bytes)
    shell.get("/v1/certifier", about)
    shell.post("/v1/challenge", challenge)
    shell.post("/v1/certify", certify)
    shell.post("/v1/renew", renew)
    shell.get("/v1/revocations", lambda: Answer(certifier.revocations()))
    shell.get("/v1/crl", lambda: File(certifier.revocation_list(), "application/pkix-crl"))
    shell.get("/v1/ca", lambda: File(certifier.authority.root_pem, "application/x-pem-file"))
    shell.get("/v1/attestation", lambda: Answer(own.hourly(certifier.own_time())))
    shell.post("/v1/attestation", attestation)
    shell.get("/v1/audit", audit)
    return shell.app


def certifier_identity(certifier: Certifier) -> Identity:
    """Return what this certifier's own evidence binds."""
    return Identity(
        kind="certifier",
        name=certifier.name,
        address=certifier.address,
        x509_root_sha256=sha256(certifier.authority.root_der),
        chain_id=certifier.domain.chain_id,
        contract=certifier.domain.verifying_contract,
    )
