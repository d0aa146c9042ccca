"""What the agent needs of the chain, as an interface: `marketplace.chain` implements it, tests fake it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, ReportSummary, RuntimePolicy
from marketplace.domain.offer import ListedOffer
from marketplace.domain.order import OrderRecord

__all__ = ["AgentChain", "Placed", "Sent"]

Sent: TypeAlias = Callable[[str], None]
"""Called with a transaction's hash before it is waited for."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order as its event announced it; `location` is an untrusted hint."""

    order_id: bytes
    terms: OrderTerms
    location: str
    block: int


class AgentChain(Protocol):
    """Reads are of the head; writes return when mined, and raise with the contract's own words."""

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

    def order(self, order_id: bytes) -> OrderRecord:
        """Return the stored facts of an order."""
        ...

    def offer(self, offer: int, version: int) -> ListedOffer:
        """Return an offer version with its terms and manifest location."""
        ...

    def cvm_usable(self, cvm_id: bytes, until: int) -> bool:
        """Return whether a CVM is registered, not revoked, and good until Unix time `until`."""
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

    def accept(self, preimage: OrderPreimage, policy: RuntimePolicy, cvm_id: bytes, sent: Sent) -> None:
        """Accept a placed order with one CVM."""
        ...

    def start(self, terms: OrderTerms, signature: bytes, sent: Sent) -> None:
        """Submit the CVM's start."""
        ...

    def checkpoint(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's checkpoint."""
        ...

    def refuse(
        self, preimage: OrderPreimage, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's refusal."""
        ...

    def complete(
        self, preimage: OrderPreimage, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """Submit the CVM's report."""
        ...
