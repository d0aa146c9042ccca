"""The chain as the agent asks for it: `marketplace.chain` behind `provider.ports.AgentChain`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketplace.provider.ports import OrderFacts, Placed, Sent

if TYPE_CHECKING:
    from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys
    from enclave_runtime.wire.orders import (
        OrderPreimage,
        OrderStart,
        OrderTerms,
        ReportSummary,
        RuntimePolicy,
    )
    from marketplace.chain.providers import Operators
    from marketplace.domain.offer import ListedOffer

__all__ = ["ChainOfAgent"]


class ChainOfAgent:
    """An `AgentChain`; every write may be repeated."""

    def __init__(self, operators: Operators) -> None:
        """Take the operator's view and hot key."""
        self._chain = operators
        self.now = operators.now
        self.domain = operators.domain
        self.cvm_registry = operators.cvm_registry
        self.cvm_number = operators.cvm_number
        self.certifier_threshold = operators.certifier_threshold
        self.stop_signature = operators.reader.stop_signature

    def start_penalty_bps(self) -> int:
        """Return the start penalty in force, basis points of the compute price."""
        return self._chain.reader.params().start_penalty_bps

    def placed_since(self, compute_offer: int, block: int) -> tuple[list[Placed], int]:
        """Return orders placed on `compute_offer` after `block`, and the last block looked at."""
        placed, head = self._chain.placed_since(compute_offer, block)
        return [Placed(one.order_id, one.terms, one.location, one.block) for one in placed], head

    def order(self, order_id: bytes) -> OrderFacts:
        """Return the stored facts of an order."""
        record = self._chain.order(order_id)
        return OrderFacts(
            order_id=order_id,
            state=record.state,
            phase=record.phase,
            since=record.since,
            last_proof=record.last_proof,
            sequence=record.sequence,
            seconds_used=record.seconds_used,
            cvm=record.cvm,
            limit=record.extra.limit,
            stopped_at=record.extra.stopped_at,
            added=record.extra.added - record.extra.removed,
            rest_claimed=record.rest_claimed,
        )

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

    def accept(self, preimage: OrderPreimage, policy: RuntimePolicy, cvm: int, sent: Sent) -> None:
        """Accept a placed order with one CVM, by its number."""
        self._chain.accept(preimage, policy, cvm, sent)

    def start(self, start: OrderStart, signature: bytes, sent: Sent) -> None:
        """Submit the CVM's start."""
        self._chain.start(start, signature, sent)

    def checkpoint(self, summary: ReportSummary, signature: bytes, sent: Sent) -> None:
        """Submit a checkpoint of the CVM."""
        self._chain.checkpoint(summary, signature, sent)

    def refuse(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's refusal."""
        self._chain.refuse(terms, summary, signature, location, sent)

    def complete(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's report."""
        self._chain.complete(terms, summary, signature, location, sent)

    def expire(self, terms: OrderTerms, sent: Sent) -> None:
        """End a stopped order whose grace is over."""
        self._chain.expire(terms, sent)

    def claim_rest(self, preimage: OrderPreimage, sent: Sent) -> None:
        """Settle an expired order, which frees what is left of the provider's lock."""
        self._chain.claim_rest(preimage, sent)
