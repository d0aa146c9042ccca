"""Leases on chain: terms that owners open, leases that clients take, renew and end (protocol section 6.6)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import Payee
from marketplace.chain.artifacts import contract
from marketplace.chain.funds import pay_in, permit_for
from marketplace.chain.node import Log
from marketplace.chain.reader import Reader
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.lease import LeaseTerms, terms_bytes
from marketplace.domain.leasing import (
    LEASE_TERMS_BYTES,
    Leasing,
    TopUp,
    check_lease_terms,
    decode_lease_terms,
)
from marketplace.domain.tight import decode_payees, encode_payees, payees_hash
from marketplace.errors import BadInputError, NotFoundError

__all__ = ["LeaseRecord", "Leases", "OpenTerms"]


@dataclass(frozen=True, slots=True)
class OpenTerms:
    """Lease terms as their event has them; `is_open` tells whether leases are sold by them now."""

    terms_id: bytes
    terms: LeaseTerms
    payees: tuple[Payee, ...]
    owner: bytes
    is_open: bool


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """One lease as the chain keeps it.

    Attributes:
        start, end: Unix times.
        free_places: how many more orders may use it now.
        held_until: Unix time of the latest possible end of any order that took a place.
        collected_until: up to when the owner's income was credited, Unix time.
        fee_bps: protocol fee when it was bought.
    """

    lease_id: bytes
    leasing: Leasing
    start: int
    end: int
    free_places: int
    held_until: int
    collected_until: int
    fee_bps: int


class Leases:
    """Calls and views of LeaseBook, for owners, lessees and anybody."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and a key."""
        self.reader = reader
        self.writer = writer

    # ------------------------------------------------------------------------------------------- owner
    def open_terms(self, terms: LeaseTerms, payees: Sequence[Payee], *, sent: Sent | None = None) -> bytes:
        """Sell leases by these terms; return their id. Terms that are open stay so.

        Raises:
            BadInputError: terms under which nothing could be leased, or other payees than they name.
            ContractRefusal: another's offer, or a version that is not for sale.
        """
        check_lease_terms(terms)
        if payees_hash(payees) != terms.payees_hash:
            raise BadInputError("payees", "others than the terms name", "those whose hash is in the terms")
        identity = self.terms_id(terms)
        if not self.reader.node.view("LeaseBook", "isOpen", identity):
            arguments = (terms_bytes(terms), encode_payees(payees))
            self.writer.call("LeaseBook", "openTerms", *arguments, sent=sent)
        return identity

    def give_notice(self, terms: LeaseTerms, *, sent: Sent | None = None) -> Receipt | None:
        """Sell no more leases by these terms, and renew none; None where that is so.

        Raises:
            ContractRefusal: another's offer.
        """
        if not self.reader.node.view("LeaseBook", "isOpen", self.terms_id(terms)):
            return None
        return self.writer.call("LeaseBook", "giveNotice", terms_bytes(terms), sent=sent)

    def recall(self, leasing: Leasing, *, sent: Sent | None = None) -> Receipt:
        """Bring a lease's end forward, as far as the notice and running orders allow.

        Raises:
            ContractRefusal: no notice was given, another's offer, or it ends before that anyway.
        """
        return self.writer.call("LeaseBook", "recall", leasing.to_bytes(), sent=sent)

    def collect(self, leasing: Leasing, payees: Sequence[Payee], *, sent: Sent | None = None) -> Receipt:
        """Credit to the payees what a lease earned since the last time.

        Raises:
            ContractRefusal: nothing was earned since, or other payees.
        """
        arguments = (leasing.to_bytes(), encode_payees(payees))
        return self.writer.call("LeaseBook", "collect", *arguments, sent=sent)

    # ------------------------------------------------------------------------------------------- lessee
    def take(self, leasing: Leasing, periods: int, *, sent: Sent | None = None) -> bytes:
        """Buy periods of a lease that is not there yet, with a permit; return its id.

        Raises:
            BadInputError: the wallet holds too little, or the token knows no permits.
            ContractRefusal: the terms are closed, too many periods, or the lease exists.
        """
        terms, book = leasing.terms, self.reader.deployment.lease_book
        price = periods * terms.price_per_period
        permit = permit_for(self.reader, self.writer, terms.token, book, price) if price else None
        arguments = (leasing.to_bytes(), periods)
        if permit is None:
            self.writer.call("LeaseBook", "lease", *arguments, sent=sent)
        else:
            self.writer.call("LeaseBook", "leaseWithPermit", *arguments, *permit, sent=sent)
        return self.lease_id(leasing)

    def renew(self, leasing: Leasing, periods: int, *, sent: Sent | None = None) -> Receipt:
        """Add periods before the end, paid by this wallet; a refund would go to the lease's payer.

        Raises:
            BadInputError: the wallet holds too little.
            ContractRefusal: the terms are closed, the lease is over, or too many periods.
        """
        terms = leasing.terms
        price = periods * terms.price_per_period
        pay_in(self.reader, self.writer, terms.token, self.reader.deployment.lease_book, price, sent)
        return self.writer.call("LeaseBook", "renew", leasing.to_bytes(), periods, sent=sent)

    def set_top_up(self, leasing: Leasing, top_up: TopUp, *, sent: Sent | None = None) -> Receipt:
        """Say how far anybody may renew with this wallet's allowance, and allow just that.

        Raises:
            ContractRefusal: this wallet is not the lease's payer.
        """
        terms = leasing.terms
        price = top_up.periods * terms.price_per_period
        pay_in(self.reader, self.writer, terms.token, self.reader.deployment.lease_book, price, sent)
        arguments = (leasing.to_bytes(), (top_up.periods, top_up.until, top_up.within))
        return self.writer.call("LeaseBook", "setTopUp", *arguments, sent=sent)

    def end(self, leasing: Leasing, *, sent: Sent | None = None) -> Receipt | None:
        """End a lease now, and credit its payer what was not earned; None where it is over.

        Raises:
            ContractRefusal: not the lessee, or an order uses it.
        """
        if self.record(leasing).end <= self.reader.now():
            return None
        return self.writer.call("LeaseBook", "end", leasing.to_bytes(), sent=sent)

    def withdraw(self, account: bytes, token: bytes, *, sent: Sent | None = None) -> int:
        """Send an account its whole credit at LeaseBook; return what that was, 0 where there is none."""
        credit = self.reader.credit_of(account, token, of="LeaseBook")
        if credit:
            self.writer.call("LeaseBook", "withdraw", token, account, sent=sent)
        return credit

    # ------------------------------------------------------------------------------------------- looking
    def terms_id(self, terms: LeaseTerms) -> bytes:
        """Return the id of terms, 32 bytes."""
        identity: bytes = self.reader.node.view("LeaseBook", "termsIdOf", terms_bytes(terms))
        return identity

    def lease_id(self, leasing: Leasing) -> bytes:
        """Return the id of a lease, 32 bytes: what orders name."""
        identity: bytes = self.reader.node.view("LeaseBook", "leaseIdOf", leasing.to_bytes())
        return identity

    def terms_of(self, *, offer: int | None = None, terms_id: bytes | None = None) -> list[OpenTerms]:
        """Return lease terms that were ever opened, of one offer or of all, in their order."""
        named = None if offer is None else offer.to_bytes(32, "big")
        found: dict[bytes, OpenTerms] = {}
        for members in self._events("LeaseTermsOpened", [terms_id, named]):
            preimage = members["preimage"]
            try:
                terms = decode_lease_terms(preimage[:LEASE_TERMS_BYTES])
                payees = decode_payees(preimage[LEASE_TERMS_BYTES:])
            except WireError:
                continue  # no contract of ours emits that: a node's, or another contract's
            identity = members["terms"]
            found[identity] = OpenTerms(identity, terms, payees, members["owner"], False)
        is_open = self.reader.node.views([("LeaseBook", "isOpen", (one,)) for one in found])
        return [
            OpenTerms(one.terms_id, one.terms, one.payees, one.owner, now)
            for one, now in zip(found.values(), is_open, strict=True)
        ]

    def leases_of(self, *, lessee: bytes | None = None, terms_id: bytes | None = None) -> list[LeaseRecord]:
        """Return leases, of one lessee or under some terms, oldest first."""
        by_lessee = None if lessee is None else lessee.rjust(32, b"\x00")
        return [self._leased(one) for one in self._events("Leased", [None, terms_id, by_lessee])]

    def find(self, lease_id: bytes) -> LeaseRecord:
        """Return a lease by its id.

        Raises:
            NotFoundError: there is no such lease.
        """
        for members in self._events("Leased", [lease_id]):
            return self._leased(members)
        raise NotFoundError(f"lease 0x{lease_id.hex()}: no such lease", hint="see `cloister lease list`")

    def record(self, leasing: Leasing) -> LeaseRecord:
        """Return a lease as the chain has it now; start and end are zero where there is none."""
        identity = self.lease_id(leasing)
        _, fee_bps, left, held, collected, paid, start = self.reader.node.view(
            "LeaseBook", "leaseOf", identity
        )
        return LeaseRecord(
            lease_id=identity,
            leasing=leasing,
            start=start,
            end=start + paid,
            free_places=left,
            held_until=start + held,
            collected_until=start + collected,
            fee_bps=fee_bps,
        )

    def _leased(self, members: dict[str, Any]) -> LeaseRecord:
        known = self.terms_of(terms_id=members["terms"])
        if not known:
            raise NotFoundError(f"lease terms 0x{members['terms'].hex()}: the node has no event of them")
        terms = known[0].terms
        return self.record(Leasing(terms, members["lessee"], members["payer"], members["salt"]))

    def _events(self, name: str, topics: Sequence[bytes | None]) -> Iterable[dict[str, Any]]:
        event = contract("LeaseBook").events[name]
        logs: Iterable[Log] = self.reader.node.logs("LeaseBook", [event.topic, *topics])
        return (event.read(log.topics, log.data) for log in logs)
