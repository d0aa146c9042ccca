"""What a provider does: list compute, open its desk, stake, run its agent (docs/protocol.md 6.2 and 6.8).

The wallet of the profile owns the compute offer and rules its desk. The agent has a profile of its own, whose
key is the operator's: a hot key that accepts orders and moves no money.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.offers import OfferKind, Payee, Price
from marketplace.domain.offer import compute_terms, kind_in, sole_payee
from marketplace.errors import BadInputError
from marketplace.sdk.author import Published, list_terms

if TYPE_CHECKING:
    from marketplace.chain.providers import Providers
    from marketplace.chain.reader import Desk
    from marketplace.provider.agent import Agent
    from marketplace.provider.reducer import StepKind
    from marketplace.sdk.profile import Session

__all__ = [
    "Done",
    "build_agent",
    "compute_offers",
    "desk_of",
    "desk_offer",
    "finish_unstake",
    "list_compute",
    "open_desk",
    "run_agent",
    "set_capacity",
    "set_operator",
    "set_payee",
    "stake",
    "unstake",
]

DEFAULT_CAPACITY: Final = 16


@dataclass(frozen=True, slots=True)
class Done:
    """What a call came to: its transaction's hash, empty where nothing was left to do, and its gas."""

    tx: str
    gas: int


def open_desk(
    session: Session,
    offer: int,
    operator: bytes,
    *,
    payee: bytes | None = None,
    capacity: int = DEFAULT_CAPACITY,
    token: bytes | None = None,
) -> Done:
    """Open the desk at which a compute offer takes orders in a token, or change the one that is there.

    Args:
        operator: the hot key that accepts orders and moves no money.
        payee: receives stake that leaves; None is this wallet.
        capacity: how many orders may run at once.
        token: None means the market's own.
    Raises:
        ContractRefusal: not this wallet's offer, or no compute.
    """
    arguments = (offer, _token(session, token), operator, payee or session.address, capacity)
    return _done(session, _providers(session).open_desk(*arguments))


def set_operator(session: Session, offer: int, operator: bytes, token: bytes | None = None) -> Done:
    """Give a desk another hot key; the previous one accepts nothing from now on."""
    return _done(session, _providers(session).set_operator(offer, _token(session, token), operator))


def set_payee(session: Session, offer: int, payee: bytes, token: bytes | None = None) -> Done:
    """Name another receiver of stake that leaves a desk."""
    return _done(session, _providers(session).set_payee(offer, _token(session, token), payee))


def set_capacity(session: Session, offer: int, capacity: int, token: bytes | None = None) -> Done:
    """Set how many orders of a desk may run at once; zero closes it. Orders under way go on."""
    return _done(session, _providers(session).set_capacity(offer, _token(session, token), capacity))


def stake(session: Session, offer: int, amount: int, token: bytes | None = None) -> Done:
    """Add stake to a desk, with a permit in the same transaction.

    Raises:
        BadInputError: the wallet holds too little, or the token knows no permits.
        ContractRefusal: there is no such desk.
    """
    return _done(session, _providers(session).stake(offer, _token(session, token), amount))


def unstake(session: Session, offer: int, amount: int, token: bytes | None = None) -> Done:
    """Ask for free stake back; `finish_unstake` sends it after the unbonding time.

    Raises:
        ContractRefusal: not that much is free, or another's desk.
    """
    return _done(session, _providers(session).request_unstake(offer, _token(session, token), amount))


def finish_unstake(session: Session, offer: int, token: bytes | None = None) -> Done:
    """Send what was asked for to the desk's payee, after the unbonding time.

    Raises:
        ContractRefusal: too early, or nothing was asked for.
    """
    return _done(session, _providers(session).finish_unstake(offer, _token(session, token)))


def desk_of(session: Session, offer: int, token: bytes | None = None) -> Desk:
    """Return the desk of a compute offer in a token; `is_open` tells whether there is one."""
    return session.reader.desk(offer, _token(session, token))


def compute_offers(session: Session) -> list[int]:
    """Return the wallet's own compute offers, oldest first."""
    listed = session.reader.catalog.listed(owner=session.address)
    return list(dict.fromkeys(offer for offer, _ in listed if kind_in(offer) == OfferKind.COMPUTE))


