"""What deploying is made of: transactions, each with questions whose answers say that it is done already.

Steps are plain values. Who carries them out (`deploy_run`) asks before it sends, so a deployment that died
between any two transactions goes on where it stopped, and one that is whole sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from enclave_runtime.wire.codec import hex_of
from marketplace.chain.artifacts import contract
from marketplace.chain.rpc import to_quantity

__all__ = ["Answers", "HasBalance", "HasCode", "Probe", "Request", "Step", "asks"]

Request: TypeAlias = tuple[str, tuple[object, ...]]
"""A JSON-RPC method and its parameters."""


@dataclass(frozen=True, slots=True)
class HasCode:
    """There is code at `address`. What it is, the rehearsal says (`deploy_rehearsal`)."""

    address: bytes

    def request(self) -> Request:
        """Return what to ask a node."""
        return ("eth_getCode", (hex_of(self.address), "latest"))

    def holds(self, answer: object) -> bool:
        """Return whether the answer says so."""
        return isinstance(answer, str) and len(answer) > len("0x")


@dataclass(frozen=True, slots=True)
class HasBalance:
    """`address` has at least `wei` of the chain's coin."""

    address: bytes
    wei: int

    def request(self) -> Request:
        """Return what to ask a node."""
        return ("eth_getBalance", (hex_of(self.address), "latest"))

    def holds(self, answer: object) -> bool:
        """Return whether the answer says so."""
        return isinstance(answer, str) and int(answer, 16) >= self.wei


@dataclass(frozen=True, slots=True)
class Answers:
    """The contract at `to` answers the call `data` with exactly `answer`."""

    words: str
    to: bytes
    data: bytes
    answer: bytes

    def request(self) -> Request:
        """Return what to ask a node."""
        return ("eth_call", ({"to": hex_of(self.to), "data": hex_of(self.data)}, "latest"))

    def holds(self, answer: object) -> bool:
        """Return whether the answer says so; a call that reverts has none."""
        return answer == hex_of(self.answer)


Probe: TypeAlias = "HasCode | HasBalance | Answers"


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction.

    Attributes:
        words: what it does, for people.
        done: it is done when all of these hold.
        raw: a transaction that is signed already; then nothing else of these is used.
        creates: address of the contract that it makes, or empty.
    """

    words: str
    done: tuple[Probe, ...]
    to: bytes = b""
    data: bytes = b""
    value: int = 0
    raw: bytes = b""
    creates: bytes = b""

    def request(self, sender: bytes) -> dict[str, str]:
        """Return the transaction as `eth_estimateGas` and `eth_sendTransaction` take it."""
        return {
            "from": hex_of(sender),
            "to": hex_of(self.to),
            "data": hex_of(self.data),
            "value": to_quantity(self.value),
        }


def asks(name: str, to: bytes, function: str, *arguments: Any, answer: int) -> Answers:
    """Return the question whether a function of the contract `name` returns the one word `answer`."""
    data = contract(name).functions[function].call(*arguments)
    return Answers(f"{name}.{function} is {answer}", to, data, answer.to_bytes(32, "big"))
