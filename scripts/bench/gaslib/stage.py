"""Where gas is measured: an anvil whose clock, accounts and hardfork never vary; so no figure varies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from enclave_runtime.wire.codec import hex_of
from marketplace.chain.artifacts import contract
from marketplace.chain.devchain import DevChain
from marketplace.chain.refusals import refusal_from
from marketplace.chain.rpc import hex_data, hex_int, to_quantity
from marketplace.errors import RpcError, UnreachableError

__all__ = ["GENESIS", "Call", "Stage", "open_stage"]

GENESIS = 1_800_000_000
"""Unix time at which every measured chain begins."""
_TX_GAS = 15_000_000
_BALANCE = 10**24
_MINED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Call:
    """One measured transaction: its calldata, what its sender paid for, and which slots it wrote.

    Attributes:
        writes: number of slots by what became of them: "NEW", "UPDATE", "CLEAR".
        events: data and topics of its logs, bytes, for the report.
    """

    data: bytes
    gas: int
    writes: dict[str, int]
    events: int = 0


@dataclass
class Stage:
    """A chain with unlocked accounts. `at` holds the addresses of what was deployed, by contract name."""

    chain: DevChain
    hardfork: str
    accounts: list[bytes]
    at: dict[str, bytes] = field(default_factory=dict)

    def deploy(self, name: str, *arguments: Any, sender: bytes | None = None) -> bytes:
        """Deploy a shipped contract and remember it in `at`; return its address."""
        self.at[name] = self.deploy_code(contract(name).creation(*arguments), sender=sender)
        return self.at[name]

    def deploy_code(self, code: bytes, *, sender: bytes | None = None) -> bytes:
        """Deploy creation code; return the address."""
        return hex_data(self._mined(sender or self.accounts[0], None, code)["contractAddress"])

    def encode(self, name: str, function: str, *arguments: Any) -> bytes:
        """Return the calldata of a function of a shipped contract."""
        return contract(name).functions[function].call(*arguments)

    def call(self, sender: bytes, name: str, function: str, *arguments: Any) -> Call:
        """Send a call of a deployed contract and measure it; see `send`."""
        return self.send(sender, self.at[name], self.encode(name, function, *arguments))

    def send(self, sender: bytes, to: bytes, data: bytes) -> Call:
        """Send a transaction in a block of its own and measure it.

        Raises:
            ContractRefusal: it reverted; in words.
        """
        receipt = self._mined(sender, to, data)
        logs = receipt["logs"]
        events = sum(len(hex_data(log["data"])) + 32 * len(log["topics"]) for log in logs)
        return Call(data, hex_int(receipt["gasUsed"]), self._writes(receipt["transactionHash"]), events)

    def view(self, name: str, function: str, *arguments: Any) -> Any:
        """Return what a view function of a deployed contract returns."""
        entry = contract(name).functions[function]
        request = {"to": hex_of(self.at[name]), "data": hex_of(entry.call(*arguments))}
        return entry.returned(hex_data(self.chain.rpc.call("eth_call", request, "latest")))

    def now(self) -> int:
        """Return the newest block's time, Unix seconds; the next block is one second later."""
        return self.chain.now()

    def warp(self, seconds: int) -> None:
        """Let time pass."""
        self.chain.warp(seconds)

    def _mined(self, sender: bytes, to: bytes | None, data: bytes) -> dict[str, Any]:
        request = {"from": hex_of(sender), "data": hex_of(data), "gas": to_quantity(_TX_GAS)}
        if to is not None:
            request["to"] = hex_of(to)
        (answer,) = self.chain.rpc.batch_raw([("eth_call", (request, "latest"))])
        if isinstance(answer, RpcError):
            raise refusal_from(answer, call=hex_of(data[:4]))
        name = self.chain.rpc.call("eth_sendTransaction", request)
        receipt: dict[str, Any] | None = None
        until = time.monotonic() + _MINED_WITHIN_S
        while receipt is None:
            receipt = self.chain.rpc.call("eth_getTransactionReceipt", name)
            if receipt is None and time.monotonic() > until:
                raise UnreachableError(f"no receipt within {_MINED_WITHIN_S} s: {name}")
        if receipt["status"] != "0x1":
            raise RpcError("eth_sendTransaction", 0, f"reverted in its block: {name}")
        return receipt

    def _writes(self, tx_hash: str) -> dict[str, int]:
        options = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
        diff = self.chain.rpc.call("debug_traceTransaction", tx_hash, options)
        counts = {"NEW": 0, "UPDATE": 0, "CLEAR": 0}
        accounts = diff["pre"].keys() | diff["post"].keys()
        for account in accounts:
            before = diff["pre"].get(account, {}).get("storage", {})
            after = diff["post"].get(account, {}).get("storage", {})
            for slot in before.keys() | after.keys():
                old, new = int(before.get(slot, "0x0"), 16), int(after.get(slot, "0x0"), 16)
                if old != new:
                    counts["NEW" if old == 0 else "UPDATE" if new else "CLEAR"] += 1
        return counts


@contextmanager
def open_stage(hardfork: str = "cancun") -> Iterator[Stage]:
    """Open a chain under the rules of `hardfork`: 20 rich accounts, one block a second from `GENESIS` on."""
    options = (
        "--hardfork",
        hardfork,
        "--timestamp",
        str(GENESIS),
        "--accounts",
        "20",
        "--gas-limit",
        "100000000",
    )
    with DevChain.start(extra=options) as chain:
        chain.rpc.call("anvil_setBlockTimestampInterval", 1)
        accounts = chain.accounts()
        for account in accounts:
            chain.fund(account, _BALANCE)
        yield Stage(chain, hardfork, accounts)
