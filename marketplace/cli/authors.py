"""`cloister author`: seal and publish engines, models and datasets; compare digests; close offers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.exits import ExitCode
from marketplace.cli.options import (
    AsJson,
    Fixed,
    LongestRent,
    MinSeconds,
    Payees,
    PerHour,
    PerUnit,
    Yes,
    parse_order,
    parse_payees,
    parse_price,
    session_of,
)
from marketplace.cli.output import confirm, emit, note, progress, table
from marketplace.errors import BadInputError

__all__ = ["app"]

app = typer.Typer(help="Seal, publish and compare engines, models and datasets.", no_args_is_help=True)

Kind = Annotated[str, typer.Option("--kind", help="engine, model or dataset.")]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="What to seal: all of it, and nothing else.")]


@app.command()
def publish(
    context: typer.Context,
    folder: Folder,
    kind: Kind,
    fixed: Fixed = "0",
    per_hour: PerHour = "0",
    min_seconds: MinSeconds = 0,
    per_unit: PerUnit = "0",
    max_rent: LongestRent = 0,
    royalty_bps: Annotated[
        int,
        typer.Option(
            "--royalty-bps", metavar="BPS", help="Models, datasets: share of what is made from them."
        ),
    ] = 0,
    made_by: Annotated[
        str,
        typer.Option(
            "--made-by",
            metavar="ORDER",
            help="Models: your order that made it; its parents are paid royalties.",
        ),
    ] = "",
    payee: Payees = [],  # noqa: B006 - typer copies defaults
    entry: Annotated[
        str, typer.Option("--entry", metavar="COMMAND", help="Engines: what runs, such as 'python train.py'.")
    ] = "",
    replaces: Annotated[
        int | None, typer.Option("--replaces", metavar="OFFER", help="Add a version to this offer of yours.")
    ] = None,
    segment_kib: Annotated[
        int, typer.Option("--segment-kib", help="Size of segments, a power of two.")
    ] = 1024,
    as_json: AsJson = False,
) -> None:
    """Seal a folder, store the ciphertext, list the offer. The key never leaves your keystore."""
    import shlex

    from enclave_runtime.wire.codec import hex_of
    from enclave_runtime.wire.offers import OfferKind
    from marketplace.cli.words import price_words, published_json
    from marketplace.domain.offer import kind_of
    from marketplace.sdk import author

    session = session_of(context)
    info = session.token().info()
    price = parse_price(info, fixed, per_hour, min_seconds, per_unit, max_rent)
    if not folder.is_dir():
        raise BadInputError("folder", str(folder), "a folder")
    if kind_of(kind) is OfferKind.COMPUTE:
        raise BadInputError(
            "--kind", kind, "engine, model or dataset", hint="`cloister provider offer` lists compute"
        )
    if (kind_of(kind) is OfferKind.ENGINE) is not bool(entry):
        expected = "what runs, such as 'python train.py'" if not entry else "none: only engines run"
        raise BadInputError("--entry", repr(entry) if entry else "nothing", expected)
    if session.profile.owner.release_url is None:
        note("no key broker in the profile: each use of this content will need a grant by hand")
    with progress(f"sealing {folder.name}") as draw:
        made = author.publish(
            session,
            folder,
            kind_of(kind),
            price=price,
            payees=parse_payees(payee),
            entry_point=shlex.split(entry),
            replaces=replaces,
            royalty_bps=royalty_bps,
            made_by=parse_order(session, made_by) if made_by else None,
            segment_bytes=segment_kib << 10,
            progress=draw,
        )
    lines = [
        f"offer     {made.offer}, version {made.version}: {price_words(price, info)}",
        f"content   {hex_of(made.content_digest)}",
        f"manifest  {made.manifest_uri}",
        f"sealed    {made.content_uri}",
        f"sent      {made.tx or 'nothing: these terms were listed already'}",
    ]
    emit(as_json, published_json(made), lines)


@app.command()
def digest(
    context: typer.Context,
    folder: Folder,
    kind: Kind = "engine",
    offer: Annotated[
        int | None, typer.Option("--offer", help="Compare with this offer, under its salt and segment size.")
    ] = None,
    segment_kib: Annotated[
        int, typer.Option("--segment-kib", help="As in the manifest to compare with.")
    ] = 1024,
    as_json: AsJson = False,
) -> None:
    """Print the content digest of a folder. With --offer, compare it with what is on chain."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.domain.offer import kind_of
    from marketplace.sdk import author

    if not folder.is_dir():
        raise BadInputError("folder", str(folder), "a folder")
    with progress(f"reading {folder.name}") as draw:
        if offer is None:
            got = author.digest(folder, kind_of(kind), segment_bytes=segment_kib << 10, progress=draw)
            emit(as_json, {"content_digest": hex_of(got)}, [hex_of(got)])
            return
        session = session_of(context)
        got = author.own_digest(session, folder, offer, progress=draw)
    expected = session.reader.get_offer(offer).terms.content_digest
    same = got == expected
    word = "the same" if same else f"DIFFERENT: offer {offer} says {hex_of(expected)}"
    value = {"content_digest": hex_of(got), "offer": offer, "offered": hex_of(expected), "same": same}
    emit(as_json, dict(value), [f"{hex_of(got)}  {word}"])
    if not same:
        raise typer.Exit(ExitCode.NOT_VERIFIED)


@app.command("list")
def list_offers(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Closed offers too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List this wallet's own offers."""
    from marketplace.cli.words import offer_json, price_words, short
    from marketplace.sdk import market

    session = session_of(context)
    info = session.token().info()
    found = market.offers(session, owner=session.address, closed=everything)
    rows = [["offer", "kind", "open", "content", "price"]]
    for one in found:
        state, content = "yes" if one.active else "no", short(one.terms.content_digest)
        rows.append(
            [
                f"{one.offer} v{one.version}",
                one.kind.name.lower(),
                state,
                content,
                price_words(one.terms.price, info),
            ]
        )
    emit(as_json, {"offers": [offer_json(one) for one in found]}, table(rows))


OwnOffer = Annotated[int, typer.Argument(help="An offer of yours.")]
Version = Annotated[int | None, typer.Option("--version", metavar="N", help="One version only.")]


@app.command()
def close(context: typer.Context, offer: OwnOffer, version: Version = None, as_json: AsJson = False) -> None:
    """Take an offer from sale, until you reopen it. Accepted orders go on, and so do leases."""
    from marketplace.sdk import author

    tx = author.close_offer(session_of(context), offer, version)
    _changed(as_json, offer, tx, "closed")


@app.command()
def reopen(context: typer.Context, offer: OwnOffer, version: Version = None, as_json: AsJson = False) -> None:
    """Put a closed version, by default the newest, on sale again. With the same terms."""
    from marketplace.sdk import author

    tx = author.reopen_offer(session_of(context), offer, version)
    _changed(as_json, offer, tx, "open")


@app.command()
def retire(
    context: typer.Context,
    offer: OwnOffer,
    version: Version = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take an offer from sale for good. Its terms never come back."""
    from marketplace.sdk import author

    what = f"offer {offer}" if version is None else f"offer {offer}, version {version}"
    confirm(f"retire {what} for good?", yes=yes)
    tx = author.retire_offer(session_of(context), offer, version)
    _changed(as_json, offer, tx, "retired")


def _changed(as_json: bool, offer: int, tx: str, state: str) -> None:
    emit(
        as_json,
        {"offer": offer, "state": state, "tx": tx},
        [f"offer {offer} is {state}" + (f", sent {tx}" if tx else " already")],
    )
