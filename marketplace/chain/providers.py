"""What a provider does on chain with its wallet (register, stake) and its operator's hot key (run orders).

Protocol sections 4.5, 6.2 and 6.8. `Operators` is what the agent drives: every call may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from enclave_runtime.wire.codec import to_abi
from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys, Possession, cvm_id
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.orders import (
    OrderPreimage,
    OrderTerms,
    Phase,
    ReportSummary,
    RuntimePolicy,
    order_id,
)
from marketplace.chain.abicodec import AbiType, encode, list_of, struct_type, tuple_type
from marketplace.chain.hints import last_location
from marketplace.chain.once import once
from marketplace.chain.reader import PlacedOrder, Reader
from marketplace.chain.tokens import Token
from marketplace.chain.writer import Receipt, Sent, Writer
from marketplace.domain.offer import ListedOffer
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.errors import BadInputError

__all__ = ["Operators", "Providers", "quorum_evidence"]

PERMIT_GOOD_FOR_S = 1800
_REPORTED: Final = frozenset({OrderState.REFUSED, OrderState.COMPLETED, OrderState.FAILED, OrderState.HOST})


class Providers:
    """A provider's wallet: it owns compute offers and stake, and names the operator."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        """Take a view, and the provider's key."""
        self.reader = reader
        self.writer = writer

    def register(self, operator: bytes, *, sent: Sent | None = None) -> Receipt | None:
        """Become a provider with `operator` as hot key, or change the key; None where it already is so.

        Raises:
            ContractRefusal: the operator serves another provider.
        """
        known = self.reader.operator_of(self.writer.signer.address)
        if known == operator:
            return None
        function = "register" if known is None else "setOperator"
        return self.writer.call("ProviderRegistry", function, operator, sent=sent)

    def stake(self, token: bytes, amount: int, *, sent: Sent | None = None) -> Receipt:
        """Add stake, with a permit in the same transaction. Repeating it adds again.

        Raises:
            BadInputError: too small a balance, or a token without permits.
            ContractRefusal: not registered, or the token refuses.
        """
        registry, wallet = self.reader.deployment.provider_registry, self.writer.signer
        erc20 = Token(self.reader.node.rpc, self.reader.deployment.chain_id, token)
        held = erc20.balance_of(wallet.address)
        if held < amount:
            raise BadInputError(
                "token balance", f"{held} units", f"at least {amount}", hint="fund the wallet"
            )
        if erc20.allowance(wallet.address, registry) >= amount:
            return self.writer.call("ProviderRegistry", "stake", token, amount, sent=sent)
        deadline = self.reader.now() + PERMIT_GOOD_FOR_S
        v, r, s = erc20.permit(wallet, registry, amount, deadline)
        arguments = (token, amount, deadline, v, r, s)
        return self.writer.call("ProviderRegistry", "stakeWithPermit", *arguments, sent=sent)

    def ensure_stake(self, token: bytes, free: int, *, sent: Sent | None = None) -> Receipt | None:
        """Add stake until `free` is free; None where it is already. Safe to repeat."""
        missing = free - self.reader.stake_of(self.writer.signer.address, token).free
        return self.stake(token, missing, sent=sent) if missing > 0 else None

    def request_unstake(self, token: bytes, amount: int, *, sent: Sent | None = None) -> Receipt:
        """Start taking free stake out.

        Raises:
            ContractRefusal: not that much is free.
        """
        return self.writer.call("ProviderRegistry", "requestUnstake", token, amount, sent=sent)

    def finish_unstake(self, token: bytes, *, sent: Sent | None = None) -> Receipt:
        """Withdraw what was requested, after the unbonding time.

        Raises:
            ContractRefusal: too early, or nothing was requested.
        """
        return self.writer.call("ProviderRegistry", "finishUnstake", token, sent=sent)


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
        proof = Possession(cvm, operator, deployment.cvm_registry, challenge)
        evidence = quorum_evidence(deployment.certificate_domain, certificates)
        arguments = (to_abi(keys), to_abi(proof), possession, deployment.certifier_quorum, evidence)
        return self.writer.call("CvmRegistry", "register", *arguments, sent=sent)

    def retire_cvm(self, cvm: bytes, *, sent: Sent | None = None) -> Receipt:
        """Take a CVM out of service: no new acceptance and no start.

        Raises:
            ContractRefusal: another operator's, or retired already.
        """
        return self.writer.call("CvmRegistry", "retire", cvm, sent=sent)

    def accept(
        self, preimage: OrderPreimage, policy: RuntimePolicy, cvm: bytes, sent: Sent | None = None
    ) -> Receipt | None:
        """Accept a placed order with one CVM; None where that is done.

        Raises:
            ContractRefusal: a price, window, stake, runtime or certificate does not fit.
        """
        arguments = (to_abi(preimage), to_abi(policy), cvm)
        return self._once(preimage.terms, _moved_with(cvm), "accept", *arguments, sent=sent)

    def start(self, terms: OrderTerms, signature: bytes, sent: Sent | None = None) -> Receipt | None:
        """Submit the CVM's start; None where the order has started.

        Raises:
            ContractRefusal: too late, or the CVM is not good any more.
        """
        done = _beyond(OrderState.ACCEPTED)
        return self._once(terms, done, "start", to_abi(terms), signature, sent=sent)

    def checkpoint(
        self,
        terms: OrderTerms,
        summary: ReportSummary,
        signature: bytes,
        location: str,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Submit the CVM's checkpoint; None where it is on chain.

        Raises:
            ContractRefusal: not running, or not this CVM's word.
        """
        arguments = (to_abi(terms), to_abi(summary), signature, location)
        return self._once(terms, _in_engine_phase, "checkpoint", *arguments, sent=sent)

    def refuse(
        self,
        preimage: OrderPreimage,
        summary: ReportSummary,
        signature: bytes,
        location: str,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Submit the CVM's refusal; None where the order has ended.

        Raises:
            ContractRefusal: the engine has started, or not this CVM's word.
        """
        arguments = (to_abi(preimage), to_abi(summary), signature, location)
        receipt = self._once(preimage.terms, _ended, "refuse", *arguments, sent=sent)
        return receipt or self._locate(preimage.terms, location, sent)

    def complete(
        self,
        preimage: OrderPreimage,
        summary: ReportSummary,
        signature: bytes,
        location: str,
        sent: Sent | None = None,
    ) -> Receipt | None:
        """Submit the CVM's report; None where the order has ended.

        Raises:
            ContractRefusal: not running, or not this CVM's word.
        """
        arguments = (to_abi(preimage), to_abi(summary), signature, location)
        receipt = self._once(preimage.terms, _ended, "complete", *arguments, sent=sent)
        return receipt or self._locate(preimage.terms, location, sent)

    def _locate(self, terms: OrderTerms, location: str, sent: Sent | None) -> Receipt | None:
        """Say where the bundle lies where somebody else was faster with our report, and said otherwise."""
        order = order_id(self.reader.deployment.order_domain, terms)
        reported = self.reader.get_order(order).state in _REPORTED
        if not reported or not location or last_location(self.reader.history(order)) == location:
            return None
        return self.writer.call("OrderBook", "locate", order, location, sent=sent)

    def _once(
        self,
        terms: OrderTerms,
        done: Callable[[OrderRecord], bool],
        function: str,
        *arguments: object,
        sent: Sent | None,
    ) -> Receipt | None:
        return once(
            self.reader,
            order_id(self.reader.deployment.order_domain, terms),
            done,
            lambda: self.writer.call("OrderBook", function, *arguments, sent=sent),
        )


def quorum_evidence(domain: Domain, certificates: Sequence[tuple[CvmCertificate, bytes]]) -> bytes:
    """Return abi.encode(CvmCertificate[], bytes[]) in the rising order of signers that the quorum asks for.

    Raises:
        WireError: a signature that recovers no key.
    """
    from enclave_runtime.wire.signatures import recover_signer

    ordered = sorted(certificates, key=lambda pair: recover_signer(typed_digest(domain, pair[0]), pair[1]))
    lists = tuple_type((list_of(struct_type(CvmCertificate)), list_of(AbiType("bytes", 0, (), 0))))
    return encode(lists, ([to_abi(item) for item, _ in ordered], [signature for _, signature in ordered]))


def _moved_with(cvm: bytes) -> Callable[[OrderRecord], bool]:
    """Accepted for this CVM, or further: an order accepted for another CVM is not ours and is refused."""
    return lambda record: record.state not in (OrderState.NONE, OrderState.PLACED) and record.cvm_id == cvm


def _beyond(state: OrderState) -> Callable[[OrderRecord], bool]:
    return lambda record: record.state > state


def _in_engine_phase(record: OrderRecord) -> bool:
    return record.state.terminal or record.phase is Phase.ENGINE


def _ended(record: OrderRecord) -> bool:
    return record.state.terminal
