"""Domain values as JSON members and as lines for people; one place, so that the schema stays one.

JSON: bytes are 0x-hex, states and kinds go by name, amounts are decimal strings of the token's smallest unit,
times are Unix seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from enclave_runtime.wire.codec import hex_of, to_json
from marketplace.domain.money import format_amount
from marketplace.domain.order_state import RUNNING, OrderState
from marketplace.domain.owed import held_for

if TYPE_CHECKING:
    from enclave_runtime.wire.offers import Price
    from marketplace.chain.claims import Collected
    from marketplace.chain.tokens import TokenInfo
    from marketplace.domain.offer import ListedOffer
    from marketplace.domain.order import OrderRecord
    from marketplace.domain.quote import Quote
    from marketplace.domain.why import Deadline
    from marketplace.sdk.author import Published
    from marketplace.sdk.client import OrderStatus
    from marketplace.sdk.income import Dues
    from marketplace.sdk.verdict import Verdict

__all__ = [
    "amount",
    "collected_json",
    "collected_lines",
    "deadline_json",
    "dues_json",
    "offer_json",
    "price_words",
    "published_json",
    "quote_json",
    "quote_lines",
    "short",
    "status_json",
    "status_lines",
    "token_json",
    "verdict_json",
    "verdict_lines",
]


def short(data: bytes) -> str:
    """Return the first six bytes in hex."""
    return hex_of(data)[:14]


def amount(units: int, info: TokenInfo) -> str:
    """Return an amount in whole tokens, with the token's symbol."""
    return format_amount(units, info.decimals, info.symbol)


def token_json(info: TokenInfo) -> dict[str, object]:
    """Return what JSON says of a token."""
    return {"address": hex_of(info.address), "symbol": info.symbol, "decimals": info.decimals}


def price_words(price: Price, info: TokenInfo) -> str:
    """Return a price such as "5 TUSD per order + 6 TUSD per hour (at least 60 s)"."""
    parts = []
    if price.fixed_price:
        parts.append(f"{amount(price.fixed_price, info)} per order")
    if price.per_hour:
        least = f" (at least {price.min_seconds} s)" if price.min_seconds else ""
        parts.append(f"{amount(price.per_hour, info)} per hour{least}")
    if price.per_unit:
        parts.append(f"{amount(price.per_unit, info)} per unit")
    most = f", for at most {price.max_seconds} s" if price.max_seconds else ""
    return (" + ".join(parts) or "free") + most


def offer_json(listed: ListedOffer) -> dict[str, object]:
    """Return what JSON says of an offer."""
    return {
        "offer": listed.offer,
        "version": listed.version,
        "latest": listed.latest,
        "kind": listed.kind.name.lower(),
        "owner": hex_of(listed.owner),
        "active": listed.active,
        "retired": listed.retired,
        "made_by": hex_of(listed.made_by) if listed.made_by else None,
        "royalties": [{"receiver": hex_of(one.account), "bps": one.bps} for one in listed.royalties],
        "terms": to_json(listed.terms),
        "terms_hash": hex_of(listed.terms_hash),
        "manifest_uri": listed.manifest_uri,
    }


def published_json(made: Published) -> dict[str, object]:
    """Return what JSON says of a publication."""
    return {
        "offer": made.offer,
        "version": made.version,
        "manifest_digest": hex_of(made.manifest_digest),
        "content_digest": hex_of(made.content_digest),
        "manifest_uri": made.manifest_uri,
        "content_uri": made.content_uri,
        "tx": made.tx,
        "gas": made.gas,
    }


def quote_json(quoted: Quote, info: TokenInfo) -> dict[str, object]:
    """Return what JSON says of a quote."""
    return {
        "token": token_json(info),
        "max_seconds": quoted.max_seconds,
        "max_units": quoted.max_units,
        "deposit": str(quoted.deposit),
        "reserve": str(quoted.reserve),
        "least": str(quoted.least),
        "fee_bps": quoted.fee_bps,
        "fee_most": str(quoted.fee_most),
        "provider_lock": str(quoted.provider_lock),
        "lines": [_quote_line_json(line) for line in quoted.lines],
    }


def _quote_line_json(line: Any) -> dict[str, object]:
    amounts = {name: str(getattr(line, name)) for name in ("fixed", "timed", "units", "most", "least")}
    shares = [{"receiver": hex_of(who), "most": str(most)} for who, most in line.shares]
    named = {"role": line.role, "offer": line.offer, "version": line.version, "leased": line.leased}
    return {**named, **amounts, "shares": shares}


def quote_lines(quoted: Quote, info: TokenInfo) -> list[str]:
    """Return a quote for people."""
    from marketplace.cli.output import table

    rows = [["part", "offer", "fixed", f"{quoted.max_seconds} s", "at most"]]
    rows += [
        [
            line.role,
            f"{line.offer} v{line.version}",
            format_amount(line.fixed, info.decimals),
            format_amount(line.timed, info.decimals),
            "leased" if line.leased else amount(line.most, info),
        ]
        for line in quoted.lines
    ]
    held = [
        f"held back      {amount(quoted.reserve, info)} of the compute price, as much of yours in reserve"
    ]
    fee = f"{amount(quoted.fee_most, info)} at most, within the above ({quoted.fee_bps / 100} %)"
    return [
        *table(rows),
        f"deposit        {amount(quoted.deposit, info)}, what is not used comes back",
        *(held if quoted.reserve else []),
        f"at least due   {amount(quoted.least, info)}, once the engine has started",
        f"protocol fee   {fee}",
        f"provider risks {amount(quoted.provider_lock, info)} of its stake",
    ]


