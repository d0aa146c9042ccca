"""`cloister provider`: register, stake, list compute, run the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import (
    AsJson,
    Fixed,
    MinSeconds,
    Payees,
    PerHour,
    PerUnit,
    Yes,
    parse_payees,
    parse_price,
    session_of,
)
from marketplace.cli.output import confirm, emit, moment, note, simulated

if TYPE_CHECKING:
    from marketplace.sdk.provider import Done

__all__ = ["app"]

app = typer.Typer(help="Register, stake, list compute, run the agent.", no_args_is_help=True)

Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="In whole tokens, such as 12.5.")]


@app.command()
def register(
    context: typer.Context,
    operator: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The agent's hot key: it withdraws nothing.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make this wallet a provider, or give it another operator."""
    from marketplace.chain.signer import parse_address
    from marketplace.sdk import provider

    done = provider.register(session_of(context), parse_address(operator))
    _sent(as_json, done, f"provider with operator {operator}")


@app.command()
def stake(context: typer.Context, amount: Amount, yes: Yes = False, as_json: AsJson = False) -> None:
    """Add stake. Orders lock it; a missed start or a missing report costs some of it."""
    from marketplace.domain.money import parse_amount
    from marketplace.sdk import provider

    session = session_of(context)
    info = session.token().info()
    units = parse_amount(amount, info.decimals)
    confirm(f"stake {amount} {info.symbol}?", yes=yes)
    _sent(as_json, provider.stake(session, None, units), f"{amount} {info.symbol} staked")


@app.command()
def unstake(context: typer.Context, amount: Amount, as_json: AsJson = False) -> None:
    """Ask for free stake back. It can be fetched after the unbonding time."""
    from marketplace.domain.money import parse_amount
    from marketplace.sdk import provider

    session = session_of(context)
    info = session.token().info()
    done = provider.unstake(session, None, parse_amount(amount, info.decimals))
    _sent(as_json, done, f"{amount} {info.symbol} asked for; see `cloister provider status`")


@app.command("finish-unstake")
def finish_unstake(context: typer.Context, as_json: AsJson = False) -> None:
    """Fetch the stake that was asked for. After the unbonding time."""
    from marketplace.sdk import provider

    _sent(as_json, provider.finish_unstake(session_of(context), None), "stake withdrawn")


@app.command()
def offer(
    context: typer.Context,
    fixed: Fixed = "0",
    per_hour: PerHour = "0",
    min_seconds: MinSeconds = 0,
    per_unit: PerUnit = "0",
    payee: Payees = [],  # noqa: B006 - typer copies defaults
    replaces: Annotated[
        int | None, typer.Option("--replaces", metavar="OFFER", help="Add a version to this offer of yours.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List compute for sale."""
    from marketplace.cli.words import price_words, published_json
    from marketplace.sdk import provider

    session = session_of(context)
    info = session.token().info()
    price = parse_price(info, fixed, per_hour, min_seconds, per_unit)
    made = provider.list_compute(session, price, parse_payees(payee), replaces=replaces)
    line = f"offer {made.offer}, version {made.version}: {price_words(price, info)}"
    emit(as_json, published_json(made), [line, "name it as compute_offer in the agent's profile"])


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show operator and stake of this wallet."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import amount
    from marketplace.sdk import provider

    session = session_of(context)
    info, held = session.token().info(), provider.stake_of(session)
    operator = session.reader.operator_of(session.address)
    value: dict[str, object] = {
        "provider": hex_of(session.address),
        "operator": None if operator is None else hex_of(operator),
        "free": str(held.free),
        "locked": str(held.locked),
        "unbonding": str(held.unbonding),
        "release_at": held.release_at,
    }
    later = f", from {moment(held.release_at)}" if held.unbonding else ""
    lines = [
        f"provider   {hex_of(session.address)}",
        f"operator   {value['operator'] or 'none: this wallet is not registered'}",
        f"free       {amount(held.free, info)}",
        f"locked     {amount(held.locked, info)}",
        f"unbonding  {amount(held.unbonding, info)}{later}",
    ]
    emit(as_json, value, lines)


@app.command()
def run(context: typer.Context, as_json: AsJson = False) -> None:
    """Serve orders until SIGTERM or Ctrl-C. The profile's key is the operator's; CVMs outlive the agent."""
    import json
    import sys

    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk.provider import run_agent

    session = session_of(context)
    if session.profile.simulated:
        simulated(f"this provider's CVMs run under {session.profile.trust.root_set}")

    def say(order: bytes, text: str) -> None:
        if as_json:
            sys.stdout.write(json.dumps({"order_id": hex_of(order) if order else None, "say": text}) + "\n")
            sys.stdout.flush()
        else:
            note(f"{hex_of(order)[:14] if order else 'agent':<14} {text}")

    run_agent(session, say)


def _sent(as_json: bool, done: Done, words: str) -> None:
    emit(
        as_json,
        {"tx": done.tx, "gas": done.gas},
        [words + (f", sent {done.tx}" if done.tx else ": it was so already")],
    )
