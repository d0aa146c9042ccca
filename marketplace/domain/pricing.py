"""What an order can cost at most, and what a provider risks on it (protocol sections 6.2 and 6.3).

Twin of the amounts in contracts/libraries/SettlementLib.sol; tests/conformance holds the two together. Inputs
under a lease cost an order nothing and lock nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enclave_runtime.wire.offers import Price
from enclave_runtime.wire.orders import OrderPreimage, Windows
from enclave_runtime.wire.scalars import U16, U32, ZERO32, Address
from marketplace.domain.money import share_down, time_down

__all__ = [
    "Params",
    "amount_down",
    "deposit_for",
    "deposit_required",
    "funded_limit",
    "input_lock_up",
    "is_leased",
    "least_deposit",
    "least_limit",
    "lock_required",
    "max_amounts",
    "prices_paid",
    "prorata_down",
    "start_penalty_down",
    "usage_down",
]


@dataclass(frozen=True, slots=True)
class Params:
    """One immutable set of shares, named by its version in each order.

    Attributes:
        fee_bps: protocol fee, taken from each gross amount.
        start_penalty_bps: share of the compute price at maxSeconds that a missed start costs the provider.
        min_grace: least `grace` and `keys_within` of an order, in seconds.
        treasury: receiver of the fee.
    """

    fee_bps: U16
    start_penalty_bps: U16
    min_grace: U32
    treasury: Address


def amount_down(price: Price, seconds: int, units: int) -> int:
    """Return what `price` asks for `seconds` and `units`: fixed, time (with its minimum) and units."""
    return price.fixed_price + usage_down(price, max(seconds, price.min_seconds), units)


def usage_down(price: Price, seconds: int, units: int) -> int:
    """Return time and units alone: no fixed part and no minimum."""
    return time_down(price.per_hour, seconds) + price.per_unit * units


def prorata_down(price: Price, seconds: int, units: int, max_seconds: int) -> int:
    """Return usage, and the part of the fixed price that `seconds` of `max_seconds` have earned."""
    earned = price.fixed_price * seconds // max_seconds if max_seconds else 0
    return earned + usage_down(price, seconds, units)


def is_leased(preimage: OrderPreimage, number: int) -> bool:
    """Return whether input `number` (from 0) names a lease, so that it costs this order nothing."""
    return preimage.terms.inputs[number].lease != ZERO32


def prices_paid(preimage: OrderPreimage) -> tuple[Price, ...]:
    """Return the prices that this order pays: compute, then every input that is not under a lease."""
    inputs = (offer.price for number, offer in enumerate(preimage.inputs) if not is_leased(preimage, number))
    return (preimage.compute.price, *inputs)


def max_amounts(preimage: OrderPreimage, limit: int | None = None) -> tuple[int, ...]:
    """Return the most that compute (first) and each input can cost, in the token's smallest unit.

    Args:
        limit: seconds that the deposit funds; maxSeconds unless given.
    """
    seconds = preimage.terms.windows.max_seconds if limit is None else limit
    units = preimage.terms.max_units
    inputs = (
        0 if is_leased(preimage, number) else amount_down(offer.price, seconds, units)
        for number, offer in enumerate(preimage.inputs)
    )
    return (amount_down(preimage.compute.price, seconds, units), *inputs)


def deposit_for(prices: Sequence[Price], limit: int, max_units: int, holdback_bps: int) -> int:
    """Return what an order that runs for `limit` seconds can cost, with the reserve for a contest.

    Args:
        prices: compute first, then the inputs that are not under a lease.
    """
    most = [amount_down(price, limit, max_units) for price in prices]
    return sum(most) + share_down(most[0], holdback_bps)


def deposit_required(preimage: OrderPreimage, limit: int | None = None) -> int:
    """Return the deposit that funds an order for `limit` seconds; for all of maxSeconds unless given."""
    terms = preimage.terms
    seconds = terms.windows.max_seconds if limit is None else limit
    return deposit_for(prices_paid(preimage), seconds, terms.max_units, terms.holdback.bps)


def least_limit(windows: Windows) -> int:
    """Return the fewest seconds that a deposit must fund: set-up and two graces, or maxSeconds if less."""
    return min(windows.setup_seconds + 2 * windows.grace, windows.max_seconds)


def least_deposit(preimage: OrderPreimage) -> int:
    """Return the smallest deposit that can be accepted: it funds the least limit."""
    return deposit_required(preimage, least_limit(preimage.terms.windows))


def funded_limit(preimage: OrderPreimage, deposit: int) -> int | None:
    """Return how many seconds `deposit` funds, at most maxSeconds; None where not even the least limit."""
    terms = preimage.terms
    low, high = least_limit(terms.windows), terms.windows.max_seconds
    if deposit_required(preimage, low) > deposit:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if deposit_required(preimage, middle) <= deposit:
            low = middle
        else:
            high = middle - 1
    return low


def start_penalty_down(preimage: OrderPreimage, start_penalty_bps: int) -> int:
    """Return what a missed start costs the provider: a share of the compute price at its most."""
    terms = preimage.terms
    most = amount_down(preimage.compute.price, terms.windows.max_seconds, terms.max_units)
    return share_down(most, start_penalty_bps)


def input_lock_up(price: Price, grace: int) -> int:
    """Return the stake that one unleased input locks: fixed part, minimum rent, and its time for `grace`."""
    return (
        price.fixed_price + _hours_up(price.per_hour * price.min_seconds) + _hours_up(price.per_hour * grace)
    )


def lock_required(preimage: OrderPreimage, start_penalty_bps: int) -> int:
    """Return the stake that accepting needs: what silence can leave unpaid, and the start penalty.

    What is locked is this rounded up to 24 bits (`lock.round_lock_up`).
    """
    grace = preimage.terms.windows.grace
    dues = sum(input_lock_up(price, grace) for price in prices_paid(preimage)[1:])
    return dues + start_penalty_down(preimage, start_penalty_bps)


def _hours_up(product: int) -> int:
    return -(-product // 3600)