def deadline_json(deadline: Deadline | None) -> dict[str, object] | None:
    """Return what JSON says of a deadline."""
    return None if deadline is None else {"name": deadline.name, "at": deadline.at, "then": deadline.then}


def status_json(status: OrderStatus, info: TokenInfo) -> dict[str, object]:
    """Return what JSON says of an order's status."""
    record = status.record
    return {
        "order_id": hex_of(status.order_id),
        "state": record.state.name,
        "phase": record.phase.name,
        "since": record.since,
        "cvm_id": hex_of(record.cvm_id) if any(record.cvm_id) else None,
        "seconds_used": record.seconds_used,
        "units_used": str(record.units_used),
        "last_proof_s": record.last_proof,
        "limit_s": record.limit(status.terms.windows),
        "locked": str(record.lock),
        "hold": record.hold.name,
        "added": str(record.extra.added),
        "removed": str(record.extra.removed),
        "stopped_at": record.extra.stopped_at or None,
        "now": status.now,
        "deadline": deadline_json(status.deadline),
        "token": token_json(info),
        "terms": to_json(status.terms),
        "packet": status.location,
        "bundle": status.bundle or None,
    }


def status_lines(status: OrderStatus, info: TokenInfo) -> list[str]:
    """Return an order's status for people."""
    from marketplace.cli.output import moment

    record, terms = status.record, status.terms
    phase = f", phase {record.phase.name}" if record.phase else ""
    lines = [
        f"order     {hex_of(status.order_id)}",
        f"state     {record.state.name}{phase}, {_since(record)}",
        f"client    {hex_of(terms.client)}",
        f"compute   offer {terms.compute.offer}, version {terms.compute.version}",
        *(f"input {n:<3} offer {item.offer}, version {item.version}" for n, item in enumerate(terms.inputs)),
        f"deposit   {amount(held_for(terms, record), info)}",
        f"packet    {status.location}",
    ]
    if any(record.cvm_id):
        lines.append(f"cvm       {hex_of(record.cvm_id)}")
    if status.bundle:
        lines.append(f"bundle    {status.bundle}")
    if status.deadline is not None:
        late = status.deadline
        lines.append(f"deadline  {late.name}: {moment(late.at)}, then anybody may {late.then}")
    if record.state in RUNNING:
        most = record.limit(terms.windows)
        lines.append(f"proven    {record.seconds_used} s of at most {most} s that the deposit pays for")
    if record.state.terminal:
        lines.append(f"billed    {record.seconds_used} s; see `cloister order payouts`")
    return lines


def _since(record: OrderRecord) -> str:
    from marketplace.cli.output import moment

    accepted = record.state is OrderState.ACCEPTED
    return f"{'to start until' if accepted else 'since'} {moment(record.since)}"


def dues_json(due: Dues) -> list[dict[str, object]]:
    """Return what JSON says of what an order owes."""
    return [
        {
            "part": line.bit,
            "name": line.name,
            "receiver": None if line.receiver is None else hex_of(line.receiver),
            "amount": str(line.amount),
            "claimed": line.claimed,
        }
        for line in due.lines
    ]


def collected_json(done: Collected) -> dict[str, object]:
    """Return what JSON says of a collection."""
    return {
        "txs": list(done.txs),
        "gas": done.gas,
        "claimed": [{"what": one.what, "gross": str(one.amount)} for one in done.claimed],
        "paid": [{"receiver": hex_of(one.account), "amount": str(one.amount)} for one in done.paid],
        "failed": [{"what": one.words, "reason": one.reason} for one in done.failed],
    }


def collected_lines(done: Collected, info: TokenInfo) -> list[str]:
    """Return a collection for people: who was paid what."""
    lines = [f"{amount(one.amount, info)} to {hex_of(one.account)}" for one in done.paid]
    claimed = f"{len(done.claimed)} claims, {done.gas} gas, sent {', '.join(done.txs)}"
    return [*lines, claimed] if done.txs else ["nothing left to fetch here"]


def verdict_json(verdict: Verdict, order: bytes) -> dict[str, object]:
    """Return what JSON says of a verdict."""
    return {
        "order_id": hex_of(order),
        "verified": verdict.passed,
        "trust_class": verdict.trust_class,
        "simulated": verdict.simulated,
        "checks": [
            {"number": line.number, "name": line.name, "passed": line.passed, "detail": line.detail}
            for line in verdict.lines
        ],
    }


def verdict_lines(verdict: Verdict, order: bytes) -> list[str]:
    """Return a verdict for people: every check, what it compared, and the sum."""
    lines = []
    for line in verdict.lines:
        lines += [
            f"{line.number:>2} {'ok  ' if line.passed else 'FAIL'} {line.name}",
            f"        {line.detail}",
        ]
    word = "VERIFIED" if verdict.passed else "NOT VERIFIED"
    return [*lines, f"order {hex_of(order)}: {word}, trust class {verdict.trust_class}"]
