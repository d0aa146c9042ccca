"""What anybody may do: poke deadlines, settle what was revoked, add money (protocol section 6.2)."""

from __future__ import annotations

from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, ReportSummary, RuntimePolicy, order_id
from enclave_runtime.wire.scalars import ZERO32
from marketplace.chain.funds import pay_in
from marketplace.chain.once import once
from marketplace.chain.reader import Reader
from marketplace.chain.reports import report_of
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.order_state import OrderState
from marketplace.domain.tight import encode_heads, encode_order, encode_payees, encode_policy
from marketplace.domain.why import deadline_of

__all__ = ["Anyone"]


class Anyone:
    """Calls that need no role: any funded key will do. Claims are in `marketplace.chain.claims`."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and a key that pays the gas."""
        self.reader = reader
        self.writer = writer

    def expire(self, terms: OrderTerms, *, sent: Sent | None = None) -> Receipt | None:
        """End an order whose deadline is over; None where it has ended already.

        Raises:
            ContractRefusal: too early, or its CVM was revoked.
        """
        return self._end(terms, "expire", encode_order(terms), sent=sent)

    def void(self, terms: OrderTerms, policy: RuntimePolicy, *, sent: Sent | None = None) -> Receipt | None:
        """Cancel an accepted order whose CVM is not good any more; None where it has ended already.

        Raises:
            ContractRefusal: the CVM is still good, or the order runs.
        """
        return self._end(terms, "voidOrder", encode_order(terms), encode_policy(policy), sent=sent)

    def settle_revoked(self, terms: OrderTerms, *, sent: Sent | None = None) -> Receipt | None:
        """End a running order whose CVM was revoked; None where it has ended already.

        Raises:
            ContractRefusal: the CVM is not revoked, or the order does not run.
        """
        return self._end(terms, "settleRevoked", encode_order(terms), sent=sent)

    def cancel_late(self, terms: OrderTerms, *, sent: Sent | None = None) -> Receipt | None:
        """Cancel a placed order that nobody accepted in time; None where it has ended already.

        Raises:
            ContractRefusal: too early, or it was accepted.
        """
        return self._end(terms, "cancel", encode_order(terms), sent=sent)

    def poke(self, terms: OrderTerms, *, sent: Sent | None = None) -> Receipt | None:
        """Do what the order's deadline allows by now: cancel or expire; None where nothing is due.

        Raises:
            ContractRefusal: the chain moved on meanwhile.
        """
        record = self.reader.get_order(self._id(terms))
        deadline = deadline_of(record, terms.windows)
        if deadline is None or self.reader.now() <= deadline.at:
            return None
        late = record.state is OrderState.PLACED
        return self.cancel_late(terms, sent=sent) if late else self.expire(terms, sent=sent)

    def stop(self, terms: OrderTerms, signature: bytes, *, sent: Sent | None = None) -> Receipt | None:
        """Carry the client's signed stop; None where the order is stopping or has ended.

        Args:
            signature: by the client over `Stop`; empty where the client itself calls.
        Raises:
            ContractRefusal: not running, or not the client's signature.
        """
        return once(
            self.reader,
            self._id(terms),
            lambda record: record.state.terminal or record.state is OrderState.STOPPING,
            lambda: self.writer.call("OrderBook", "stop", encode_order(terms), signature, sent=sent),
        )

    def top_up(self, preimage: OrderPreimage, amount: int, *, sent: Sent | None = None) -> Receipt:
        """Add `amount` token units to an order's deposit. Repeating it adds again.

        Raises:
            BadInputError: the wallet holds too little.
            ContractRefusal: the order has ended, or is funded in full.
        """
        terms = preimage.terms
        pay_in(self.reader, self.writer, terms.token, self.reader.deployment.order_book, amount, sent)
        arguments = (encode_order(terms), encode_heads(preimage), amount)
        return self.writer.call("OrderBook", "topUp", *arguments, sent=sent)

    def pay_service(self, preimage: OrderPreimage, amount: int, *, sent: Sent | None = None) -> Receipt:
        """Pay `amount` token units as what a served order earned, split at once. Repeating it pays again.

        Offers with a revenue share get theirs, their parents' royalties taken out of it; the rest is the
        client's (protocol section 6.3).

        Raises:
            BadInputError: the wallet holds too little.
            ContractRefusal: the order does not run, or does not serve.
        """
        terms = preimage.terms
        pay_in(self.reader, self.writer, terms.token, self.reader.deployment.order_book, amount, sent)
        offers = (preimage.compute, *preimage.inputs)
        shared = [offer.price.revenue_bps != 0 for offer in offers]
        payees = [encode_payees(one.payees) if has else b"" for one, has in zip(offers, shared, strict=True)]
        lineages = [self._lineage(preimage, number) if has else b"" for number, has in enumerate(shared)]
        arguments = (encode_order(terms), encode_heads(preimage), payees, lineages, amount)
        return self.writer.call("OrderBook", "payService", *arguments, sent=sent)

    def equivocate(
        self,
        preimage: OrderPreimage,
        first: tuple[ReportSummary, bytes],
        second: tuple[ReportSummary, bytes],
        *,
        sent: Sent | None = None,
    ) -> Receipt:
        """Show two words that one CVM signed for one order where only one is possible; its desk is slashed.

        Args:
            first: a summary and its signature, 65 bytes.
            second: another for the same sequence, or a refusal beside a proof that the engine was entered.
        Raises:
            WireError: a malformed signature.
            ContractRefusal: the two words may stand beside each other, or were shown before.
        """
        words = (report_of(*first), report_of(*second))
        arguments = (encode_order(preimage.terms), encode_heads(preimage), *words)
        return self.writer.call("OrderBook", "equivocate", *arguments, sent=sent)

    def _lineage(self, preimage: OrderPreimage, number: int) -> bytes:
        if number == 0 or preimage.inputs[number - 1].lineage == ZERO32:
            return b""
        ref = preimage.terms.inputs[number - 1]
        return self.reader.get_offer(ref.offer, ref.version).lineage_proof

    def _end(self, terms: OrderTerms, function: str, *arguments: object, sent: Sent | None) -> Receipt | None:
        return once(
            self.reader,
            self._id(terms),
            lambda record: record.state.terminal,
            lambda: self.writer.call("OrderBook", function, *arguments, sent=sent),
        )

    def _id(self, terms: OrderTerms) -> bytes:
        return order_id(self.reader.deployment.order_domain, terms)
