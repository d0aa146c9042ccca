"""Claims and withdrawals, many in one transaction (protocol 6.7): a bad one is left out, the others stand.

What is due is credited first and leaves by a withdrawal of its own. Everything here may be repeated: what was
claimed before is not asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from enclave_runtime.wire.offers import Payee
from enclave_runtime.wire.orders import OrderPreimage, Phase
from enclave_runtime.wire.scalars import ZERO32
from marketplace.chain.artifacts import contract
from marketplace.chain.reader import Reader
from marketplace.chain.refusals import refusal_of
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.order import REST_BIT, Hold, OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.domain.owed import hold_at
from marketplace.domain.settlement import bit_name
from marketplace.domain.tight import encode_calls, encode_claim, encode_heads, encode_order

__all__ = ["Claim", "Claims", "Collected", "Failure", "Movement", "royalties_of"]

_WITHDRAWAL: Final = -1
_NUMBER: Final = 224
_GROSS: Final = (1 << _NUMBER) - 1
"""Of `Claimed.credited` (IOrderBook): the gross dues. Above: the offer's number, `last`, the event's."""
_ITEMS_AT_ONCE: Final = 40
"""Calls in one batch: some three million gas, a fraction of any block."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One call of a batch: what it does in words, and its calldata.

    Attributes:
        order_id: 32 bytes; empty for a withdrawal.
        offer: number of the order's offer (0 compute), `REST_BIT` for the rest, -1 for a withdrawal.
    """

    order_id: bytes
    offer: int
    words: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Movement:
    """Tokens that left the contract, or the gross dues that an order's claim credited.

    Attributes:
        account: who was paid, 20 bytes; empty for a claim.
        what: "withdrawn", or the claim in words.
        amount: in the token's smallest unit; of a claim the gross dues so far, with what was drawn before.
    """

    account: bytes
    what: str
    amount: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A call of a batch that was left out, and the contract's reason."""

    words: str
    reason: str


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection came to; all empty where nothing was to be had."""

    txs: tuple[str, ...] = ()
    gas: int = 0
    claimed: tuple[Movement, ...] = ()
    paid: tuple[Movement, ...] = ()
    failed: tuple[Failure, ...] = ()

    def __add__(self, other: Collected) -> Collected:
        """Return both together."""
        return Collected(
            self.txs + other.txs,
            self.gas + other.gas,
            self.claimed + other.claimed,
            self.paid + other.paid,
            self.failed + other.failed,
        )


class Claims:
    """Claims for everybody: any funded key will do, since each amount has its receiver."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and a key that pays the gas."""
        self.reader = reader
        self.writer = writer

    def open_claims(
        self, preimage: OrderPreimage, record: OrderRecord, wanted: Callable[[int], bool] = lambda _: True
    ) -> list[Claim]:
        """Return the claims of an order that can be made now, the rest first where the others wait for it.

        Args:
            wanted: tells by an offer's number (0 compute), or by `REST_BIT`, whether to claim it.
        """
        if record.state in (OrderState.NONE, OrderState.PLACED, OrderState.ACCEPTED):
            return []
        rest = self._rest(preimage, record)
        open_ = [] if rest is None or not wanted(REST_BIT) else [rest]
        if record.state is OrderState.EXPIRED and not record.rest_claimed and not open_:
            return []  # what inputs are due is known when the lock has paid
        for number in range(len(preimage.inputs) + 1):
            open_here = not record.is_claimed(number) and wanted(number)
            if open_here and self._may_be_due(preimage, record, number):
                open_.append(self._offer(preimage, record, number))
        return open_

    def withdrawal(self, account: bytes, token: bytes) -> Claim:
        """Return the call that sends an account all that it has credited, to itself."""
        data = contract("OrderBook").functions["withdraw"].call(token, account)
        return Claim(b"", _WITHDRAWAL, f"withdraw for 0x{account.hex()}", data)

    def send(self, claims: Sequence[Claim], *, sent: Sent | None = None) -> Collected:
        """Make calls, in as few transactions as reasonable; return what they came to.

        Raises:
            ContractRefusal: the batch as a whole is refused, which a bad item does not cause.
            ChainError: no usable answer.
        """
        whole = Collected()
        for start in range(0, len(claims), _ITEMS_AT_ONCE):
            part = claims[start : start + _ITEMS_AT_ONCE]
            receipt = self.writer.call(
                "OrderBook", "batch", encode_calls([one.data for one in part]), sent=sent
            )
            whole += self._outcome(part, receipt)
        return whole

    def collect(
        self,
        orders: Iterable[tuple[OrderPreimage, OrderRecord]],
        accounts: Callable[[bytes], bool] = lambda _: True,
        wanted: Callable[[OrderPreimage, int], bool] = lambda _preimage, _number: True,
        *,
        sent: Sent | None = None,
    ) -> Collected:
        """Claim what `orders` owe, then withdraw for every account that has credit; safe to repeat.

        Args:
            accounts: tells whether an account's credit is withdrawn.
            wanted: tells whether an order's offer, or its rest (`REST_BIT`), is claimed.
        Raises:
            ContractRefusal, ChainError: as `send`.
        """
        calls: list[Claim] = []
        receivers: dict[tuple[bytes, bytes], None] = {}
        for preimage, record in orders:
            claims = self.open_claims(preimage, record, partial(wanted, preimage))
            calls += claims
            due = self._receivers(preimage, record, {one.offer for one in claims})
            receivers |= dict.fromkeys((account, preimage.terms.token) for account in due)
            receivers |= dict.fromkeys(self.credited(preimage, record, accounts))
        calls += [self.withdrawal(*pair) for pair in receivers if accounts(pair[0])]
        return self.send(calls, sent=sent) if calls else Collected()

    def credited(
        self, preimage: OrderPreimage, record: OrderRecord, accounts: Callable[[bytes], bool]
    ) -> list[tuple[bytes, bytes]]:
        """Return (account, token) of those receivers of an order that have credit by now."""
        everything = {*range(len(preimage.inputs) + 1), REST_BIT}
        asked = [one for one in self._receivers(preimage, record, everything) if accounts(one)]
        token = preimage.terms.token
        held = self.reader.node.views([("OrderBook", "creditOf", (token, one)) for one in asked])
        return [(account, token) for account, credit in zip(asked, held, strict=True) if credit]

    def withdraw_all(
        self,
        accounts: Iterable[tuple[bytes, bytes]],
        wanted: Callable[[bytes], bool] = lambda _: True,
        *,
        sent: Sent | None = None,
    ) -> Collected:
        """Withdraw for each (account, token) that has credit."""
        asked = [pair for pair in dict.fromkeys(accounts) if wanted(pair[0])]
        held = self.reader.node.views(
            [("OrderBook", "creditOf", (token, account)) for account, token in asked]
        )
        due = [self.withdrawal(*pair) for pair, credit in zip(asked, held, strict=True) if credit]
        return self.send(due, sent=sent) if due else Collected()

    # ------------------------------------------------------------------------------------------- parts
    def _rest(self, preimage: OrderPreimage, record: OrderRecord) -> Claim | None:
        if not record.state.terminal or record.rest_claimed:
            return None
        if record.state is OrderState.CANCELLED:
            return None  # cancelling credited the payer
        if self._waits(preimage, record):
            return None
        data = contract("OrderBook").functions["claimRest"]
        return Claim(
            record.order_id,
            REST_BIT,
            bit_name(REST_BIT),
            data.call(encode_order(preimage.terms), encode_heads(preimage)),
        )

    def _receivers(self, preimage: OrderPreimage, record: OrderRecord, parts: Collection[int]) -> list[bytes]:
        """Return the accounts that these parts of an order pay: parents, payees; payer, client, treasury."""
        royalties, terms = royalties_of(self.reader, preimage), preimage.terms
        found: list[bytes] = []
        for number, offer in enumerate((preimage.compute, *preimage.inputs)):
            if number in parts:
                found += [one.account for one in (*royalties.get(number, ()), *offer.payees)]
        if REST_BIT in parts:
            missed_start = record.state is OrderState.EXPIRED and record.phase is Phase.NONE
            found += [terms.payer, *([terms.client] if missed_start else [])]
            if record.params_version:
                found.append(self.reader.params(record.params_version).treasury)
        return list(dict.fromkeys(found))

    def _waits(self, preimage: OrderPreimage, record: OrderRecord) -> bool:
        """Return whether the client may still contest a completed order."""
        pending = hold_at(preimage.terms, record, self.reader.now()) is Hold.PENDING
        return record.state is OrderState.COMPLETED and pending

    def _may_be_due(self, preimage: OrderPreimage, record: OrderRecord, number: int) -> bool:
        """An order under way pays again only where something was proven since: the chain tells what is."""
        gross, claimed = self.reader.due_of(preimage, number)
        if gross > claimed:
            return True
        # What rounding kept from the last receiver is paid once nothing more can be due.
        is_final = record.state.terminal and (number > 0 or not self._waits(preimage, record))
        return is_final and gross > 0

    def _offer(self, preimage: OrderPreimage, record: OrderRecord, number: int) -> Claim:
        terms = (preimage.compute, *preimage.inputs)[number]
        lineage = b""
        if number and terms.lineage != ZERO32:
            ref = preimage.terms.inputs[number - 1]
            lineage = self.reader.get_offer(ref.offer, ref.version).lineage_proof
        data = contract("OrderBook").functions["claim"]
        arguments = (encode_order(preimage.terms), encode_claim(number, terms, lineage))
        return Claim(record.order_id, number, bit_name(number), data.call(*arguments))

    def _outcome(self, part: Sequence[Claim], receipt: Receipt) -> Collected:
        claimed: list[Movement] = []
        paid: list[Movement] = []
        failed: list[Failure] = []
        for name, members in self._events(receipt):
            if name == "Withdrawn":
                paid.append(Movement(members["account"], "withdrawn", members["amount"]))
            elif name == "Claimed":
                credited = members["credited"]
                number = credited >> _NUMBER & 0xFF
                claimed.append(Movement(b"", bit_name(number), credited & _GROSS))
            elif name == "BatchItemFailed" and members["index"] < len(part):
                refused, call = refusal_of(members["reason"]), part[members["index"]]
                if call.offer == _WITHDRAWAL and refused.name == "Ledger_NothingCredited":
                    continue  # a share that came to nothing, or somebody was quicker
                failed.append(Failure(call.words, str(refused)))
        return Collected((receipt.tx_hash,), receipt.gas_used, tuple(claimed), tuple(paid), tuple(failed))

    def _events(self, receipt: Receipt) -> Iterable[tuple[str, dict[str, Any]]]:
        book, address = contract("OrderBook"), self.reader.deployment.order_book
        for source, topics, data in receipt.logs:
            event = book.event_of(topics[0]) if source == address and topics else None
            if event is not None:
                yield event.name, event.read(list(topics), data)


def royalties_of(reader: Reader, preimage: OrderPreimage) -> dict[int, tuple[Payee, ...]]:
    """Return what parents get of each derived model among an order's inputs, by the offer's number."""
    return {
        number: reader.get_offer(ref.offer, ref.version).royalties
        for number, (ref, offer) in enumerate(
            zip(preimage.terms.inputs, preimage.inputs, strict=True), start=1
        )
        if offer.lineage != ZERO32
    }
