"""`cloister author`: seal and publish engines, models and datasets; compare digests; close offers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli import sealing
from marketplace.cli.exits import ExitCode
from marketplace.cli.options import (
    AsJson,
    Entry,
    Fixed,
    HashName,
    LongestRent,
    MinSeconds,
    Payees,
    PerHour,
    PerUnit,
    SegmentKib,
    ShowProgress,
    Yes,
    given_path,
    hash_of,
    parse_order,
    parse_payees,
    parse_price,
    session_of,
)
from marketplace.cli.output import confirm, emit, note, progress, table
from marketplace.errors import BadInputError

__all__ = ["app"]

app = typer.Typer(help="Seal, publish and compare engines, models and datasets.", no_args_is_help=True)

app.command("pack")(sealing.pack)
app.command("seal")(sealing.seal)
app.command("push")(sealing.push)
app.command("inspect")(sealing.inspect)
app.command("reseal")(sealing.reseal)


@app.command()
def publish(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER|SEALED", parser=given_path, help="A folder to seal, or a file that `seal` made."
        ),
    ],
    kind: Annotated[
        str, typer.Option("--kind", help="engine, model or dataset; a sealed file says its own.")
    ] = "",
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
    entry: Entry = "",
    replaces: Annotated[
        int | None, typer.Option("--replaces", metavar="OFFER", help="Add a version to this offer of yours.")
    ] = None,
    algorithm: HashName = "",
    segment_kib: SegmentKib = 1024,
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Seal a folder, store the ciphertext, list the offer. The key never leaves your keystore."""
    import shlex

    from marketplace.sdk import author, containers

    wanted = None if source.is_file() else sealing.check_content(source, kind, entry)
    if wanted is None:
        sealing.check_sealed_alone(kind, entry, algorithm)
    session = session_of(context)
    asked = author.Asked(
        price=parse_price(session.token().info(), fixed, per_hour, min_seconds, per_unit, max_rent),
        payees=parse_payees(payee),
        replaces=replaces,
        royalty_bps=royalty_bps,
        made_by=parse_order(session, made_by) if made_by else None,
    )
    if session.profile.owner.release_url is None:
        note("no key broker in the profile: each use of this content will need a grant by hand")
    if wanted is None:
        stages = sealing.stages_of(source, show)
        made = containers.publish_sealed(session, source, asked, stages=stages)
    else:
        with progress(f"sealing {source.name}", show) as draw:
            made = author.publish(
                session,
                source,
                wanted,
                entry_point=shlex.split(entry),
                algorithm=hash_of(context, algorithm),
                segment_bytes=segment_kib << 10,
                progress=draw,
                **{name: getattr(asked, name) for name in asked.__slots__},
            )
    sealing.listed(session, made, asked.price, as_json=as_json)


@app.command()
def digest(
    context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", parser=given_path, help="A folder, an archive of one, or a sealed file."
        ),
    ],
    kind: Annotated[str, typer.Option("--kind", help="engine: only its digests are bare.")] = "engine",
    offer: Annotated[
        int | None,
        typer.Option("--offer", help="Compare with this offer, under its salt, hash and segment size."),
    ] = None,
    segment_kib: Annotated[
        int, typer.Option("--segment-kib", help="As in the manifest to compare with.")
    ] = 1024,
    algorithm: HashName = "",
    show: ShowProgress = False,
    as_json: AsJson = False,
) -> None:
    """Print the digest of a folder, an archive or a sealed file. With --offer, compare it with the chain."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.domain.offer import kind_of
    from marketplace.sdk import author
    from marketplace.sealing.containers import is_sealed

    if not path.exists():
        raise BadInputError("path", str(path), "a folder or a file")
    if path.is_file() and is_sealed(path):
        _sealed_digest(context, path, offer, show=show, as_json=as_json)
        return
    if offer is None:
        with progress(f"reading {path.name}", show) as draw:
            got = author.digest(
                path,
                kind_of(kind),
                algorithm=hash_of(context, algorithm),
                segment_bytes=segment_kib << 10,
                progress=draw,
            )
        emit(as_json, {"content_digest": hex_of(got)}, [hex_of(got)])
        return
    session = session_of(context)
    with progress(f"reading {path.name}", show) as draw:
        got = author.own_digest(session, path, offer, progress=draw)
    _compared("content_digest", got, offer, session.reader.get_offer(offer).terms.content_digest, as_json)


def _sealed_digest(
    context: typer.Context, path: Path, offer: int | None, *, show: bool, as_json: bool
) -> None:
    """Print the ciphertext digest of a sealed file, compared with the one in an offer's manifest."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk.market import manifest_of
    from marketplace.sdk.streams import file_digest

    with progress(f"reading {path.name}", show) as draw:
        got = file_digest(path, progress=draw)
    if offer is None:
        emit(as_json, {"ciphertext_digest": hex_of(got)}, [f"{hex_of(got)}  ciphertext"])
        return
    session = session_of(context)
    expected = manifest_of(session, session.reader.get_offer(offer)).sealed.ciphertext_digest
    _compared("ciphertext_digest", got, offer, expected, as_json)


def _compared(name: str, got: bytes, offer: int, expected: bytes, as_json: bool) -> None:
    from enclave_runtime.wire.codec import hex_of

    same = got == expected
    word = "the same" if same else f"DIFFERENT: offer {offer} says {hex_of(expected)}"
    value = {name: hex_of(got), "offer": offer, "offered": hex_of(expected), "same": same}
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
