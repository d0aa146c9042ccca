"""Grants carried to where they do not belong (threat model T7)."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from coincurve import PrivateKey

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of, to_json
from enclave_runtime.wire.grant import Grant, sign_grant
from marketplace.demo.attacks.bench import Bench, Outcome, Refused, refusal_of
from marketplace.demo.attacks.host import admit_at
from marketplace.errors import MarketError
from marketplace.provider.cvm import CvmClient
from marketplace.provider.reducer import StepKind
from marketplace.service.keyfiles import load_signing_key

__all__ = ["grant_other_cvm", "grant_other_order", "grant_other_result_key"]

_INPUT = 1


def grant_other_order(bench: Bench) -> Outcome:
    """A grant for one order is handed to the CVM of another."""
    first, second = bench.place(), bench.place()
    bench.run_until(first, StepKind.ASK_KEY)
    bench.run_until(second, StepKind.ASK_KEY)
    grant = _ask(bench, first, bench.cvm(first))
    return _offered(bench, bench.cvm(second), grant, (first, second), "the conditions name one order")


def grant_other_cvm(bench: Bench) -> Outcome:
    """A grant for one CVM is handed to another that holds the same order."""
    order = bench.place()
    bench.run_until(order, StepKind.ASK_KEY)
    bench.agent.fleet.prepare()
    spare = bench.spare_cvm()
    admit_at(bench, order, spare)
    grant = _ask(bench, order, bench.cvm(order))
    return _offered(bench, spare, grant, (order,), "the key opens in one CVM only")


def grant_other_result_key(bench: Bench) -> Outcome:
    """The owner's own signature, but over conditions with somebody else's result key."""
    order = bench.place()
    bench.run_until(order, StepKind.ASK_KEY)
    grant = Grant.from_bytes(_ask(bench, order, bench.cvm(order)))
    owner: PrivateKey = load_signing_key(bench.world.homes["hospital-a"].path / "grant-key")
    conditions = replace(grant.conditions, result_key_digest=b"\x5a" * 32)
    forged = sign_grant(conditions, grant.sealed_key, owner)
    note = "terms, request and grant must name one result key"
    return _offered(bench, bench.cvm(order), forged.to_bytes(), (order,), note)


def _ask(bench: Bench, order: bytes, cvm: CvmClient) -> bytes:
    """Get a real grant for the first hospital's data, as the agent would."""
    url = bench.world.urls["hospital-a"]
    services, domain = bench.agent.tools.services, bench.agent.tools.chain.domain()
    challenge = services.broker_challenge(url)
    with contextlib.closing(cvm):
        asked = cvm.call("key_request", input_index=_INPUT, challenge=hex_of(challenge)).members
    place: JsonObject = {"chain_id": domain.chain_id, "order_book": hex_of(domain.verifying_contract)}
    body = {
        "request": asked["request"],
        "bundle": asked["bundle"],
        "order": {"domain": place, "preimage": to_json(bench.preimage(order))},
        "challenge": hex_of(challenge),
    }
    grant = services.release(url, body)
    if grant is None:
        raise MarketError("the broker has not decided")
    return grant


def _offered(bench: Bench, cvm: CvmClient, grant: bytes, orders: tuple[bytes, ...], note: str) -> Outcome:
    with contextlib.closing(cvm):
        # Its own request is outstanding, so that nothing but the grant is wrong.
        cvm.call("key_request", input_index=_INPUT, challenge=hex_of(b"\x01" * 32))
        refused: Refused = refusal_of(lambda: cvm.call("grant", grant, input_index=_INPUT))
    for order in orders:
        bench.kill_cvm(order)
        bench.expire(order)
    return Outcome(refused, note)
