"""What a provider does on chain with its wallet (desks, stake) and its operator's hot key (run orders).

Protocol sections 4.5, 6.2 and 6.8. `Operators` is what the agent drives: every call may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys, Possession, cvm_id
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.orders import (
    OrderPreimage,
    OrderStart,
    OrderTerms,
    ReportSummary,
    RuntimePolicy,
    order_id,
)
from enclave_runtime.wire.scalars import ZERO32
from marketplace.chain.abicodec import AbiType, encode, tuple_type
from marketplace.chain.certificates import quorum_evidence
from marketplace.chain.funds import permit_for
from marketplace.chain.hints import last_location
from marketplace.chain.once import once
from marketplace.chain.reader import PlacedOrder, Reader
from marketplace.chain.reports import compact, numbers_of, report_of
from marketplace.chain.signedoffers import SignedBytes
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.offer import ListedOffer
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import deposit_required
from marketplace.domain.tight import encode_heads, encode_order, encode_policy
from marketplace.errors import BadInputError

__all__ = ["Operators", "Providers"]

_TWO_BYTES: Final = tuple_type((AbiType("bytes", 0, (), 0),) * 2)
_REPORTED: Final = frozenset(
    {OrderState.REFUSED, OrderState.COMPLETED, OrderState.FAILED, OrderState.HOST, OrderState.LAPSED}
)


class Providers:
    """A provider's wallet: it owns a compute offer, and rules the desks at which the offer takes orders."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the key of the offer's owner."""
        self.reader = reader
        self.writer = writer

    def open_desk(
        self,
        offer: int,
        token: bytes,
        operator: bytes,
        payee: bytes,
        capacity: int,
        *,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Open a desk for an offer in one token, or change the one that is there; None where it is so.

        Args:
            operator: the hot key that accepts orders.
            payee: receives stake that leaves.
            capacity: how many orders may run at once.
        Raises:
            ContractRefusal: another's offer, or no compute.
        """
        desk = self.reader.desk(offer, token)
        if not desk.is_open:
            arguments = (offer, token, operator, payee, capacity)
            return self.writer.call("ProviderRegistry", "openDesk", *arguments, sent=sent)
        last = None
        for known, wanted, function in (
            (desk.operator, operator, "setOperator"),
            (desk.payee, payee, "setPayee"),
            (desk.capacity, capacity, "setCapacity"),
        ):
            if known != wanted:
                last = self.writer.call("ProviderRegistry", function, offer, token, wanted, sent=sent)
        return last

    def set_operator(
        self, offer: int, token: bytes, operator: bytes, *, sent: Sent | None = None
    ) -> Receipt | None:
        """Name another hot key; None where it is named already."""
        if self.reader.desk(offer, token).operator == operator:
            return None
        return self.writer.call("ProviderRegistry", "setOperator", offer, token, operator, sent=sent)

    def set_payee(
        self, offer: int, token: bytes, payee: bytes, *, sent: Sent | None = None
    ) -> Receipt | None:
        """Name another receiver of stake that leaves; None where it is named already."""
        if self.reader.desk(offer, token).payee == payee:
            return None
        return self.writer.call("ProviderRegistry", "setPayee", offer, token, payee, sent=sent)

    def set_capacity(
        self, offer: int, token: bytes, capacity: int, *, sent: Sent | None = None
    ) -> Receipt | None:
        """Set how many orders may run at once, zero closes the desk; None where it is so already."""
        if self.reader.desk(offer, token).capacity == capacity:
            return None
        return self.writer.call("ProviderRegistry", "setCapacity", offer, token, capacity, sent=sent)

    def stake(self, offer: int, token: bytes, amount: int, *, sent: Sent | None = None) -> Receipt:
        """Add stake to a desk, with a permit in the same transaction. Repeating it adds again.

        Raises:
            BadInputError: too small a balance, or a token without permits.
            ContractRefusal: there is no such desk, or the token refuses.
        """
        registry = self.reader.deployment.provider_registry
        permit = permit_for(self.reader, self.writer, token, registry, amount)
        if permit is None:
            return self.writer.call("ProviderRegistry", "stake", offer, token, amount, sent=sent)
        arguments = (offer, token, amount, *permit)
        return self.writer.call("ProviderRegistry", "stakeWithPermit", *arguments, sent=sent)

    def ensure_stake(
        self, offer: int, token: bytes, free: int, *, sent: Sent | None = None
    ) -> Receipt | None:
        """Add stake until `free` is free; None where it is already. Safe to repeat."""
        missing = free - self.reader.desk(offer, token).free
        return self.stake(offer, token, missing, sent=sent) if missing > 0 else None

    def request_unstake(self, offer: int, token: bytes, amount: int, *, sent: Sent | None = None) -> Receipt:
        """Start taking free stake out.

        Raises:
            ContractRefusal: not that much is free, or another's desk.
        """
        return self.writer.call("ProviderRegistry", "requestUnstake", offer, token, amount, sent=sent)

    def finish_unstake(self, offer: int, token: bytes, *, sent: Sent | None = None) -> Receipt:
        """Send what was requested to the desk's payee, after the unbonding time.

        Raises:
            ContractRefusal: too early, or nothing was requested.
        """
        return self.writer.call("ProviderRegistry", "finishUnstake", offer, token, sent=sent)


