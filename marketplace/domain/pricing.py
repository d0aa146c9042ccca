"""What an order can cost at most, and what a provider risks on it (protocol sections 6.2 and 6.3).

Twin of the amounts in contracts/libraries/SettlementLib.sol; tests/conformance holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.wire.offers import Price
from enclave_runtime.wire.orders import OrderPreimage
from enclave_runtime.wire.scalars import U16, U32, Address
from marketplace.domain.money import share_down, time_down

__all__ = ["Params", "amount_down", "deposit_required", "lock_required", "max_amounts", "start_penalty_down"]


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
    timed = time_down(price.per_hour, max(seconds, price.min_seconds))
    return price.fixed_price + timed + price.per_unit * units


def max_amounts(preimage: OrderPreimage) -> tuple[int, ...]:
    """Return the most that compute (first) and each input can cost, in the token's smallest unit."""
    seconds, units = preimage.terms.windows.max_seconds, preimage.terms.max_units
    offers = (preimage.compute, *preimage.inputs)
    return tuple(amount_down(offer.price, seconds, units) for offer in offers)


def deposit_required(preimage: OrderPreimage) -> int:
    """Return the least deposit that the contract accepts: the sum of `max_amounts`."""
    return sum(max_amounts(preimage))


def start_penalty_down(preimage: OrderPreimage, start_penalty_bps: int) -> int:
    """Return what a missed start costs the provider: a share of the compute price at its most."""
    terms = preimage.terms
    most = amount_down(preimage.compute.price, terms.windows.max_seconds, terms.max_units)
    return share_down(most, start_penalty_bps)


def lock_required(preimage: OrderPreimage, start_penalty_bps: int) -> int:
    """Return the stake that accepting locks: the inputs' dues without any proof, and the start penalty.

    The exposure without proof is maxSeconds until checkpoints pay.
    """
    seconds = preimage.terms.windows.max_seconds
    dues = sum(amount_down(offer.price, seconds, 0) for offer in preimage.inputs)
    return dues + start_penalty_down(preimage, start_penalty_bps)
