"""What a CVM would refuse to admit, said before the order is accepted (docs/cvm-socket.md, `admit`).

Stake is locked at accept, and a start that is missed costs some of it in the client's favour: so an order
that no CVM can admit, or whose result no CVM could seal, must be seen through while looking is free. The
loader decides again, by its own code; tests hold the two together.
"""

from __future__ import annotations

from typing import Any

from enclave_runtime.sealed.header import HEADER_BYTES, TAG_BYTES
from enclave_runtime.sealed.manifest import MEDIA_TYPE_TAR, Manifest
from enclave_runtime.sealed.wrap import seal_to
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.codec import hex_of, to_json
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.frames import MAX_BODY_BYTES, MAX_HEADER_BYTES
from enclave_runtime.wire.offers import OfferTerms
from enclave_runtime.wire.scalars import ZERO32
from marketplace.provider.job import Job

__all__ = ["admit_members", "inadmissible", "plaintext_needed"]


def admit_members(job: Job, order_id: bytes, domain: Domain, operator: bytes) -> dict[str, Any]:
    """Return the members of the message `admit` for an order."""
    packet = job.packet
    return {
        "domain": {"chain_id": str(domain.chain_id), "order_book": hex_of(domain.verifying_contract)},
        "order_id": hex_of(order_id),
        "preimage": to_json(job.preimage),
        "manifests": [held.manifest_bytes.decode() for held in job.inputs],
        "config": hex_of(packet.config),
        "config_salt": hex_of(packet.config_salt),
        "result_key": hex_of(packet.result_key),
        "operator": hex_of(operator),
    }


def plaintext_needed(job: Job) -> int:
    """Return how many bytes of plaintext a CVM must have room for."""
    sizes = [held.manifest.sealed.plaintext_bytes for held in job.inputs]
    return sum(sizes) + max(sizes, default=0)


def inadmissible(job: Job, members: dict[str, Any]) -> str:
    """Return why no CVM would admit this order, or an empty text.

    Room for plaintext is the policy's; what OrderBook refuses at `accept` is OrderBook's.

    Args:
        members: of `admit`, as they would be sent.
    """
    terms = job.preimage.terms
    # The contracts take served orders; no loader serves yet, and a start that it refuses costs the penalty.
    for what, digest in (("access key", terms.access_key_digest), ("delivery", terms.delivery_digest)):
        if digest != ZERO32:
            return f"got a digest of its {what}, expected none: no CVM of this release does that"
    for index, (held, offer) in enumerate(zip(job.inputs, job.preimage.inputs, strict=True)):
        found = _manifest(held.manifest, offer)
        if found:
            return f"input {index}: {found}"
    size = len(dump({"op": "admit", **members}))
    if size > MAX_HEADER_BYTES:
        return f"its message to a CVM has {size} bytes, expected at most {MAX_HEADER_BYTES}"
    return _result_key(job.packet.result_key)


def _manifest(manifest: Manifest, offer: OfferTerms) -> str:
    if manifest.kind != offer.kind:
        return f"got a manifest of kind {manifest.kind.name} for an offer of kind {offer.kind}"
    if manifest.sealed.content_digest != offer.content_digest:
        return _differs("content digest", manifest.sealed.content_digest, offer.content_digest)
    if manifest.release.grant_key != offer.grant_key:
        return _differs("grant key", manifest.release.grant_key, offer.grant_key)
    if manifest.media_type != MEDIA_TYPE_TAR:
        return f"got media type {manifest.media_type}, expected {MEDIA_TYPE_TAR}"
    layout = manifest.sealed.layout
    for what, size in (
        ("segment", manifest.sealed.segment_bytes + TAG_BYTES),
        ("header and index", HEADER_BYTES + layout.index_bytes),
    ):
        if size > MAX_BODY_BYTES:
            return f"got a {what} of {size} bytes, expected at most {MAX_BODY_BYTES}"
    return ""


def _differs(what: str, got: bytes, expected: bytes) -> str:
    return f"got {what} {hex_of(got)} in the manifest, expected {hex_of(expected)} as in the offer"


def _result_key(public: bytes) -> str:
    try:
        # Only sealing to it shows that a key of the right length is one.
        seal_to(public, b"", b"screening")
    except WireError as error:
        return f"the client's result key: {error}"
    return ""
