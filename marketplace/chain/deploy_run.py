"""Carries out a deployment's steps on one chain, each at most once, whoever died before (docs/adr/0016)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.deploy_addresses import CREATE2_FACTORY, FACTORY_CODE_HASH
from marketplace.chain.deploy_steps import Answers, HasCode, Step
from marketplace.chain.refusals import refusal_from
from marketplace.chain.rpc import hex_data, hex_int
from marketplace.errors import BadInputError, RpcError, WaitTimeoutError

__all__ = [
    "Chain",
    "Cost",
    "Done",
    "carry_out",
    "check_code",
    "code_hashes",
    "cost_of",
    "failed",
    "has_factory",
    "settle",
    "todo",
]

_SETTLE_WITHIN_S: Final = 120.0
_POLL_S: Final = 0.1
_L1_ORACLE: Final = bytes.fromhex("420000000000000000000000000000000000000f")
"""Where OP-stack chains say what the data of a transaction costs on top."""
_GET_L1_FEE: Final = keccak256(b"getL1Fee(bytes)")[:4]
_ENVELOPE_BYTES: Final = 120
"""What signature, nonce, fees and addresses add to a transaction's data, about."""


class Chain(Protocol):
    """One account on one chain: a node's answers, and transactions that are mined when `send` returns."""

    @property
    def sender(self) -> bytes:
        """Return the account that pays."""

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return, per JSON-RPC call, its result or the `RpcError` that the node answered with."""

    def send(self, step: Step, gas: int) -> int:
        """Send a step's transaction with this gas limit, wait for it, return the gas that it used.

        Raises:
            ChainError: it reverted, or no usable answer.
        """


@dataclass(frozen=True, slots=True)
class Done:
    """What carrying out came to."""

    sent: tuple[str, ...]
    gas: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What the steps that are still to do will cost, wei.

    Attributes:
        gas: gas of the transactions.
        price: wei per gas, at most.
        data: fee for the data on the layer below, where the chain says.
        value: coin that goes along.
    """

    steps: int
    gas: int
    price: int
    data: int
    value: int

    @property
    def wei(self) -> int:
        """Return the whole."""
        return self.gas * self.price + self.data + self.value


def has_factory(chain: Chain) -> bool:
    """Return whether the chain has the CREATE2 factory.

    Raises:
        BadInputError: something else stands at its address.
    """
    (code,) = chain.batch([("eth_getCode", (hex_of(CREATE2_FACTORY), "latest"))])
    found = hex_data(_good(code))
    if found and keccak256(found) != FACTORY_CODE_HASH:
        raise BadInputError("CREATE2 factory", hex_of(keccak256(found)), hex_of(FACTORY_CODE_HASH))
    return bool(found)


def todo(chain: Chain, steps: Sequence[Step]) -> list[bool]:
    """Return, per step, whether it is still to do; asked in one round trip."""
    asked = [(number, probe) for number, step in enumerate(steps) for probe in step.done]
    answers = chain.batch([probe.request() for _, probe in asked])
    due = [False] * len(steps)
    for (number, probe), answer in zip(asked, answers, strict=True):
        due[number] |= not probe.holds(answer)
    return due


