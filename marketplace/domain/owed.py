"""What an order on chain owes to whom by now: its stored facts in the settlement's words (protocol 6.7)."""

from __future__ import annotations

from typing import Final

from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, Phase
from enclave_runtime.wire.scalars import ZERO32
from marketplace.domain.order import REST_BIT, Hold, OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import Params
from marketplace.domain.settlement import (
    Credit,
    Frozen,
    Royalties,
    Settlement,
    bit_name,
    credits_of,
    settle,
)

__all__ = ["credits_owed", "frozen_of", "held_for", "hold_at", "named_credits", "settlement_of"]

_REST: Final = ("refund to the payer", "protocol fee", "start penalty", "burned by a contest")
"""What the rest of an order is made of, in the order of `credits_of`."""


def frozen_of(terms: OrderTerms, record: OrderRecord) -> Frozen:
    """Return what the dues of an order depend on, from what the chain keeps of it."""
    windows = terms.windows
    expired = record.state is OrderState.EXPIRED and record.phase is not Phase.NONE
    return Frozen(
        state=record.state,
        phase=record.phase,
        seconds=record.seconds_used,
        units=record.units_used,
        span=record.last_proof if expired else 0,
        served=terms.access_key_digest != ZERO32,
        setup_seconds=windows.setup_seconds,
        limit=record.limit(windows),
        max_seconds=windows.max_seconds,
    )


def held_for(terms: OrderTerms, record: OrderRecord) -> int:
    """Return what is held for an order: its deposit and what was added, less what the payer took out."""
    return terms.deposit + record.extra.added - record.extra.removed


def hold_at(terms: OrderTerms, record: OrderRecord, now: int) -> Hold:
    """Return what became of the holdback by `now`, Unix seconds: the window's end releases it by itself."""
    if record.hold is not Hold.PENDING or record.state is not OrderState.COMPLETED:
        return record.hold
    over = not terms.holdback.bps or now > record.since + terms.holdback.window
    return Hold.RELEASED if over else Hold.PENDING


def settlement_of(preimage: OrderPreimage, params: Params, record: OrderRecord, now: int) -> Settlement:
    """Return the whole split of an order as it stands at `now`, in sums.

    Args:
        params: the set of shares that `record.params_version` names; any for an order that nobody accepted.
    """
    terms = preimage.terms
    return settle(
        preimage,
        params,
        frozen_of(terms, record),
        held=held_for(terms, record),
        hold=hold_at(terms, record, now),
    )


def credits_owed(
    preimage: OrderPreimage,
    params: Params,
    record: OrderRecord,
    now: int,
    royalties: Royalties | None = None,
) -> tuple[Credit, ...]:
    """Return every amount of an ended order that somebody can claim, or has claimed, zeros left out.

    Args:
        royalties: by offer number, what parents of a derived model get of its net income.
    """
    return tuple(one for _, one in named_credits(preimage, params, record, now, royalties))


def named_credits(
    preimage: OrderPreimage,
    params: Params,
    record: OrderRecord,
    now: int,
    royalties: Royalties | None = None,
) -> tuple[tuple[str, Credit], ...]:
    """Return what `credits_owed` does, each with what it is in words."""
    sums = settlement_of(preimage, params, record, now)
    listed = credits_of(preimage, params, sums, royalties)
    of_offers = [bit_name(one.bit) for one in listed if one.bit != REST_BIT]
    named = zip((*of_offers, *_REST), listed, strict=True)
    return tuple((name, one) for name, one in named if one.amount)
