"""Transactions are simulated, journalled and sent once, whatever the node does (protocol section 10)."""

from __future__ import annotations

from typing import Any

import pytest

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain import writer as writer_module
from marketplace.chain.artifacts import contract
from marketplace.chain.refusals import ContractRefusal
from marketplace.chain.rpc import Rpc
from marketplace.chain.signer import Signer
from marketplace.chain.writer import Sender
from marketplace.errors import RpcError, WaitTimeoutError
from tests.fakes.scripted_rpc import results, serve

SIGNER = Signer.from_key(keccak256(b"writer test"))
TO = b"\x07" * 20
REVERT = contract("Errors").errors
TOO_LOW = next(entry for entry in REVERT.values() if entry.name == "OrderBook_DepositTooLow")


class Node:
    """A node in a state that the test sets: what it says of gas, nonce, broadcast and receipts."""

    def __init__(self) -> None:
        self.nonce = 5
        self.raws: list[str] = []
        self.mined: dict[str, dict[str, Any]] = {}
        self.gas: Any = "0x5208"
        self.broadcast: list[Any] = []
        self.call: Any = "0x"
        self.mine = True
        self.status = "0x1"
        self.polls = 0
        self.tip: Any = "0x3b9aca00"

    def __call__(self, method: str, params: list[Any]) -> Any:
        match method:
            case "eth_estimateGas":
                return self.gas
            case "eth_getTransactionCount":
                return hex(self.nonce)
            case "eth_getBlockByNumber":
                return {"baseFeePerGas": "0x7", "gasLimit": "0x1c9c380", "timestamp": "0x1"}
            case "eth_maxPriorityFeePerGas":
                return self.tip
            case "eth_sendRawTransaction":
                return self._send(params[0])
            case "eth_getTransactionReceipt":
                self.polls += 1
                return self.mined.get(params[0])
            case "eth_blockNumber":
                return "0x20"
            case "eth_call":
                return self.call
        raise AssertionError(method)

    def _send(self, raw: str) -> Any:
        self.raws.append(raw)
        tx_hash = hex_of(keccak256(bytes.fromhex(raw[2:])))
        if self.broadcast:
            answer = self.broadcast.pop(0)
            if answer is not None:
                return answer
        if self.mine:
            self.put(tx_hash)
        return tx_hash

    def put(self, tx_hash: str) -> None:
        self.mined[tx_hash] = {
            "status": self.status, "transactionHash": tx_hash, "blockNumber": "0x10", "gasUsed": "0x5208",
            "logs": [{"address": hex_of(TO), "topics": ["0x" + "01" * 32], "data": "0x02"}],
        }  # fmt: skip


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_LAST_POLL_S", 0.01)


def test_journals_the_hash_before_the_node_sees_the_transaction() -> None:
    node = Node()
    seen: list[tuple[str, int]] = []
    with serve(results(node)) as server:
        sender = Sender(Rpc(server.url), 1, SIGNER)
        receipt = sender.send(TO, b"\x01", sent=lambda tx_hash: seen.append((tx_hash, len(node.raws))))
    assert seen == [(receipt.tx_hash, 0)] and len(node.raws) == 1
    assert (receipt.block, receipt.gas_used, receipt.created) == (16, 21_000, b"")
    assert receipt.logs == ((TO, (b"\x01" * 32,), b"\x02"),)


def test_a_refused_call_is_told_in_words_and_never_sent() -> None:
    node = Node()
    data = TOO_LOW.selector + (5).to_bytes(32, "big") + (9).to_bytes(32, "big")
    node.gas = {"code": 3, "message": "execution reverted", "data": hex_of(data)}
    with serve(results(node)) as server, pytest.raises(ContractRefusal) as refused:
        Sender(Rpc(server.url), 1, SIGNER).send(TO, b"", call="OrderBook.accept")
    assert node.raws == []
    assert (refused.value.name, refused.value.arguments) == (
        "OrderBook_DepositTooLow",
        {"deposit": 5, "required": 9},
    )
    assert str(refused.value).startswith("OrderBook.accept: refused with OrderBook_DepositTooLow(deposit 5")
    assert "quote again" in refused.value.hint


