"""What the agent needs of the chain, as an interface: `marketplace.chain` implements it, tests fake it.

Members are the structs of `enclave_runtime.wire`. Tight bytes, offer heads, packed numbers and compact
signatures are the implementation's: the agent hands on what the CVM signed, as it signed it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.orders import (
    OrderPreimage,
    OrderStart,
    OrderTerms,
    Phase,
    ReportSummary,
    RuntimePolicy,
)
from marketplace.domain.offer import ListedOffer
from marketplace.domain.order_state import OrderState

__all__ = ["AgentChain", "OrderFacts", "Placed", "Sent"]

Sent: TypeAlias = Callable[[str], None]
"""Called with a transaction's hash before it is waited for."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as its event announced it; `location` is an untrusted hint."""

    order_id: bytes
    terms: OrderTerms
    location: str
    block: int


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What OrderBook stores of an order, as far as an agent acts on it; NONE and zeros for an unknown one.

    Attributes:
        since: Unix time: placed at; once accepted, the last second to start; once started, the start; then
            the end.
        last_proof: seconds from the start to the last proof.
        sequence: of the last checkpoint.
        seconds_used: proven so far; after the end, billed.
        cvm: number of the CVM in CvmRegistry; zero before accept.
        limit: most seconds that the deposit pays for; zero where that is all of maxSeconds.
        stopped_at: Unix time of the client's stop, or zero.
        added: paid in after placing, less what was taken out, in the token's smallest unit.
        rest_claimed: after the end: whether `claim_rest` was done.
    """

    order_id: bytes
    state: OrderState
    phase: Phase
    since: int = 0
    last_proof: int = 0
    sequence: int = 0
    seconds_used: int = 0
    cvm: int = 0
    limit: int = 0
    stopped_at: int = 0
    added: int = 0
    rest_claimed: bool = False


class AgentChain(Protocol):
    """Reads are of the head; writes return when mined, and raise with the contract's own words.

    A write whose effect the chain shows already returns without sending anything.
    """

    def now(self) -> int:
        """Return chain time: the head block's timestamp, Unix seconds."""
        ...

    def domain(self) -> Domain:
        """Return the OrderBook's EIP-712 domain."""
        ...

    def cvm_registry(self) -> bytes:
        """Return the address of CvmRegistry, 20 bytes."""
        ...

    def start_penalty_bps(self) -> int:
        """Return the start penalty in force, basis points of the compute price."""
        ...

    def placed_since(self, compute_offer: int, block: int) -> tuple[list[Placed], int]:
        """Return orders placed on `compute_offer` after `block`, and the head block."""
        ...

    def order(self, order_id: bytes) -> OrderFacts:
        """Return the stored facts of an order."""
        ...

    def stop_signature(self, order_id: bytes) -> bytes:
        """Return the client's signature over `Stop` as the transaction that stopped the order carried it.

        Returns:
            65 bytes; empty where it carried none (the client called itself) or none can be found.
        """
        ...

    def offer(self, offer: int, version: int) -> ListedOffer:
        """Return an offer version with its terms and manifest location."""
        ...

    def cvm_number(self, cvm_id: bytes) -> int:
        """Return the number of a CVM in CvmRegistry; zero where it is not registered."""
        ...

    def cvm_usable(self, cvm_id: bytes, until: int) -> bool:
        """Return whether a CVM is registered, not revoked, and good until Unix time `until`."""
        ...

    def certifier_threshold(self) -> int:
        """Return how many certifiers must vouch for a CVM (M of CertifierQuorum)."""
        ...

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
        ...

    def accept(self, preimage: OrderPreimage, policy: RuntimePolicy, cvm: int, sent: Sent) -> None:
        """Accept a placed order with one CVM, by its number."""
        ...

    def start(self, start: OrderStart, signature: bytes, sent: Sent) -> None:
        """Submit the CVM's start."""
        ...

    def checkpoint(self, summary: ReportSummary, signature: bytes, sent: Sent) -> None:
        """Submit a checkpoint of the CVM; done already where the chain has its sequence or a later one."""
        ...

    def refuse(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's refusal."""
        ...

    def complete(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's report: COMPLETED, FAILED, HOST or LAPSED."""
        ...

    def expire(self, terms: OrderTerms, sent: Sent) -> None:
        """End a stopped order whose grace is over."""
        ...

    def claim_rest(self, preimage: OrderPreimage, sent: Sent) -> None:
        """Settle an expired order, which frees what is left of the provider's lock."""
        ...
