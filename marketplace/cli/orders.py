"""`cloister order`: know the cost, place, watch, end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli import answers, funding, results, sponsors
from marketplace.cli.options import (
    AsJson,
    HeldBack,
    Leases,
    OrderId,
    Yes,
    parse_holdback,
    parse_leases,
    parse_order,
    session_of,
)
from marketplace.cli.output import confirm, emit, moment, note, table

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["app"]

app = typer.Typer(help="Know the cost, place, watch, fund, end, open the result.", no_args_is_help=True)
app.command("result")(results.result)
app.command("download")(results.download)
app.command("open")(results.open_result)
app.command("payouts")(results.payouts)
app.command("withdraw")(results.withdraw)
app.command("receipt")(answers.receipt)
app.command("contest")(answers.contest)
app.command("top-up")(funding.top_up)
app.command("reclaim")(funding.reclaim)
app.command("sign")(sponsors.sign)
app.command("sponsor")(sponsors.sponsor)
app.command("carry")(sponsors.carry)

Compute = Annotated[int, typer.Option("--compute", metavar="OFFER", help="The provider's compute offer.")]
Inputs = Annotated[
    list[int],
    typer.Option("--input", metavar="OFFER", help="The engine first, then models and datasets; repeat."),
]
Seconds = Annotated[
    int, typer.Option("--max-seconds", metavar="N", min=1, help="The longest run that you pay for.")
]


@app.command()
def quote(
    context: typer.Context,
    compute: Compute,
    inputs: Inputs,
    max_seconds: Seconds = 3600,
    holdback: HeldBack = "",
    leases: Leases = [],  # noqa: B006 - typer copies defaults
    as_json: AsJson = False,
) -> None:
    """Show what an order costs at most and at least; nothing is sent."""
    from marketplace.cli.words import quote_json, quote_lines
    from marketplace.sdk import client
    from marketplace.sdk.client import OrderRequest

    session = session_of(context)
    wanted = OrderRequest(
        compute,
        inputs,
        b"",
        max_seconds,
        holdback=parse_holdback(holdback),
        leases=parse_leases(leases, len(inputs)),
    )
    quoted = client.quote(session, wanted)
    info = session.token(quoted.token).info()
    emit(as_json, quote_json(quoted, info), quote_lines(quoted, info))


@app.command()
def place(
    context: typer.Context,
    compute: Compute,
    inputs: Inputs,
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="What the engine reads; not secret.")
    ],
    max_seconds: Seconds = 3600,
    deposit: Annotated[
        str, typer.Option("--deposit", metavar="AMOUNT", help="In whole tokens; default: what is required.")
    ] = "",
    max_fee_bps: Annotated[
        int | None,
        typer.Option("--max-fee-bps", metavar="BPS", help="Highest protocol fee; default: the one in force."),
    ] = None,
    windows: Annotated[
        list[str],
        typer.Option(
            "--window", metavar="NAME=SECONDS", help="A deadline, such as accept-within=600; repeat."
        ),
    ] = [],  # noqa: B006 - typer copies defaults
    holdback: HeldBack = "",
    leases: Leases = [],  # noqa: B006 - typer copies defaults
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show cost, id and terms; send nothing.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the order has ended.")] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait at most.")
    ] = 3600,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Show the cost, ask, then place an order. Its deposit moves in the same transaction (ERC-20 permit)."""
    from marketplace.cli.placing import place_order, request_of

    session = session_of(context)
    request = request_of(
        session,
        compute,
        inputs,
        config,
        max_seconds,
        deposit=deposit,
        max_fee_bps=max_fee_bps,
        windows=windows,
        holdback=parse_holdback(holdback),
        leases=parse_leases(leases, len(inputs)),
    )
    placed = place_order(session, request, dry_run=dry_run, yes=yes, as_json=as_json)
    if placed is None:
        return
    if not wait:
        emit(as_json, placed.value, placed.lines)
        return
    for line in placed.lines:
        note(line)
    value, line = _waited(session, placed.order_id, timeout)
    emit(as_json, {**placed.value, **value}, [line])


