"""The transactions that one action sent: kept as they go out, their gas looked up afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["Sent"]


class Sent:
    """A `sent` callback of `marketplace.chain` that remembers."""

    def __init__(self) -> None:
        """Start empty."""
        self.hashes: list[str] = []

    def __call__(self, tx_hash: str) -> None:
        """Take the hash of a transaction that goes out now."""
        self.hashes.append(tx_hash)

    @property
    def last(self) -> str:
        """The newest hash, empty where nothing was sent."""
        return self.hashes[-1] if self.hashes else ""

    def gas(self, session: Session) -> int:
        """Return the gas that the mined ones of them used."""
        from marketplace.chain.rpc import hex_int

        rpc, total = session.reader.node.rpc, 0
        for tx_hash in self.hashes:
            receipt = rpc.call("eth_getTransactionReceipt", tx_hash)
            if isinstance(receipt, dict):
                total += hex_int(receipt["gasUsed"])
        return total