def test_a_call_that_reverts_in_its_block_is_told_why() -> None:
    node = Node()
    node.status = "0x0"
    data = TOO_LOW.selector + bytes(64)
    node.call = {"code": 3, "message": "execution reverted", "data": hex_of(data)}
    with serve(results(node)) as server, pytest.raises(ContractRefusal, match="DepositTooLow"):
        Sender(Rpc(server.url), 1, SIGNER).send(TO, b"")


@pytest.mark.parametrize("word", ["already known", "nonce too low: next nonce 6, tx nonce 5"])
def test_a_transaction_that_is_there_already_counts(word: str) -> None:
    node = Node()

    def lost_answer(method: str, params: list[Any]) -> Any:
        # The first broadcast arrived and was mined, but its answer was lost; the client says it again.
        if method == "eth_sendRawTransaction":
            node._send(params[0])
            return {"code": -32000, "message": word}
        return node(method, params)

    with serve(results(lost_answer)) as server:
        receipt = Sender(Rpc(server.url), 1, SIGNER).send(TO, b"")
    assert receipt.tx_hash in node.mined and len(node.raws) == 1


def test_takes_the_next_nonce_when_a_twin_process_was_quicker() -> None:
    node = Node()
    node.broadcast = [{"code": -32000, "message": "nonce too low"}, None]
    hashes: list[str] = []
    with serve(results(node)) as server:
        receipt = Sender(Rpc(server.url), 1, SIGNER).send(TO, b"", sent=hashes.append)
    assert len(node.raws) == 2 and receipt.tx_hash == hashes[-1]


def test_other_refusals_of_the_node_are_passed_on() -> None:
    node = Node()
    node.broadcast = [{"code": -32000, "message": "insufficient funds for gas * price + value"}]
    with serve(results(node)) as server, pytest.raises(RpcError, match="insufficient funds"):
        Sender(Rpc(server.url), 1, SIGNER).send(TO, b"")


def test_a_stuck_transaction_is_replaced_under_the_same_nonce_with_a_higher_fee(quick: None) -> None:
    node = Node()
    node.mine = False
    hashes: list[str] = []

    def impatient(method: str, params: list[Any]) -> Any:
        node.mine = len(node.raws) >= 1
        return node(method, params)

    with serve(results(impatient)) as server:
        sender = Sender(Rpc(server.url), 1, SIGNER, replace_after_s=0.02)
        receipt = sender.send(TO, b"", sent=hashes.append)
    assert len(node.raws) == 2 and len(set(hashes)) == 2
    assert receipt.tx_hash == hashes[1]


def test_the_first_hash_counts_if_it_is_mined_after_all(quick: None) -> None:
    node = Node()
    node.mine = False

    def late(method: str, params: list[Any]) -> Any:
        if method == "eth_sendRawTransaction" and node.raws:
            node.put(hex_of(keccak256(bytes.fromhex(node.raws[0][2:]))))
            return {"code": -32000, "message": "nonce too low"}
        return node(method, params)

    hashes: list[str] = []
    with serve(results(late)) as server:
        sender = Sender(Rpc(server.url), 1, SIGNER, replace_after_s=0.02)
        receipt = sender.send(TO, b"", sent=hashes.append)
    assert receipt.tx_hash == hashes[0]


def test_gives_up_in_time_and_names_the_hash(quick: None) -> None:
    node = Node()
    node.mine = False
    with serve(results(node)) as server:
        sender = Sender(Rpc(server.url), 1, SIGNER, timeout_s=0.05)
        with pytest.raises(WaitTimeoutError, match="not mined after") as late:
            sender.send(TO, b"", call="OrderBook.start")
    assert "0x" in str(late.value) and "look at the state" in late.value.hint


def test_waits_for_confirmations(quick: None) -> None:
    node = Node()
    heads = iter(["0x10", "0x11", "0x12"])

    def growing(method: str, params: list[Any]) -> Any:
        return next(heads) if method == "eth_blockNumber" else node(method, params)

    with serve(results(growing)) as server:
        Sender(Rpc(server.url), 1, SIGNER, confirmations=2).send(TO, b"")
    assert next(heads, None) is None


def test_a_node_without_fee_history_still_gets_a_tip() -> None:
    node = Node()
    node.tip = {"code": -32601, "message": "the method does not exist"}
    with serve(results(node)) as server:
        Sender(Rpc(server.url), 1, SIGNER).send(TO, b"")
    assert len(node.raws) == 1
