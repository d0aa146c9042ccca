"""An order before it exists: what is asked for, what it costs, and the one transaction that places it.

docs/protocol.md sections 6.1 and 6.3. The result's key pair is born here, and its private half is in the
keystore before anything is on chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.wire.orders import OrderPreimage, RuntimePolicy, Windows, config_digest, order_id
from marketplace.domain.packet import MAX_CONFIG_BYTES, OrderPacket
from marketplace.domain.quote import Quote
from marketplace.domain.quote import quote as quote_of
from marketplace.errors import BadInputError
from marketplace.sdk.orderfile import OrderFile, result_key_name
from marketplace.sdk.sent import Sent

if TYPE_CHECKING:
    from marketplace.domain.offer import ListedOffer
    from marketplace.sdk.profile import Session

__all__ = ["Draft", "OrderRequest", "PlacedOrder", "draft", "place", "quote"]


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for.

    Attributes:
        compute: the provider's compute offer, its newest version.
        inputs: offers: the engine first, then models and datasets.
        config: the exact bytes that the engine reads; the provider sees them.
        max_seconds: the longest run that is paid for.
        windows: deadlines; None takes safe ones.
        max_fee_bps: the highest protocol fee; None takes the one in force.
        deposit: token units in escrow; None takes what is required.
        max_units: most metered units that are paid for.
    """

    compute: int
    inputs: Sequence[int]
    config: bytes
    max_seconds: int
    windows: Windows | None = None
    max_fee_bps: int | None = None
    deposit: int | None = None
    max_units: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that is ready to be placed; nothing of it has left this machine."""

    order_id: bytes
    preimage: OrderPreimage
    packet: OrderPacket


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """An order that is on chain; `deposit` in token units, `gas` of the transaction."""

    order_id: bytes
    tx: str
    deposit: int
    gas: int


def quote(session: Session, request: OrderRequest) -> Quote:
    """Return what the order would cost, at most and at least; asks the chain, tells it nothing.

    Raises:
        NotFoundError: an offer that does not exist.
    """
    compute, inputs = _offers(session, request)
    return quote_of(
        compute,
        inputs,
        session.reader.params(),
        max_seconds=request.max_seconds,
        max_units=request.max_units,
    )


def draft(session: Session, request: OrderRequest, *, entropy: Entropy) -> tuple[Draft, bytes]:
    """Return the order ready to be placed, and the private key of its result: secret, for the keystore.

    Raises:
        BadInputError: something that the contract, a provider or this profile's trust would refuse.
    """
    from enclave_runtime.sealed.wrap import generate_keypair
    from marketplace.domain.draft import OrderDraft, draft_order
    from marketplace.sdk.trust import order_policy

    if len(request.config) > MAX_CONFIG_BYTES:
        raise BadInputError("configuration", f"{len(request.config)} bytes", f"at most {MAX_CONFIG_BYTES}")
    compute, inputs = _offers(session, request)
    key, config_salt = generate_keypair(entropy), entropy(32)
    policy: RuntimePolicy = order_policy(session.profile.trust)
    wanted = OrderDraft(
        client=session.address,
        compute=compute,
        inputs=inputs,
        config_digest=config_digest(request.config, config_salt),
        result_key_digest=key.public_digest,
        policy=policy,
        max_seconds=request.max_seconds,
        salt=entropy(32),
        max_units=request.max_units,
        windows=request.windows,
        deposit=request.deposit,
        max_fee_bps=request.max_fee_bps,
    )
    preimage = draft_order(wanted, session.reader.params(), now=session.reader.now())
    identity = order_id(session.deployment.order_domain, preimage.terms)
    packet = OrderPacket(request.config, config_salt, key.public_bytes, policy)
    return Draft(identity, preimage, packet), key.to_bytes()


def place(session: Session, request: OrderRequest, *, entropy: Entropy) -> PlacedOrder:
    """Place an order with its deposit, in one transaction with an ERC-20 permit.

    Args:
        entropy: gives the result's key, the salts of configuration and order.
    Raises:
        BadInputError: as `draft`, or the wallet holds too little.
        ContractRefusal: the contract refused; nothing was paid.
        MarketError: the chain or the store did not work out.
    """
    from marketplace.chain.clients import Clients
    from marketplace.chain.refusals import ContractRefusal

    made, secret = draft(session, request, entropy=entropy)
    session.keystore().put_secret(result_key_name(made.order_id), secret)
    location = session.store.put([made.packet.to_bytes()])
    OrderFile(made.order_id, made.preimage, location).save(session.profile.orders)
    sent = Sent()
    clients = Clients(session.reader, session.writer)
    try:
        clients.place(made.preimage, made.packet.policy, location, sent=sent)
    except (BadInputError, ContractRefusal):
        OrderFile.forget(session.profile.orders, made.order_id)
        raise
    return PlacedOrder(made.order_id, sent.last, made.preimage.terms.deposit, sent.gas(session))


def _offers(session: Session, request: OrderRequest) -> tuple[ListedOffer, list[ListedOffer]]:
    if not request.inputs:
        raise BadInputError("inputs", "none", "the engine, then models and datasets")
    return session.reader.get_offer(request.compute), [
        session.reader.get_offer(one) for one in request.inputs
    ]