def carry_out(
    chain: Chain,
    steps: Sequence[Step],
    gas_of: Mapping[str, int] | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Done:
    """Send every step that is not done; what is done is left as it is.

    Args:
        gas_of: gas that a step used in a rehearsal, by its words; others are estimated.
    Raises:
        BadInputError: a transaction was mined and what it should have done is not so.
        ChainError: a step is refused, or the node gives no usable answer.
    """
    settle(chain)
    sent, spent = [], 0
    for step, due in zip(steps, todo(chain, steps), strict=True):
        # Asked anew before it is sent: an earlier step, or somebody else, may have done it.
        if not due or not todo(chain, [step])[0]:
            report(f"there already: {step.words}")
            continue
        used = chain.send(step, _limit(chain, step, gas_of or {}))
        if todo(chain, [step])[0]:
            raise BadInputError(step.words, "a mined transaction without its effect", "the effect")
        sent.append(step.words)
        spent += used
        where = f" at {hex_of(step.creates)}" if step.creates else ""
        report(f"done: {step.words}{where} ({used} gas)")
    return Done(tuple(sent), spent)


def settle(chain: Chain) -> None:
    """Wait until no transaction of the account is on its way: who died may have sent one just before.

    Raises:
        WaitTimeoutError: one still is.
    """
    until = time.monotonic() + _SETTLE_WITHIN_S
    account = hex_of(chain.sender)
    while True:
        mined, known = (
            hex_int(_good(answer))
            for answer in chain.batch(
                [("eth_getTransactionCount", (account, block)) for block in ("latest", "pending")]
            )
        )
        if known <= mined:
            return
        if time.monotonic() > until:
            raise WaitTimeoutError(
                f"{known - mined} transactions of {account} are still on their way",
                hint="wait for them, or replace them, then run this again",
            )
        time.sleep(_POLL_S)


def cost_of(chain: Chain, steps: Sequence[Step], gas_of: Mapping[str, int]) -> Cost:
    """Return what is still to pay, at twice the present base fee, as transactions offer it.

    Raises:
        BadInputError: a step needs more gas than a block has.
    """
    due = [step for step, is_due in zip(steps, todo(chain, steps), strict=True) if is_due]
    block, tip = chain.batch([("eth_getBlockByNumber", ("latest", False)), ("eth_maxPriorityFeePerGas", ())])
    limit = hex_int(_good(block)["gasLimit"])
    for step in due:
        if gas_of.get(step.words, 0) > limit:
            raise BadInputError(step.words, f"{gas_of[step.words]} gas", f"at most {limit}, a block's")
    least = 1 if isinstance(tip, RpcError) else max(1, hex_int(tip))
    price = 2 * hex_int(_good(block).get("baseFeePerGas", "0x0")) + least
    paid = [step for step in due if not step.raw]
    gas = sum(gas_of.get(step.words, 0) for step in paid)
    return Cost(len(due), gas, price, _data_fee(chain, due), sum(step.value for step in paid))


def code_hashes(chain: Chain, at: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the hash of the code of every contract, as `EXTCODEHASH` gives it; of none that is missing."""
    answers = chain.batch([("eth_getCode", (hex_of(address), "latest")) for address in at.values()])
    codes = {name: hex_data(_good(answer)) for name, answer in zip(at, answers, strict=True)}
    return {name: keccak256(code) for name, code in codes.items() if code}


def check_code(found: Mapping[str, bytes], expected: Mapping[str, bytes]) -> None:
    """Refuse contracts that are other than these inputs make. What is missing is no fault.

    Raises:
        BadInputError: names the contract and both hashes.
    """
    for name, digest in found.items():
        if digest != expected[name]:
            raise BadInputError(
                f"code of {name}", hex_of(digest), hex_of(expected[name]),
                hint="this market was deployed with other inputs or sources; --market NAME makes a new one",
            )  # fmt: skip


def failed(chain: Chain, checks: Sequence[Answers]) -> list[str]:
    """Return the words of the checks that do not hold."""
    answers = chain.batch([check.request() for check in checks])
    return [check.words for check, answer in zip(checks, answers, strict=True) if not check.holds(answer)]


def _limit(chain: Chain, step: Step, gas_of: Mapping[str, int]) -> int:
    if step.raw:
        return 0
    (answer,) = chain.batch([("eth_estimateGas", (step.request(chain.sender),))])
    if isinstance(answer, RpcError):
        raise refusal_from(answer, call=step.words)
    needed = max(hex_int(answer), gas_of.get(step.words, 0))
    return needed * 5 // 4


def _data_fee(chain: Chain, due: Sequence[Step]) -> int:
    oracle = hex_of(_L1_ORACLE)
    (code,) = chain.batch([("eth_getCode", (oracle, "latest"))])
    if isinstance(code, RpcError) or not HasCode(_L1_ORACLE).holds(code):
        return 0
    calls = []
    for step in due:
        # ABI: offset, length, bytes. The envelope is not made yet: bytes that do not compress stand for it.
        data = step.raw or step.data + keccak256(step.data) * (_ENVELOPE_BYTES // 32)
        body = (32).to_bytes(32, "big") + len(data).to_bytes(32, "big") + data + bytes(-len(data) % 32)
        calls.append(("eth_call", ({"to": oracle, "data": hex_of(_GET_L1_FEE + body)}, "latest")))
    return sum(hex_int(answer) for answer in chain.batch(calls) if not isinstance(answer, RpcError))


def _good(answer: Any) -> Any:
    if isinstance(answer, RpcError):
        raise answer
    return answer
