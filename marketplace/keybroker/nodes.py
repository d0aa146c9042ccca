"""One of the owner's own nodes as a `ChainView` (docs/protocol.md section 5.2)."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.chain.reader import Reader
from marketplace.domain.release import OrderView

__all__ = ["NodeView"]


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one node says.

    Attributes:
        reader: of the deployment that this broker serves.
        confirmed: "finalized", or "latest" on a development chain, which never reorganises.
    """

    reader: Reader
    confirmed: str

    def final(self, order_id: bytes) -> OrderView:
        """Return the order in the newest confirmed block."""
        return self.reader.order_view(order_id, self.confirmed)

    def head(self, order_id: bytes) -> OrderView:
        """Return the order at the newest block."""
        return self.reader.order_view(order_id)

    def operator(self, cvm_id: bytes) -> bytes | None:
        """Return who registered this CVM, or None if nobody did or it was revoked."""
        record = self.reader.cvm(cvm_id)
        return None if record is None or record.revoked else record.operator

    def seller(self, offer: int) -> bytes:
        """Return who listed an offer; zero where nobody did."""
        return self.reader.seller_of(offer)

    def now(self) -> int:
        """Return the time of the newest block, Unix seconds."""
        return self.reader.now()
