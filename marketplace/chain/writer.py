"""Transactions that are sent once (protocol section 10): simulated, journalled, then waited for.

A call that a contract would refuse is never sent: the estimate reverts, and its custom error comes back
in words.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.artifacts import contract
from marketplace.chain.node import Node
from marketplace.chain.refusals import ContractRefusal, refusal_from, refusal_of
from marketplace.chain.rpc import Rpc, hex_data, hex_int, to_quantity
from marketplace.chain.signer import Signer
from marketplace.chain.transactions import Transaction
from marketplace.errors import ChainError, RpcError, UnreachableError, WaitTimeoutError

__all__ = ["Receipt", "Sender", "Sent", "Writer"]

Sent: TypeAlias = Callable[[str], None]
"""Called with a transaction's hash before it goes out: whoever keeps a journal writes it there."""

_GAS_MARGIN_PERCENT: Final = 125
_FEE_BUMP_PERCENT: Final = 130
"""A replacement must offer at least a tenth more; nodes round differently."""
_FIRST_POLL_S: Final = 0.004
_LAST_POLL_S: Final = 0.5
_MIN_TIP: Final = 1
_NONCE_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction.

    Attributes:
        created: address of the contract that it deployed, or empty.
        logs: (address, topics, data) of its events.
    """

    tx_hash: str
    block: int
    gas_used: int
    created: bytes
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]


@dataclass(frozen=True, slots=True)
class _Flight:
    transaction: Transaction
    hashes: tuple[str, ...]


class Sender:
    """One key's transactions on one node, one at a time; safe to share between threads."""

    def __init__(
        self,
        rpc: Rpc,
        chain_id: int,
        signer: Signer,
        *,
        confirmations: int = 0,
        timeout_s: float = 120.0,
        replace_after_s: float = 30.0,
    ) -> None:
        """Prepare; asks nothing yet.

        Args:
            confirmations: how many blocks must lie on a transaction's before it counts.
            timeout_s: how long a transaction may take.
            replace_after_s: after how long without a receipt it is sent again with a higher fee.
        """
        self.rpc = rpc
        self.chain_id = chain_id
        self.signer = signer
        self._confirmations = confirmations
        self._timeout_s, self._replace_after_s = timeout_s, replace_after_s
        self._lock = threading.Lock()

    def send(
        self, to: bytes, data: bytes, *, call: str = "", sent: Sent | None = None, value: int = 0
    ) -> Receipt:
        """Return the receipt of a call once it is mined and confirmed.

        Args:
            to: the contract, 20 bytes; empty deploys `data`.
            call: what to call it in messages.
            sent: told the transaction's hash before it goes out; told again if it is replaced.
            value: native coin to send along, in wei.
        Raises:
            ContractRefusal: the contract refuses; before sending where the node can tell.
            WaitTimeoutError: not mined in time; `sent` was told its hash.
            ChainError: the node gives no usable answer.
        """
        with self._lock:
            flight = self._launch(to, data, value, call, sent)
            receipt = self._land(flight, call, sent)
        if receipt["status"] != "0x1":
            raise self._why_reverted(flight.transaction, receipt, call)
        self._confirm(hex_int(receipt["blockNumber"]))
        return _read_receipt(receipt)

    def _launch(self, to: bytes, data: bytes, value: int, call: str, sent: Sent | None) -> _Flight:
        for attempt in range(_NONCE_TRIES):
            try:
                return self._broadcast(_Flight(self._prepare(to, data, value, call), ()), sent)
            except RpcError as error:
                # Another process with the same key was quicker: take the next nonce, and simulate anew.
                if "nonce too low" not in error.node_message.lower() or attempt == _NONCE_TRIES - 1:
                    raise
        raise UnreachableError(f"{call}: no nonce to be had")

    def _prepare(self, to: bytes, data: bytes, value: int, call: str) -> Transaction:
        sender = hex_of(self.signer.address)
        request = {"from": sender, "data": hex_of(data), "value": to_quantity(value)}
        if to:
            request["to"] = hex_of(to)
        gas, nonce, block, tip = self.rpc.batch_raw(
            [
                ("eth_estimateGas", (request,)),
                ("eth_getTransactionCount", (sender, "pending")),
                ("eth_getBlockByNumber", ("latest", False)),
                ("eth_maxPriorityFeePerGas", ()),
            ]
        )
        if isinstance(gas, RpcError):
            raise refusal_from(gas, call=call)
        for answer in (nonce, block):
            if isinstance(answer, RpcError):
                raise answer
        least = _MIN_TIP if isinstance(tip, RpcError) else max(_MIN_TIP, hex_int(tip))
        base = hex_int(block.get("baseFeePerGas", "0x0"))
        return Transaction(
            chain_id=self.chain_id,
            nonce=hex_int(nonce),
            max_priority_fee=least,
            max_fee=2 * base + least,
            gas=min(hex_int(gas) * _GAS_MARGIN_PERCENT // 100, hex_int(block["gasLimit"])),
            to=to,
            value=value,
            data=data,
        )

    def _broadcast(self, flight: _Flight, sent: Sent | None) -> _Flight:
        raw = flight.transaction.signed(self.signer.sign_digest)
        tx_hash = hex_of(keccak256(raw))
        if sent is not None:
            sent(tx_hash)
        try:
            self.rpc.call("eth_sendRawTransaction", hex_of(raw))
        except RpcError as error:
            # It is there already when an earlier answer was lost, or when what it replaces was mined.
            hashes = (*flight.hashes, tx_hash)
            if not _known_already(error) and self._receipt_of(hashes) is None:
                raise
        return replace(flight, hashes=(*flight.hashes, tx_hash))

    def _land(self, flight: _Flight, call: str, sent: Sent | None) -> dict[str, Any]:
        started = last = time.monotonic()
        pause = _FIRST_POLL_S
        while True:
            receipt = self._receipt_of(flight.hashes)
            if receipt is not None:
                return receipt
            now = time.monotonic()
            if now - started > self._timeout_s:
                raise WaitTimeoutError(
                    f"{call or 'transaction'}: not mined after {self._timeout_s} s: {flight.hashes[-1]}",
                    hint="it may still be mined; look at the state before sending again",
                )
            if now - last > self._replace_after_s:
                flight, last = (
                    self._broadcast(replace(flight, transaction=_bumped(flight.transaction)), sent),
                    now,
                )
            time.sleep(pause)
            pause = min(_LAST_POLL_S, pause * 1.5)

    def _receipt_of(self, hashes: tuple[str, ...]) -> dict[str, Any] | None:
        for receipt in self.rpc.batch([("eth_getTransactionReceipt", (name,)) for name in hashes]):
            if isinstance(receipt, dict) and receipt.get("blockNumber"):
                return receipt
        return None

    def _confirm(self, block: int) -> None:
        until = time.monotonic() + self._timeout_s
        while self._confirmations and hex_int(self.rpc.call("eth_blockNumber")) < block + self._confirmations:
            if time.monotonic() > until:
                raise WaitTimeoutError(f"block {block}: not confirmed after {self._timeout_s} s")
            time.sleep(_LAST_POLL_S)

    def _why_reverted(self, transaction: Transaction, receipt: dict[str, Any], call: str) -> ChainError:
        """The state changed between estimate and block: ask that block what the contract says."""
        request = {"from": hex_of(self.signer.address), "data": hex_of(transaction.data)}
        if transaction.to:
            request["to"] = hex_of(transaction.to)
        (answer,) = self.rpc.batch_raw([("eth_call", (request, receipt["blockNumber"]))])
        return refusal_from(answer, call=call) if isinstance(answer, RpcError) else refusal_of(b"", call=call)


class Writer:
    """Calls the contracts of one market with one key."""

    def __init__(
        self, node: Node, signer: Signer, *, confirmations: int = 0, timeout_s: float = 120.0
    ) -> None:
        """Take a node's view and a key."""
        self.node = node
        self.signer = signer
        self.sender = Sender(
            node.rpc, node.deployment.chain_id, signer, confirmations=confirmations, timeout_s=timeout_s
        )

    def call(self, name: str, function: str, *arguments: Any, sent: Sent | None = None) -> Receipt:
        """Return the receipt of a call of a contract of the deployment; see `Sender.send`."""
        data = contract(name).functions[function].call(*arguments)
        return self.sender.send(self.node.address(name), data, call=f"{name}.{function}", sent=sent)

    def event(self, receipt: Receipt, name: str, event: str) -> dict[str, Any]:
        """Return the members of the one `event` that a call emitted.

        Raises:
            UnreachableError: the receipt has no such event.
        """
        entry = contract(name).events[event]
        for address, topics, data in receipt.logs:
            if address == self.node.address(name) and topics[:1] == (entry.topic,):
                return entry.read(list(topics), data)
        raise UnreachableError(f"{name}.{event}: the node's receipt does not show it")


def is_refusal(error: Exception, *names: str) -> bool:
    """Return whether `error` is a contract's refusal by one of these custom errors."""
    return isinstance(error, ContractRefusal) and error.name in names


def _bumped(transaction: Transaction) -> Transaction:
    return replace(
        transaction,
        max_priority_fee=transaction.max_priority_fee * _FEE_BUMP_PERCENT // 100 + 1,
        max_fee=transaction.max_fee * _FEE_BUMP_PERCENT // 100 + 1,
    )


def _known_already(error: RpcError) -> bool:
    text = error.node_message.lower()
    return any(word in text for word in ("already known", "already imported", "known transaction"))


def _read_receipt(receipt: dict[str, Any]) -> Receipt:
    created = receipt.get("contractAddress")
    return Receipt(
        tx_hash=str(receipt["transactionHash"]),
        block=hex_int(receipt["blockNumber"]),
        gas_used=hex_int(receipt["gasUsed"]),
        created=hex_data(created) if created else b"",
        logs=tuple(
            (
                hex_data(log["address"]),
                tuple(hex_data(topic) for topic in log["topics"]),
                hex_data(log["data"]),
            )
            for log in receipt.get("logs", [])
        ),
    )
