"""What a provider does: register, stake, list compute, run its agent (docs/protocol.md sections 6.2 and 6.8).

The wallet of the profile owns stake and compute offers. The agent runs under a profile of its own, whose key
is the operator's: a hot key that accepts orders and moves no money.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.offers import Payee, Price
from marketplace.domain.offer import compute_terms, sole_payee
from marketplace.errors import BadInputError
from marketplace.sdk.author import Published, list_terms

if TYPE_CHECKING:
    from marketplace.chain.providers import Providers
    from marketplace.chain.reader import Stake
    from marketplace.provider.agent import Agent
    from marketplace.provider.reducer import StepKind
    from marketplace.sdk.profile import Session

__all__ = [
    "Done",
    "build_agent",
    "finish_unstake",
    "list_compute",
    "register",
    "run_agent",
    "stake",
    "stake_of",
    "unstake",
]


@dataclass(frozen=True, slots=True)
class Done:
    """What a call came to: its transaction's hash, empty where nothing was left to do, and its gas."""

    tx: str
    gas: int


def register(session: Session, operator: bytes) -> Done:
    """Make the wallet a provider with `operator` as its hot key, or change the key.

    Raises:
        ContractRefusal: the operator serves another provider.
    """
    return _done(session, _providers(session).register(operator))


def stake(session: Session, token: bytes | None, amount: int) -> Done:
    """Add stake, with a permit in the same transaction; None means the market's own token.

    Raises:
        BadInputError: the wallet holds too little, or the token knows no permits.
        ContractRefusal: not registered.
    """
    return _done(session, _providers(session).stake(token or session.deployment.token, amount))


def unstake(session: Session, token: bytes | None, amount: int) -> Done:
    """Ask for free stake back; `finish_unstake` sends it after the unbonding time.

    Raises:
        ContractRefusal: not that much is free.
    """
    return _done(session, _providers(session).request_unstake(token or session.deployment.token, amount))


def finish_unstake(session: Session, token: bytes | None) -> Done:
    """Withdraw what was asked for, after the unbonding time.

    Raises:
        ContractRefusal: too early, or nothing was asked for.
    """
    return _done(session, _providers(session).finish_unstake(token or session.deployment.token))


def stake_of(session: Session, token: bytes | None = None) -> Stake:
    """Return the wallet's stake in a token."""
    return session.reader.stake_of(session.address, token or session.deployment.token)


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
    tools = Tools(chain, AgentBlobs(session.store), services, journal, operator, say)
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


def _done(session: Session, receipt: Any) -> Done:
    return Done("", 0) if receipt is None else Done(str(receipt.tx_hash), int(receipt.gas_used))
