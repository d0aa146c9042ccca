"""The chain as domain objects: orders, offers, CVMs, stakes, chain time (protocol sections 2, 4.5 and 6).

What a node says is checked where it can be: terms against the registry's hash, preimages against the id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.cvm import TcbStatus, TeeKind
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, Phase, order_id
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.chain.artifacts import contract, from_abi
from marketplace.chain.catalog import Catalog
from marketplace.chain.deployments import Deployment
from marketplace.chain.node import Log, Node
from marketplace.chain.rpc import Rpc, hex_data
from marketplace.domain.order import Extra, Hold, OrderRecord, OrderView, check_preimage
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import Params
from marketplace.domain.tight import decode_calls, decode_order, encode_head, encode_order, order_size
from marketplace.errors import NotFoundError, WaitTimeoutError

__all__ = ["CvmRecord", "Desk", "OrderEvent", "PlacedOrder", "Reader"]

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
        cvm: its number in CvmRegistry.
        expires_at: Unix time from which it can neither be accepted nor started.
        root_set: keccak256 of the root set id.
    """

    cvm_id: bytes
    cvm: int
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
class Desk:
    """A compute offer's stake and places in one token, amounts in its smallest unit.

    Attributes:
        free: neither locked nor leaving: what new orders can lock.
        locked: held for accepted and running orders.
        capacity: how many orders may hold a lock at once.
        active: how many do.
        operator: the hot key that accepts orders; zero where there is no such desk.
        payee: receives stake that leaves.
        unbonding: requested, not yet withdrawn.
        release_at: Unix time from which `unbonding` can be withdrawn.
    """

    free: int
    locked: int
    capacity: int
    active: int
    operator: bytes
    payee: bytes
    unbonding: int
    release_at: int

    @property
    def is_open(self) -> bool:
        """Return whether there is such a desk."""
        return self.operator != ZERO_ADDRESS


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
        self._cvm_ids: dict[int, bytes] = {0: ZERO32}

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
        return self._record(order, self.node.view("OrderBook", "getOrder", order, at=at))

    def orders(self, orders: Sequence[bytes]) -> list[OrderRecord]:
        """Return the stored facts of several orders, in one round trip."""
        found = self.node.views([("OrderBook", "getOrder", (order,)) for order in orders])
        return [self._record(order, values) for order, values in zip(orders, found, strict=True)]

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

    def placed_all(self) -> list[PlacedOrder]:
        """Return every order that was placed on this market, oldest first."""
        event = contract("OrderBook").events["OrderPlaced"]
        return [self._placed(log) for log in self.node.logs("OrderBook", [event.topic])]

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

    def stop_signature(self, order: bytes) -> bytes:
        """Return the client's signature over `Stop` as the transaction that stopped an order carried it.

        Returns:
            65 bytes; empty where the client called itself, or the call was made by another contract.
        """
        book = contract("OrderBook")
        for log in self.node.logs("OrderBook", [book.events["OrderStopping"].topic, order]):
            sent = self.node.rpc.call("eth_getTransactionByHash", log.tx_hash)
            data = hex_data(sent.get("input")) if isinstance(sent, dict) else b""
            for call in calls_in(data):
                arguments = book.functions["stop"].read_call(call)
                if arguments is None:
                    continue
                if order_id(self.deployment.order_domain, decode_order(arguments["order"])) == order:
                    return bytes(arguments["signature"])
        return b""

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

    def due_of(self, preimage: OrderPreimage, offer: int) -> tuple[int, int]:
        """Return an order's gross dues to its offer (0 compute) by now, fees inside, and what was claimed.

        Raises:
            ContractRefusal: the order has not started, or its inputs' dues wait for the rest's claim.
        """
        terms = (preimage.compute, *preimage.inputs)[offer]
        order = encode_order(preimage.terms)
        gross, claimed = self.node.view("OrderBook", "dueOf", order, offer, encode_head(terms))
        return gross, claimed

    def credit_of(self, account: bytes, token: bytes, *, of: str = "OrderBook") -> int:
        """Return what an account can withdraw of a token at once, in its smallest unit.

        Args:
            of: "OrderBook" or "LeaseBook": each keeps its own credits.
        """
        credit: int = self.node.view(of, "creditOf", token, account)
        return credit

    def desk(self, offer: int, token: bytes) -> Desk:
        """Return a compute offer's desk in one token; `is_open` tells whether there is one."""
        return Desk(*self.node.view("ProviderRegistry", "deskOf", offer, token))

    # CVMs
    def cvm_id_at(self, cvm: int) -> bytes:
        """Return the CVM id behind a number of CvmRegistry, 32 bytes; zero where there is none."""
        if cvm not in self._cvm_ids:
            found: bytes = self.node.view("CvmRegistry", "cvmIdAt", cvm)
            if found == ZERO32:
                return found
            self._cvm_ids[cvm] = found  # a number keeps its CVM for ever
        return self._cvm_ids[cvm]

    def cvm_index(self, cvm_id: bytes) -> int:
        """Return a CVM's number in CvmRegistry; zero where it has none."""
        index: int = self.node.view("CvmRegistry", "indexOf", cvm_id)
        return index

    def cvm(self, cvm_id: bytes, at: str | int = "latest") -> CvmRecord | None:
        """Return what was proven of a CVM, or None where nothing is known of it."""
        facts, index = self.node.views(
            [("CvmRegistry", "factsOf", (cvm_id,)), ("CvmRegistry", "indexOf", (cvm_id,))], at=at
        )
        signer, expires, tee, tcb, revoked, operator, measurement, root_set = facts
        if signer == ZERO_ADDRESS and not revoked:
            return None
        kinds = TeeKind(tee), TcbStatus(tcb)
        return CvmRecord(cvm_id, index, signer, operator, measurement, root_set, *kinds, expires, revoked)

    def is_accepted(self, cvm: CvmRecord) -> bool:
        """Return whether the market accepts a CVM's runtime, root set and TCB status now."""
        facts = (cvm.measurement, cvm.root_set, int(cvm.tee), int(cvm.tcb_status))
        return bool(self.node.view("ReferenceValues", "isAccepted", *facts))

    def _placed(self, log: Log) -> PlacedOrder:
        book = contract("OrderBook")
        members = book.events["OrderPlaced"].read(log.topics, log.data)
        try:
            end = order_size(members["preimage"], members["inputs"])
            terms, rest = decode_order(members["preimage"][:end]), members["preimage"][end:]
        except WireError as error:
            raise NotFoundError(f"order 0x{members['id'].hex()}: a node sent no order's bytes") from error
        if order_id(self.deployment.order_domain, terms) != members["id"]:
            raise NotFoundError(f"order 0x{members['id'].hex()}: a node sent terms of another order")
        # A hint from a stranger: what is not UTF-8 of it leads nowhere, and hides no order.
        return PlacedOrder(members["id"], terms, rest.decode(errors="replace"), log.block, log.tx_hash)

    def _record(self, order: bytes, values: Sequence[Any]) -> OrderRecord:
        (
            state, phase, hold, drawn, struck, since, last_proof, sequence, claimed,
            seconds, units, version, cvm, lock, events, extra,
        ) = values  # fmt: skip
        return OrderRecord(
            order_id=order,
            state=OrderState(state),
            phase=Phase(phase),
            cvm_id=self.cvm_id_at(cvm),
            since=since,
            last_proof=last_proof,
            sequence=sequence,
            seconds_used=seconds,
            units_used=units,
            params_version=version,
            cvm=cvm,
            lock=lock,
            claimed=claimed,
            hold=Hold(hold),
            drawn=drawn,
            struck=struck,
            events=events,
            extra=from_abi(Extra, extra),
        )


def calls_in(data: bytes) -> list[bytes]:
    """Return the calls of OrderBook in calldata: itself, or each item of a batch."""
    items = contract("OrderBook").functions["batch"].read_call(data)
    return [data] if items is None else list(decode_calls(items["calls"]))
