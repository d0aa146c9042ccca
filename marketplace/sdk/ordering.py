"""An order before it exists: what is asked for, what it costs, and the one transaction that places it.

docs/protocol.md sections 6.1 and 6.3. The result's key pair is born here, and its private half is in the
keystore before anything is on chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.wire.orders import (
    Holdback,
    OrderPreimage,
    RuntimePolicy,
    Windows,
    config_digest,
    order_id,
)
from marketplace.domain.draft import NO_HOLDBACK, OrderDraft, default_windows, draft_order
from marketplace.domain.packet import MAX_CONFIG_BYTES, OrderPacket
from marketplace.domain.quote import Quote
from marketplace.domain.quote import quote as quote_of
from marketplace.errors import BadInputError
from marketplace.sdk.orderfile import OrderFile, result_key_name
from marketplace.sdk.sent import Sent
from marketplace.sdk.signedorder import SignedOrder

if TYPE_CHECKING:
    from marketplace.chain.clients import Clients
    from marketplace.domain.offer import ListedOffer
    from marketplace.sdk.profile import Session

__all__ = [
    "Draft",
    "OrderRequest",
    "PlacedOrder",
    "SignedOrder",
    "carry",
    "draft",
    "place",
    "quote",
    "sign",
    "sponsor",
]


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
        payer: who deposits and gets refunds, 20 bytes; None is this wallet. Another must sign, or place.
        leases: one lease id per input, 32 bytes, zero where there is none; empty for no leases.
        holdback: what of the compute price waits for this wallet's receipt.
    """

    compute: int
    inputs: Sequence[int]
    config: bytes
    max_seconds: int
    windows: Windows | None = None
    max_fee_bps: int | None = None
    deposit: int | None = None
    max_units: int = 0
    payer: bytes | None = None
    leases: Sequence[bytes] = ()
    holdback: Holdback = NO_HOLDBACK


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
    params = session.reader.params()
    windows = request.windows or default_windows(request.max_seconds, params)
    return quote_of(
        compute,
        inputs,
        params,
        max_seconds=request.max_seconds,
        max_units=request.max_units,
        grace=windows.grace,
        holdback_bps=request.holdback.bps,
        leases=request.leases,
    )


def draft(session: Session, request: OrderRequest, *, entropy: Entropy) -> tuple[Draft, bytes]:
    """Return the order ready to be placed, and the private key of its result: secret, for the keystore.

    Raises:
        BadInputError: something that the contract, a provider or this profile's trust would refuse.
    """
    from enclave_runtime.sealed.wrap import generate_keypair
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
        payer=request.payer,
        leases=request.leases,
        holdback=request.holdback,
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
    from marketplace.chain.refusals import ContractRefusal

    if request.payer not in (None, session.address):
        raise BadInputError(
            "payer",
            "another account",
            "this wallet",
            hint="sign the order, and let the payer or anybody carry it",
        )
    made, location = _keep(session, request, entropy)
    sent = Sent()
    try:
        _clients(session).place(made.preimage, made.packet.policy, location, sent=sent)
    except (BadInputError, ContractRefusal):
        OrderFile.forget(session.profile.orders, made.order_id)
        raise
    return PlacedOrder(made.order_id, sent.last, made.preimage.terms.deposit, sent.gas(session))


def sign(session: Session, request: OrderRequest, *, entropy: Entropy) -> SignedOrder:
    """Return an order signed by this wallet, its client, for a sponsor to pay and anybody to carry.

    The result's key is kept here; nothing is sent.

    Raises:
        As `place`, but for the balance.
    """
    made, location = _keep(session, request, entropy)
    signature = _clients(session).sign_order(made.preimage.terms)
    return SignedOrder(made.preimage, made.packet.policy, location, signature, b"")


def sponsor(session: Session, order: SignedOrder) -> SignedOrder:
    """Allow OrderBook the deposit and sign as the order's payer; anybody may carry what is returned.

    Raises:
        BadInputError: this wallet is not the payer, or holds too little.
    """
    terms = order.preimage.terms
    if terms.payer != session.address:
        raise BadInputError("payer", f"0x{terms.payer.hex()}", f"this wallet, 0x{session.address.hex()}")
    clients = _clients(session)
    clients.allow_deposit(terms)
    return replace(order, payer_signature=clients.sign_order(terms))


def carry(session: Session, order: SignedOrder) -> PlacedOrder:
    """Place an order that others signed; as its payer, this wallet pays the deposit too.

    Raises:
        BadInputError: an order that would be refused, or a payer that holds too little.
        ContractRefusal: a signature or an allowance is missing, or wrong.
    """
    clients, sent, terms = _clients(session), Sent(), order.preimage.terms
    if terms.payer == session.address:
        clients.allow_deposit(terms, sent=sent)
    mine = (
        (b"" if terms.client == session.address else order.client_signature),
        (b"" if session.address == terms.payer or terms.payer == terms.client else order.payer_signature),
    )
    clients.place_for(order.preimage, order.policy, order.location, *mine, sent=sent)
    return PlacedOrder(clients.order_id(terms), sent.last, terms.deposit, sent.gas(session))


def _keep(session: Session, request: OrderRequest, entropy: Entropy) -> tuple[Draft, str]:
    """Draft an order, and keep all that opening its result needs before anybody hears of it."""
    made, secret = draft(session, request, entropy=entropy)
    session.keystore().put_secret(result_key_name(made.order_id), secret)
    location = session.store.put([made.packet.to_bytes()])
    OrderFile(made.order_id, made.preimage, location).save(session.profile.orders)
    return made, location


def _clients(session: Session) -> Clients:
    from marketplace.chain.clients import Clients

    return Clients(session.reader, session.writer)


def _offers(session: Session, request: OrderRequest) -> tuple[ListedOffer, list[ListedOffer]]:
    if not request.inputs:
        raise BadInputError("inputs", "none", "the engine, then models and datasets")
    return session.reader.get_offer(request.compute), [
        session.reader.get_offer(one) for one in request.inputs
    ]
