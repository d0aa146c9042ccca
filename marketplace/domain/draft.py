"""Order terms made from offers, with windows that are safe where nobody chose any (protocol section 6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from enclave_runtime.wire.orders import (
    ComputeRef,
    Holdback,
    InputRef,
    OrderPreimage,
    OrderTerms,
    RuntimePolicy,
    Windows,
    runtime_policy_digest,
)
from enclave_runtime.wire.scalars import ZERO32
from marketplace.domain.offer import ListedOffer
from marketplace.domain.order import check_order
from marketplace.domain.pricing import Params, deposit_required
from marketplace.errors import BadInputError

__all__ = ["OrderDraft", "default_windows", "draft_order"]

_MINUTE: Final = 60
PLACE_WITHIN_S: Final = 60 * _MINUTE
NO_HOLDBACK: Final = Holdback()


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """What a client chooses; everything else follows from the offers.

    Attributes:
        client: address that signs, 20 bytes.
        config_digest: salted digest of the engine's configuration (`wire.orders.config_digest`).
        result_key_digest: digest of the key that the result is sealed to.
        windows: deadlines; None takes `default_windows`.
        deposit: None takes exactly what the contract requires.
        max_fee_bps: None takes the fee in force.
        salt: 32 fresh random bytes: the order id is used once for ever.
        payer: address that deposits and gets every refund; None is the client.
        leases: one per input, 32 bytes each, zero where there is none; empty for no leases at all.
        holdback: what of the compute price waits for the client's receipt.
        access_key_digest: of a served order; zero for batch.
    """

    client: bytes
    compute: ListedOffer
    inputs: Sequence[ListedOffer]
    config_digest: bytes
    result_key_digest: bytes
    policy: RuntimePolicy
    max_seconds: int
    salt: bytes
    max_units: int = 0
    windows: Windows | None = None
    deposit: int | None = None
    max_fee_bps: int | None = None
    place_within_s: int = PLACE_WITHIN_S
    payer: bytes | None = None
    leases: Sequence[bytes] = ()
    holdback: Holdback = NO_HOLDBACK
    access_key_digest: bytes = ZERO32


def default_windows(max_seconds: int, params: Params) -> Windows:
    """Return windows that suit a batch order: minutes for machines, never below the chain's minima."""
    return Windows(
        accept_within=15 * _MINUTE,
        start_within=15 * _MINUTE,
        setup_seconds=30 * _MINUTE,
        # Not beyond maxSeconds: from then on a key that is missing would be the provider's fault.
        keys_within=max(min(15 * _MINUTE, max_seconds), params.min_grace),
        load_within=30 * _MINUTE,
        max_seconds=max_seconds,
        grace=max(30 * _MINUTE, params.min_grace),
    )


def draft_order(draft: OrderDraft, params: Params, *, now: int) -> OrderPreimage:
    """Return the checked preimage of the order that `draft` asks for.

    Args:
        params: shares in force.
        now: chain time, in seconds.
    Raises:
        BadInputError: an offer that is closed, or anything that `check_order` refuses.
    """
    leases = tuple(draft.leases) or (ZERO32,) * len(draft.inputs)
    if len(leases) != len(draft.inputs):
        raise BadInputError("leases", f"{len(leases)} of them", f"one per input, {len(draft.inputs)}")
    for offer, lease in zip((draft.compute, *draft.inputs), (ZERO32, *leases), strict=True):
        # A lease outlasts its offer's sale: closing takes nothing from those who paid.
        if not offer.active and lease == ZERO32:
            raise BadInputError(f"offer {offer.offer}", "closed", "open for orders")
    terms = OrderTerms(
        client=draft.client,
        payer=draft.payer or draft.client,
        token=draft.compute.terms.token,
        compute=ComputeRef(draft.compute.offer, draft.compute.version, draft.compute.terms_hash),
        inputs=tuple(
            InputRef(offer.offer, offer.version, offer.terms_hash, lease)
            for offer, lease in zip(draft.inputs, leases, strict=True)
        ),
        config_digest=draft.config_digest,
        result_key_digest=draft.result_key_digest,
        access_key_digest=draft.access_key_digest,
        runtime_policy_digest=runtime_policy_digest(draft.policy),
        place_before=now + draft.place_within_s,
        windows=draft.windows or default_windows(draft.max_seconds, params),
        max_units=draft.max_units,
        holdback=draft.holdback,
        delivery=0,
        delivery_digest=ZERO32,
        max_fee_bps=params.fee_bps if draft.max_fee_bps is None else draft.max_fee_bps,
        deposit=draft.deposit or 0,
        salt=draft.salt,
    )
    preimage = OrderPreimage(terms, draft.compute.terms, tuple(offer.terms for offer in draft.inputs))
    if draft.deposit is None:
        preimage = replace(preimage, terms=replace(terms, deposit=deposit_required(preimage)))
    check_order(preimage, draft.policy, params, now=now)
    return preimage
