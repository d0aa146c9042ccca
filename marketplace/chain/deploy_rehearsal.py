"""The whole deployment beforehand, on a private local chain: what it costs, and what code it must leave.

Addresses depend on neither chain nor code, and constructors see the same chain id; so the code that the
rehearsal leaves, immutables included, is the code that the deployment has to leave, to the byte.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.codec import hex_of
from marketplace.chain.deploy_addresses import FACTORY_COST_WEI
from marketplace.chain.deploy_run import carry_out, code_hashes
from marketplace.chain.deploy_steps import Step
from marketplace.chain.devchain import DevChain
from marketplace.chain.refusals import refusal_of
from marketplace.chain.rpc import Rpc, hex_int, to_quantity
from marketplace.errors import WaitTimeoutError

__all__ = ["Rehearsal", "UnlockedChain", "rehearse"]

_MINED_WITHIN_S: Final = 30.0
_WEALTH_WEI: Final = 10**24
_BLOCK_GAS: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a deployment will have done.

    Attributes:
        gas: used by each step, by its words.
        code: hash of each contract's code, by its name.
    """

    gas: dict[str, int]
    code: dict[str, bytes]


class UnlockedChain:
    """A local chain that signs for `sender` itself."""

    def __init__(self, rpc: Rpc, sender: bytes) -> None:
        """Take a connection to an anvil that impersonates `sender`."""
        self._rpc = rpc
        self.sender = sender
        self.gas: dict[str, int] = {}

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return a result or an `RpcError` for each call."""
        return self._rpc.batch_raw(calls)

    def send(self, step: Step, gas: int) -> int:
        """Send and wait; see `deploy_run.Chain`."""
        if step.raw:
            name = self._rpc.call("eth_sendRawTransaction", hex_of(step.raw))
        else:
            request = step.request(self.sender) | {"gas": to_quantity(gas)}
            name = self._rpc.call("eth_sendTransaction", request)
        until = time.monotonic() + _MINED_WITHIN_S
        while (receipt := self._rpc.call("eth_getTransactionReceipt", name)) is None:
            if time.monotonic() > until:
                raise WaitTimeoutError(f"{step.words}: not mined in the rehearsal")
            time.sleep(0.002)
        if receipt["status"] != "0x1":
            raise refusal_of(b"", call=step.words)
        self.gas[step.words] = hex_int(receipt["gasUsed"])
        return self.gas[step.words]


def rehearse(steps: Sequence[Step], at: Mapping[str, bytes], sender: bytes, chain_id: int) -> Rehearsal:
    """Carry out all steps on a chain of their own.

    Raises:
        NotFoundError: there is no anvil.
        ChainError: a step fails.
    """
    options: tuple[str, ...] = ("--hardfork", "cancun", "--gas-limit", str(_BLOCK_GAS))
    if any(step.raw for step in steps):
        options += ("--disable-default-create2-deployer",)
    with DevChain.start(chain_id=chain_id, extra=options) as local:
        local.fund(sender, _WEALTH_WEI + FACTORY_COST_WEI)
        local.impersonate(sender)
        chain = UnlockedChain(local.rpc, sender)
        carry_out(chain, steps)
        return Rehearsal(chain.gas, code_hashes(chain, at))
