"""`cloister market`: what is for sale."""

from __future__ import annotations

from typing import Annotated

import typer

from marketplace.cli.options import AsJson, session_of
from marketplace.cli.output import emit, table

__all__ = ["app"]

app = typer.Typer(help="What is for sale.", no_args_is_help=True)


@app.command("list")
def list_offers(
    context: typer.Context,
    kind: Annotated[str, typer.Option("--kind", help="engine, model, dataset or compute.")] = "",
    owner: Annotated[str, typer.Option("--owner", metavar="ADDRESS", help="Only this owner's.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Closed offers too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 100,
    after: Annotated[
        int, typer.Option("--after", metavar="OFFER", help="Only offers with a greater id.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """List offers, the newest version of each."""
    from marketplace.chain.signer import parse_address
    from marketplace.cli.words import offer_json, price_words, short
    from marketplace.domain.offer import kind_of
    from marketplace.sdk import market

    session = session_of(context)
    found = market.offers(
        session,
        kind_of(kind) if kind else None,
        owner=parse_address(owner) if owner else None,
        closed=everything,
    )
    rest = sorted((one for one in found if one.offer > after), key=lambda one: one.offer)
    page, more = rest[:limit], len(rest) > limit
    infos = {token: session.token(token).info() for token in {one.terms.token for one in page}}
    rows = [["offer", "kind", "owner", "content", "price"]]
    for one in page:
        price = price_words(one.terms.price, infos[one.terms.token])
        content = short(one.terms.content_digest) if any(one.terms.content_digest) else "-"
        rows.append([f"{one.offer} v{one.version}", one.kind.name.lower(), short(one.owner), content, price])
    cursor = page[-1].offer if more else None
    lines = table(rows) + ([f"more: --after {cursor}"] if more else [])
    emit(as_json, {"offers": [offer_json(one) for one in page], "next": cursor}, lines)


@app.command()
def show(
    context: typer.Context,
    offer: Annotated[int, typer.Argument(help="Offer id.")],
    version: Annotated[int | None, typer.Option("--version", help="Default: the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show one offer with its terms, checked against the registry's hash."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.words import offer_json, price_words
    from marketplace.sdk import market

    session = session_of(context)
    found = market.offer(session, offer, version)
    terms = found.terms
    price = price_words(terms.price, session.token(terms.token).info())
    lines = [
        f"offer     {found.offer}, version {found.version} of {found.latest}, {found.kind.name.lower()}",
        f"state     {'open' if found.active else 'closed for new orders'}",
        f"owner     {hex_of(found.owner)}",
        f"price     {price}",
        *(f"payee     {hex_of(payee.account)}  {payee.bps / 100} %" for payee in terms.payees),
        f"terms     {hex_of(found.terms_hash)}",
    ]
    if any(terms.content_digest):
        lines += [
            f"content   {hex_of(terms.content_digest)}",
            f"manifest  {hex_of(terms.manifest_digest)} at {found.manifest_uri}",
            f"grants    signed by {hex_of(terms.grant_key)}",
        ]
    emit(as_json, offer_json(found), lines)
