"""Leases by role: an owner opens terms and collects; a client takes, renews, ends (docs/protocol.md 6.6)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.offers import OfferKind, Payee
from marketplace.domain.lease import LeaseTerms, payees_hash
from marketplace.domain.leasing import Leasing, TopUp
from marketplace.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    from marketplace.chain.leases import LeaseRecord, Leases, OpenTerms
    from marketplace.sdk.profile import Session

__all__ = [
    "Asking",
    "collect",
    "end",
    "find",
    "find_terms",
    "give_notice",
    "leases",
    "open_terms",
    "recall",
    "renew",
    "set_top_up",
    "take",
    "terms",
]


@dataclass(frozen=True, slots=True)
class Asking:
    """What an owner asks for a lease.

    Attributes:
        price: token units for each period, in advance, fee included.
        period_s: seconds of one period.
        max_periods: how many may be paid ahead of the running one.
        places: how many orders may use one lease at once.
        notice_s: the least time between a recall and the end that it brings.
        min_s: the least time that a lessee who ends early has paid for.
        max_fee_bps: above this protocol fee no lease is sold.
    """

    price: int
    period_s: int
    max_periods: int = 12
    places: int = 1
    notice_s: int = 0
    min_s: int = 0
    max_fee_bps: int = 10_000


# ----------------------------------------------------------------------------------------------- owner
def open_terms(
    session: Session, offer: int, asking: Asking, payees: Sequence[Payee] | None = None
) -> OpenTerms:
    """Sell leases of an offer's newest version, by the terms that `asking` says; return them.

    Args:
        payees: who shares the income; None takes the offer's own.
    Raises:
        BadInputError: a compute offer, or terms under which nothing could be leased.
        ContractRefusal: another's offer, or a version that is not for sale.
    """
    listed = session.reader.get_offer(offer)
    if listed.kind is OfferKind.COMPUTE:
        raise BadInputError(f"offer {offer}", "compute", "an engine, a model or a dataset")
    receivers = listed.terms.payees if payees is None else tuple(payees)
    wanted = LeaseTerms(
        offer=offer,
        version=listed.version,
        terms_hash=listed.terms_hash,
        token=listed.terms.token,
        price_per_period=asking.price,
        period_seconds=asking.period_s,
        max_periods=asking.max_periods,
        places=asking.places,
        notice_seconds=asking.notice_s,
        min_seconds=asking.min_s,
        max_fee_bps=asking.max_fee_bps,
        payees_hash=payees_hash(receivers),
        salt=os.urandom(32),
    )
    return find_terms(session, _leases(session).open_terms(wanted, receivers))


def give_notice(session: Session, terms_id: bytes) -> str:
    """Sell no more leases by these terms; return the transaction's hash, empty where that was so.

    Raises:
        NotFoundError: no such terms.
        ContractRefusal: another's offer.
    """
    receipt = _leases(session).give_notice(find_terms(session, terms_id).terms)
    return "" if receipt is None else receipt.tx_hash


def recall(session: Session, lease: bytes) -> str:
    """Bring a lease's end forward, after notice; return the transaction's hash.

    Raises:
        NotFoundError: no such lease.
        ContractRefusal: no notice was given, another's offer, or it ends before that anyway.
    """
    return _leases(session).recall(find(session, lease).leasing).tx_hash


def collect(session: Session, lease: bytes) -> tuple[str, int]:
    """Credit to the payees what a lease earned, and send this wallet what it has credited.

    Returns:
        The transaction's hash, and what was withdrawn for this wallet in token units.
    Raises:
        NotFoundError: no such lease.
        ContractRefusal: nothing was earned since the last time.
    """
    leases_, record = _leases(session), find(session, lease)
    opened = find_terms(session, leases_.terms_id(record.leasing.terms))
    receipt = leases_.collect(record.leasing, opened.payees)
    return receipt.tx_hash, leases_.withdraw(session.address, record.leasing.terms.token)


# ----------------------------------------------------------------------------------------------- lessee
def take(
    session: Session, terms_id: bytes, periods: int, *, lessee: bytes | None = None, salt: int | None = None
) -> LeaseRecord:
    """Buy `periods` of a new lease, paid by this wallet, and return the lease.

    Args:
        lessee: whose orders may name it; None is this wallet.
        salt: tells equal leases apart; None draws one.
    Raises:
        NotFoundError: no such terms.
        BadInputError: the wallet holds too little, or the token knows no permits.
        ContractRefusal: the owner gave notice, or too many periods.
    """
    opened = find_terms(session, terms_id)
    number = int.from_bytes(os.urandom(8), "big") if salt is None else salt
    leasing = Leasing(opened.terms, lessee or session.address, session.address, number)
    leases_ = _leases(session)
    leases_.take(leasing, periods)
    return leases_.record(leasing)


def renew(session: Session, lease: bytes, periods: int) -> str:
    """Add periods before the end, paid by this wallet; return the transaction's hash.

    Raises:
        NotFoundError: no such lease.
        BadInputError: the wallet holds too little.
        ContractRefusal: the owner gave notice, the lease is over, or too many periods.
    """
    return _leases(session).renew(find(session, lease).leasing, periods).tx_hash


def set_top_up(session: Session, lease: bytes, top_up: TopUp) -> str:
    """Let anybody renew with this wallet's allowance, so far and no further; return the transaction's hash.

    Raises:
        NotFoundError: no such lease.
        ContractRefusal: another paid for it.
    """
    return _leases(session).set_top_up(find(session, lease).leasing, top_up).tx_hash


def end(session: Session, lease: bytes) -> tuple[str, int]:
    """End a lease now, and send this wallet what is not earned, if it paid.

    Returns:
        The transaction's hash, empty where it was over, and what was withdrawn in token units.
    Raises:
        NotFoundError: no such lease.
        ContractRefusal: not the lessee, or an order uses it.
    """
    leases_, record = _leases(session), find(session, lease)
    receipt = leases_.end(record.leasing)
    back = leases_.withdraw(session.address, record.leasing.terms.token)
    return "" if receipt is None else receipt.tx_hash, back


# ----------------------------------------------------------------------------------------------- looking
def terms(session: Session, offer: int | None = None, *, closed: bool = False) -> list[OpenTerms]:
    """Return the terms by which leases are sold, of one offer or of all."""
    return [one for one in _leases(session).terms_of(offer=offer) if one.is_open or closed]


def leases(session: Session, *, lessee: bytes | None = None) -> list[LeaseRecord]:
    """Return the leases of a lessee, by default this wallet's, oldest first."""
    return _leases(session).leases_of(lessee=lessee or session.address)


def find(session: Session, lease: bytes) -> LeaseRecord:
    """Return a lease by its id.

    Raises:
        NotFoundError: there is no such lease.
    """
    return _leases(session).find(lease)


def find_terms(session: Session, terms_id: bytes) -> OpenTerms:
    """Return lease terms by their id.

    Raises:
        NotFoundError: there are no such terms.
    """
    found = _leases(session).terms_of(terms_id=terms_id)
    if not found:
        raise NotFoundError(
            f"lease terms {hex_of(terms_id)}: none are known", hint="see `cloister lease terms`"
        )
    return found[0]


def _leases(session: Session) -> Leases:
    from marketplace.chain.leases import Leases

    return Leases(session.reader, session.writer)
