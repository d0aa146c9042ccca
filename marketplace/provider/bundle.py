"""The order's public bundle: what a client needs to open its result and an auditor to verify the order.

The agent publishes it; nobody believes it. Each part is checked against the chain, the CVM's keys, the
vendor's root or the result's own key (docs/protocol.md section 8).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from enclave_runtime.wire.canonical import Json, JsonObject, dump
from enclave_runtime.wire.codec import hex_of, to_json
from marketplace.provider.job import Blobs, Job
from marketplace.provider.journal import Journal

__all__ = ["publish", "published_at"]

_SIGNED = ("integrity", "report")
_TEXTS = ("start_signature", "result", "key_envelope")


def publish(journal: Journal, blobs: Blobs, order_id: bytes, job: Job) -> str:
    """Store the bundle as far as the order has come, and return its location."""
    return blobs.put(_once(dump(_members(journal, order_id, job))))


def _members(journal: Journal, order_id: bytes, job: Job) -> JsonObject:
    value: JsonObject = {
        "version": 1,
        "order_id": hex_of(order_id),
        "preimage": to_json(job.preimage),
        "packet": json.loads(job.packet.to_bytes()),
        "manifests": [json.loads(held.manifest_bytes) for held in job.inputs],
        "certified": _json(journal.fact(order_id, "evidence")),
        "wiped": _json(journal.fact(order_id, "wiped")),
    }
    for name in _SIGNED:
        value[name] = _json(journal.fact(order_id, name))
    for name in _TEXTS:
        value[name] = journal.fact(order_id, name)
    if published := published_at(journal, order_id):
        value["published"] = list(published)
    return value


def published_at(journal: Journal, order_id: bytes) -> list[str]:
    """Return where each checkpoint lies that the engine published; empty for one that could not be had."""
    text = journal.fact(order_id, "published")
    return [] if text is None else text.split("\n")


def _json(text: str | None) -> Json:
    return None if text is None else json.loads(text)


def _once(data: bytes) -> Iterator[bytes]:
    yield data
