"""What a client does on chain: place, cancel, stop, answer for the result (protocol 6.1, 6.2, 6.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from enclave_runtime.wire.orders import (
    OrderPreimage,
    OrderTerms,
    RuntimePolicy,
    Stop,
    order_id,
)
from marketplace.chain.funds import PERMIT_GOOD_FOR_S, check_balance, pay_in, token_of
from marketplace.chain.once import once
from marketplace.chain.reader import Reader
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.order import Hold, check_order
from marketplace.domain.order_state import OrderState
from marketplace.domain.tight import encode_heads, encode_order
from marketplace.errors import BadInputError

__all__ = ["Clients"]


class Clients:
    """One client's orders; also what a sponsor or a relayer does for it."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the client's key."""
        self.reader = reader
        self.writer = writer

    def order_id(self, terms: OrderTerms) -> bytes:
        """Return the order id of `terms` on this market, 32 bytes."""
        return order_id(self.reader.deployment.order_domain, terms)

    # ------------------------------------------------------------------------------------------- placing
    def place(
        self,
        preimage: OrderPreimage,
        policy: RuntimePolicy,
        location: str,
        *,
        approve: bool = False,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Place an order and pay its deposit, in one transaction with a permit; None where that is done.

        Args:
            location: where the order's packet lies: a hint, at most 256 bytes.
            approve: for tokens without permits: approve in a transaction of its own first.
        Raises:
            BadInputError: an order that would be refused, too small a balance, or a token without permits.
            ContractRefusal: the contract refuses.
        """
        terms = preimage.terms
        if self._is_placed(terms):
            return None
        now = self.reader.now()
        check_order(preimage, policy, self.reader.params(), now=now)
        token = token_of(self.reader, terms.token)
        check_balance(token, self.writer.signer.address, terms.deposit)
        book, wallet = self.reader.deployment.order_book, self.writer.signer
        if token.allowance(wallet.address, book) < terms.deposit:
            if approve:
                token.approve(self.writer.sender, book, terms.deposit, sent)
            else:
                deadline = now + PERMIT_GOOD_FOR_S
                v, r, s = token.permit(wallet, book, terms.deposit, deadline)
                return self._place(terms, "placeWithPermit", location, deadline, v, r, s, sent=sent)
        return self._place(terms, "place", location, sent=sent)

    def place_batch(
        self,
        orders: Sequence[tuple[OrderPreimage, RuntimePolicy]],
        location: str,
        *,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Place several orders of this wallet in one transaction, all or none; None where all are placed.

        Their deposits move together, from an allowance that is given first where it is too small. Orders that
        are placed already are left out.

        Args:
            location: where the packets of all of them lie: a hint, at most 256 bytes.
        Raises:
            BadInputError: an order that would be refused, more than one token, or too small a balance.
            ContractRefusal: the contract refuses.
        """
        new = [(preimage, policy) for preimage, policy in orders if not self._is_placed(preimage.terms)]
        if not new:
            return None
        tokens = {preimage.terms.token for preimage, _ in new}
        if len(tokens) != 1:
            raise BadInputError("orders in one batch", f"deposits in {len(tokens)} tokens", "one token")
        now, params = self.reader.now(), self.reader.params()
        for preimage, policy in new:
            check_order(preimage, policy, params, now=now)
        total = sum(preimage.terms.deposit for preimage, _ in new)
        pay_in(self.reader, self.writer, tokens.pop(), self.reader.deployment.order_book, total, sent)
        packed = [encode_order(preimage.terms) for preimage, _ in new]
        return self.writer.call("OrderBook", "placeBatch", packed, location, sent=sent)

    def sign_order(self, terms: OrderTerms) -> bytes:
        """Return this wallet's signature over an order, 65 bytes: as its client or as its payer.

        The order id is the EIP-712 digest of the terms, so a wallet shows every term that it signs.
        """
        return self.writer.signer.sign_typed(self.reader.deployment.order_domain, terms)

    def allow_deposit(self, terms: OrderTerms, *, sent: Sent | None = None) -> None:
        """Let OrderBook take an order's deposit from this wallet, which is the payer's.

        Raises:
            BadInputError: the wallet holds too little.
        """
        book = self.reader.deployment.order_book
        pay_in(self.reader, self.writer, terms.token, book, terms.deposit, sent)

    def place_for(
        self,
        preimage: OrderPreimage,
        policy: RuntimePolicy,
        location: str,
        client_signature: bytes,
        payer_signature: bytes,
        *,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Carry an order that its client and its payer signed; None where it is placed already.

        Args:
            client_signature: empty where this wallet is the client.
            payer_signature: empty where this wallet is the payer, or the payer is the client.
        Raises:
            BadInputError: an order that would be refused, or a payer that holds too little.
            ContractRefusal: a signature or an allowance is missing.
        """
        terms = preimage.terms
        if self._is_placed(terms):
            return None
        check_order(preimage, policy, self.reader.params(), now=self.reader.now())
        check_balance(token_of(self.reader, terms.token), terms.payer, terms.deposit)
        arguments = (location, client_signature, payer_signature)
        return self._place(terms, "placeFor", *arguments, sent=sent)

    def cancel(self, terms: OrderTerms, *, sent: Sent | None = None) -> Receipt | None:
        """Take back an order that nobody accepted; None where it is cancelled already.

        Raises:
            ContractRefusal: it was accepted, or the caller is not the client and may not yet.
        """
        return once(
            self.reader,
            self.order_id(terms),
            lambda record: record.state is OrderState.CANCELLED,
            lambda: self.writer.call("OrderBook", "cancel", encode_order(terms), sent=sent),
        )

    # ------------------------------------------------------------------------------------------- running
    def stop(self, terms: OrderTerms, *, sent: Sent | None = None) -> Receipt | None:
        """Ask for the end of a running order: the CVM has `grace` to prove what it did; None where it is so.

        The transaction carries the signed stop, which the CVM takes for its engine's end.

        Raises:
            ContractRefusal: not running, or the caller is not the client.
        """
        order = self.order_id(terms)
        return once(
            self.reader,
            order,
            lambda record: record.state.terminal or record.state is OrderState.STOPPING,
            lambda: self.writer.call(
                "OrderBook", "stop", encode_order(terms), self.sign_stop(order), sent=sent
            ),
        )

    def sign_stop(self, order: bytes) -> bytes:
        """Return the client's signed stop, 65 bytes: anybody may carry it, the CVM ends its engine by it."""
        return self.writer.signer.sign_typed(self.reader.deployment.order_domain, Stop(order))

    def reclaim(self, preimage: OrderPreimage, amount: int, *, sent: Sent | None = None) -> Receipt:
        """Take out what an order does not need soon: credited to this wallet, which is the payer's.

        Raises:
            ContractRefusal: not the payer, or more than the order can spare.
        """
        arguments = (encode_order(preimage.terms), encode_heads(preimage), amount)
        return self.writer.call("OrderBook", "reclaim", *arguments, sent=sent)

    # ------------------------------------------------------------------------------------------- the end
    def receipt(
        self, terms: OrderTerms, signature: bytes = b"", *, sent: Sent | None = None
    ) -> Receipt | None:
        """Say that the client has its result, which frees what was held back; None where that is said.

        Args:
            signature: over `Receipt`, by the client; empty where this wallet is the client.
        Raises:
            ContractRefusal: not completed, contested, or not the client.
        """
        return self._answer(terms, Hold.RELEASED, "receipt", encode_order(terms), signature, sent=sent)

    def contest(self, terms: OrderTerms, *, sent: Sent | None = None) -> Receipt | None:
        """Say that the result was withheld: what was held back burns, and as much of the client's own.

        Raises:
            ContractRefusal: the window is over, a receipt was given, or not the client.
        """
        return self._answer(terms, Hold.CONTESTED, "contest", encode_order(terms), sent=sent)

    def again(self, terms: OrderTerms, salt: bytes, *, place_within_s: int = 3600) -> OrderTerms:
        """Return the same terms with a new salt and a new placeBefore: an order id is used once."""
        return replace(terms, salt=salt, place_before=self.reader.now() + place_within_s)

    def _is_placed(self, terms: OrderTerms) -> bool:
        return self.reader.get_order(self.order_id(terms)).state is not OrderState.NONE

    def _answer(
        self, terms: OrderTerms, hold: Hold, function: str, *arguments: object, sent: Sent | None
    ) -> Receipt | None:
        return once(
            self.reader,
            self.order_id(terms),
            lambda record: record.hold is hold,
            lambda: self.writer.call("OrderBook", function, *arguments, sent=sent),
        )

    def _place(
        self, terms: OrderTerms, function: str, *arguments: object, sent: Sent | None
    ) -> Receipt | None:
        return once(
            self.reader,
            self.order_id(terms),
            lambda record: record.state is not OrderState.NONE,
            lambda: self.writer.call("OrderBook", function, encode_order(terms), *arguments, sent=sent),
        )
