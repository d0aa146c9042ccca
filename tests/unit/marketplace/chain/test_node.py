"""Logs in pages, answers that lie, and words for every refusal."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.orders import Phase
from marketplace.chain.artifacts import contract
from marketplace.chain.deployments import Deployment
from marketplace.chain.node import Node
from marketplace.chain.refusals import HINTS, ContractRefusal, refusal_of
from marketplace.chain.rpc import Rpc
from marketplace.domain.order_state import OrderState
from marketplace.errors import BadInputError, NotFoundError, RpcError, UnreachableError
from tests.fakes.scripted_rpc import results, serve

BOOK = b"\x0b" * 20
DEPLOYMENT = Deployment(31337, 10, *[bytes([n]) * 20 for n in range(1, 7)], BOOK, b"\x08" * 20, b"\x07" * 20)


def log(block: int, **changed: Any) -> dict[str, Any]:
    plain = {
        "address": hex_of(BOOK), "topics": ["0x" + "aa" * 32], "data": "0x", "blockNumber": hex(block),
        "logIndex": "0x0", "transactionHash": "0x" + "bb" * 32, "removed": False,
    }  # fmt: skip
    return plain | changed


class Chain:
    """A node with one log per block that gives at most `most` blocks per call."""

    def __init__(self, head: int, most: int) -> None:
        self.head, self.most = head, most
        self.asked: list[tuple[int, int]] = []

    def __call__(self, method: str, params: list[Any]) -> Any:
        if method == "eth_blockNumber":
            return hex(self.head)
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        self.asked.append((first, last))
        if last - first + 1 > self.most:
            return {"code": -32005, "message": "query exceeds max block range"}
        return [log(block) for block in range(first, last + 1)]


def test_pages_through_a_chain_that_gives_few_blocks_at_once() -> None:
    chain = Chain(head=200_000, most=20_000)
    with serve(results(chain)) as server:
        found = Node(Rpc(server.url), DEPLOYMENT).logs("OrderBook", [None])
        assert [item.block for item in found] == list(range(10, 200_001))
    assert len(chain.asked) < 30, "the span adapts, and grows again"


def test_stays_behind_the_head_by_the_confirmations_asked_for() -> None:
    chain = Chain(head=100, most=1000)
    with serve(results(chain)) as server:
        node = Node(Rpc(server.url), DEPLOYMENT, confirmations=12)
        assert [item.block for item in node.logs("OrderBook", [None])][-1] == 88
        assert list(node.logs("OrderBook", [None], from_block=95)) == []
        assert [item.block for item in node.logs("OrderBook", [None], from_block=20, to_block=21)] == [20, 21]


def test_an_error_that_a_smaller_page_cannot_help_is_passed_on() -> None:
    def broken(method: str, params: list[Any]) -> Any:
        return "0x64" if method == "eth_blockNumber" else {"code": -32000, "message": "boom"}

    with serve(results(broken)) as server, pytest.raises(RpcError, match="boom"):
        list(Node(Rpc(server.url), DEPLOYMENT).logs("OrderBook", [None]))


def test_a_range_error_at_one_block_is_passed_on() -> None:
    with serve(results(Chain(head=100, most=0))) as server, pytest.raises(RpcError, match="range"):
        list(Node(Rpc(server.url), DEPLOYMENT).logs("OrderBook", [None]))


def test_removed_logs_and_logs_of_strangers_are_left_out() -> None:
    def odd(method: str, params: list[Any]) -> Any:
        return (
            "0xa"
            if method == "eth_blockNumber"
            else [log(10, removed=True), log(10, address="0x" + "00" * 20)]
        )

    with serve(results(odd)) as server:
        assert list(Node(Rpc(server.url), DEPLOYMENT).logs("OrderBook", [None])) == []


@pytest.mark.parametrize("answer", [None, 5, [5], [{"topics": 1}], [log(1, data="zz")]])
def test_malformed_logs_are_refused(answer: Any) -> None:
    def odd(method: str, params: list[Any]) -> Any:
        return "0xa" if method == "eth_blockNumber" else answer

    with serve(results(odd)) as server, pytest.raises(UnreachableError):
        list(Node(Rpc(server.url), DEPLOYMENT).logs("OrderBook", [None]))


def test_an_answer_that_is_not_the_contracts_points_at_the_deployment_file() -> None:
    with serve(results(lambda *_: "0x")) as server, pytest.raises(UnreachableError) as wrong:
        Node(Rpc(server.url), DEPLOYMENT).view("OrderBook", "paramsVersion")
    assert "deployment file" in wrong.value.hint


def test_a_node_of_another_chain_or_without_contracts_is_told_apart() -> None:
    def other(method: str, params: list[Any]) -> Any:
        return "0x1" if method == "eth_chainId" else "0x60"

    with serve(results(other)) as server, pytest.raises(BadInputError, match="got 1, expected 31337"):
        Node(Rpc(server.url), DEPLOYMENT).check_chain()

    def empty(method: str, params: list[Any]) -> Any:
        return "0x7a69" if method == "eth_chainId" else "0x"

    with serve(results(empty)) as server, pytest.raises(BadInputError, match="no code"):
        Node(Rpc(server.url), DEPLOYMENT).check_chain()


# ---------------------------------------------------------------------------------------------- refusals
def test_every_hint_belongs_to_an_error_that_exists() -> None:
    names = {"Errors", "OrderBook", "ProviderRegistry", "CertifierQuorum", "Authority", "TestToken"}
    known = {entry.name for name in names for entry in contract(name).errors.values()}
    assert set(HINTS) <= known, set(HINTS) - known


def test_states_and_member_names_are_told_in_words() -> None:
    book = {entry.name: entry for entry in contract("Errors").errors.values()}
    wrong = book["OrderBook_WrongState"].selector + b"\x01" * 32
    wrong += int(OrderState.RUNNING).to_bytes(32, "big") + int(OrderState.ACCEPTED).to_bytes(32, "big")
    text = str(refusal_of(wrong, call="OrderBook.accept"))
    assert "actual RUNNING, wanted ACCEPTED" in text and "0x" + "01" * 32 in text
    phase = book["OrderBook_WrongPhase"].selector + b"\x01" * 32
    phase += int(Phase.ENGINE).to_bytes(32, "big") + int(Phase.SETUP).to_bytes(32, "big")
    assert "actual ENGINE, expected SETUP" in str(refusal_of(phase))
    member = book["OrderBook_SummaryMismatch"].selector + b"\x01" * 32 + b"inputsRoot".ljust(32, b"\x00")
    assert "field inputsRoot" in str(refusal_of(member))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "unknown"),
        (b"\x01\x02\x03", "unknown"),
        (b"\xde\xad\xbe\xef" + bytes(32), "unknown"),
        (
            bytes.fromhex("08c379a0") + bytes(31) + b"\x20" + bytes(31) + b"\x02" + b"no".ljust(32, b"\0"),
            "Error",
        ),
        (bytes.fromhex("08c379a0") + b"\xff" * 64, "unknown"),
        (bytes.fromhex("4e487b71") + bytes(31) + b"\x11", "Panic"),
    ],
)
def test_foreign_and_broken_revert_data_never_fail(data: bytes, name: str) -> None:
    refusal = refusal_of(data)
    assert isinstance(refusal, ContractRefusal) and refusal.name == name
    if name == "Error":
        assert refusal.arguments == {"message": "no"}


# ---------------------------------------------------------------------------------------------- files
def test_deployment_file_round_trips_and_refuses_other_content(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "market.json"
    DEPLOYMENT.save(path)
    assert Deployment.load(path) == DEPLOYMENT
    good = json.loads(path.read_text())
    for change in ({"chain_id": "1"}, {"token": "0x00"}, {"version": 1}, {"extra": 1}, {"block": -1}):
        path.write_text(json.dumps(good | change))
        with pytest.raises(BadInputError):
            Deployment.load(path)
    path.write_text("{")
    with pytest.raises(BadInputError, match="not JSON"):
        Deployment.load(path)
    with pytest.raises(NotFoundError, match="cannot read"):
        Deployment.load(tmp_path / "none.json")
    assert dataclasses.replace(DEPLOYMENT, chain_id=5).order_domain.chain_id == 5


def test_a_missing_artefact_says_what_to_do() -> None:
    with pytest.raises(NotFoundError) as missing:
        contract("NoSuchContract")
    assert "build_artifacts" in missing.value.hint


def test_reading_and_writing_load_nothing_heavy() -> None:
    code = (
        "import sys, marketplace.chain.reader, marketplace.chain.writer\n"
        "heavy = {'web3', 'eth_abi', 'eth_account', 'httpx', 'cryptography', 'asyncio', 'http.client'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
