"""Settlement to the last unit, by the table of docs/adr/0015 and by properties (protocol section 6.7)."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.offers import BPS, OfferKind, OfferTerms, Payee, Price, terms_hash
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
from marketplace.domain.order import REST_BIT, Hold
from marketplace.domain.order_state import RUNNING, TRANSITIONS, OrderState
from marketplace.domain.pricing import (
    Params,
    deposit_required,
    funded_limit,
    least_deposit,
    least_limit,
    lock_required,
    start_penalty_down,
)
from marketplace.domain.settlement import Settlement, bit_name, credits_of, freeze, settle, split_down
from tests.conformance.strategies import any_states, params, payees, preimages

CLIENT, TOKEN, TREASURY, PAYER = b"\xc1" * 20, b"\x70" * 20, b"\xfe" * 20, b"\xc2" * 20
PROVIDER, AUTHOR, OWNER, OWNER_2 = b"\xd1" * 20, b"\xa1" * 20, b"\xb1" * 20, b"\xb2" * 20
PARAMS = Params(fee_bps=250, start_penalty_bps=1000, min_grace=60, treasury=TREASURY)


def offer(kind: OfferKind, price: Price, *receivers: Payee) -> OfferTerms:
    some = ZERO32 if kind is OfferKind.COMPUTE else b"\x01" * 32
    key = ZERO_ADDRESS if kind is OfferKind.COMPUTE else b"\x02" * 20
    return OfferTerms(int(kind), TOKEN, price, receivers, some, some, key, 0, ZERO32, ZERO32)


def order() -> OrderPreimage:
    compute = offer(OfferKind.COMPUTE, Price(100, 3601, 60, 0, 2), Payee(PROVIDER, 10_000))
    engine = offer(OfferKind.ENGINE, Price(1000), Payee(AUTHOR, 10_000))
    data = offer(OfferKind.DATASET, Price(7, 7201, 3600, 0, 1), Payee(OWNER, 3333), Payee(OWNER_2, 6667))
    offers = (compute, engine, data)
    refs = tuple(InputRef(i + 2, 1, terms_hash(item), ZERO32) for i, item in enumerate(offers[1:]))
    windows = Windows(300, 300, 600, 300, 300, 7200, 300)
    terms = OrderTerms(
        CLIENT, PAYER, TOKEN, ComputeRef(1, 1, terms_hash(compute)), refs, ZERO32, ZERO32, ZERO32, ZERO32,
        1, windows, 10, Holdback(1000, 3600), 0, ZERO32, 250, 0, ZERO32,
    )  # fmt: skip
    bare = OrderPreimage(terms, compute, offers[1:])
    deposit = deposit_required(bare)
    return OrderPreimage(dataclasses.replace(terms, deposit=deposit), compute, offers[1:])


ORDER = order()
# compute 100 + 3601 * 2 + 2 * 10, a tenth of it again; engine 1000; data 7 + 7201 * 2 + 10
DEPOSIT = 7322 + 732 + 1000 + 14419
PENALTY = 732  # a tenth of 7322, rounded down


def test_deposit_and_lock_by_hand() -> None:
    assert deposit_required(ORDER) == ORDER.terms.deposit == DEPOSIT
    assert start_penalty_down(ORDER, 1000) == PENALTY
    # data: 7 fixed, 3600 s of minimum, 300 s of grace rounded up
    assert lock_required(ORDER, 1000) == 1000 + (7 + 7201 + 601) + PENALTY


def test_a_partial_deposit_funds_whole_seconds() -> None:
    assert least_limit(ORDER.terms.windows) == 1200
    assert least_deposit(ORDER) == deposit_required(ORDER, 1200)
    assert funded_limit(ORDER, DEPOSIT) == funded_limit(ORDER, 2 * DEPOSIT) == 7200
    assert funded_limit(ORDER, DEPOSIT - 1) == 7199
    assert funded_limit(ORDER, deposit_required(ORDER, 1200)) == 1200
    assert funded_limit(ORDER, deposit_required(ORDER, 1200) - 1) is None


S, P = OrderState, Phase
# state, phase, reported, units, elapsed -> compute, (engine, data), from the lock
ROWS = [
    (S.CANCELLED, P.NONE, 0, 0, 0, 0, (0, 0), 0),
    (S.EXPIRED, P.NONE, 0, 0, 0, 0, (0, 0), PENALTY),
    (S.RUNNING, P.SETUP, 900, 4, 950, 600, (0, 0), 0),
    (S.RUNNING, P.ENGINE, 900, 4, 950, 900 + 8, (0, 0), 0),
    (S.REFUSED, P.SETUP, 599, 0, 800, 599, (0, 0), 0),  # 3601 * 599 // 3600: no fixed part
    (S.COMPLETED, P.ENGINE, 3601, 4, 9999, 100 + 3602 + 8, (1000, 7 + 7203 + 4), 0),
    (S.COMPLETED, P.ENGINE, 3601, 4, 3600, 100 + 3601 + 8, (1000, 7 + 7201 + 4), 0),  # the chain's clock
    (S.FAILED, P.ENGINE, 1, 99, 9999, 100 + 60 + 20, (1000, 7 + 7201 + 10), 0),  # minima and maxUnits
    (S.HOST, P.SETUP, 900, 0, 950, 600, (0, 0), 0),
    (S.HOST, P.ENGINE, 900, 4, 950, 908, (0, 0), 0),
    (S.LAPSED, P.ENGINE, 900, 4, 950, 908, (125, 1800 + 4), 0),  # an eighth of 1000, and none of 7
    (S.REVOKED, P.SETUP, 900, 0, 950, 600, (0, 0), 0),
    (S.REVOKED, P.ENGINE, 30, 0, 99, 160, (1000, 7 + 7201), 0),
    (S.STOPPED, P.SETUP, 900, 0, 950, 600, (0, 0), 0),
    (S.STOPPED, P.ENGINE, 900, 0, 950, 100 + 900, (1000, 7 + 7201), 0),
    (S.EXPIRED, P.SETUP, 900, 0, 9999, 600, (1000, 7 + 7201), 8208),  # 300 s are less than the minimum
    (S.EXPIRED, P.ENGINE, 3600, 4, 9999, 3601 + 8, (1000, 7 + 7801 + 4), 1000 + 7812 - 7205),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0].name}-{row[1].name}-{row[2]}")
def test_settles_by_the_table(
    row: tuple[OrderState, Phase, int, int, int, int, tuple[int, int], int],
) -> None:
    state, phase, reported, units, elapsed, compute, inputs, slashed = row
    frozen = freeze(ORDER.terms, state, phase, reported=reported, units=units, elapsed=elapsed)
    sums = settle(ORDER, PARAMS, frozen)
    assert sums.gross == (compute, *inputs)
    penalty = PENALTY if phase is Phase.NONE and state is OrderState.EXPIRED else 0
    assert (sums.slashed, sums.penalty, sums.burned) == (slashed, penalty, 0)
    assert sums.refund == DEPOSIT + slashed - compute - sum(inputs) - penalty


def test_served_inputs_earn_as_they_run_and_leased_ones_nothing() -> None:
    served = dataclasses.replace(ORDER.terms, access_key_digest=b"\x01" * 32)
    refs = (dataclasses.replace(served.inputs[0], lease=b"\x02" * 32), served.inputs[1])
    leased = OrderPreimage(dataclasses.replace(served, inputs=refs), ORDER.compute, ORDER.inputs)
    for state in (S.RUNNING, S.STOPPING, S.HOST):
        frozen = freeze(served, state, P.ENGINE, reported=900, units=4, elapsed=950)
        assert settle(dataclasses.replace(ORDER, terms=served), PARAMS, frozen).gross[1:] == (125, 1804)
        assert settle(leased, PARAMS, frozen).gross[1:] == (0, 1804)
    assert deposit_required(leased) == DEPOSIT - 1000
    assert lock_required(leased, 1000) == lock_required(ORDER, 1000) - 1000


def completed(hold: Hold) -> Settlement:
    frozen = freeze(ORDER.terms, S.COMPLETED, P.ENGINE, reported=3600, units=0, elapsed=3700)
    return settle(ORDER, PARAMS, frozen, hold=hold)


def test_a_holdback_waits_is_released_or_burns_twice() -> None:
    pending, released, contested = (completed(hold) for hold in (Hold.PENDING, Hold.RELEASED, Hold.CONTESTED))
    assert pending.gross[0] == 3701
    assert (pending.held, released.held, contested.held) == (370, 0, 0)
    assert (pending.burned, released.burned, contested.burned) == (0, 0, 740)
    assert pending.refund == released.refund == contested.refund + 370
    assert pending.net[0] == contested.net[0] == 3331 - 3331 * 250 // 10_000
    assert released.net[0] == 3701 - 3701 * 250 // 10_000


def test_credits_name_every_receiver_and_the_last_takes_what_rounding_leaves() -> None:
    sums = completed(Hold.RELEASED)
    listed = credits_of(ORDER, PARAMS, sums, {2: (Payee(b"\x0a" * 20, 1),)})
    data = [item for item in listed if item.bit == 2]
    net = 7208 - 180
    assert [item.receiver for item in data] == [b"\x0a" * 20, OWNER, OWNER_2]
    assert data[0].amount == 0 and sum(item.amount for item in data) == net == sums.net[2]
    assert data[1].amount == (net * 9999 // 10_000) * 3333 // 10_000
    rest = {item.receiver: item.amount for item in listed if item.bit == REST_BIT}
    assert rest == {PAYER: sums.refund, TREASURY: sums.fees, CLIENT: 0, None: 0}
    assert bit_name(3) == "input 2" and bit_name(REST_BIT).startswith("refund")


@settings(max_examples=50)
@given(preimages(), params, any_states, st.sampled_from(list(Hold)), st.data())
def test_credits_are_exactly_what_is_held_and_the_lock_suffices(
    preimage: OrderPreimage, shares: Params, at: tuple[OrderState, Phase], hold: Hold, data: st.DataObject
) -> None:
    windows = preimage.terms.windows
    limit = data.draw(st.integers(least_limit(windows), windows.max_seconds))
    reported, elapsed = (data.draw(st.integers(0, 2 * limit)) for _ in range(2))
    units = data.draw(st.integers(0, 2**40))
    held = deposit_required(preimage, limit)
    frozen = freeze(preimage.terms, *at, reported=reported, units=units, elapsed=elapsed, limit=limit)
    sums = settle(preimage, shares, frozen, held=held, hold=hold)
    assert sums.refund >= 0 and sums.slashed <= lock_required(preimage, shares.start_penalty_bps)
    assert sums.slashed == 0 or at[0] is OrderState.EXPIRED
    listed = credits_of(preimage, shares, sums)
    assert all(item.amount >= 0 for item in listed)
    paid = sum(item.amount for item in listed)
    assert paid <= held + sums.slashed - sums.held < paid + 8


@settings(max_examples=50)
@given(preimages(), params, st.sampled_from([P.SETUP, P.ENGINE]), st.booleans(), st.data())
def test_nothing_claimed_while_running_is_taken_back_by_any_end(
    preimage: OrderPreimage, shares: Params, phase: Phase, opened: bool, data: st.DataObject
) -> None:
    most = preimage.terms.windows.max_seconds
    reported, units, elapsed = (data.draw(st.integers(0, 2 * most)) for _ in range(3))
    before = freeze(preimage.terms, S.RUNNING, phase, reported=reported, units=units, elapsed=elapsed)
    claimed = settle(preimage, shares, before).net
    last = P.ENGINE if opened else phase
    ends = [
        target for (state, _, _), target in TRANSITIONS.items()
        if state in RUNNING and target[0].terminal and target[1] is last
    ]  # fmt: skip
    more = data.draw(st.integers(0, most))
    for end in ends:
        after = freeze(
            preimage.terms, *end, reported=reported + more, units=units + more, elapsed=elapsed + more
        )
        due = settle(preimage, shares, after, hold=Hold.CONTESTED).net
        assert all(got <= owed for got, owed in zip(claimed, due, strict=True)), end


@settings(max_examples=50)
@given(payees(), payees(), st.integers(0, BPS), st.lists(st.integers(0, 10**6), min_size=1, max_size=5))
def test_claims_one_by_one_make_what_one_claim_makes(
    receivers: tuple[Payee, ...], parents: tuple[Payee, ...], asked: int, incomes: list[int]
) -> None:
    owed = tuple(Payee(item.account, item.bps * asked // BPS) for item in parents)
    income, got = 0, [0] * (len(owed) + len(receivers))
    for number, after in enumerate(sorted(incomes), start=1):
        final = number == len(incomes)
        more = split_down(income, after, final=final, royalties=owed, payees=receivers)
        assert all(amount >= 0 for amount in more)
        got = [old + new for old, new in zip(got, more, strict=True)]
        assert sum(got) <= after
        income = after
    assert sum(got) == income
    assert tuple(got) == split_down(0, income, final=True, royalties=owed, payees=receivers)
