"""What an order would cost, before anybody signs anything (protocol sections 6.3 and 6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from enclave_runtime.wire.offers import OfferTerms
from marketplace.domain.money import share_down, time_down
from marketplace.domain.offer import ListedOffer
from marketplace.domain.pricing import Params, amount_down

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


@dataclass(frozen=True, slots=True)
class Quote:
    """The whole cost breakdown of an order.

    Attributes:
        token: ERC-20 that everything is counted in, 20 bytes.
        deposit: what goes into escrow; what is not used comes back.
        least: what an order costs that ends at once after the engine started.
        fee_most: the protocol fee contained in the lines, at most.
        provider_lock: stake that the provider risks by accepting.
    """

    token: bytes
    max_seconds: int
    max_units: int
    lines: tuple[QuoteLine, ...]
    deposit: int
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
) -> Quote:
    """Return what an order of these offers costs at most, and at least once its engine has run.

    Args:
        compute: the provider's offer.
        inputs: the engine first, then models and datasets.
        params: shares in force.
        max_seconds: longest run that is paid for.
        max_units: most metered units that are paid for.
    """
    lines = tuple(
        _line(number, offer, params, max_seconds, max_units)
        for number, offer in enumerate((compute, *inputs))
    )
    dues = sum(amount_down(offer.terms.price, max_seconds, 0) for offer in inputs)
    return Quote(
        token=compute.terms.token,
        max_seconds=max_seconds,
        max_units=max_units,
        lines=lines,
        deposit=sum(line.most for line in lines),
        least=sum(line.least for line in lines),
        fee_bps=params.fee_bps,
        fee_most=sum(share_down(line.most, params.fee_bps) for line in lines),
        provider_lock=dues + share_down(lines[0].most, params.start_penalty_bps),
    )


def _line(number: int, offer: ListedOffer, params: Params, seconds: int, units: int) -> QuoteLine:
    price = offer.terms.price
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
        shares=_shares_down(offer.terms, most - share_down(most, params.fee_bps)),
    )


def _shares_down(terms: OfferTerms, net: int) -> tuple[tuple[bytes, int], ...]:
    shares = [share_down(net, payee.bps) for payee in terms.payees[:-1]]
    shares.append(net - sum(shares))
    return tuple((payee.account, share) for payee, share in zip(terms.payees, shares, strict=True))
