"""The chain as domain objects: orders, offers, CVMs, stakes, chain time (protocol sections 2, 4.5 and 6).

What a node says is checked where it can be: terms against the registry's hash, preimages against the id.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.cvm import TcbStatus, TeeKind
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, Phase, order_id
from enclave_runtime.wire.scalars import ZERO_ADDRESS
from marketplace.chain.abicodec import decode, tuple_type
from marketplace.chain.artifacts import contract, from_abi
from marketplace.chain.catalog import Catalog
from marketplace.chain.deployments import Deployment
from marketplace.chain.node import Log, Node
from marketplace.chain.rpc import Rpc
from marketplace.domain.order import OrderRecord, OrderView, check_preimage
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import Params
from marketplace.domain.settlement import Payout
from marketplace.errors import NotFoundError, WaitTimeoutError

__all__ = ["CvmRecord", "OrderEvent", "PlacedOrder", "Reader", "Stake"]

_FIRST_POLL_S: Final = 0.02
_LAST_POLL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order as its event announced it; `location` is an untrusted hint to the client's packet."""

    order_id: bytes
    terms: OrderTerms
    location: str
    block: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One event of an order: its name, its members as the ABI has them, when and where."""

    name: str
    members: dict[str, Any]
    block: int
    index: int
    time: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class CvmRecord:
    """Facts that were proven of a CVM; `revoked` may stand alone.

    Attributes:
        expires_at: Unix time from which it can neither be accepted nor started.
        root_set: keccak256 of the root set id.
    """

    cvm_id: bytes
    signer: bytes
    operator: bytes
    measurement: bytes
    root_set: bytes
    tee: TeeKind
    tcb_status: TcbStatus
    expires_at: int
    revoked: bool

    def usable(self, until: int) -> bool:
        """Return whether it is proven, not revoked, and good beyond Unix time `until`."""
        return self.signer != ZERO_ADDRESS and not self.revoked and self.expires_at > until


@dataclass(frozen=True, slots=True)
class Stake:
    """A provider's stake in one token, in its smallest unit; `release_at` in Unix seconds."""

    free: int
    locked: int
    unbonding: int
    release_at: int


