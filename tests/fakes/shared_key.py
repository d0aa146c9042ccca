"""A sealed input whose key is in shares, and the brokers that hold them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from coincurve import PrivateKey

from enclave_runtime.sealed.manifest import Release
from enclave_runtime.sealed.threshold import Threshold, deal
from enclave_runtime.sealed.wrap import seal_to
from enclave_runtime.wire.grant import GrantConditions, SignedKeyRequest
from enclave_runtime.wire.share_grant import ShareConditions, sign_share_grant
from enclave_runtime.wire.signatures import address_of
from tests.fakes.sealed_order import SealedInput, SealedOrder, offer_of

__all__ = ["SharedInput", "share_input", "with_shares"]


@dataclass(frozen=True)
class SharedInput(SealedInput):
    """One owner's content; its key is with these brokers. The first of each tuple is number 1."""

    threshold: Threshold
    shares: tuple[bytes, ...]
    brokers: tuple[PrivateKey, ...]

    def grant(
        self,
        number: int,
        request: SignedKeyRequest,
        hpke: bytes,
        *,
        ttl_s: int = 3600,
        share: bytes | None = None,
        signer: PrivateKey | None = None,
        info: bytes | None = None,
        threshold: bytes | None = None,
        said: int | None = None,
        **changed: Any,
    ) -> bytes:
        """Return broker `number`'s share grant for `request`; everything else is a lie of the test."""
        asked = request.request
        members = ("order_id", "cvm_id", "input_index", "manifest_digest", "engine_digest", "config_digest")
        conditions = GrantConditions(
            **{name: getattr(asked, name) for name in members},
            result_key_digest=asked.result_key_digest,
            request_digest=request.digest,
            ttl_s=ttl_s,
        )
        told = ShareConditions(
            replace(conditions, **changed), threshold or self.threshold.digest(), said or number
        )
        sealed = seal_to(hpke, share or self.shares[number - 1], info or told.to_bytes())
        return sign_share_grant(told, sealed, signer or self.brokers[number - 1]).to_bytes()


def share_input(item: SealedInput, needed: int, count: int) -> SharedInput:
    """Return `item` offered anew, its key dealt to `count` brokers of which `needed` must agree."""
    brokers = tuple(PrivateKey() for _ in range(count))
    holders = tuple((f"http://broker-{n}.test", address_of(key)) for n, key in enumerate(brokers, 1))
    threshold, shares = deal(item.key + item.salt, needed, holders, os.urandom)
    manifest = replace(item.manifest, release=Release(None, threshold.address(), threshold))
    dealt = tuple(map(bytes, shares))
    return SharedInput(
        manifest,
        offer_of(manifest),
        item.stream,
        item.key,
        item.salt,
        item.grant_key,
        threshold,
        dealt,
        brokers,
    )


def with_shares(order: SealedOrder, index: int, needed: int, count: int) -> tuple[SealedOrder, SharedInput]:
    """Return `order` with the key of one input in shares, and that input."""
    shared = share_input(order.inputs[index], needed, count)
    inputs = (*order.inputs[:index], shared, *order.inputs[index + 1 :])
    return replace(order, inputs=inputs), shared
