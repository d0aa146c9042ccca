"""The chain as the agent asks for it: `marketplace.chain` behind `provider.ports.AgentChain`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketplace.provider.ports import Placed, Sent

if TYPE_CHECKING:
    from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys
    from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, ReportSummary, RuntimePolicy
    from marketplace.chain.providers import Operators
    from marketplace.domain.offer import ListedOffer
    from marketplace.domain.order import OrderRecord

__all__ = ["ChainOfAgent"]


class ChainOfAgent:
    """An `AgentChain`; every write may be repeated."""

    def __init__(self, operators: Operators) -> None:
        """Take the operator's view and hot key."""
        self._chain = operators
        self.now = operators.now
        self.domain = operators.domain
        self.cvm_registry = operators.cvm_registry

    def start_penalty_bps(self) -> int:
        """Return the start penalty in force, basis points of the compute price."""
        return self._chain.reader.params().start_penalty_bps

    def placed_since(self, compute_offer: int, block: int) -> tuple[list[Placed], int]:
        """Return orders placed on `compute_offer` after `block`, and the last block looked at."""
        placed, head = self._chain.placed_since(compute_offer, block)
        return [Placed(one.order_id, one.terms, one.location, one.block) for one in placed], head

    def order(self, order_id: bytes) -> OrderRecord:
        """Return the stored facts of an order."""
        return self._chain.order(order_id)

    def offer(self, offer: int, version: int) -> ListedOffer:
        """Return an offer version with its terms and manifest location."""
        return self._chain.offer(offer, version)

    def cvm_usable(self, cvm_id: bytes, until: int) -> bool:
        """Return whether a CVM is registered, not revoked, and good until Unix time `until`."""
        return self._chain.cvm_usable(cvm_id, until)

    def register_cvm(
        self,
        keys: CvmKeys,
        operator: bytes,
        challenge: bytes,
        possession: bytes,
        certificates: Sequence[tuple[CvmCertificate, bytes]],
        sent: Sent,
    ) -> None:
        """Put certificates and the proof of possession on chain."""
        self._chain.register_cvm(keys, operator, challenge, possession, certificates, sent)

    def accept(self, preimage: OrderPreimage, policy: RuntimePolicy, cvm_id: bytes, sent: Sent) -> None:
        """Accept a placed order with one CVM."""
        self._chain.accept(preimage, policy, cvm_id, sent)

    def start(self, terms: OrderTerms, signature: bytes, sent: Sent) -> None:
        """Submit the CVM's start."""
        self._chain.start(terms, signature, sent)

    def checkpoint(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's checkpoint."""
        self._chain.checkpoint(terms, summary, signature, location, sent)

    def refuse(
        self, preimage: OrderPreimage, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's refusal."""
        self._chain.refuse(preimage, summary, signature, location, sent)

    def complete(
        self, preimage: OrderPreimage, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's report."""
        self._chain.complete(preimage, summary, signature, location, sent)
