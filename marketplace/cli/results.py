"""The end of an order for its client and for everybody who is due something: result, payouts, withdraw."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.options import AsJson, OrderId, parse_order, session_of
from marketplace.cli.output import emit, progress, simulated, table

__all__ = ["payouts", "result", "withdraw"]


def result(
    context: typer.Context,
    order: OrderId,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Empty, or made here.")],
    as_json: AsJson = False,
) -> None:
    """Download, check and open the result of an ended order. Only this profile's key can."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.errors import BadInputError
    from marketplace.sdk import client

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError("folder", f"{folder}, which is not empty", "an empty or a new one")
    session = session_of(context)
    identity = parse_order(session, order)
    with progress("opening the result") as draw:
        files = client.result(session, identity, folder, draw)
    if session.profile.simulated:
        simulated("this result was made on a development platform")
    value: dict[str, object] = {
        "order_id": hex_of(identity),
        "folder": str(folder),
        "files": files,
        "simulated": session.profile.simulated,
    }
    emit(as_json, value, [str(folder / name) for name in files])


def payouts(context: typer.Context, order: OrderId, as_json: AsJson = False) -> None:
    """Show who gets what of an ended order, and what was claimed."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import amount, payout_json, token_json
    from marketplace.sdk import client

    session = session_of(context)
    identity = parse_order(session, order)
    lines = client.payouts(session, identity)
    info = session.token(client.preimage_of(session, identity).terms.token).info()
    rows = [["what", "receiver", "amount", "state"]]
    rows += [
        [
            line.name,
            hex_of(line.receiver),
            amount(line.amount, info),
            "paid" if line.paid else "to be claimed",
        ]
        for line in lines
    ]
    value: dict[str, object] = {
        "order_id": hex_of(identity),
        "token": token_json(info),
        "payouts": payout_json(lines),
    }
    emit(as_json, value, table(rows))


def withdraw(
    context: typer.Context,
    order: OrderId,
    everybody: Annotated[
        bool, typer.Option("--all", help="Pay out everybody's amounts, each to its owner.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Claim what this wallet is due of an ended order."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import amount
    from marketplace.domain.settlement import payout_name
    from marketplace.sdk import client

    session = session_of(context)
    identity = parse_order(session, order)
    paid = client.withdraw(session, identity, everybody=everybody)
    info = session.token(client.preimage_of(session, identity).terms.token).info()
    lines = [f"{payout_name(index)}: {amount(units, info)} to {hex_of(who)}" for index, who, units in paid]
    value = [
        {"index": index, "name": payout_name(index), "receiver": hex_of(who), "amount": str(units)}
        for index, who, units in paid
    ]
    emit(as_json, {"order_id": hex_of(identity), "claimed": value}, lines or ["nothing left to claim here"])
