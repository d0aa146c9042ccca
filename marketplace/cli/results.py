"""The end of an order for its client and for everybody who is due something: result, payouts, collect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.exits import ExitCode
from marketplace.cli.options import AsJson, OrderId, ShowProgress, parse_order, session_of
from marketplace.cli.output import emit, moment, note, progress, simulated, table

if TYPE_CHECKING:
    from marketplace.chain.claims import Collected
    from marketplace.chain.tokens import TokenInfo

__all__ = ["collect", "download", "open_result", "payouts", "result", "withdraw"]


def result(
    context: typer.Context,
    order: OrderId,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Empty, or made here.")],
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Download, check and open the result of an ended order. Only this profile's key can."""
    _open(context, order, folder, None, _Parts(), show=show, as_json=as_json)


def download(
    context: typer.Context,
    order: OrderId,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.")],
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the sealed result of an ended order. Needs no key; killed, it goes on by segment."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import results

    session = session_of(context)
    identity = parse_order(session, order)
    with progress(f"fetching {target.name}", show) as draw:
        got = results.download_result(session, identity, target, draw)
    value: dict[str, object] = {
        "order_id": hex_of(identity),
        "file": str(target),
        "bytes": got.size,
        "kept": got.kept,
    }
    kept = f", {got.kept} of them from before" if got.kept else ""
    emit(as_json, value, [f"{target}: {got.size} bytes as the CVM signed them{kept}"])


def open_result(
    context: typer.Context,
    order: OrderId,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Empty, or made here.")],
    downloaded: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="What `order download` fetched; default: read it from the store."
        ),
    ] = None,
    only: Annotated[
        list[str],
        typer.Option("--only", metavar="NAME", help="This file alone, such as output/model.bin; repeat."),
    ] = [],  # noqa: B006 - typer copies defaults
    tensor: Annotated[
        list[str],
        typer.Option("--tensor", metavar="NAME", help="Of the one safetensors file: these alone; repeat."),
    ] = [],  # noqa: B006 - typer copies defaults
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Check and open the result of an ended order, from a downloaded file if you have one."""
    _open(context, order, folder, downloaded, _Parts(only, tensor), show=show, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What of a result is wanted; all of it where no file is named."""

    files: Sequence[str] = ()
    tensors: Sequence[str] = ()


def _open(
    context: typer.Context,
    order: str,
    folder: Path,
    downloaded: Path | None,
    parts: _Parts,
    *,
    show: bool,
    as_json: bool,
) -> None:
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import results
    from marketplace.sealing.newfolder import check_free

    check_free(folder)
    session = session_of(context)
    identity = parse_order(session, order)
    with progress("opening the result", show) as draw:
        if parts.files or parts.tensors:
            wanted = (parts.files, parts.tensors)
            files = results.open_parts(session, identity, folder, *wanted, downloaded=downloaded)
            note("each byte is as the CVM sealed it; the digest of the whole plaintext was not compared")
        else:
            files = results.open_result(session, identity, folder, draw, downloaded=downloaded)
    if session.profile.simulated:
        simulated("this result was made on a development platform")
    value: dict[str, object] = {
        "order_id": hex_of(identity),
        "folder": str(folder),
        "files": files,
        "whole": not parts.files,
        "simulated": session.profile.simulated,
    }
    emit(as_json, value, [str(folder / name) for name in files])


def payouts(context: typer.Context, order: OrderId, as_json: AsJson = False) -> None:
    """Show who gets what of an ended order, and what was claimed."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import amount, dues_json, token_json
    from marketplace.sdk import income

    session = session_of(context)
    identity = parse_order(session, order)
    due = income.dues(session, identity)
    info = session.token(due.token).info()
    rows = [["what", "receiver", "amount", "state"]]
    rows += [
        [
            line.name,
            "burned" if line.receiver is None else hex_of(line.receiver),
            amount(line.amount, info),
            "credited" if line.claimed else "to be claimed",
        ]
        for line in due.lines
    ]
    lines = table(rows)
    if due.held_until:
        until = moment(due.held_until)
        lines.append(f"{amount(due.sums.held, info)} wait for the client's receipt, or until {until}")
    value: dict[str, object] = {
        "order_id": hex_of(identity),
        "token": token_json(info),
        "payouts": dues_json(due),
        "held": str(due.sums.held),
        "held_until": due.held_until or None,
    }
    emit(as_json, value, lines)


Everybody = Annotated[bool, typer.Option("--all", help="Everybody's amounts, each to its owner.")]


def withdraw(
    context: typer.Context, order: OrderId, everybody: Everybody = False, as_json: AsJson = False
) -> None:
    """Claim what this wallet is due of an order, and fetch it. Of a running one, what is proven."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import client, income

    session = session_of(context)
    identity = parse_order(session, order)
    done = income.collect(session, [identity], everybody=everybody)
    info = session.token(client.preimage_of(session, identity).terms.token).info()
    _show(done, info, {"order_id": hex_of(identity)}, as_json=as_json)


def collect(
    context: typer.Context,
    orders: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ORDER]...", help="Order ids; default: all that you have a part in."),
    ] = None,
    everybody: Everybody = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is open; send nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Claim all that orders owe you, and fetch your credit. Many at once; a bad one is left out."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import income

    session = session_of(context)
    named = [parse_order(session, text) for text in orders or ()]
    known = named or income.concerned(session, everybody=everybody)
    if dry_run:
        open_ = income.open_claims(session, known, everybody=everybody)
        value: dict[str, object] = {
            "open": [{"order_id": hex_of(one.order_id), "what": one.words} for one in open_]
        }
        lines = [f"{hex_of(one.order_id)}  {one.words}" for one in open_] or ["nothing is open"]
        emit(as_json, value, lines)
        return
    done = income.collect(session, named or None, everybody=everybody)
    _show(done, session.token().info(), {"orders": len(known)}, as_json=as_json)


def _show(done: Collected, info: TokenInfo, value: dict[str, object], *, as_json: bool) -> None:
    """Print what a collection came to; what was left out makes the command fail."""
    from marketplace.cli.words import collected_json, collected_lines

    emit(as_json, {**value, **collected_json(done)}, collected_lines(done, info))
    for one in done.failed:
        note(f"left out: {one.words}: {one.reason}")
    if done.failed:
        raise typer.Exit(ExitCode.FAILED)
