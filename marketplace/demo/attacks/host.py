"""A host that changes what it carries, lies, stays silent or dies (threat model T5, T6, T11)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from enclave_runtime.wire.codec import hex_of, to_json
from marketplace.demo.attacks.bench import Bench, Outcome, Refused, refusal_of
from marketplace.demo.scenario import TOKEN
from marketplace.errors import MarketError
from marketplace.provider.cvm import CvmClient
from marketplace.provider.job import head_parts, read_segment
from marketplace.provider.reducer import StepKind
from marketplace.provider.screening import admit_members
from marketplace.sdk import client

__all__ = [
    "admit_at",
    "changed_config",
    "flipped_bit",
    "host_lies",
    "never_accepts",
    "never_starts",
    "provider_dies",
    "reordered",
    "silent_host",
    "truncated",
]

_DATASET = 2
"""Input that a host tampers with: the second hospital's data."""


def flipped_bit(bench: Bench) -> Outcome:
    """The host flips one bit of ciphertext."""
    return _tampered_feed(bench, lambda one, _: bytes([one[0] ^ 1]) + one[1:])


def truncated(bench: Bench) -> Outcome:
    """The host leaves out the end of a segment."""
    return _tampered_feed(bench, lambda one, _: one[:-1])


def reordered(bench: Bench) -> Outcome:
    """The host gives the second segment as the first."""
    return _tampered_feed(bench, lambda _, other: other)


def _tampered_feed(bench: Bench, change: Callable[[bytes, bytes], bytes]) -> Outcome:
    order = bench.place()
    bench.run_until(order, StepKind.FEED)
    held = bench.agent.job_of(order).inputs[_DATASET]
    blobs, info = bench.agent.tools.blobs, held.manifest.sealed
    header, index = head_parts(blobs, held.ciphertext_uri, info)
    segments = [read_segment(blobs, held.ciphertext_uri, info, number) for number in (0, 1)]
    with contextlib.closing(bench.cvm(order)) as cvm:
        cvm.call("begin", header + index, input_index=_DATASET)
        refused = refusal_of(lambda: cvm.call("feed", change(*segments), input_index=_DATASET, segment=0))
    return _given_up(bench, order, refused, "the host is asked again, never paid for other bytes")


def changed_config(bench: Bench) -> Outcome:
    """After the grants, the host hands in another configuration."""
    order = bench.place()
    bench.run_until(order, StepKind.CHECK)
    with contextlib.closing(bench.cvm(order)) as cvm:
        refused = refusal_of(lambda: admit_at(bench, order, cvm, config=hex_of(b'{"epochs":1}')))
    return _given_up(bench, order, refused, "grants and terms pin the configuration's digest")


def host_lies(bench: Bench) -> Outcome:
    """The host tells the CVM other terms than the chain has."""
    order = bench.place()
    bench.run_until(order, StepKind.ADMIT)
    lie = to_json(bench.preimage(order))
    terms = lie["terms"]
    if not isinstance(terms, dict):
        raise MarketError("terms are no object")
    terms["deposit"] = str(int(str(terms["deposit"])) + TOKEN)
    with contextlib.closing(bench.cvm(order)) as cvm:
        refused = refusal_of(lambda: admit_at(bench, order, cvm, preimage=lie))
    return _given_up(bench, order, refused, "the loader recomputes the order id from the terms")


def silent_host(bench: Bench) -> Outcome:
    """The host runs the engine, takes the sealed result, and reports nothing."""
    order = bench.place()
    bench.run_until(order, StepKind.REPORT)
    bench.kill_cvm(order)
    state = bench.expire(order)
    session = bench.world.homes["centre"].session
    folder = bench.world.homes["centre"].path / "silent"
    try:
        client.result(session, order, folder)
    except MarketError as error:
        refused = Refused("contract", "expire", "no proof within grace", state)
        return Outcome(refused, f"no result can be opened ({error}); the lock paid the owners")
    raise MarketError("a result was opened without a report")


def provider_dies(bench: Bench) -> Outcome:
    """The machine dies while the engine runs."""
    order = bench.place()
    bench.run_until(order, StepKind.RUN)
    with contextlib.closing(bench.cvm(order)) as cvm:
        cvm.call("run")
    bench.kill_cvm(order)
    state = bench.expire(order)
    refused = Refused("contract", "expire", "no proof within grace", state)
    return Outcome(
        refused, "plaintext went with the CVM; the lock paid the owners, the client pays proven time alone"
    )


def never_accepts(bench: Bench) -> Outcome:
    """The provider looks away."""
    order = bench.place()
    state = bench.expire(order)
    return Outcome(Refused("contract", "cancel", "no accept within acceptWithin", state), "all back")


def never_starts(bench: Bench) -> Outcome:
    """The provider accepts and does nothing."""
    order = bench.place()
    bench.run_until(order, StepKind.ADMIT)
    state = bench.expire(order)
    refused = Refused("contract", "expire", "no start within startWithin", state)
    return Outcome(refused, "all back, and the start penalty from the provider's stake")


def admit_at(bench: Bench, order: bytes, cvm: CvmClient, **changes: object) -> None:
    """Hand an order to a CVM as the agent does, with changes."""
    tools = bench.agent.tools
    message = admit_members(bench.agent.job_of(order), order, tools.chain.domain(), tools.operator)
    cvm.call("admit", **(message | changes))


def _given_up(bench: Bench, order: bytes, refused: Refused, note: str) -> Outcome:
    bench.kill_cvm(order)
    bench.expire(order)
    return Outcome(refused, note)