class Reader:
    """Reads one market through one node."""

    def __init__(self, rpc: str | Rpc, deployment: Deployment, *, confirmations: int = 0) -> None:
        """Take a node's URL, or a connection to share.

        Args:
            confirmations: how many blocks behind the head events are read.
        """
        connection = Rpc(rpc) if isinstance(rpc, str) else rpc
        self.deployment = deployment
        self.node = Node(connection, deployment, confirmations=confirmations)
        self.catalog = Catalog(self.node)
        self.get_offer = self.catalog.get_offer
        self.list_offers = self.catalog.list_offers

    # offers
    def seller_of(self, offer: int) -> bytes:
        """Return who listed an offer, 20 bytes, and so made its prices; zero where nobody did."""
        seller: bytes = self.node.view("OfferRegistry", "ownerOf", offer)
        return seller

    # time
    def now(self) -> int:
        """Return chain time: the newest block's timestamp, Unix seconds."""
        return self.node.now()

    # orders
    def get_order(self, order: bytes, at: str | int = "latest") -> OrderRecord:
        """Return the stored facts of an order; state NONE where there is none.

        Args:
            at: "latest", "finalized", "safe" or a block number.
        """
        cvm, state, phase, since, proof, sequence, seconds, units, version = self.node.view(
            "OrderBook", "getOrder", order, at=at
        )
        return OrderRecord(
            order, OrderState(state), Phase(phase), cvm, since, proof, sequence, seconds, units, version
        )

    def order_view(self, order: bytes, at: str = "latest") -> OrderView:
        """Return what a key broker needs of an order, at the head or in a "finalized" block."""
        record = self.get_order(order, at)
        return OrderView(record.state, record.phase, record.cvm_id)

    def placed(self, order: bytes) -> PlacedOrder:
        """Return the placing of an order, with terms that hash to its id.

        Raises:
            NotFoundError: the chain's events know no such order.
        """
        event = contract("OrderBook").events["OrderPlaced"]
        for log in self.node.logs("OrderBook", [event.topic, order]):
            return self._placed(log)
        raise NotFoundError(f"order 0x{order.hex()}: no such order on this chain")

    def placed_since(self, compute_offer: int, block: int) -> tuple[list[PlacedOrder], int]:
        """Return the orders placed on a compute offer after `block`, and the last block looked at."""
        event = contract("OrderBook").events["OrderPlaced"]
        end = self.node.head() - self.node.confirmations
        topics = [event.topic, None, None, compute_offer.to_bytes(32, "big")]
        logs = self.node.logs("OrderBook", topics, from_block=block + 1, to_block=end)
        return [self._placed(log) for log in logs], end

    def orders_of(self, client: bytes) -> list[PlacedOrder]:
        """Return all orders that a client placed, oldest first."""
        event = contract("OrderBook").events["OrderPlaced"]
        logs = self.node.logs("OrderBook", [event.topic, None, client.rjust(32, b"\x00")])
        return [self._placed(log) for log in logs]

    def preimage(self, order: bytes | PlacedOrder) -> OrderPreimage:
        """Return an order's terms with the offer terms that they pin, every hash checked.

        Raises:
            NotFoundError: the order or one of its offers is unknown.
            RefusedError: a hash that differs, by step.
        """
        placed = self.placed(order) if isinstance(order, bytes) else order
        terms = placed.terms
        compute = self.get_offer(terms.compute.offer, terms.compute.version)
        inputs = tuple(self.get_offer(item.offer, item.version).terms for item in terms.inputs)
        preimage = OrderPreimage(terms, compute.terms, inputs)
        check_preimage(self.deployment.order_domain, placed.order_id, preimage)
        return preimage

    def history(self, order: bytes) -> list[OrderEvent]:
        """Return every event of an order, oldest first, with block times."""
        book = contract("OrderBook")
        logs = list(self.node.logs("OrderBook", [None, order]))
        blocks = sorted({log.block for log in logs})
        times = dict(zip(blocks, self.node.times(blocks), strict=True))
        events = []
        for log in logs:
            event = book.event_of(log.topics[0])
            if event is not None:
                members = event.read(log.topics, log.data)
                where = (log.block, log.index, times[log.block], log.tx_hash)
                events.append(OrderEvent(event.name, members, *where))
        return events

    def wait_for(
        self, order: bytes, reached: Callable[[OrderRecord], bool], *, timeout_s: float
    ) -> OrderRecord:
        """Return the order as soon as `reached` says so, by wall clock.

        Raises:
            WaitTimeoutError: it did not come about; names the state it stayed in.
        """
        until, pause = time.monotonic() + timeout_s, _FIRST_POLL_S
        while True:
            record = self.get_order(order)
            if reached(record):
                return record
            if time.monotonic() + pause > until:
                where = f"{record.state.name}, phase {record.phase.name}"
                raise WaitTimeoutError(f"order 0x{order.hex()}: still {where} after {timeout_s} s")
            time.sleep(pause)
            pause = min(_LAST_POLL_S, pause * 1.5)

    # money
    def params(self, version: int | None = None) -> Params:
        """Return a set of shares; None means the one that acceptances take now."""
        number = self.params_version() if version is None else version
        return from_abi(Params, self.node.view("OrderBook", "params", number))

    def params_version(self) -> int:
        """Return the version that acceptances take now."""
        version: int = self.node.view("OrderBook", "paramsVersion")
        return version

    def payouts(self, preimage: OrderPreimage) -> tuple[Payout, ...]:
        """Return every payout of a settled order as the contract computes it, zero amounts included.

        Raises:
            ContractRefusal: the order has not ended.
        """
        listed = self.node.view("OrderBook", "payouts", to_abi(preimage))
        return tuple(Payout(*item) for item in listed)

    def claimed(self, order: bytes) -> int:
        """Return the mask of payout indices that were paid."""
        mask: int = self.node.view("OrderBook", "claimedOf", order)
        return mask

    def stake_of(self, provider: bytes, token: bytes) -> Stake:
        """Return a provider's stake in one token."""
        return Stake(*self.node.view("ProviderRegistry", "stakeOf", provider, token))

    # providers and CVMs
    def operator_of(self, provider: bytes) -> bytes | None:
        """Return the provider's hot key, or None where the account is no provider."""
        operator: bytes = self.node.view("ProviderRegistry", "operatorOf", provider)
        return None if operator == ZERO_ADDRESS else operator

    def provider_of(self, operator: bytes) -> bytes | None:
        """Return the provider that a hot key serves, or None."""
        provider: bytes = self.node.view("ProviderRegistry", "providerOfOperator", operator)
        return None if provider == ZERO_ADDRESS else provider

    def cvm(self, cvm_id: bytes, at: str | int = "latest") -> CvmRecord | None:
        """Return what was proven of a CVM, or None where nothing is known of it."""
        signer, expires, tee, tcb, revoked, operator, measurement, root_set = self.node.view(
            "CvmRegistry", "factsOf", cvm_id, at=at
        )
        if signer == ZERO_ADDRESS and not revoked:
            return None
        return CvmRecord(
            cvm_id, signer, operator, measurement, root_set, TeeKind(tee), TcbStatus(tcb), expires, revoked
        )

    def is_reference(self, measurement: bytes) -> bool:
        """Return whether the market accepts this measurement now."""
        tee, _ = self.node.view("ReferenceValues", "measurementOf", measurement)
        return bool(tee)

    def is_trust_class(self, root_set: bytes) -> bool:
        """Return whether the market accepts this root set (keccak256 of its id) now."""
        return bool(self.node.view("ReferenceValues", "worstTcbOf", root_set))

    def _placed(self, log: Log) -> PlacedOrder:
        book = contract("OrderBook")
        members = book.events["OrderPlaced"].read(log.topics, log.data)
        (values,) = decode(tuple_type(book.functions["place"].inputs.members[:1]), members["preimage"])
        terms = from_abi(OrderTerms, values)
        if order_id(self.deployment.order_domain, terms) != members["id"]:
            raise NotFoundError(f"order 0x{members['id'].hex()}: a node sent terms of another order")
        return PlacedOrder(members["id"], terms, members["location"], log.block, log.tx_hash)
