"""Settlement to the last unit, by the table of docs/adr/0003 and by properties (protocol section 6.7)."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price, terms_hash
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
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import Params, deposit_required, lock_required, start_penalty_down
from marketplace.domain.settlement import Frozen, bill, payee_index, payout_name, payouts, settle
from tests.conformance.strategies import frozen_states, params, preimages

CLIENT, TOKEN, TREASURY = b"\xc1" * 20, b"\x70" * 20, b"\xfe" * 20
PROVIDER, AUTHOR, OWNER, OWNER_2 = b"\xd1" * 20, b"\xa1" * 20, b"\xb1" * 20, b"\xb2" * 20
PARAMS = Params(fee_bps=250, start_penalty_bps=1000, min_grace=60, treasury=TREASURY)
MAX_SECONDS, SETUP_SECONDS = 7200, 600


def offer(kind: OfferKind, price: Price, *payees: Payee) -> OfferTerms:
    some = ZERO32 if kind is OfferKind.COMPUTE else b"\x01" * 32
    key = ZERO_ADDRESS if kind is OfferKind.COMPUTE else b"\x02" * 20
    return OfferTerms(int(kind), TOKEN, price, payees, some, some, key, 0, ZERO32, ZERO32)


def order() -> OrderPreimage:
    compute = offer(OfferKind.COMPUTE, Price(100, 3601, 60, 2), Payee(PROVIDER, 10_000))
    engine = offer(OfferKind.ENGINE, Price(1000, 0, 0, 0), Payee(AUTHOR, 10_000))
    data = offer(OfferKind.DATASET, Price(7, 7201, 3600, 1), Payee(OWNER, 3333), Payee(OWNER_2, 6667))
    offers = (compute, engine, data)
    refs = tuple(InputRef(i + 2, 1, terms_hash(item), ZERO32) for i, item in enumerate(offers[1:]))
    windows = Windows(300, 300, SETUP_SECONDS, 300, 300, MAX_SECONDS, 300)
    terms = OrderTerms(
        CLIENT, CLIENT, TOKEN, ComputeRef(1, 1, terms_hash(compute)), refs, ZERO32, ZERO32, ZERO32, ZERO32,
        1, windows, 10, Holdback(), 0, ZERO32, 250, 0, ZERO32,
    )  # fmt: skip
    bare = OrderPreimage(terms, compute, offers[1:])
    deposit = deposit_required(bare)
    return OrderPreimage(dataclasses.replace(terms, deposit=deposit), compute, offers[1:])


ORDER = order()
# compute 100 + 3601 * 2 + 2 * 10; engine 1000; data 7 + 7201 * 2 + 10
DEPOSIT = 7322 + 1000 + 14419
PENALTY = 732  # a tenth of 7322, rounded down


def test_deposit_and_lock_by_hand() -> None:
    assert deposit_required(ORDER) == ORDER.terms.deposit == DEPOSIT
    assert start_penalty_down(ORDER, 1000) == PENALTY
    assert lock_required(ORDER, 1000) == 1000 + 14409 + PENALTY


ROWS = [
    # state, phase, billed seconds, units -> compute, inputs, slashed, penalty
    (OrderState.CANCELLED, Phase.NONE, 0, 0, 0, (0, 0), 0, 0),
    (OrderState.EXPIRED, Phase.NONE, 0, 0, 0, (0, 0), PENALTY, PENALTY),
    (OrderState.REFUSED, Phase.SETUP, 599, 0, 599, (0, 0), 0, 0),  # 3601 * 599 // 3600: no fixed part
    (OrderState.COMPLETED, Phase.ENGINE, 3601, 4, 100 + 3602 + 8, (1000, 7 + 7203 + 4), 0, 0),
    (OrderState.FAILED, Phase.ENGINE, 1, 0, 100 + 60, (1000, 7 + 7201), 0, 0),  # both minima
    (OrderState.HOST, Phase.ENGINE, 0, 0, 0, (0, 0), 0, 0),
    (OrderState.EXPIRED, Phase.SETUP, 7200, 0, 0, (1000, 7 + 14402), 15409, 0),
    (OrderState.EXPIRED, Phase.ENGINE, 7200, 0, 0, (1000, 7 + 14402), 15409, 0),
    (OrderState.REVOKED, Phase.ENGINE, 30, 0, 160, (1000, 7 + 7201), 0, 0),
    (OrderState.STOPPED, Phase.SETUP, 900, 0, 600, (1000, 7 + 7201), 0, 0),  # compute: setupSeconds at most
    (OrderState.STOPPED, Phase.ENGINE, 900, 0, 100 + 900, (1000, 7 + 7201), 0, 0),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].name}-{row[1].name}")
def test_settles_by_the_table(
    row: tuple[OrderState, Phase, int, int, int, tuple[int, int], int, int],
) -> None:
    state, phase, seconds, units, compute, inputs, slashed, penalty = row
    sums = settle(ORDER, PARAMS, Frozen(state, phase, seconds, units))
    assert sums.gross == (compute, *inputs)
    assert (sums.slashed, sums.penalty) == (slashed, penalty)
    assert sums.fees == sum(gross * 250 // 10_000 for gross in (compute, *inputs))
    assert sums.refund == DEPOSIT + slashed - compute - sum(inputs) - penalty


def test_last_payee_gets_what_rounding_leaves() -> None:
    listed = payouts(ORDER, PARAMS, Frozen(OrderState.COMPLETED, Phase.ENGINE, 3601, 4))
    by_index = {item.index: item for item in listed}
    net = 7214 - 7214 * 250 // 10_000
    first, last = by_index[payee_index(2, 0)], by_index[payee_index(2, 1)]
    assert (first.receiver, first.amount) == (OWNER, net * 3333 // 10_000)
    assert (last.receiver, last.amount) == (OWNER_2, net - first.amount)
    assert [item.index for item in listed] == [0, 2, 3, 8, 16, 24, 25]
    assert payout_name(25) == "input 1, payee 2"


def test_unaccepted_order_pays_all_back_without_params() -> None:
    none = Params(0, 0, 0, ZERO_ADDRESS)
    listed = payouts(ORDER, none, Frozen(OrderState.CANCELLED, Phase.NONE, 0, 0))
    assert listed[0].receiver == CLIENT and listed[0].amount == DEPOSIT
    assert sum(item.amount for item in listed) == DEPOSIT


@settings(max_examples=50)
@given(
    preimages(), params, frozen_states, st.integers(0, 2**32), st.integers(0, 2**64), st.integers(0, 2**40)
)
def test_payouts_are_exactly_what_is_held_and_the_lock_suffices(
    preimage: OrderPreimage,
    shares: Params,
    reached: tuple[OrderState, Phase],
    reported: int,
    units: int,
    elapsed: int,
) -> None:
    state, phase = reached
    seconds, billed_units = bill(
        preimage.terms, state, phase, reported=reported, units=units, elapsed=elapsed
    )
    frozen = Frozen(state, phase, seconds, billed_units)
    sums = settle(preimage, shares, frozen)
    listed = payouts(preimage, shares, frozen)
    assert all(item.amount >= 0 for item in listed)
    assert sum(item.amount for item in listed) == preimage.terms.deposit + sums.slashed
    assert sums.slashed <= lock_required(preimage, shares.start_penalty_bps)
    assert seconds <= preimage.terms.windows.max_seconds and billed_units <= preimage.terms.max_units
    if state is OrderState.EXPIRED:
        assert sums.refund == preimage.terms.deposit


@pytest.mark.parametrize(
    ("state", "phase", "expected"),
    [
        (OrderState.COMPLETED, Phase.ENGINE, (50, 10)),
        (OrderState.FAILED, Phase.ENGINE, (50, 10)),
        (OrderState.REFUSED, Phase.SETUP, (50, 0)),
        (OrderState.REVOKED, Phase.ENGINE, (50, 0)),
        (OrderState.REVOKED, Phase.SETUP, (0, 0)),
        (OrderState.STOPPED, Phase.SETUP, (80, 0)),
        (OrderState.EXPIRED, Phase.ENGINE, (80, 0)),
        (OrderState.EXPIRED, Phase.NONE, (0, 0)),
        (OrderState.HOST, Phase.ENGINE, (0, 0)),
        (OrderState.CANCELLED, Phase.NONE, (0, 0)),
    ],
)
def test_bills_the_lesser_of_word_and_clock(
    state: OrderState, phase: Phase, expected: tuple[int, int]
) -> None:
    assert bill(ORDER.terms, state, phase, reported=50, units=99, elapsed=80) == expected


def test_never_bills_more_than_the_chain_saw_pass_when_the_cvm_claims_more() -> None:
    billed = bill(ORDER.terms, OrderState.COMPLETED, Phase.ENGINE, reported=10**6, units=0, elapsed=80)
    assert billed == (80, 0)
    refused = bill(ORDER.terms, OrderState.REFUSED, Phase.SETUP, reported=10**6, units=0, elapsed=10**6)
    assert refused == (SETUP_SECONDS, 0)