def desk_offer(session: Session, offer: int | None) -> int:
    """Return the compute offer that is meant: the one named, the profile's, or this wallet's only one.

    Raises:
        BadInputError: none or several to choose from.
    """
    named = offer or session.profile.provider.compute_offer
    if named:
        return named
    mine = compute_offers(session)
    if len(mine) != 1:
        raise BadInputError(
            "--offer", "nothing", f"one of your compute offers: {mine or 'none is listed'}",
            hint="list one with `cloister provider offer`" if not mine else "",
        )  # fmt: skip
    return mine[0]


def list_compute(
    session: Session,
    price: Price,
    payees: Sequence[Payee] | None = None,
    *,
    token: bytes | None = None,
    replaces: int | None = None,
) -> Published:
    """List compute, or a new version of the compute offer `replaces`.

    Args:
        payees: who shares the income; None gives all to the wallet.
    Raises:
        BadInputError, ContractRefusal: terms that the registry refuses.
    """
    receivers = sole_payee(session.address) if payees is None else tuple(payees)
    terms = compute_terms(token=token or session.deployment.token, price=price, payees=receivers)
    return list_terms(session, terms, "", "", replaces=replaces)


def build_agent(
    session: Session,
    say: Callable[[bytes, str], None],
    before_step: Callable[[StepKind], None] = lambda _: None,
) -> Agent:
    """Return the agent of a profile whose key is the operator's.

    Args:
        say: hears (order id, or empty; what happens).
        before_step: called ahead of every step: tests end the process there.
    Raises:
        BadInputError: a missing member of the profile's [provider].
    """
    from marketplace.chain.providers import Operators
    from marketplace.provider.agent import Agent, AgentSettings
    from marketplace.provider.fleet import Fleet
    from marketplace.provider.journal import Journal
    from marketplace.provider.policy import AgentPolicy
    from marketplace.provider.services import Services
    from marketplace.provider.worker import Tools
    from marketplace.sdk.agent_blobs import AgentBlobs
    from marketplace.sdk.agent_chain import ChainOfAgent

    settings = session.profile.provider
    if not settings.compute_offer or settings.journal is None or not settings.certifiers:
        raise BadInputError(
            "provider", "no compute_offer, journal or certifiers", "all of them in the profile"
        )
    launcher = _launcher(session)
    chain = ChainOfAgent(Operators(session.reader, session.writer))
    journal, services, operator = Journal(settings.journal), Services(), session.signer.address
    fleet = Fleet(
        launcher=launcher,
        chain=chain,
        services=services,
        journal=journal,
        operator=operator,
        certifiers=settings.certifiers,
        say=lambda text: say(b"", text),
    )
    cache = session.profile.storage.open_cache(session.profile.home, session.store)
    cache.keep_only([row.order_id for row in journal.open_jobs()])
    tools = Tools(chain, AgentBlobs(session.store, cache), services, journal, operator, say)
    return Agent(
        AgentSettings(settings.compute_offer, settings.poll_s, settings.warm),
        AgentPolicy(settings.max_lock),
        tools,
        fleet,
        before_step=before_step,
    )


def run_agent(
    session: Session,
    say: Callable[[bytes, str], None],
    before_step: Callable[[StepKind], None] = lambda _: None,
) -> None:
    """Serve orders until SIGTERM or SIGINT; CVMs that run go on, and the journal finds them again.

    Args:
        say, before_step: see `build_agent`.
    Raises:
        As `build_agent`; a node of another chain is refused at once.
    """
    session.reader.node.check_chain()
    agent = build_agent(session, say, before_step)
    say(
        b"",
        f"operator {hex_of(session.signer.address)} serves offer {session.profile.provider.compute_offer}",
    )
    asyncio.run(_until_told(agent.run()))
    say(b"", "stopped")


async def _until_told(work: Any) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _launcher(session: Session) -> Any:
    from enclave_runtime.attestation.simulated.client import PlatformClient
    from marketplace.sdk.launcher import SimulatedLauncher

    settings = session.profile.provider
    if settings.platform_socket is None or settings.socket_dir is None:
        raise BadInputError("provider", "no platform_socket or socket_dir", "both in the profile")
    runtime_dir, requirements = settings.runtime()
    return SimulatedLauncher(
        PlatformClient(settings.platform_socket),
        socket_dir=settings.socket_dir,
        runtime_dir=runtime_dir,
        requirements=requirements,
    )


def _providers(session: Session) -> Providers:
    from marketplace.chain.providers import Providers

    return Providers(session.reader, session.writer)


def _token(session: Session, token: bytes | None) -> bytes:
    return token or session.deployment.token


def _done(session: Session, receipt: Any) -> Done:
    return Done("", 0) if receipt is None else Done(str(receipt.tx_hash), int(receipt.gas_used))
