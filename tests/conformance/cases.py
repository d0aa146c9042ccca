"""Settlements as SettlementHarness takes them, and what the Python twin makes of them (protocol 6.7)."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price
from enclave_runtime.wire.orders import (
    ComputeRef,
    Holdback,
    InputRef,
    OrderPreimage,
    OrderTerms,
    Phase,
    Windows,
)
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.domain.order import Hold
from marketplace.domain.order_state import TRANSITIONS, OrderState
from marketplace.domain.pricing import Params, deposit_required, is_leased, lock_required
from marketplace.domain.settlement import Frozen, freeze, settle

__all__ = ["STATES", "Case", "random_case", "random_list", "random_price"]

STATES = sorted(set(TRANSITIONS.values()))
"""Every state that an order can be in, with every phase."""


@dataclass(frozen=True, slots=True)
class Case:
    """One order in one state, with everything that its settlement depends on.

    Attributes:
        reported: seconds by the CVM's word, not yet bounded; units likewise.
        limit: seconds that the deposit funds.
        held: deposit and additions, less what was taken out.
    """

    preimage: OrderPreimage
    params: Params
    state: OrderState
    phase: Phase
    reported: int
    units: int
    elapsed: int
    limit: int
    held: int
    hold: Hold

    @property
    def frozen(self) -> Frozen:
        """Return the facts that dues depend on."""
        return freeze(
            self.preimage.terms,
            self.state,
            self.phase,
            reported=self.reported,
            units=self.units,
            elapsed=self.elapsed,
            limit=self.limit,
        )

    def abi(self) -> tuple[Any, ...]:
        """Return `SettlementHarness.Case`."""
        terms, inputs = self.preimage.terms, self.preimage.inputs
        leased = sum(2 << number for number in range(len(inputs)) if is_leased(self.preimage, number))
        windows = terms.windows
        return (
            *(int(self.state), int(self.phase), self.reported, self.units, self.elapsed, self.limit),
            *(windows.max_seconds, windows.setup_seconds, windows.grace, terms.max_units),
            *(self.params.fee_bps, self.params.start_penalty_bps, terms.holdback.bps, self.held, leased),
            *(any(terms.access_key_digest), self.hold is Hold.RELEASED, self.hold is Hold.CONTESTED),
            [dataclasses.astuple(offer.price) for offer in (self.preimage.compute, *inputs)],
        )

    def expected(self) -> tuple[Any, ...]:
        """Return `SettlementHarness.Sums`, as the twin has them."""
        sums = settle(self.preimage, self.params, self.frozen, held=self.held, hold=self.hold)
        return (
            *(sums.gross, sums.net, sums.fees, sums.slashed, sums.penalty, sums.burned, sums.held),
            sums.refund % 2**256,
            deposit_required(self.preimage, self.limit),
            lock_required(self.preimage, self.params.start_penalty_bps),
        )


def random_list(source: random.Random, most: int, total: int) -> tuple[Payee, ...]:
    """Return 1 to `most` receivers whose shares together are `total` bps, single bps often."""
    count = source.randint(1, most)
    cuts = sorted(source.randint(0, total) for _ in range(count - 1))
    edges = [0, *cuts, total]
    return tuple(Payee(source.randbytes(20), high - low) for low, high in pairwise(edges))


def random_price(source: random.Random) -> Price:
    """Return a price; amounts that round badly and the largest ones come up often."""
    amounts = [0, 1, 3, 3599, 3601, source.randrange(10**9), source.randrange(10**24), 2**128 - 1]
    seconds = source.choice([0, 1, 60, 3600, source.randrange(10**5), 2**32 - 1])
    return Price(source.choice(amounts), source.choice(amounts), seconds, 0, source.choice(amounts), 0)


def random_case(source: random.Random) -> Case:
    """Return one order of up to six offers in any state, with any report and any funding."""
    pick = source.choice
    preimage = _preimage(source)
    windows = preimage.terms.windows
    limit = pick([windows.max_seconds, source.randint(0, windows.max_seconds)])
    around = [0, 1, limit, limit + 1, source.randrange(2 * limit + 2), 2**30 - 1]
    state, phase = pick(STATES)
    params = Params(pick([0, 1, 250, 1000]), pick([0, 1, 1000, 5000]), 1, ZERO_ADDRESS)
    required = deposit_required(preimage, limit)
    return Case(
        preimage, params, state, phase,
        reported=pick(around), units=pick([0, 1, 1000, 2**40 - 1]), elapsed=pick(around), limit=limit,
        held=required + pick([0, 0, 1, 10**6]), hold=pick(list(Hold)),
    )  # fmt: skip


def _preimage(source: random.Random) -> OrderPreimage:
    """Return an order of which nothing is whole but what money depends on."""
    pick = source.choice
    count = source.choice([1, 1, 2, 3, 5])
    lengths = [1, 59, 600, 3600, source.randrange(1, 10**7), 2**32 - 1]
    refs = tuple(InputRef(n + 2, 1, ZERO32, pick([ZERO32, ZERO32, b"\x1e" * 32])) for n in range(count))
    terms = OrderTerms(
        ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS, ComputeRef(1, 1, ZERO32), refs, ZERO32, ZERO32,
        pick([ZERO32, b"\xac" * 32]), ZERO32, 0, Windows(*(pick(lengths) for _ in range(7))),
        pick([0, 1, 1000, 2**40 - 1]), Holdback(pick([0, 0, 1, 1000, 10_000]), 1), 0, ZERO32, 0, 0, ZERO32,
    )  # fmt: skip
    offers = tuple(
        OfferTerms(
            int(OfferKind.MODEL), ZERO_ADDRESS, random_price(source), (Payee(ZERO_ADDRESS, 10_000),),
            ZERO32, ZERO32, ZERO_ADDRESS, 0, ZERO32, ZERO32,
        )
        for _ in range(count + 1)
    )  # fmt: skip
    return OrderPreimage(terms, offers[0], offers[1:])
