"""`cloister lease`: owners sell the use of an offer for a time; clients take, renew, end it (section 6.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import AsJson, Payees, Yes, parse_id, parse_payees, session_of
from marketplace.cli.output import confirm, emit, moment, table

if TYPE_CHECKING:
    from marketplace.chain.leases import LeaseRecord, OpenTerms
    from marketplace.chain.tokens import TokenInfo

__all__ = ["app"]

app = typer.Typer(help="Sell, take, renew and end leases of content.", no_args_is_help=True)

TermsId = Annotated[str, typer.Argument(metavar="TERMS", help="Id of lease terms, 0x and 64 hex digits.")]
LeaseId = Annotated[str, typer.Argument(metavar="LEASE", help="Id of a lease, 0x and 64 hex digits.")]
Periods = Annotated[int, typer.Option("--periods", metavar="N", min=1, max=65535, help="How many periods.")]


@app.command("terms")
def list_terms(
    context: typer.Context,
    offer: Annotated[int | None, typer.Option("--offer", metavar="OFFER", help="Of this offer.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Closed terms too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the terms by which leases are sold."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import leasing

    session = session_of(context)
    found = leasing.terms(session, offer, closed=everything)
    info = session.token().info()
    rows = [["terms", "offer", "price", "places", "notice", "open"]]
    rows += [
        [
            hex_of(one.terms_id),
            f"{one.terms.offer} v{one.terms.version}",
            _price(one, info),
            str(one.terms.places),
            f"{one.terms.notice_seconds} s",
            "yes" if one.is_open else "no",
        ]
        for one in found
    ]
    emit(as_json, {"terms": [_terms_json(one) for one in found]}, table(rows))


@app.command("open")
def open_terms(
    context: typer.Context,
    offer: Annotated[int, typer.Argument(help="An engine, model or dataset of yours.")],
    price: Annotated[
        str, typer.Option("--price", metavar="AMOUNT", help="For each period, in whole tokens.")
    ],
    period: Annotated[
        int, typer.Option("--period", metavar="SECONDS", min=1, help="How long a period is.")
    ] = 30 * 86_400,
    max_periods: Annotated[int, typer.Option("--max-periods", help="Periods paid ahead at most.")] = 12,
    places: Annotated[int, typer.Option("--places", help="Orders that may use one lease at once.")] = 1,
    notice: Annotated[
        int,
        typer.Option("--notice", metavar="SECONDS", help="Between your recall and the end that it brings."),
    ] = 0,
    min_seconds: Annotated[
        int, typer.Option("--min-seconds", help="What a lessee who ends early has paid for at least.")
    ] = 0,
    payee: Payees = [],  # noqa: B006 - typer copies defaults
    as_json: AsJson = False,
) -> None:
    """Sell leases of the newest version of an offer."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.domain.money import parse_amount
    from marketplace.sdk import leasing

    session = session_of(context)
    info = session.token(session.reader.get_offer(offer).terms.token).info()
    asking = leasing.Asking(
        price=parse_amount(price, info.decimals),
        period_s=period,
        max_periods=max_periods,
        places=places,
        notice_s=notice,
        min_s=min_seconds,
    )
    made = leasing.open_terms(session, offer, asking, parse_payees(payee))
    emit(as_json, _terms_json(made), [f"terms  {hex_of(made.terms_id)}", f"price  {_price(made, info)}"])


@app.command()
def notice(context: typer.Context, terms: TermsId, as_json: AsJson = False) -> None:
    """Sell no more leases by these terms, and renew none. Those that run go on."""
    from marketplace.sdk import leasing

    tx = leasing.give_notice(session_of(context), parse_id(terms, "lease terms"))
    _done(as_json, {"terms": terms, "tx": tx}, "closed", tx)


