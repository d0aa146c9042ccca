"""Compares what an ended order pays on chain with what the Python twin says, to the last unit."""

from __future__ import annotations

from collections import Counter

from enclave_runtime.wire.orders import OrderPreimage, Phase
from marketplace.chain.claims import Collected
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.domain.owed import credits_owed, settlement_of
from marketplace.domain.why import why
from tests.integration.chain_world import PARAMS, World

__all__ = ["settle_and_check"]

BURNED = b"\x00" * 18 + b"\xde\xad"


def holders(world: World, preimage: OrderPreimage) -> dict[bytes, int]:
    """Return the balance of everybody whom an order can pay, and of the two contracts that hold money."""
    accounts = {payee.account for offer in (preimage.compute, *preimage.inputs) for payee in offer.payees}
    accounts |= {PARAMS.treasury, preimage.terms.client, preimage.terms.payer}
    accounts |= {world.deployment.order_book, world.deployment.provider_registry}
    return {account: world.balance(account) for account in accounts}


def settle_and_check(world: World, preimage: OrderPreimage, state: OrderState, phase: Phase) -> OrderRecord:
    """Claim everything and compare receipts, balances and stake with the twin, to the last unit."""
    record = world.reader.get_order(world.id_of(preimage))
    assert (record.state, record.phase) == (state, phase)
    now = world.reader.now()
    expected = credits_owed(preimage, PARAMS, record, now)
    sums = settlement_of(preimage, PARAMS, record, now)
    before = holders(world, preimage)
    collected = world.collect(preimage)
    assert not collected.failed and len(collected.txs) == 1, "one transaction for all of it"
    after = holders(world, preimage)
    due: Counter[bytes] = Counter()
    for item in expected:
        due[item.receiver or BURNED] += item.amount
    kept = due.pop(BURNED, 0)
    assert {one.account: one.amount for one in collected.paid} == due
    for account, amount in before.items():
        if account == world.deployment.order_book:
            assert after[account] == amount - sum(due.values()) + sums.slashed
            assert after[account] - kept >= 0
        elif account != world.deployment.provider_registry:
            assert after[account] == amount + due[account]
    assert world.collect(preimage) == Collected(), "nothing is left to do"
    desk = world.reader.desk(preimage.terms.compute.offer, preimage.terms.token)
    assert (desk.locked, desk.active) == (0, 0) and desk.free == 10**9 - sums.slashed
    assert why(record, preimage.terms.windows, now=now).deadline is None
    return record