@app.command("list")
def list_orders(context: typer.Context, as_json: AsJson = False) -> None:
    """List the orders that this wallet placed."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import client

    records = client.list_orders(session_of(context))
    rows = [["order", "state", "phase", "since"]]
    rows += [[hex_of(one.order_id), one.state.name, one.phase.name, moment(one.since)] for one in records]
    value = [
        {
            "order_id": hex_of(one.order_id),
            "state": one.state.name,
            "phase": one.phase.name,
            "since": one.since,
        }
        for one in records
    ]
    emit(as_json, {"orders": value}, table(rows))


@app.command()
def show(context: typer.Context, order: OrderId, as_json: AsJson = False) -> None:
    """Show everything that the chain says of an order."""
    from marketplace.cli.words import status_json, status_lines
    from marketplace.sdk import client

    session = session_of(context)
    status = client.find(session, parse_order(session, order))
    info = session.token(status.terms.token).info()
    emit(as_json, status_json(status, info), status_lines(status, info))


@app.command()
def why(context: typer.Context, order: OrderId, as_json: AsJson = False) -> None:
    """Say why an order is where it is. And what may happen next, and by when."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import deadline_json
    from marketplace.sdk import client

    session = session_of(context)
    identity = parse_order(session, order)
    said = client.why(session, identity)
    lines = [said.headline, said.money, *(f"- {step}" for step in said.next_steps)]
    if said.deadline is not None:
        over = f", {said.overdue_s} s ago" if said.overdue_s else ""
        lines.append(
            f"deadline {said.deadline.name}: {moment(said.deadline.at)}{over}, then: {said.deadline.then}"
        )
    value: dict[str, object] = {
        "order_id": hex_of(identity),
        "state": said.state.name,
        "headline": said.headline,
        "money": said.money,
        "next_steps": list(said.next_steps),
        "deadline": deadline_json(said.deadline),
        "overdue_s": said.overdue_s,
    }
    emit(as_json, value, lines)


@app.command()
def wait(
    context: typer.Context,
    order: OrderId,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait at most.")
    ] = 3600,
    as_json: AsJson = False,
) -> None:
    """Wait until an order has ended. Exit code 4 if it has not in time."""
    session = session_of(context)
    value, line = _waited(session, parse_order(session, order), timeout)
    emit(as_json, value, [line])


@app.command()
def cancel(context: typer.Context, order: OrderId, as_json: AsJson = False) -> None:
    """Take back an order that nobody accepted. The whole deposit is yours again."""
    from marketplace.sdk import client

    session = session_of(context)
    identity = parse_order(session, order)
    _ended(as_json, identity, client.cancel(session, identity), "cancelled; fetch it with `cloister collect`")


@app.command()
def stop(context: typer.Context, order: OrderId, yes: Yes = False, as_json: AsJson = False) -> None:
    """Ask for a running order's end. What its CVM proves within grace is paid, and nothing else."""
    from marketplace.sdk import client

    session = session_of(context)
    identity = parse_order(session, order)
    confirm("stop the order, and pay what its CVM proves within grace?", yes=yes)
    _ended(as_json, identity, client.stop(session, identity), "stopping; see `cloister order why`")


@app.command()
def expire(context: typer.Context, order: OrderId, as_json: AsJson = False) -> None:
    """End an order whose deadline is over or whose CVM is not good any more. Anybody may."""
    from marketplace.sdk import client

    session = session_of(context)
    identity = parse_order(session, order)
    tx = client.expire(session, identity)
    _ended(as_json, identity, tx, "ended" if tx else "nothing is due; see `cloister order why`")


def _waited(session: Session, order: bytes, timeout: float) -> tuple[dict[str, object], str]:
    """Wait for an order's end; return what to print of it."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import client

    record = client.wait(session, order, timeout, note)
    value: dict[str, object] = {
        "order_id": hex_of(order),
        "state": record.state.name,
        "phase": record.phase.name,
        "seconds_used": record.seconds_used,
    }
    return value, f"order {hex_of(order)} is {record.state.name}, {record.seconds_used} s billed"


def _ended(as_json: bool, order: bytes, tx: str, words: str) -> None:
    from enclave_runtime.wire.codec import hex_of

    emit(as_json, {"order_id": hex_of(order), "tx": tx}, [words + (f", sent {tx}" if tx else "")])
