"""What a client does on chain: place with one transaction, cancel, stop (protocol sections 6.1 and 6.2)."""

from __future__ import annotations

from dataclasses import replace

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.orders import OrderPreimage, OrderTerms, RuntimePolicy, Stop, order_id
from marketplace.chain.once import once
from marketplace.chain.reader import Reader
from marketplace.chain.tokens import Token
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.order import check_order
from marketplace.domain.order_state import OrderState
from marketplace.errors import BadInputError

__all__ = ["Clients"]

PERMIT_GOOD_FOR_S = 1800


class Clients:
    """One client's orders."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the client's key."""
        self.reader = reader
        self.writer = writer

    def order_id(self, terms: OrderTerms) -> bytes:
        """Return the order id of `terms` on this market, 32 bytes."""
        return order_id(self.reader.deployment.order_domain, terms)

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
        order = self.order_id(terms)
        if self.reader.get_order(order).state is not OrderState.NONE:
            return None
        now = self.reader.now()
        check_order(preimage, policy, self.reader.params(), now=now)
        token = Token(self.reader.node.rpc, self.reader.deployment.chain_id, terms.token)
        self._check_balance(token, terms.deposit)
        book, wallet = self.reader.deployment.order_book, self.writer.signer
        arguments = (to_abi(terms), location)
        if token.allowance(wallet.address, book) < terms.deposit:
            if approve:
                token.approve(self.writer.sender, book, terms.deposit, sent)
            else:
                deadline = now + PERMIT_GOOD_FOR_S
                v, r, s = token.permit(wallet, book, terms.deposit, deadline)
                return self._place(order, "placeWithPermit", *arguments, deadline, v, r, s, sent=sent)
        return self._place(order, "place", *arguments, sent=sent)

    def cancel(self, terms: OrderTerms, *, sent: Sent | None = None) -> Receipt | None:
        """Take back an order that nobody accepted; None where it is cancelled already.

        Raises:
            ContractRefusal: it was accepted, or the caller is not the client and may not yet.
        """
        return once(
            self.reader,
            self.order_id(terms),
            lambda record: record.state is OrderState.CANCELLED,
            lambda: self.writer.call("OrderBook", "cancel", to_abi(terms), sent=sent),
        )

    def stop(self, preimage: OrderPreimage, *, sent: Sent | None = None) -> Receipt | None:
        """End a running order and pay the time until now; None where it has ended already.

        Raises:
            ContractRefusal: not running, or the caller is not the client.
        """
        return once(
            self.reader,
            self.order_id(preimage.terms),
            lambda record: record.state.terminal,
            lambda: self.writer.call("OrderBook", "stop", to_abi(preimage), sent=sent),
        )

    def sign_stop(self, order: bytes) -> bytes:
        """Return the client's word by which the CVM ends its engine; the contract does not take it."""
        return self.writer.signer.sign_typed(self.reader.deployment.order_domain, Stop(order))

    def again(self, terms: OrderTerms, salt: bytes, *, place_within_s: int = 3600) -> OrderTerms:
        """Return the same terms with a new salt and a new placeBefore: an order id is used once."""
        return replace(terms, salt=salt, place_before=self.reader.now() + place_within_s)

    def _place(self, order: bytes, function: str, *arguments: object, sent: Sent | None) -> Receipt | None:
        return once(
            self.reader,
            order,
            lambda record: record.state is not OrderState.NONE,
            lambda: self.writer.call("OrderBook", function, *arguments, sent=sent),
        )

    def _check_balance(self, token: Token, deposit: int) -> None:
        held = token.balance_of(self.writer.signer.address)
        if held < deposit:
            raise BadInputError(
                "token balance", f"{held} units", f"at least the deposit of {deposit}", hint="fund the wallet"
            )
