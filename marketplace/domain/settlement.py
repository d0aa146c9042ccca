"""Who gets what when an order ends (protocol section 6.7; twin of contracts/libraries/SettlementLib.sol).

Pure arithmetic. Every division rounds down, as the names say; what rounding leaves goes to the payer
(seconds), to the net amount (fees) or to the last payee (splits). The sum of all payouts is always
deposit + slashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.offers import OfferTerms
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, Phase
from marketplace.domain.money import share_down, time_down
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import Params, amount_down, start_penalty_down

__all__ = [
    "FEE_INDEX",
    "FIRST_PAYEE_INDEX",
    "PAYEES",
    "PENALTY_INDEX",
    "REFUND_INDEX",
    "Frozen",
    "Payout",
    "Settlement",
    "bill",
    "payee_index",
    "payout_name",
    "payouts",
    "settle",
]

REFUND_INDEX: Final = 0
FEE_INDEX: Final = 2
PENALTY_INDEX: Final = 3
FIRST_PAYEE_INDEX: Final = 8
PAYEES: Final = 8
_PROVEN = frozenset({OrderState.COMPLETED, OrderState.FAILED})


@dataclass(frozen=True, slots=True)
class Frozen:
    """What the terminal transition froze: all that the split depends on beside the preimage.

    Attributes:
        seconds_used: billed seconds, as `bill` returns them.
        units_used: billed units, as `bill` returns them.
    """

    state: OrderState
    phase: Phase
    seconds_used: int
    units_used: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """Amounts in the token's smallest unit: sum(gross) + penalty + refund == deposit + slashed.

    Attributes:
        gross: dues by offer: 0 is compute, k is input k - 1. Fees are inside.
    """

    gross: tuple[int, ...]
    fees: int
    slashed: int
    penalty: int
    refund: int


@dataclass(frozen=True, slots=True)
class Payout:
    """One claimable amount.

    Attributes:
        index: 0 refund, 2 fees, 3 penalty, 8 + 8k + j payee j of offer k (0 compute, 1.. inputs).
        receiver: address, 20 bytes.
        amount: in the token's smallest unit.
    """

    index: int
    receiver: bytes
    amount: int


def bill(
    terms: OrderTerms, to: OrderState, phase: Phase, *, reported: int, units: int, elapsed: int
) -> tuple[int, int]:
    """Return the seconds and units that entering `to` bills and freezes.

    Args:
        phase: the phase that `to` is entered from.
        reported: seconds by the CVM's word: of the final summary, or of the last checkpoint for REVOKED.
        units: units by the same word.
        elapsed: seconds by the chain since start.
    """
    most = min(elapsed, terms.windows.max_seconds)
    if to in _PROVEN:
        return min(reported, most), min(units, terms.max_units)
    if to is OrderState.REFUSED:
        return min(reported, most, terms.windows.setup_seconds), 0
    if to is OrderState.REVOKED and phase is Phase.ENGINE:
        return min(reported, most), 0
    if to is OrderState.STOPPED or (to is OrderState.EXPIRED and phase is not Phase.NONE):
        return most, 0
    return 0, 0


def settle(preimage: OrderPreimage, params: Params, frozen: Frozen) -> Settlement:
    """Return the whole split of a frozen order, in sums."""
    inputs = tuple(_input_gross_down(offer, frozen) for offer in preimage.inputs)
    gross = (_compute_gross_down(preimage, frozen), *inputs)
    fees = sum(share_down(due, params.fee_bps) for due in gross)
    missed_start = frozen.state is OrderState.EXPIRED and frozen.phase is Phase.NONE
    penalty = start_penalty_down(preimage, params.start_penalty_bps) if missed_start else 0
    # A run that ended in silence: the lock pays the inputs' dues, so that the client does not.
    slashed = penalty + (sum(inputs) if frozen.state is OrderState.EXPIRED else 0)
    refund = preimage.terms.deposit + slashed - sum(gross) - penalty
    return Settlement(gross, fees, slashed, penalty, refund)


def payouts(preimage: OrderPreimage, params: Params, frozen: Frozen) -> tuple[Payout, ...]:
    """Return every claimable amount in rising index order, zero amounts included."""
    sums = settle(preimage, params, frozen)
    listed = [
        Payout(REFUND_INDEX, preimage.terms.payer, sums.refund),
        Payout(FEE_INDEX, params.treasury, sums.fees),
        Payout(PENALTY_INDEX, preimage.terms.client, sums.penalty),
    ]
    offers = (preimage.compute, *preimage.inputs)
    for k, (offer, gross) in enumerate(zip(offers, sums.gross, strict=True)):
        listed += _split_down(k, offer, gross - share_down(gross, params.fee_bps))
    return tuple(listed)


def payee_index(offer: int, payee: int) -> int:
    """Return the payout index of `payee` of the order's offer number `offer` (0 compute, 1.. inputs)."""
    return FIRST_PAYEE_INDEX + PAYEES * offer + payee


def payout_name(index: int) -> str:
    """Return what a payout index stands for, in words."""
    fixed = {REFUND_INDEX: "refund to the payer", FEE_INDEX: "protocol fee", PENALTY_INDEX: "start penalty"}
    if index < FIRST_PAYEE_INDEX:
        return fixed.get(index, f"unused index {index}")
    offer, payee = divmod(index - FIRST_PAYEE_INDEX, PAYEES)
    whose = "compute" if offer == 0 else "engine" if offer == 1 else f"input {offer - 1}"
    return f"{whose}, payee {payee + 1}"


def _compute_gross_down(preimage: OrderPreimage, frozen: Frozen) -> int:
    price, state = preimage.compute.price, frozen.state
    if state in _PROVEN:
        return amount_down(price, frozen.seconds_used, frozen.units_used)
    in_setup = frozen.phase is Phase.SETUP
    if state is OrderState.REFUSED or (state is OrderState.STOPPED and in_setup):
        # Nothing was proven yet, so neither the fixed part nor the minimum is due.
        return time_down(price.per_hour, min(frozen.seconds_used, preimage.terms.windows.setup_seconds))
    if state is OrderState.STOPPED or (state is OrderState.REVOKED and frozen.phase is Phase.ENGINE):
        return amount_down(price, frozen.seconds_used, 0)
    return 0


def _input_gross_down(offer: OfferTerms, frozen: Frozen) -> int:
    if not _inputs_due(frozen.state, frozen.phase):
        return 0
    return amount_down(offer.price, frozen.seconds_used, frozen.units_used)


def _inputs_due(state: OrderState, phase: Phase) -> bool:
    if state is OrderState.EXPIRED:
        return phase is not Phase.NONE
    if state is OrderState.REVOKED:
        return phase is Phase.ENGINE
    return state in _PROVEN or state is OrderState.STOPPED


def _split_down(offer_number: int, offer: OfferTerms, net: int) -> list[Payout]:
    """Each payee but the last gets its share rounded down; the last gets what is left."""
    shares = [share_down(net, payee.bps) for payee in offer.payees[:-1]]
    shares.append(net - sum(shares))
    return [
        Payout(payee_index(offer_number, j), payee.account, share)
        for j, (payee, share) in enumerate(zip(offer.payees, shares, strict=True))
    ]
