"""Who is due what (protocol sections 6.3 to 6.9, ADR 0015; twin of contracts/libraries/SettlementLib.sol).

Pure arithmetic. Every division rounds down, as the names say; what rounding leaves goes to the payer
(seconds), to the net amount (fees) or to the last payee (shares). In the end exactly what was held and what
was slashed is credited.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.offers import BPS, Payee, Price
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, Phase
from enclave_runtime.wire.scalars import ZERO32
from marketplace.domain.money import share_down
from marketplace.domain.order import REST_BIT, Hold
from marketplace.domain.order_state import RUNNING, OrderState
from marketplace.domain.pricing import (
    Params,
    amount_down,
    is_leased,
    prorata_down,
    start_penalty_down,
    usage_down,
)

__all__ = [
    "Credit",
    "Frozen",
    "Settlement",
    "bit_name",
    "claimable_down",
    "compute_due_down",
    "credits_of",
    "freeze",
    "holdback_down",
    "input_due_down",
    "input_lock_share_down",
    "seconds_down",
    "settle",
    "span_of",
    "split_down",
]

_WHOLE: Final = frozenset({OrderState.COMPLETED, OrderState.FAILED, OrderState.REVOKED, OrderState.STOPPED})
Royalties = Mapping[int, Sequence[Payee]]


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the dues of an order depend on beside its prices.

    Attributes:
        seconds: proven, as `seconds_down` bounds them: of the report, or of the last checkpoint.
        units: by the same word, at most maxUnits.
        span: seconds that inputs are due in EXPIRED, by `span_of`; otherwise not looked at.
        served: the order has an access key, so that its inputs earn as it runs.
        limit: seconds that the deposit funds; `seconds` and `span` are within it.
        max_seconds: the terms', over which LAPSED and served inputs spread a fixed price.
    """

    state: OrderState
    phase: Phase
    seconds: int
    units: int
    span: int
    served: bool
    setup_seconds: int
    limit: int
    max_seconds: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """Amounts in the token's smallest unit.

    What is held for the order and what was slashed are net, fees, penalty, held, burned and refund together.

    Attributes:
        gross: dues by offer: 0 is compute, k is input k - 1. Fees are inside, and the held part of compute.
        net: what the receivers of each offer share by now: fees and what is held back are out.
        fees: of what may be claimed.
        slashed: taken from the provider's lock.
        penalty: of that, what the client gets for a missed start.
        held: what waits for receipt or release; it is in no other amount.
        burned: after a contest, the held part and as much of the client's.
        refund: to the payer.
    """

    gross: tuple[int, ...]
    net: tuple[int, ...]
    fees: int
    slashed: int
    penalty: int
    held: int
    burned: int
    refund: int


@dataclass(frozen=True, slots=True)
class Credit:
    """One amount that somebody can claim.

    Attributes:
        bit: `REST_BIT`, or the number of the offer whose receivers share.
        receiver: address, 20 bytes; None for what is burned.
        amount: in the token's smallest unit.
    """

    bit: int
    receiver: bytes | None
    amount: int


def seconds_down(reported: int, elapsed: int, limit: int) -> int:
    """Return the seconds of a report that count: reported and elapsed since start, within what is funded."""
    return min(reported, elapsed, limit)


def span_of(phase: Phase, seconds: int, elapsed: int, grace: int, limit: int) -> int:
    """Return T of an order that EXPIRED: inputs are due until a proof was missing for `grace`."""
    return min(elapsed, seconds + grace if phase is Phase.ENGINE else grace, limit)


def freeze(
    terms: OrderTerms,
    state: OrderState,
    phase: Phase,
    *,
    reported: int,
    units: int,
    elapsed: int,
    limit: int | None = None,
) -> Frozen:
    """Return what a report, or the last checkpoint, makes of an order.

    Args:
        phase: the phase that `state` is in, or was entered from.
        reported: seconds since start by the CVM's word; units likewise.
        elapsed: seconds since start by the chain.
        limit: seconds that the deposit funds; maxSeconds unless given.
    """
    windows = terms.windows
    funded = windows.max_seconds if limit is None else limit
    seconds = seconds_down(reported, elapsed, funded)
    expired = state is OrderState.EXPIRED and phase is not Phase.NONE
    span = span_of(phase, seconds, elapsed, windows.grace, funded) if expired else 0
    served = terms.access_key_digest != ZERO32
    return Frozen(
        state, phase, seconds, min(units, terms.max_units), span, served,
        windows.setup_seconds, funded, windows.max_seconds,
    )  # fmt: skip


def compute_due_down(price: Price, frozen: Frozen) -> int:
    """Return the gross due of compute: owed by a terminal state, or earned for good by a living one."""
    if frozen.phase is Phase.NONE:
        return 0
    if frozen.phase is Phase.SETUP:
        return usage_down(price, min(frozen.seconds, frozen.setup_seconds), 0)
    if frozen.state in _WHOLE:
        return amount_down(price, frozen.seconds, frozen.units)
    return usage_down(price, frozen.seconds, frozen.units)


def input_due_down(price: Price, frozen: Frozen, leased: bool = False) -> int:
    """Return the gross due of one input, in the same sense; under a lease nothing is due."""
    engine, state = frozen.phase is Phase.ENGINE, frozen.state
    if leased or frozen.phase is Phase.NONE:
        return 0
    if state is OrderState.EXPIRED:
        return amount_down(price, frozen.span, frozen.units if engine else 0)
    if not engine:
        return 0
    if state in _WHOLE:
        return amount_down(price, frozen.seconds, frozen.units)
    # A batch order that shows no result has used nothing of its inputs; a served one was of use all along.
    if frozen.served or state is OrderState.LAPSED:
        return prorata_down(price, frozen.seconds, frozen.units, frozen.max_seconds)
    return 0


