"""The key broker's HTTP interface.

GET /healthz -> {ok, service, grant_key, approve, trust_classes, simulated}
GET /v1/challenge -> {challenge, lifetime_s}
POST /v1/release {request, bundle, order: {domain: {chain_id, order_book}, preimage}, challenge}
    -> 200 {grant} | 202 {pending} | 403 {refusal: {step, got, expected}}
GET /v1/audit -> {entries, head}
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI

from enclave_runtime.wire.canonical import Json, JsonObject
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.signatures import address_of
from marketplace.keybroker.core import Broker, Granted
from marketplace.keybroker.request import ReleaseRequest
from marketplace.service.http import Answer, Shell
from marketplace.service.jsonio import MAX_BODY_BYTES
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog

__all__ = ["create_app"]


def create_app(
    broker: Broker, *, log: ServiceLog, rate: RateLimit, max_body_bytes: int = MAX_BODY_BYTES
) -> FastAPI:
    """Return the application around `broker`.

    Args:
        log: gets grants, waiting requests, refusals and failures; never a key.
        rate: per-address limit.
        max_body_bytes: larger bodies are refused.
    """

    classes: list[Json] = [*sorted(broker.policy.trust_classes)]

    def health() -> JsonObject:
        return {
            "grant_key": hex_of(address_of(broker.grant_key)),
            "approve": "hand" if broker.by_hand else "auto",
            "trust_classes": classes,
            "simulated": broker.policy.unsafe_accept_simulated,
        }

    def challenge() -> Answer:
        lifetime_s = broker.challenges.lifetime_s
        return Answer({"challenge": hex_of(broker.challenge()), "lifetime_s": lifetime_s})

    def release(body: JsonObject) -> Answer:
        asked = ReleaseRequest.from_json(body)
        answer = broker.release(asked)
        order = hex_of(asked.asked.order_id)
        if isinstance(answer, Granted):
            log.info("granted", order_id=order, input_index=asked.asked.input_index)
            return Answer({"grant": answer.grant.decode()})
        log.info("waiting for approval", order_id=order, pending=answer.id)
        return Answer({"pending": answer.id}, HTTPStatus.ACCEPTED)

    def audit() -> Answer:
        head = broker.audit.head()
        return Answer({"entries": head.entries, "head": hex_of(head.digest)})

    shell = Shell("keybroker", health=health, log=log, rate=rate, max_body_bytes=max_body_bytes)
    shell.get("/v1/challenge", challenge)
    shell.post("/v1/release", release)
    shell.get("/v1/audit", audit)
    return shell.app
