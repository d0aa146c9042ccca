"""Placing an order, shared by `cloister order place` and scripts/place_order.py: cost first, then money."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from enclave_runtime.wire.codec import hex_of, to_json
from enclave_runtime.wire.orders import Holdback, Windows
from marketplace.cli.output import confirm, emit, note, simulated
from marketplace.cli.words import amount, quote_json, quote_lines
from marketplace.domain.draft import NO_HOLDBACK, default_windows
from marketplace.domain.money import parse_amount
from marketplace.domain.packet import MAX_CONFIG_BYTES
from marketplace.errors import BadInputError, NotFoundError
from marketplace.sdk import client
from marketplace.sdk.client import OrderRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace.sdk.profile import Session

__all__ = ["Placement", "place_order", "request_of"]


def request_of(
    session: Session,
    compute: int,
    inputs: Sequence[int],
    config: Path,
    max_seconds: int,
    *,
    deposit: str = "",
    max_fee_bps: int | None = None,
    windows: Sequence[str] = (),
    holdback: Holdback = NO_HOLDBACK,
    leases: Sequence[bytes] = (),
    payer: bytes | None = None,
) -> OrderRequest:
    """Return the request that options describe.

    Args:
        deposit: in whole tokens; empty takes what is required.
        windows: NAME=SECONDS texts over the safe defaults.
        leases: one lease id per input, zero where there is none; empty for none at all.
        payer: who deposits; None is this wallet.
    Raises:
        NotFoundError: no such configuration file.
        BadInputError: a value of another form.
    """
    try:
        with config.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"configuration {config}: {error.strerror}") from error
    units = None
    if deposit:
        token = session.reader.get_offer(compute).terms.token
        units = parse_amount(deposit, session.token(token).info().decimals)
    chosen = _windows(session, max_seconds, windows) if windows else None
    return OrderRequest(
        compute,
        tuple(inputs),
        data,
        max_seconds,
        chosen,
        max_fee_bps,
        units,
        payer=payer,
        leases=tuple(leases),
        holdback=holdback,
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """An order that was placed, and what to print of it."""

    order_id: bytes
    value: dict[str, object]
    lines: list[str]


def place_order(
    session: Session,
    request: OrderRequest,
    *,
    dry_run: bool = False,
    yes: bool = False,
    as_json: bool = False,
) -> Placement | None:
    """Show the cost, ask, place; for a dry run print what would be sent and return None.

    Raises:
        NotConfirmedError: nobody agreed.
        As `client.place`.
    """
    quoted = client.quote(session, request)
    info = session.token(quoted.token).info()
    if session.profile.simulated:
        simulated(f"this order accepts the development root {session.profile.trust.root_set}")
    for line in quote_lines(quoted, info):
        note(line)
    if dry_run:
        _show_draft(session, request, quote_json(quoted, info), as_json)
        return None
    put = quoted.deposit if request.deposit is None else request.deposit
    confirm(f"place this order and deposit {amount(put, info)}?", yes=yes)
    # The deposit that was agreed to, whatever is listed by now: a dearer version is refused, not paid.
    placed = client.place(session, replace(request, deposit=put), entropy=os.urandom)
    value: dict[str, object] = {
        "order_id": hex_of(placed.order_id),
        "tx": placed.tx,
        "gas": placed.gas,
        "deposit": str(placed.deposit),
        "simulated": session.profile.simulated,
        "quote": quote_json(quoted, info),
    }
    lines = [
        f"order    {hex_of(placed.order_id)}",
        f"deposit  {amount(placed.deposit, info)} in escrow, sent {placed.tx} ({placed.gas} gas)",
        f"next     cloister order wait {hex_of(placed.order_id)[:14]}",
    ]
    return Placement(placed.order_id, value, lines)


def _show_draft(session: Session, request: OrderRequest, quoted: dict[str, object], as_json: bool) -> None:
    """Show what would be sent. The salts are drawn again when it is: the id of a dry run is not reused."""
    drafted, _ = client.draft(session, request, entropy=os.urandom)
    terms = to_json(drafted.preimage.terms)
    call = {"contract": hex_of(session.deployment.order_book), "function": "placeWithPermit"}
    value: dict[str, object] = {"dry_run": True, "quote": quoted, "terms": terms, "call": call}
    lines = [
        "dry run: nothing was sent",
        f"call     OrderBook.placeWithPermit at {call['contract']}, chain {session.deployment.chain_id}",
        *(
            f"  {name}: {shown if isinstance(shown, str) else json.dumps(shown)}"
            for name, shown in terms.items()
        ),
    ]
    emit(as_json, value, lines)


def _windows(session: Session, max_seconds: int, texts: Sequence[str]) -> Windows:
    windows = default_windows(max_seconds, session.reader.params())
    names = {field.name for field in fields(Windows)} - {"max_seconds"}
    for text in texts:
        name, equals, seconds = text.partition("=")
        member = name.replace("-", "_")
        if not equals or member not in names or not seconds.isdigit() or len(seconds) > 10:
            listed = ", ".join(sorted(item.replace("_", "-") for item in names))
            raise BadInputError("--window", repr(text[:60]), f"NAME=SECONDS with one of: {listed}")
        windows = replace(windows, **{member: int(seconds)})
    return windows
