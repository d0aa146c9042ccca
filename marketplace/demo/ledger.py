"""Where the money is, and where the design says it must be: both to the last unit.

The expectation is computed from the order's preimage and what the contract froze by the Python twin of
SettlementLib; the reality is read as token balances, credits and stakes. They must agree for every party.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from enclave_runtime.wire.orders import OrderPreimage
from marketplace.chain.claims import Claims, Collected
from marketplace.chain.clients import Clients
from marketplace.chain.reader import Reader
from marketplace.chain.tokens import Token
from marketplace.demo.world import World
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.domain.owed import credits_owed, settlement_of

__all__ = ["Ledger"]


@dataclass(frozen=True, slots=True)
class _Holdings:
    tokens: dict[bytes, int]
    stake_free: int
    stake_locked: int
    escrow: int


class Ledger:
    """Compares the market's holdings before and after."""

    def __init__(self, world: World, compute: int) -> None:
        """Note what everybody holds now.

        Args:
            compute: the provider's compute offer, at whose desk the stake lies.
        """
        self._world = world
        self._compute = compute
        self._reader: Reader = world.homes["centre"].session.reader
        self._token = Token(world.chain.rpc, world.chain.chain_id, world.deployment.token)
        self._before = self._read()

    def problems(self, orders: list[OrderPreimage]) -> list[str]:
        """Collect everything of these ended orders and return what is not as the design says.

        An order that was placed and has not ended is a problem too: money that nobody can move.
        """
        expected: Counter[bytes] = Counter()
        slashed = 0
        found: list[str] = []
        ended: list[tuple[OrderPreimage, OrderRecord]] = []
        for preimage in orders:
            order = self._world.order_id(preimage)
            record = self._reader.get_order(order)
            if record.state is OrderState.NONE:
                continue
            if not record.state.terminal:
                found.append(f"order {order.hex()[:10]} is still {record.state.name}")
                continue
            record = self._received(preimage, record)
            ended.append((preimage, record))
            params, now = self._reader.params(record.params_version or None), self._reader.now()
            expected[preimage.terms.payer] -= preimage.terms.deposit
            for credit in credits_owed(preimage, params, record, now):
                expected[credit.receiver or b""] += credit.amount
            slashed += settlement_of(preimage, params, record, now).slashed
        failed = self._collect(ended).failed if ended else ()
        found += [f"{one.words}: {one.reason}" for one in failed]
        return found + self._differences(expected, slashed)

    def _received(self, preimage: OrderPreimage, record: OrderRecord) -> OrderRecord:
        """Let the client of a completed order give its receipt: what it held back is due like the rest."""
        if record.state is OrderState.COMPLETED and preimage.terms.holdback.bps:
            session = self._world.homes["centre"].session
            Clients(session.reader, session.writer).receipt(preimage.terms)
        return self._reader.get_order(record.order_id)

    def _collect(self, ended: list[tuple[OrderPreimage, OrderRecord]]) -> Collected:
        session = self._world.homes["provider"].session
        return Claims(session.reader, session.writer).collect(ended)

    def _differences(self, expected: Counter[bytes], slashed: int) -> list[str]:
        after, found = self._read(), []
        for address, before in self._before.tokens.items():
            got, wanted = after.tokens[address] - before, expected[address]
            if got != wanted:
                title = self._title(address)
                found.append(f"{title}: got {got:+d}, expected {wanted:+d} token units")
        if self._before.stake_free - after.stake_free != slashed:
            found.append(
                f"stake: got {after.stake_free - self._before.stake_free:+d}, expected {-slashed:+d}"
            )
        if after.stake_locked != self._before.stake_locked:
            found.append(f"stake still locked: {after.stake_locked - self._before.stake_locked}")
        if after.escrow != self._before.escrow:
            found.append(f"escrow keeps {after.escrow - self._before.escrow} token units")
        return found

    def _read(self) -> _Holdings:
        homes, deployment = self._world.homes, self._world.deployment
        desk = self._reader.desk(self._compute, deployment.token)
        return _Holdings(
            {home.address: self._token.balance_of(home.address) for home in homes.values()},
            desk.free,
            desk.locked,
            self._token.balance_of(deployment.order_book),
        )

    def _title(self, address: bytes) -> str:
        return next(home.party.title for home in self._world.homes.values() if home.address == address)