@app.command()
def take(
    context: typer.Context,
    terms: TermsId,
    periods: Periods = 1,
    lessee: Annotated[
        str, typer.Option("--lessee", metavar="ADDRESS", help="Whose orders may name it; default: yours.")
    ] = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Pay for a lease in advance. Name it with `order place --lease INDEX=LEASE`."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.chain.signer import parse_address
    from marketplace.cli.words import amount
    from marketplace.sdk import leasing

    session = session_of(context)
    named = parse_id(terms, "lease terms")
    asked = leasing.find_terms(session, named)
    info = session.token(asked.terms.token).info()
    price = amount(asked.terms.price_per_period * periods, info)
    confirm(f"pay {price} for a lease of offer {asked.terms.offer}, {periods} times its period?", yes=yes)
    made = leasing.take(session, named, periods, lessee=parse_address(lessee) if lessee else None)
    lines = [f"lease  {hex_of(made.lease_id)}", f"ends   {moment(made.end)}"]
    emit(as_json, _lease_json(made), lines)


@app.command("list")
def list_leases(context: typer.Context, as_json: AsJson = False) -> None:
    """List this wallet's leases."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk import leasing

    found = leasing.leases(session_of(context))
    rows = [["lease", "offer", "ends", "free places"]]
    rows += [
        [
            hex_of(one.lease_id),
            f"{one.leasing.terms.offer} v{one.leasing.terms.version}",
            moment(one.end),
            str(one.free_places),
        ]
        for one in found
    ]
    emit(as_json, {"leases": [_lease_json(one) for one in found]}, table(rows))


@app.command()
def renew(
    context: typer.Context, lease: LeaseId, periods: Periods = 1, yes: Yes = False, as_json: AsJson = False
) -> None:
    """Add periods before the end. You pay; a refund would go to whoever took the lease."""
    from marketplace.cli.words import amount
    from marketplace.sdk import leasing

    session = session_of(context)
    named = parse_id(lease, "lease")
    terms = leasing.find(session, named).leasing.terms
    price = amount(terms.price_per_period * periods, session.token(terms.token).info())
    confirm(f"pay {price} to renew the lease of offer {terms.offer}, {periods} times its period?", yes=yes)
    tx = leasing.renew(session, named, periods)
    _done(as_json, {"lease": lease, "tx": tx}, "renewed", tx)


@app.command("auto-renew")
def auto_renew(
    context: typer.Context,
    lease: LeaseId,
    until: Annotated[int, typer.Option("--until", metavar="TIME", help="Unix time after which no more.")],
    periods: Periods = 1,
    within: Annotated[
        int, typer.Option("--within", metavar="SECONDS", help="Only so shortly before the end.")
    ] = 86_400,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let anybody renew with your allowance, so far and no further."""
    from marketplace.cli.words import amount
    from marketplace.domain.leasing import TopUp
    from marketplace.sdk import leasing

    session = session_of(context)
    named = parse_id(lease, "lease")
    terms = leasing.find(session, named).leasing.terms
    price = amount(terms.price_per_period * periods, session.token(terms.token).info())
    confirm(f"let anybody renew for {price} of yours, until {moment(until)}?", yes=yes)
    tx = leasing.set_top_up(session, named, TopUp(periods, until, within))
    _done(as_json, {"lease": lease, "tx": tx}, f"to be renewed by anybody, {periods} times at most", tx)


@app.command()
def end(context: typer.Context, lease: LeaseId, yes: Yes = False, as_json: AsJson = False) -> None:
    """End a lease of yours now. What it has not earned goes back to whoever paid."""
    from marketplace.cli.words import amount
    from marketplace.sdk import leasing

    session = session_of(context)
    confirm("end this lease now?", yes=yes)
    named = parse_id(lease, "lease")
    tx, units = leasing.end(session, named)
    info = session.token(leasing.find(session, named).leasing.terms.token).info()
    over = "it is over" + (f", sent {tx}" if tx else " already")
    back = [f"{amount(units, info)} fetched"] if units else []
    emit(as_json, {"lease": lease, "tx": tx, "withdrawn": str(units)}, [over, *back])


@app.command()
def recall(context: typer.Context, lease: LeaseId, yes: Yes = False, as_json: AsJson = False) -> None:
    """Bring a lease of your offer to an end, after notice. No running order loses it."""
    from marketplace.sdk import leasing

    session = session_of(context)
    confirm("recall this lease, and give back what it will not earn?", yes=yes)
    tx = leasing.recall(session, parse_id(lease, "lease"))
    _done(as_json, {"lease": lease, "tx": tx}, "recalled", tx)


@app.command()
def collect(context: typer.Context, lease: LeaseId, as_json: AsJson = False) -> None:
    """Credit what a lease earned to its payees, and fetch what is yours."""
    from marketplace.cli.words import amount
    from marketplace.sdk import leasing

    session = session_of(context)
    named = parse_id(lease, "lease")
    tx, units = leasing.collect(session, named)
    info = session.token(leasing.find(session, named).leasing.terms.token).info()
    value: dict[str, object] = {"lease": lease, "tx": tx, "withdrawn": str(units)}
    emit(as_json, value, [f"{amount(units, info)} fetched, sent {tx}"])


def _price(one: OpenTerms, info: TokenInfo) -> str:
    from marketplace.cli.words import amount

    return f"{amount(one.terms.price_per_period, info)} per {one.terms.period_seconds} s"


def _terms_json(one: OpenTerms) -> dict[str, object]:
    from enclave_runtime.wire.codec import hex_of, to_json

    return {
        "terms_id": hex_of(one.terms_id),
        "owner": hex_of(one.owner),
        "open": one.is_open,
        "terms": to_json(one.terms),
        "payees": [to_json(payee) for payee in one.payees],
    }


def _lease_json(one: LeaseRecord) -> dict[str, object]:
    from enclave_runtime.wire.codec import hex_of, to_json

    return {
        "lease": hex_of(one.lease_id),
        "lessee": hex_of(one.leasing.lessee),
        "payer": hex_of(one.leasing.payer),
        "terms": to_json(one.leasing.terms),
        "start": one.start,
        "end": one.end,
        "free_places": one.free_places,
        "collected_until": one.collected_until,
    }


def _done(as_json: bool, value: dict[str, object], state: str, tx: str) -> None:
    emit(as_json, value, [f"it is {state}" + (f", sent {tx}" if tx else " already")])
