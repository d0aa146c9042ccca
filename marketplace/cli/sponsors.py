"""Orders that one signs, another pays and anybody carries (docs/protocol.md section 6.1)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import (
    AsJson,
    HeldBack,
    Leases,
    Yes,
    parse_holdback,
    parse_leases,
    session_of,
)
from marketplace.cli.output import confirm, emit, note

if TYPE_CHECKING:
    from marketplace.sdk.ordering import SignedOrder
    from marketplace.sdk.profile import Session

__all__ = ["carry", "sign", "sponsor"]

File = Annotated[Path, typer.Argument(metavar="FILE", help="A signed order, as `order sign` writes it.")]


def sign(
    context: typer.Context,
    compute: Annotated[int, typer.Option("--compute", metavar="OFFER", help="The provider's compute offer.")],
    inputs: Annotated[
        list[int],
        typer.Option("--input", metavar="OFFER", help="The engine first, then models and datasets; repeat."),
    ],
    config: Annotated[
        Path, typer.Option("--config", metavar="FILE", help="What the engine reads; not secret.")
    ],
    payer: Annotated[str, typer.Option("--payer", metavar="ADDRESS", help="Who pays, and gets refunds.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the signed order goes.")],
    max_seconds: Annotated[
        int, typer.Option("--max-seconds", metavar="N", min=1, help="The longest run that is paid for.")
    ] = 3600,
    holdback: HeldBack = "",
    leases: Leases = [],  # noqa: B006 - typer copies defaults
    as_json: AsJson = False,
) -> None:
    """Sign an order that another pays for. Nothing is sent; the result's key stays here."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.chain.signer import parse_address
    from marketplace.cli.placing import request_of
    from marketplace.cli.words import quote_json, quote_lines
    from marketplace.sdk import client, ordering

    session = session_of(context)
    request = request_of(
        session,
        compute,
        inputs,
        config,
        max_seconds,
        holdback=parse_holdback(holdback),
        leases=parse_leases(leases, len(inputs)),
        payer=parse_address(payer),
    )
    quoted = client.quote(session, request)
    info = session.token(quoted.token).info()
    for line in quote_lines(quoted, info):
        note(line)
    made = ordering.sign(session, request, entropy=os.urandom)
    made.save(out)
    identity = _order_id(session, made)
    value: dict[str, object] = {
        "order_id": hex_of(identity),
        "file": str(out),
        "quote": quote_json(quoted, info),
    }
    lines = [f"order {hex_of(identity)}", f"signed as its client: {out}; its payer is next"]
    emit(as_json, value, lines)


def sponsor(context: typer.Context, file: File, yes: Yes = False, as_json: AsJson = False) -> None:
    """Pay for another's signed order: allow the deposit, and sign as its payer. Anybody may carry it then."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import amount
    from marketplace.sdk import ordering
    from marketplace.sdk.signedorder import SignedOrder

    session, order = session_of(context), SignedOrder.load(file)
    terms = order.preimage.terms
    info = session.token(terms.token).info()
    confirm(f"let this order of {hex_of(terms.client)} take {amount(terms.deposit, info)} of yours?", yes=yes)
    ordering.sponsor(session, order).save(file)
    identity = _order_id(session, order)
    value: dict[str, object] = {
        "order_id": hex_of(identity),
        "file": str(file),
        "deposit": str(terms.deposit),
    }
    emit(as_json, value, [f"order {hex_of(identity)}", f"signed as its payer: {file}; anybody may carry it"])


def carry(context: typer.Context, file: File, yes: Yes = False, as_json: AsJson = False) -> None:
    """Place an order that others signed. You pay the gas; its payer pays the deposit."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import amount
    from marketplace.sdk import ordering
    from marketplace.sdk.signedorder import SignedOrder

    session, order = session_of(context), SignedOrder.load(file)
    terms = order.preimage.terms
    info = session.token(terms.token).info()
    whose = "yours" if terms.payer == session.address else hex_of(terms.payer)
    confirm(f"place this order, with a deposit of {amount(terms.deposit, info)} from {whose}?", yes=yes)
    placed = ordering.carry(session, order)
    value: dict[str, object] = {
        "order_id": hex_of(placed.order_id),
        "tx": placed.tx,
        "gas": placed.gas,
        "deposit": str(placed.deposit),
    }
    sent = f"sent {placed.tx} ({placed.gas} gas)" if placed.tx else "it was placed already"
    deposit = amount(placed.deposit, info)
    emit(
        as_json,
        value,
        [f"order    {hex_of(placed.order_id)}", f"deposit  {deposit} from {hex_of(terms.payer)}, {sent}"],
    )


def _order_id(session: Session, order: SignedOrder) -> bytes:
    from enclave_runtime.wire.orders import order_id

    return order_id(session.deployment.order_domain, order.preimage.terms)
