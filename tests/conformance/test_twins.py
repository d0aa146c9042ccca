"""Python == Solidity on fresh cases: every pure function of the libraries, called on a local chain."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.cvm import CvmKeys, cvm_id
from enclave_runtime.wire.eip712 import hash_struct
from enclave_runtime.wire.offers import OfferTerms, terms_hash
from enclave_runtime.wire.orders import (
    OrderPreimage,
    OrderTerms,
    Phase,
    ReportSummary,
    RuntimePolicy,
    inputs_root,
    order_book_domain,
    order_id,
    runtime_policy_digest,
)
from marketplace.chain.devchain import DevChain
from marketplace.domain.order_state import TRANSITIONS, OrderState
from marketplace.domain.pricing import Params, deposit_required, lock_required, start_penalty_down
from marketplace.domain.settlement import Frozen, Payout, bill, payouts, settle
from tests.conformance.harness import Harness
from tests.conformance.strategies import (
    addresses,
    cvm_keys,
    frozen_states,
    offers,
    order_terms,
    params,
    policies,
    preimages,
    summaries,
    uint,
)

pytestmark = pytest.mark.contracts
HASHES, MONEY = "HashHarness", "SettlementHarness"


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    # The largest orders of the strategies need more gas than a block has: eth_call may have it.
    with DevChain.start(extra=("--disable-block-gas-limit",)) as chain:
        yield Harness(chain)


@settings(max_examples=40)
@given(terms=order_terms(), chain_id=uint(64), book=addresses)
def test_order_id_and_inputs_root(harness: Harness, terms: OrderTerms, chain_id: int, book: bytes) -> None:
    struct_hash = harness.call(HASHES, "hashOrder", to_abi(terms))
    digest = harness.call(HASHES, "digest", "Cloister OrderBook", chain_id, book, struct_hash)
    assert digest == order_id(order_book_domain(chain_id, book), terms)
    root = harness.call(HASHES, "inputsRoot", [to_abi(item) for item in terms.inputs])
    assert root == inputs_root(terms.inputs)


@settings(max_examples=40)
@given(terms=offers(), policy=policies, keys=cvm_keys, summary=summaries)
def test_struct_hashes(
    harness: Harness, terms: OfferTerms, policy: RuntimePolicy, keys: CvmKeys, summary: ReportSummary
) -> None:
    assert harness.call(HASHES, "hashOffer", to_abi(terms)) == terms_hash(terms)
    assert harness.call(HASHES, "hashPolicy", to_abi(policy)) == runtime_policy_digest(policy)
    assert harness.call(HASHES, "hashKeys", to_abi(keys)) == cvm_id(keys)
    assert harness.call(HASHES, "hashSummary", to_abi(summary)) == hash_struct(summary)


@settings(max_examples=40)
@given(preimage=preimages(), bps=st.integers(0, 5000))
def test_deposit_penalty_and_lock(harness: Harness, preimage: OrderPreimage, bps: int) -> None:
    encoded = to_abi(preimage)
    assert harness.call(MONEY, "depositRequired", encoded) == deposit_required(preimage)
    assert harness.call(MONEY, "startPenaltyDown", encoded, bps) == start_penalty_down(preimage, bps)
    assert harness.call(MONEY, "lockRequired", encoded, bps) == lock_required(preimage, bps)


@settings(max_examples=50)
@given(
    preimage=preimages(),
    shares=params,
    reached=frozen_states,
    reported=st.one_of(st.integers(0, 10_000), uint(32)),
    units=st.one_of(st.integers(0, 10_000), uint(64)),
    elapsed=st.one_of(st.integers(0, 10_000), uint(40)),
)
def test_bill_settle_and_pay_out(
    harness: Harness,
    preimage: OrderPreimage,
    shares: Params,
    reached: tuple[OrderState, Phase],
    reported: int,
    units: int,
    elapsed: int,
) -> None:
    state, phase = reached
    clock = {"reported": reported, "units": units, "elapsed": elapsed}
    billed = bill(preimage.terms, state, phase, **clock)
    on_chain = harness.call(MONEY, "bill", to_abi(preimage.terms), int(state), int(phase), *clock.values())
    assert on_chain == billed
    frozen = Frozen(state, phase, *billed)
    arguments = (to_abi(preimage), to_abi(shares), (int(state), int(phase), *billed))
    sums = settle(preimage, shares, frozen)
    assert _tuples(harness.call(MONEY, "settle", *arguments)) == dataclasses.astuple(sums)
    listed = harness.call(MONEY, "payouts", *arguments)
    assert tuple(Payout(*item) for item in listed) == payouts(preimage, shares, frozen)
    bps = shares.start_penalty_bps
    assert harness.call(MONEY, "slashedDown", arguments[0], arguments[2], bps) == sums.slashed


def test_transitions(harness: Harness) -> None:
    moves = {(state, target) for (state, _, _), (target, _) in TRANSITIONS.items()}
    for source in OrderState:
        assert harness.call(MONEY, "isTerminal", int(source)) is source.terminal
        for target in OrderState:
            expected = (source, target) in moves
            assert harness.call(MONEY, "isAllowed", int(source), int(target)) is expected, (source, target)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, (tuple, list)) else value