class Operators:
    """The agent's view of the chain and its hot key; `marketplace.sdk.agent_chain` fits it to the agent."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the operator's key."""
        self.reader = reader
        self.writer = writer

    def now(self) -> int:
        """Return chain time, Unix seconds."""
        return self.reader.now()

    def domain(self) -> Domain:
        """Return the OrderBook's EIP-712 domain."""
        return self.reader.deployment.order_domain

    def cvm_registry(self) -> bytes:
        """Return the address of CvmRegistry, 20 bytes."""
        return self.reader.deployment.cvm_registry

    def placed_since(self, compute_offer: int, block: int) -> tuple[list[PlacedOrder], int]:
        """Return orders placed on `compute_offer` after `block`, and the last block looked at."""
        return self.reader.placed_since(compute_offer, block)

    def order(self, order: bytes) -> OrderRecord:
        """Return the stored facts of an order."""
        return self.reader.get_order(order)

    def offer(self, offer: int, version: int) -> ListedOffer:
        """Return an offer version with its terms and manifest location."""
        return self.reader.get_offer(offer, version)

    def cvm_number(self, cvm: bytes) -> int:
        """Return the number of a CVM in CvmRegistry; zero where it is not registered."""
        return self.reader.cvm_index(cvm)

    def certifier_threshold(self) -> int:
        """Return how many certifiers must vouch for a CVM."""
        threshold: int = self.reader.node.view("CertifierQuorum", "threshold")
        return threshold

    def cvm_usable(self, cvm: bytes, until: int) -> bool:
        """Return whether a CVM is proven, not revoked, and good beyond Unix time `until`."""
        record = self.reader.cvm(cvm)
        return record is not None and record.usable(until)

    def register_cvm(
        self,
        keys: CvmKeys,
        operator: bytes,
        challenge: bytes,
        possession: bytes,
        certificates: Sequence[tuple[CvmCertificate, bytes]],
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Put certificates and the proof of possession on chain; None where they are there already.

        Args:
            challenge: the one in `possession`.
            possession: the CVM's signature over `Possession`.
            certificates: of enough certifiers, in any order, each with its signature.
        Raises:
            BadInputError: there is no certificate.
            ContractRefusal: the registry or the quorum refuses.
        """
        if not certificates:
            raise BadInputError("certificates", "none", "as many as the quorum asks for")
        cvm = cvm_id(keys)
        known = self.reader.cvm(cvm)
        if (
            known is not None
            and not known.revoked
            and known.expires_at >= min(item.expires_at for item, _ in certificates)
        ):
            return None
        deployment = self.reader.deployment
        evidence = quorum_evidence(deployment.certificate_domain, certificates)
        if known is not None and known.operator == operator and known.signer == keys.signer:
            renewal = (known.cvm, deployment.certifier_quorum, evidence)
            return self.writer.call("CvmRegistry", "renew", *renewal, sent=sent)
        proof = Possession(cvm, operator, deployment.cvm_registry, challenge)
        arguments = (to_abi(keys), to_abi(proof), possession, deployment.certifier_quorum, evidence)
        return self.writer.call("CvmRegistry", "register", *arguments, sent=sent)

    def retire_cvm(self, cvm: bytes, *, sent: Sent | None = None) -> Receipt:
        """Take a CVM out of service: no new acceptance and no start.

        Raises:
            ContractRefusal: another operator's, or retired already.
        """
        return self.writer.call("CvmRegistry", "retire", cvm, sent=sent)

    def accept(
        self, preimage: OrderPreimage, policy: RuntimePolicy, cvm: int, sent: Sent | None = None
    ) -> Receipt | None:
        """Accept a placed order with one CVM, by its number; None where that is done.

        Raises:
            ContractRefusal: a price, window, stake, runtime or certificate does not fit.
        """
        if preimage.terms.deposit < deposit_required(preimage):
            return self.accept_with(preimage, policy, cvm, sent=sent)
        order = self._id(preimage.terms)
        arguments = (encode_order(preimage.terms), encode_heads(preimage), encode_policy(policy), cvm)
        return self._once(order, _moved_with(cvm), "accept", *arguments, sent=sent)

    def accept_with(
        self,
        preimage: OrderPreimage,
        policy: RuntimePolicy,
        cvm: int,
        *,
        proofs: Mapping[int, bytes] | None = None,
        signed: Mapping[int, SignedBytes] | None = None,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Accept an order with restricted offers, offers by signature, or a deposit for fewer seconds.

        Args:
            proofs: by the offer's number (0 compute), that the order is among those it admits.
            signed: by the offer's number, the owner's word where the offer is not listed.
        Raises:
            ContractRefusal: as `accept`, or a proof or signature does not count.
        """
        count = len(preimage.inputs) + 1
        words = [(signed or {}).get(number) for number in range(count)]
        arguments = (
            encode_order(preimage.terms),
            encode_heads(preimage),
            encode_policy(policy),
            cvm,
            (
                [(proofs or {}).get(number, b"") for number in range(count)],
                [b"" if one is None else encode(_TWO_BYTES, (one.signed, one.signature)) for one in words],
            ),
        )
        order = self._id(preimage.terms)
        return self._once(order, _moved_with(cvm), "acceptWith", *arguments, sent=sent)

    def start(self, start: OrderStart, signature: bytes, sent: Sent | None = None) -> Receipt | None:
        """Submit the CVM's start; None where the order has started.

        Raises:
            ContractRefusal: too late, or the CVM is not good any more.
        """
        arguments = (start.order_id, start.cvm_id, start.inputs_root, *compact(signature))
        return self._once(start.order_id, _beyond(OrderState.ACCEPTED), "start", *arguments, sent=sent)

    def checkpoint(
        self, summary: ReportSummary, signature: bytes, sent: Sent | None = None
    ) -> Receipt | None:
        """Submit the CVM's checkpoint; None where the chain has its sequence or a later one.

        Raises:
            ContractRefusal: not running, or not this CVM's word.
        """
        order, done = summary.order_id, _proven(summary.sequence)
        said, signed = (order, numbers_of(summary)), compact(signature)
        if summary.statement_digest == ZERO32:
            return self._once(order, done, "checkpoint", *said, *signed, sent=sent)
        return self._once(order, done, "enterEngine", *said, summary.statement_digest, *signed, sent=sent)

    def refuse(
        self,
        terms: OrderTerms,
        summary: ReportSummary,
        signature: bytes,
        location: str,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Submit the CVM's refusal; None where the order has ended.

        Raises:
            ContractRefusal: the engine has started, or not this CVM's word.
        """
        return self._report("refuse", terms, summary, signature, location, sent)

    def complete(
        self,
        terms: OrderTerms,
        summary: ReportSummary,
        signature: bytes,
        location: str,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Submit the CVM's report; None where the order has ended.

        Raises:
            ContractRefusal: not running, or not this CVM's word.
        """
        return self._report("complete", terms, summary, signature, location, sent)

    def expire(self, terms: OrderTerms, sent: Sent | None = None) -> Receipt | None:
        """End an order whose grace is over; None where it has ended.

        Raises:
            ContractRefusal: too early, or its CVM was revoked.
        """
        return self._once(self._id(terms), _ended, "expire", encode_order(terms), sent=sent)

    def claim_rest(self, preimage: OrderPreimage, sent: Sent | None = None) -> Receipt | None:
        """Settle an ended order, which frees what is left of the provider's lock; None where that is done.

        Raises:
            ContractRefusal: the order has not ended, or a holdback is pending.
        """
        order = self._id(preimage.terms)
        arguments = (encode_order(preimage.terms), encode_heads(preimage))
        return self._once(order, lambda record: record.rest_claimed, "claimRest", *arguments, sent=sent)

    def _report(
        self,
        function: str,
        terms: OrderTerms,
        summary: ReportSummary,
        signature: bytes,
        location: str,
        sent: Sent | None,
    ) -> Receipt | None:
        arguments = (encode_order(terms), report_of(summary, signature), location)
        receipt = self._once(self._id(terms), _ended, function, *arguments, sent=sent)
        return receipt or self._locate(terms, location, sent)

    def _locate(self, terms: OrderTerms, location: str, sent: Sent | None) -> Receipt | None:
        """Say where the bundle lies where somebody else was faster with our report, and said otherwise."""
        order = self._id(terms)
        reported = self.reader.get_order(order).state in _REPORTED
        if not reported or not location or last_location(self.reader.history(order)) == location:
            return None
        return self.writer.call("OrderBook", "locate", order, location, sent=sent)

    def _id(self, terms: OrderTerms) -> bytes:
        return order_id(self.reader.deployment.order_domain, terms)

    def _once(
        self,
        order: bytes,
        done: Callable[[OrderRecord], bool],
        function: str,
        *arguments: object,
        sent: Sent | None,
    ) -> Receipt | None:
        return once(
            self.reader,
            order,
            done,
            lambda: self.writer.call("OrderBook", function, *arguments, sent=sent),
        )


def _moved_with(cvm: int) -> Callable[[OrderRecord], bool]:
    """Accepted for this CVM, or further: an order accepted for another CVM is not ours and is refused."""
    return lambda record: record.state not in (OrderState.NONE, OrderState.PLACED) and record.cvm == cvm


def _beyond(state: OrderState) -> Callable[[OrderRecord], bool]:
    return lambda record: record.state > state


def _proven(sequence: int) -> Callable[[OrderRecord], bool]:
    return lambda record: record.state.terminal or record.sequence >= sequence


def _ended(record: OrderRecord) -> bool:
    return record.state.terminal
