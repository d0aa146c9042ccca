"""Python == Solidity on fresh cases: every pure function of the libraries, called on a local chain.

20 000 settlements, 20 000 splits, 20 000 locks and 40 000 steps come from fixed seeds, many in one call;
hypothesis looks for the rest.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.cvm import CvmKeys, cvm_id
from enclave_runtime.wire.eip712 import hash_struct
from enclave_runtime.wire.offers import BPS, OfferTerms, Payee, Price, terms_hash
from enclave_runtime.wire.orders import (
    OrderPreimage,
    OrderTerms,
    ReportSummary,
    RuntimePolicy,
    inputs_root,
    order_book_domain,
    order_id,
    runtime_policy_digest,
)
from marketplace.chain.devchain import DevChain
from marketplace.domain.lock import MAX_LOCK, decode_lock, encode_lock_up
from marketplace.domain.order_state import TRANSITIONS, OrderState
from marketplace.domain.pricing import (
    deposit_for,
    deposit_required,
    funded_limit,
    input_lock_up,
    least_limit,
    prices_paid,
)
from marketplace.domain.settlement import split_down
from marketplace.domain.tight import (
    encode_head,
    encode_heads,
    encode_order,
    encode_payees,
    encode_policy,
    payees_hash,
)
from tests.conformance.cases import random_case, random_list, random_price
from tests.conformance.harness import Harness
from tests.conformance.strategies import (
    addresses,
    cvm_keys,
    offers,
    order_terms,
    policies,
    preimages,
    prices,
    summaries,
    uint,
)

pytestmark = pytest.mark.contracts
HASHES, MONEY = "HashHarness", "SettlementHarness"
MANY = 20_000


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    # Many settlements in one call need more gas than a block has: eth_call may have it.
    extra = ("--disable-block-gas-limit", "--memory-limit", str(1 << 30))
    with DevChain.start(extra=extra) as chain:
        yield Harness(chain)


@settings(max_examples=40)
@given(terms=order_terms(), chain_id=uint(64), book=addresses)
def test_order_id_and_inputs_root(harness: Harness, terms: OrderTerms, chain_id: int, book: bytes) -> None:
    order = encode_order(terms)
    struct_hash = harness.call(HASHES, "hashOrder", order)
    digest = harness.call(HASHES, "digest", "Cloister OrderBook", chain_id, book, struct_hash)
    assert digest == order_id(order_book_domain(chain_id, book), terms)
    assert harness.call(HASHES, "inputsRoot", order) == inputs_root(terms.inputs)
    assert harness.call(HASHES, "decodeOrder", order) == to_abi(terms)


@settings(max_examples=40)
@given(terms=offers(), policy=policies, keys=cvm_keys, summary=summaries)
def test_struct_hashes(
    harness: Harness, terms: OfferTerms, policy: RuntimePolicy, keys: CvmKeys, summary: ReportSummary
) -> None:
    assert harness.call(HASHES, "hashOffer", encode_head(terms), 0, terms.token) == terms_hash(terms)
    assert harness.call(HASHES, "hashPayees", encode_payees(terms.payees)) == payees_hash(terms.payees)
    assert harness.call(HASHES, "hashPolicy", encode_policy(policy)) == runtime_policy_digest(policy)
    assert harness.call(HASHES, "hashKeys", to_abi(keys)) == cvm_id(keys)
    assert harness.call(HASHES, "hashSummary", to_abi(summary)) == hash_struct(summary)


@settings(max_examples=20)
@given(preimage=preimages())
def test_heads_of_an_order_hash_one_by_one(harness: Harness, preimage: OrderPreimage) -> None:
    heads, token = encode_heads(preimage), preimage.terms.token
    for number, offer in enumerate((preimage.compute, *preimage.inputs)):
        assert harness.call(HASHES, "hashOffer", heads, number, token) == terms_hash(offer)


@settings(max_examples=40)
@given(preimage=preimages(), short=st.integers(0, 10**30), grace=uint(32))
def test_deposits_limits_and_locks(harness: Harness, preimage: OrderPreimage, short: int, grace: int) -> None:
    terms = preimage.terms
    listed = [dataclasses.astuple(price) for price in prices_paid(preimage)]
    units, bps, windows = terms.max_units, terms.holdback.bps, terms.windows
    most = deposit_required(preimage)
    assert harness.call(MONEY, "depositRequired", listed, windows.max_seconds, units, bps) == most
    deposit, least = max(most - short, 0), least_limit(windows)
    on_chain = harness.call(MONEY, "fundedLimit", listed, deposit, least, windows.max_seconds, units, bps)
    limit = funded_limit(preimage, deposit)
    assert on_chain == ((True, limit) if limit is not None else (False, 0))
    for price in prices_paid(preimage):
        words = dataclasses.astuple(price)
        assert harness.call(MONEY, "inputLockUp", words, grace) == input_lock_up(price, grace)


@settings(max_examples=60)
@given(
    listed=st.lists(prices(), min_size=1, max_size=17),
    least=st.integers(0, 10**4),
    more=st.integers(0, 2**32),
    share=st.integers(0, 10**6),
    units=st.integers(0, 1000),
    bps=st.integers(0, BPS),
)
def test_the_funded_limit_is_exact(
    harness: Harness, listed: list[Price], least: int, more: int, share: int, units: int, bps: int
) -> None:
    low, high = (deposit_for(listed, seconds, units, bps) for seconds in (least, least + more))
    deposit = low + (high - low) * share // 10**6
    words = [dataclasses.astuple(price) for price in listed]
    ok, limit = harness.call(MONEY, "fundedLimit", words, deposit, least, least + more, units, bps)
    assert ok and least <= limit <= least + more
    assert deposit_for(listed, limit, units, bps) <= deposit
    assert limit == least + more or deposit < deposit_for(listed, limit + 1, units, bps)


def test_many_settlements(harness: Harness) -> None:
    source = random.Random("settlements")
    cases = [random_case(source) for _ in range(MANY)]
    ends = set()
    for chunk in batched(cases, 500):
        on_chain = harness.call(MONEY, "settleMany", [case.abi() for case in chunk])
        for case, got in zip(chunk, on_chain, strict=True):
            assert _tuples(got) == case.expected(), case
            ends.add((case.state, case.phase))
    assert len(ends) == len(set(TRANSITIONS.values()))


def test_many_splits(harness: Harness) -> None:
    source = random.Random("splits")
    cases = []
    for _ in range(MANY):
        kept = source.choice([0, 1, 5000, BPS, source.randint(0, BPS)])
        royalties = random_list(source, 24, BPS - kept) if source.random() < 0.6 else ()
        payees = random_list(source, 8, BPS)
        after = source.choice([source.randrange(20), source.randrange(10**9), source.getrandbits(193)])
        cases.append((source.randint(0, after), after, source.random() < 0.5, royalties, payees))
    for chunk in batched(cases, 500):
        words = [(a, b, final, _table(owed), encode_payees(to)) for a, b, final, owed, to in chunk]
        on_chain = harness.call(MONEY, "splitMany", words)
        for (before, after, final, owed, to), got in zip(chunk, on_chain, strict=True):
            assert tuple(got) == split_down(before, after, final=final, royalties=owed, payees=to)


def test_many_locks(harness: Harness) -> None:
    source = random.Random("locks")
    amounts = [source.getrandbits(source.randint(0, 143)) for _ in range(MANY - 2)] + [0, MAX_LOCK]
    for chunk in batched(amounts, 1000):
        codes = harness.call(MONEY, "encodeMany", list(chunk))
        assert codes == [encode_lock_up(amount) for amount in chunk]
    for code in source.sample(range(1 << 24), 200):
        assert harness.call(MONEY, "decode", code) == decode_lock(code)


def test_transitions(harness: Harness) -> None:
    moves = {(state, target) for (state, _, _), (target, _) in TRANSITIONS.items()}
    for source in OrderState:
        assert harness.call(MONEY, "isTerminal", int(source)) is source.terminal
        for target in OrderState:
            expected = (source, target) in moves
            assert harness.call(MONEY, "isAllowed", int(source), int(target)) is expected, (source, target)


def test_many_steps(harness: Harness) -> None:
    source = random.Random("steps")
    moves = {(state, target) for (state, _, _), (target, _) in TRANSITIONS.items()}
    steps = [source.choice(list(OrderState)) for _ in range(2 * MANY)]
    state, trace = OrderState.NONE, []
    for target in steps:
        state = target if (state, target) in moves else state
        state = OrderState.NONE if state.terminal else state
        trace.append(state)
    assert harness.call(MONEY, "walk", bytes(steps)) == bytes(trace)
    assert {OrderState.RUNNING, OrderState.STOPPING} <= set(trace)


def test_many_prices(harness: Harness) -> None:
    source = random.Random("prices")
    for _ in range(200):
        price, secs, units = random_price(source), source.getrandbits(32), source.getrandbits(64)
        words = dataclasses.astuple(price)
        expected = deposit_for((price,), secs, units, 0)
        assert harness.call(MONEY, "amountDown", words, secs, units) == expected


def batched(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Python 3.11 has no itertools.batched."""
    return (items[at : at + size] for at in range(0, len(items), size))


def _table(owed: tuple[Payee, ...]) -> bytes:
    """A royalty table: each entry has a depth behind account and share."""
    return b"".join(encode_payees((item,)) + b"\x01" for item in owed)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, (tuple, list)) else value
