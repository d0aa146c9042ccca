"""What an order would cost, before anybody signs anything (protocol sections 6.3 and 6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enclave_runtime.wire.offers import Price
from enclave_runtime.wire.scalars import ZERO32
from marketplace.domain.lock import round_lock_up
from marketplace.domain.money import share_down, time_down
from marketplace.domain.offer import ListedOffer
from marketplace.domain.pricing import Params, amount_down, input_lock_up
from marketplace.domain.settlement import split_down

__all__ = ["Quote", "QuoteLine", "quote"]


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """The most that one offer can cost, by parts; all amounts in the token's smallest unit.

    Attributes:
        role: "compute", "engine" or "input N".
        timed: price of maxSeconds, or of the minimum where that is more.
        most: fixed + timed + units: what the deposit holds for this offer.
        least: what is owed once the engine has run at all: fixed and the minimum time.
        shares: (receiver, most that it gets after the protocol fee).
        leased: a lease covers it, so that this order pays nothing for it.
    """

    role: str
    offer: int
    version: int
    fixed: int
    timed: int
    units: int
    most: int
    least: int
    shares: tuple[tuple[bytes, int], ...]
    leased: bool = False


@dataclass(frozen=True, slots=True)
class Quote:
    """The whole cost breakdown of an order.

    Attributes:
        token: ERC-20 that everything is counted in, 20 bytes.
        deposit: what goes into escrow; what is not used comes back.
        reserve: of the deposit, what a contest of the holdback would burn; else it comes back.
        least: what an order costs that ends at once after the engine started.
        fee_most: the protocol fee contained in the lines, at most.
        provider_lock: stake that the provider risks by accepting.
    """

    token: bytes
    max_seconds: int
    max_units: int
    lines: tuple[QuoteLine, ...]
    deposit: int
    reserve: int
    least: int
    fee_bps: int
    fee_most: int
    provider_lock: int


def quote(
    compute: ListedOffer,
    inputs: Sequence[ListedOffer],
    params: Params,
    *,
    max_seconds: int,
    max_units: int = 0,
    grace: int = 0,
    holdback_bps: int = 0,
    leases: Sequence[bytes] = (),
) -> Quote:
    """Return what an order of these offers costs at most, and at least once its engine has run.

    Args:
        compute: the provider's offer.
        inputs: the engine first, then models and datasets.
        params: shares in force.
        max_seconds: longest run that is paid for.
        max_units: most metered units that are paid for.
        grace: seconds for which an order lives without a proof; the provider risks what inputs earn in them.
        holdback_bps: share of the compute price that waits for the client's receipt.
        leases: one per input, 32 bytes each, zero where there is none; empty for no leases at all.
    """
    leased = (False, *(lease != ZERO32 for lease in leases or (ZERO32,) * len(inputs)))
    lines = tuple(
        _line(number, offer, params, max_seconds, max_units, leased=is_leased)
        for number, (offer, is_leased) in enumerate(zip((compute, *inputs), leased, strict=True))
    )
    paid = [offer.terms.price for offer, free in zip((compute, *inputs), leased, strict=True) if not free]
    dues = sum(input_lock_up(price, grace) for price in paid[1:])
    reserve = share_down(lines[0].most, holdback_bps)
    return Quote(
        token=compute.terms.token,
        max_seconds=max_seconds,
        max_units=max_units,
        lines=lines,
        deposit=sum(line.most for line in lines) + reserve,
        reserve=reserve,
        least=sum(line.least for line in lines),
        fee_bps=params.fee_bps,
        fee_most=sum(share_down(line.most, params.fee_bps) for line in lines),
        provider_lock=round_lock_up(dues + share_down(lines[0].most, params.start_penalty_bps)),
    )


def _line(
    number: int, offer: ListedOffer, params: Params, seconds: int, units: int, *, leased: bool
) -> QuoteLine:
    price = Price() if leased else offer.terms.price
    most = amount_down(price, seconds, units)
    return QuoteLine(
        role="compute" if number == 0 else "engine" if number == 1 else f"input {number - 1}",
        offer=offer.offer,
        version=offer.version,
        fixed=price.fixed_price,
        timed=time_down(price.per_hour, max(seconds, price.min_seconds)),
        units=price.per_unit * units,
        most=most,
        least=amount_down(price, 0, 0),
        shares=_shares_down(offer, most - share_down(most, params.fee_bps)),
        leased=leased,
    )


def _shares_down(offer: ListedOffer, net: int) -> tuple[tuple[bytes, int], ...]:
    royalties, payees = offer.royalties, offer.terms.payees
    shares = split_down(0, net, final=True, royalties=royalties, payees=payees)
    receivers = (item.account for item in (*royalties, *payees))
    return tuple(zip(receivers, shares, strict=True))
