"""`cloister provider`: list compute, open its desk, stake, run the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import (
    AsJson,
    Fixed,
    LongestRent,
    MinSeconds,
    OfferId,
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

app = typer.Typer(help="List compute, open its desk, stake, run the agent.", no_args_is_help=True)

Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="In whole tokens, such as 12.5.")]


@app.command()
def desk(
    context: typer.Context,
    operator: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The agent's hot key: it accepts orders, moves no money.")
    ],
    offer: OfferId = None,
    payee: Annotated[
        str, typer.Option("--payee", metavar="ADDRESS", help="Receives stake that leaves; default: you.")
    ] = "",
    capacity: Annotated[
        int, typer.Option("--capacity", metavar="N", min=0, max=65535, help="Orders that may run at once.")
    ] = 16,
    as_json: AsJson = False,
) -> None:
    """Open the desk at which a compute offer takes orders. Or change its operator, payee, capacity."""
    from marketplace.chain.signer import parse_address
    from marketplace.sdk import provider

    session = session_of(context)
    chosen = provider.desk_offer(session, offer)
    receiver = parse_address(payee) if payee else None
    done = provider.open_desk(session, chosen, parse_address(operator), payee=receiver, capacity=capacity)
    _sent(as_json, done, f"offer {chosen}: desk with operator {operator}, {capacity} places")


@app.command()
def capacity(
    context: typer.Context,
    places: Annotated[
        int, typer.Argument(metavar="N", min=0, max=65535, help="Orders that may run at once; 0 closes.")
    ],
    offer: OfferId = None,
    as_json: AsJson = False,
) -> None:
    """Set how many orders a desk runs at once. Orders under way go on."""
    from marketplace.sdk import provider

    session = session_of(context)
    chosen = provider.desk_offer(session, offer)
    _sent(as_json, provider.set_capacity(session, chosen, places), f"offer {chosen}: {places} places")


@app.command()
def stake(
    context: typer.Context, amount: Amount, offer: OfferId = None, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Add stake to a desk. Orders lock it; a missed start or missing proof costs some of it."""
    from marketplace.domain.money import parse_amount
    from marketplace.sdk import provider

    session = session_of(context)
    info = session.token().info()
    units, chosen = parse_amount(amount, info.decimals), provider.desk_offer(session, offer)
    confirm(f"stake {amount} {info.symbol} at the desk of offer {chosen}?", yes=yes)
    _sent(as_json, provider.stake(session, chosen, units), f"{amount} {info.symbol} staked")


@app.command()
def unstake(context: typer.Context, amount: Amount, offer: OfferId = None, as_json: AsJson = False) -> None:
    """Ask for free stake back. It can be fetched after the unbonding time."""
    from marketplace.domain.money import parse_amount
    from marketplace.sdk import provider

    session = session_of(context)
    info = session.token().info()
    chosen = provider.desk_offer(session, offer)
    done = provider.unstake(session, chosen, parse_amount(amount, info.decimals))
    _sent(as_json, done, f"{amount} {info.symbol} asked for; see `cloister provider status`")


@app.command("finish-unstake")
def finish_unstake(context: typer.Context, offer: OfferId = None, as_json: AsJson = False) -> None:
    """Send the stake that was asked for to the desk's payee. After the unbonding time."""
    from marketplace.sdk import provider

    session = session_of(context)
    _sent(as_json, provider.finish_unstake(session, provider.desk_offer(session, offer)), "stake withdrawn")


@app.command()
def offer(
    context: typer.Context,
    fixed: Fixed = "0",
    per_hour: PerHour = "0",
    min_seconds: MinSeconds = 0,
    per_unit: PerUnit = "0",
    max_rent: LongestRent = 0,
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
    price = parse_price(info, fixed, per_hour, min_seconds, per_unit, max_rent)
    made = provider.list_compute(session, price, parse_payees(payee), replaces=replaces)
    line = f"offer {made.offer}, version {made.version}: {price_words(price, info)}"
    emit(
        as_json,
        published_json(made),
        [line, "next: `cloister provider desk ADDRESS`, and name it as compute_offer in the agent's profile"],
    )


@app.command()
def status(context: typer.Context, offer: OfferId = None, as_json: AsJson = False) -> None:
    """Show a desk: operator, payee, stake, places."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import amount
    from marketplace.sdk import provider

    session = session_of(context)
    chosen = provider.desk_offer(session, offer)
    info, found = session.token().info(), provider.desk_of(session, chosen)
    value: dict[str, object] = {
        "offer": chosen,
        "operator": hex_of(found.operator) if found.is_open else None,
        "payee": hex_of(found.payee) if found.is_open else None,
        "capacity": found.capacity,
        "active": found.active,
        "free": str(found.free),
        "locked": str(found.locked),
        "unbonding": str(found.unbonding),
        "release_at": found.release_at,
    }
    if not found.is_open:
        emit(
            as_json, value, [f"offer {chosen} has no desk", "open one with `cloister provider desk ADDRESS`"]
        )
        return
    later = f", from {moment(found.release_at)}" if found.unbonding else ""
    lines = [
        f"offer      {chosen}",
        f"operator   {value['operator']}",
        f"payee      {value['payee']}",
        f"places     {found.active} of {found.capacity} taken",
        f"free       {amount(found.free, info)}",
        f"locked     {amount(found.locked, info)}",
        f"unbonding  {amount(found.unbonding, info)}{later}",
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
