"""Leases: what they bind, what they earn by the second and what comes back (protocol section 6.6).

Twin of contracts/libraries/LeaseLib.sol and of the arithmetic in contracts/LeaseBook.sol, held together by
tests/conformance/vectors/leases/histories.json. All divisions round down; floors are taken of running sums,
so that it does not matter how often income is collected; the last payee gets the remainder once the lease is
over. Refunds and income together are what was paid, to the last unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.eip712 import Domain, hash_struct, typed_digest
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.offers import Payee
from enclave_runtime.wire.scalars import U8, U16, U32, U64, U128, Address, Bytes32
from marketplace.domain.money import share_down
from marketplace.errors import BadInputError

__all__ = [
    "MAX_SECONDS",
    "Income",
    "Lease",
    "LeaseTerms",
    "collect_down",
    "earned_down",
    "end_after",
    "lease_bytes",
    "lease_id",
    "lease_seconds",
    "payees_bytes",
    "payees_hash",
    "recall_after",
    "refund_up",
    "terms_bytes",
    "terms_id",
]

MAX_SECONDS: Final = (1 << 32) - 2
"""The longest that one lease can last; the next number stands for `all is collected`."""


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What an owner asks for the use of one version of an offer; see the Solidity twin for each member."""

    offer: U64
    version: U32
    terms_hash: Bytes32
    token: Address
    price_per_period: U128
    period_seconds: U32
    max_periods: U16
    places: U8
    notice_seconds: U32
    min_seconds: U32
    max_fee_bps: U16
    payees_hash: Bytes32
    salt: Bytes32


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may use which terms, and who paid. `terms` is a terms id; `salt` tells equal leases apart."""

    terms: Bytes32
    lessee: Address
    payer: Address
    salt: U64


@dataclass(frozen=True, slots=True)
class Income:
    """What one collection credits, in the token's smallest unit.

    Attributes:
        amount: fee and shares together.
        fee: the protocol's.
        shares: each payee's, in the order of the list.
    """

    amount: int
    fee: int
    shares: tuple[int, ...]


def terms_id(domain: Domain, terms: LeaseTerms) -> bytes:
    """Return the id of `terms` under the LeaseBook's domain, 32 bytes."""
    return typed_digest(domain, terms)


def lease_id(domain: Domain, lease: Lease) -> bytes:
    """Return the lease's id under the LeaseBook's domain, 32 bytes: what an order's input names."""
    return typed_digest(domain, lease)


def payees_hash(payees: Sequence[Payee]) -> bytes:
    """Return the EIP-712 hash of a list of payees, 32 bytes."""
    return keccak256(b"".join(hash_struct(payee) for payee in payees))


def terms_bytes(terms: LeaseTerms) -> bytes:
    """Return `terms` as the LeaseBook takes them: 161 bytes, big endian, no padding."""
    return b"".join(
        (
            terms.offer.to_bytes(8, "big"),
            terms.version.to_bytes(4, "big"),
            terms.terms_hash,
            terms.token,
            terms.price_per_period.to_bytes(16, "big"),
            terms.period_seconds.to_bytes(4, "big"),
            terms.max_periods.to_bytes(2, "big"),
            terms.places.to_bytes(1, "big"),
            terms.notice_seconds.to_bytes(4, "big"),
            terms.min_seconds.to_bytes(4, "big"),
            terms.max_fee_bps.to_bytes(2, "big"),
            terms.payees_hash,
            terms.salt,
        )
    )


def lease_bytes(terms: LeaseTerms, lease: Lease) -> bytes:
    """Return a lease as the LeaseBook takes it: terms, lessee, payer, salt, 209 bytes."""
    return terms_bytes(terms) + lease.lessee + lease.payer + lease.salt.to_bytes(8, "big")


def payees_bytes(payees: Sequence[Payee]) -> bytes:
    """Return payees as the LeaseBook takes them: account 20, bps 2 each."""
    return b"".join(payee.account + payee.bps.to_bytes(2, "big") for payee in payees)


def earned_down(terms: LeaseTerms, seconds: int) -> int:
    """Return what `seconds` of a lease cost, rounded down; whole periods cost their price exactly."""
    return terms.price_per_period * seconds // terms.period_seconds


def lease_seconds(terms: LeaseTerms, periods: int, *, rest: int = 0) -> int:
    """Return the seconds that `periods` more add to a lease of which `rest` seconds are still to come.

    Raises:
        BadInputError: no period, more than may be paid ahead of the running one, or more seconds
            than a number can say.
    """
    lasts = periods * terms.period_seconds
    ahead = (rest + lasts) // terms.period_seconds
    if periods == 0 or periods > terms.max_periods or ahead > terms.max_periods:
        raise BadInputError("periods", f"{max(ahead, periods)} ahead", f"1 to {terms.max_periods}")
    if lasts > MAX_SECONDS:
        raise BadInputError("periods", f"{lasts} seconds", f"at most {MAX_SECONDS}")
    return lasts


def end_after(terms: LeaseTerms, elapsed: int) -> int:
    """Return after how many seconds a lease ends that its lessee ends `elapsed` seconds after its start."""
    return max(elapsed, terms.min_seconds)


def recall_after(terms: LeaseTerms, elapsed: int, *, held: int = 0) -> int:
    """Return after how many seconds a lease ends that its owner recalls `elapsed` seconds after its start.

    Args:
        held: latest possible end of any order that took a place, in seconds since the start; 0 while all
            places are free.
    """
    return max(elapsed + terms.notice_seconds, held)


def refund_up(terms: LeaseTerms, paid: int, lasts: int) -> int:
    """Return what the payer gets back when a lease paid for `paid` seconds lasts only `lasts`.

    Raises:
        BadInputError: it would not end earlier.
    """
    if lasts >= paid:
        raise BadInputError("end", f"{lasts} seconds after the start", f"less than {paid}")
    return earned_down(terms, paid) - earned_down(terms, lasts)


def collect_down(
    terms: LeaseTerms, payees: Sequence[Payee], fee_bps: int, *, before: int, until: int, over: bool
) -> Income:
    """Return what is credited when income up to `before` seconds was credited and `until` have passed.

    Args:
        fee_bps: the protocol's share when the lease was bought.
        over: `until` is the lease's end, and the last payee gets the remainder.
    """
    gross = (earned_down(terms, before), earned_down(terms, until))
    fees = (share_down(gross[0], fee_bps), share_down(gross[1], fee_bps))
    net = (gross[0] - fees[0], gross[1] - fees[1])
    had = [share_down(net[0], payee.bps) for payee in payees]
    have = [share_down(net[1], payee.bps) for payee in payees]
    if over:
        have[-1] = net[1] - sum(have[:-1])
    shares = tuple(new - old for old, new in zip(had, have, strict=True))
    return Income(gross[1] - gross[0], fees[1] - fees[0], shares)