def input_lock_share_down(price: Price, frozen: Frozen, leased: bool = False) -> int:
    """Return what the provider's lock pays of `input_due_down`: in EXPIRED, all but proven use."""
    if leased or frozen.state is not OrderState.EXPIRED or frozen.phase is Phase.NONE:
        return 0
    proven = usage_down(price, frozen.seconds, frozen.units) if frozen.phase is Phase.ENGINE else 0
    return input_due_down(price, frozen) - proven


def holdback_down(gross: int, holdback_bps: int) -> int:
    """Return what of compute's gross due waits for receipt or release (section 6.9)."""
    return share_down(gross, holdback_bps)


def claimable_down(due: int, state: OrderState, holdback_bps: int, hold: Hold) -> int:
    """Return what of compute's `due` may be claimed.

    While the order can still complete, or its holdback waits or was contested, the held part is out: nothing
    that was claimed is ever taken back.
    """
    if state in RUNNING or (state is OrderState.COMPLETED and hold is not Hold.RELEASED):
        return due - holdback_down(due, holdback_bps)
    return due


def split_down(
    net_before: int, net_after: int, *, final: bool, royalties: Sequence[Payee], payees: Sequence[Payee]
) -> tuple[int, ...]:
    """Split what an offer's net income rose by since it was split last: royalties first, then payees.

    Args:
        net_before: net income split so far, 0 at first.
        net_after: net income now, not below `net_before`.
        final: nothing follows, so that the last payee takes what rounding left of the whole.
        royalties: what parents get of the net income; shares together at most `BPS`.
        payees: who share the rest; shares together exactly `BPS`.
    """
    kept = BPS - sum(item.bps for item in royalties)
    before = _shares_down(net_before, kept, royalties, payees)
    after = _shares_down(net_after, kept, royalties, payees)
    if final:
        after[-1] = net_after - sum(after[:-1])
    return tuple(new - old for new, old in zip(after, before, strict=True))


def settle(
    preimage: OrderPreimage,
    params: Params,
    frozen: Frozen,
    *,
    held: int | None = None,
    hold: Hold = Hold.RELEASED,
) -> Settlement:
    """Return the whole split of an order, in sums.

    Args:
        held: deposit and additions less what was taken out; the terms' deposit unless given.
        hold: what became of the holdback; only COMPLETED looks at it.
    """
    dues = tuple(
        input_due_down(offer.price, frozen, is_leased(preimage, number))
        for number, offer in enumerate(preimage.inputs)
    )
    gross = (compute_due_down(preimage.compute.price, frozen), *dues)
    claimable = claimable_down(gross[0], frozen.state, preimage.terms.holdback.bps, hold)
    back = gross[0] - claimable
    fees = [share_down(due, params.fee_bps) for due in (claimable, *dues)]
    missed_start = frozen.state is OrderState.EXPIRED and frozen.phase is Phase.NONE
    penalty = start_penalty_down(preimage, params.start_penalty_bps) if missed_start else 0
    slashed = penalty + sum(
        input_lock_share_down(offer.price, frozen, is_leased(preimage, number))
        for number, offer in enumerate(preimage.inputs)
    )
    contested = frozen.state is OrderState.COMPLETED and hold is Hold.CONTESTED
    paid_in = preimage.terms.deposit if held is None else held
    net = tuple(due - fee for due, fee in zip((claimable, *dues), fees, strict=True))
    return Settlement(
        gross=gross,
        net=net,
        fees=sum(fees),
        slashed=slashed,
        penalty=penalty,
        held=0 if contested else back,
        burned=2 * back if contested else 0,
        refund=paid_in + slashed - penalty - sum(gross) - (back if contested else 0),
    )


def credits_of(
    preimage: OrderPreimage, params: Params, sums: Settlement, royalties: Royalties | None = None
) -> tuple[Credit, ...]:
    """Return every amount of a terminal order that somebody can claim, zeros included, by rising bit.

    Args:
        royalties: by offer number, what parents get of its net income.
    """
    owed = royalties or {}
    listed: list[Credit] = []
    for bit, (offer, net) in enumerate(zip((preimage.compute, *preimage.inputs), sums.net, strict=True)):
        final = bit > 0 or sums.held == 0
        receivers = (*owed.get(bit, ()), *offer.payees)
        shares = split_down(0, net, final=final, royalties=owed.get(bit, ()), payees=offer.payees)
        listed += [Credit(bit, item.account, share) for item, share in zip(receivers, shares, strict=True)]
    terms = preimage.terms
    rest = ((terms.payer, sums.refund), (params.treasury, sums.fees), (terms.client, sums.penalty))
    return (*listed, *(Credit(REST_BIT, *item) for item in rest), Credit(REST_BIT, None, sums.burned))


def bit_name(bit: int) -> str:
    """Return what a claimed bit stands for, in words."""
    if bit == REST_BIT:
        return "refund, fees and penalty"
    return "compute" if bit == 0 else "engine" if bit == 1 else f"input {bit - 1}"


def _shares_down(net: int, kept: int, royalties: Sequence[Payee], payees: Sequence[Payee]) -> list[int]:
    left = share_down(net, kept)
    return [share_down(net, item.bps) for item in royalties] + [share_down(left, item.bps) for item in payees]
