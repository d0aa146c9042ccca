"""A client's session on a chain that knows one reported order: what opening its result asks of both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.orders import Phase
from marketplace.chain.reader import OrderEvent, PlacedOrder
from marketplace.chain.reports import numbers_of
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.sdk.bundle import OrderBundle
from marketplace.sdk.orderfile import result_key_name
from marketplace.sealing.keystore import KeyStore, ScryptCost
from marketplace.storage.registry import StorageConfig
from marketplace.storage.stores import Stores
from tests.fakes.audited_order import NOW, Audited

__all__ = ["FakeReader", "FakeSession"]


@dataclass
class FakeReader:
    """A chain that knows one reported order."""

    order: Audited
    location: str
    state: OrderState = OrderState.COMPLETED

    def get_order(self, order_id: bytes) -> OrderRecord:
        phase = Phase.ENGINE
        return OrderRecord(order_id, self.state, phase, self.order.facts.cvm_id, NOW, NOW, 1, 9, 0, 1)

    def history(self, order_id: bytes) -> list[OrderEvent]:
        terminal = self.order.facts.terminal
        assert terminal is not None
        members = {
            "id": order_id,
            "cvm": 7,
            "numbers": numbers_of(terminal) | 4 << 240,
            "resultDigest": terminal.result_digest,
            "statementDigest": terminal.statement_digest,
            "location": self.location,
        }
        return [OrderEvent("OrderReported", members, 5, 0, NOW + 70, "0x00")]

    def cvm_id_at(self, cvm: int) -> bytes:
        assert cvm == 7
        return self.order.facts.cvm_id

    def placed(self, order_id: bytes) -> PlacedOrder:
        return PlacedOrder(order_id, self.order.facts.terms, "file:packet", 1, "0x01")


class FakeSession:
    """A client's session on that chain."""

    def __init__(self, order: Audited, folder: Path) -> None:
        self.store = Stores(StorageConfig(folder / "blobs"))
        self.order = order
        self._keys = KeyStore.open(folder / "keys", "p", entropy=os.urandom, cost=ScryptCost(log2_n=14))
        self._keys.put_secret(result_key_name(order.order_id), order.result_key.to_bytes())
        self.store.put([order.result_stream])
        self.reader = FakeReader(order, self.publish(order.bundle))

    def publish(self, bundle: OrderBundle) -> str:
        location: str = self.store.put([dump(bundle.to_json())])
        return location

    def lose(self, uri: str) -> None:
        """Let the store have lost a blob."""
        store: Any = self.store.store_of(uri)
        store.delete(uri)

    def use(self, bundle: OrderBundle) -> None:
        self.reader.location = self.publish(bundle)

    @property
    def profile(self) -> Any:
        return self

    @property
    def simulated(self) -> bool:
        return True

    def keystore(self, *, create: bool = True) -> KeyStore:
        return self._keys
