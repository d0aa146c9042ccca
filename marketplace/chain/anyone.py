"""What anybody may do: poke deadlines, settle what was revoked, pay out (protocol section 6.2)."""

from __future__ import annotations

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.orders import OrderPreimage, RuntimePolicy, order_id
from marketplace.chain.artifacts import contract
from marketplace.chain.once import once
from marketplace.chain.reader import Reader
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.order_state import OrderState
from marketplace.domain.settlement import Payout
from marketplace.domain.why import deadline_of

__all__ = ["ALL", "Anyone"]

ALL = (1 << 256) - 1
"""The mask that claims everything."""


class Anyone:
    """Calls that need no role: any funded key will do."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and a key that pays the gas."""
        self.reader = reader
        self.writer = writer

    def expire(self, preimage: OrderPreimage, *, sent: Sent | None = None) -> Receipt | None:
        """End an order whose deadline is over; None where it has ended already.

        Raises:
            ContractRefusal: too early, or its CVM was revoked.
        """
        return self._end(preimage, "expire", to_abi(preimage), sent=sent)

    def void(
        self, preimage: OrderPreimage, policy: RuntimePolicy, *, sent: Sent | None = None
    ) -> Receipt | None:
        """Cancel an accepted order whose CVM is not good any more; None where it has ended already.

        Raises:
            ContractRefusal: the CVM is still good, or the order runs.
        """
        return self._end(preimage, "voidOrder", to_abi(preimage), to_abi(policy), sent=sent)

    def settle_revoked(self, preimage: OrderPreimage, *, sent: Sent | None = None) -> Receipt | None:
        """End a running order whose CVM was revoked; None where it has ended already.

        Raises:
            ContractRefusal: the CVM is not revoked, or the order does not run.
        """
        return self._end(preimage, "settleRevoked", to_abi(preimage), sent=sent)

    def cancel_late(self, preimage: OrderPreimage, *, sent: Sent | None = None) -> Receipt | None:
        """Cancel a placed order that nobody accepted in time; None where it has ended already.

        Raises:
            ContractRefusal: too early, or it was accepted.
        """
        return self._end(preimage, "cancel", to_abi(preimage.terms), sent=sent)

    def poke(self, preimage: OrderPreimage, *, sent: Sent | None = None) -> Receipt | None:
        """Do what the order's deadline allows by now: cancel or expire; None where nothing is due.

        Raises:
            ContractRefusal: the chain moved on meanwhile.
        """
        record = self.reader.get_order(self._id(preimage))
        deadline = deadline_of(record, preimage.terms.windows)
        if deadline is None or self.reader.now() <= deadline.at:
            return None
        late = record.state is OrderState.PLACED
        return self.cancel_late(preimage, sent=sent) if late else self.expire(preimage, sent=sent)

    def claim(
        self, preimage: OrderPreimage, mask: int = ALL, *, sent: Sent | None = None
    ) -> tuple[Payout, ...]:
        """Pay out amounts of an ended order, each to its own receiver; return what was paid by this call.

        Args:
            mask: bit n asks for payout index n; what is paid, zero or nobody's is skipped.
        Raises:
            ContractRefusal: the order has not ended, or the token refuses a receiver.
        """
        due = self.unpaid(preimage, mask)
        if not due:
            return ()
        receipt = self.writer.call("OrderBook", "claim", to_abi(preimage), mask, sent=sent)
        event = contract("OrderBook").events["Claimed"]
        book = self.reader.deployment.order_book
        logs = [log for log in receipt.logs if log[0] == book and log[1][0] == event.topic]
        members = [event.read(list(topics), data) for _, topics, data in logs]
        return tuple(Payout(item["index"], item["receiver"], item["amount"]) for item in members)

    def unpaid(self, preimage: OrderPreimage, mask: int = ALL) -> tuple[Payout, ...]:
        """Return the payouts of an ended order that are still to be claimed.

        Raises:
            ContractRefusal: the order has not ended.
        """
        paid = self.reader.claimed(self._id(preimage))
        wanted = mask & ~paid
        return tuple(
            item for item in self.reader.payouts(preimage) if item.amount and wanted >> item.index & 1
        )

    def _end(
        self, preimage: OrderPreimage, function: str, *arguments: object, sent: Sent | None
    ) -> Receipt | None:
        return once(
            self.reader,
            self._id(preimage),
            lambda record: record.state.terminal,
            lambda: self.writer.call("OrderBook", function, *arguments, sent=sent),
        )

    def _id(self, preimage: OrderPreimage) -> bytes:
        return order_id(self.reader.deployment.order_domain, preimage.terms)
