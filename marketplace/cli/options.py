"""Options that commands share, and how the texts in them become values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.output import ask_secret
from marketplace.errors import BadInputError, NotFoundError

if TYPE_CHECKING:
    from enclave_runtime.sealed.tree import Algorithm
    from enclave_runtime.wire.offers import Payee, Price
    from enclave_runtime.wire.orders import Holdback
    from marketplace.chain.tokens import TokenInfo
    from marketplace.sdk.profile import Profile, Session
    from marketplace.sdk.settings import Trust

__all__ = [
    "AsJson",
    "Config",
    "Entry",
    "Fixed",
    "HashName",
    "HeldBack",
    "Leases",
    "LongestRent",
    "MinSeconds",
    "OfferId",
    "OrderId",
    "Payees",
    "PerHour",
    "PerUnit",
    "SegmentKib",
    "ShowProgress",
    "Yes",
    "given_path",
    "hash_of",
    "parse_holdback",
    "parse_id",
    "parse_leases",
    "parse_order",
    "parse_payees",
    "parse_price",
    "parse_sources",
    "profile_of",
    "session_of",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before money moves.")]
OrderId = Annotated[
    str, typer.Argument(metavar="ORDER", help="Order id, 0x-hex; its first digits do for your own orders.")
]
ShowProgress = Annotated[
    bool, typer.Option("--progress", help="Show progress in lines where there is no terminal.")
]
Entry = Annotated[
    str, typer.Option("--entry", metavar="COMMAND", help="Engines: what runs, such as 'python train.py'.")
]
SegmentKib = Annotated[int, typer.Option("--segment-kib", help="Size of segments, a power of two.")]
HashName = Annotated[
    str,
    typer.Option(
        "--algorithm",
        metavar="blake3|sha256",
        help="Hash of segments; sha256 for FIPS. Default: the profile's.",
    ),
]
Config = Annotated[Path, typer.Option("--config", metavar="FILE", help="The service's settings (TOML).")]
Fixed = Annotated[str, typer.Option("--fixed", metavar="AMOUNT", help="Price per order, in whole tokens.")]
PerHour = Annotated[
    str, typer.Option("--per-hour", metavar="AMOUNT", help="Price per hour, billed by the second.")
]
MinSeconds = Annotated[int, typer.Option("--min-seconds", help="Seconds that are billed at least.")]
LongestRent = Annotated[
    int, typer.Option("--max-rent", metavar="SECONDS", help="The longest rent; 0 is no bound.")
]
OfferId = Annotated[
    int | None,
    typer.Option(
        "--offer", metavar="OFFER", help="Your compute offer; default: the profile's, or your only one."
    ),
]
HeldBack = Annotated[
    str,
    typer.Option(
        "--holdback",
        metavar="BPS=SECONDS",
        help="Share of the compute price that waits so long for your receipt, such as 1000=86400.",
    ),
]
Leases = Annotated[
    list[str],
    typer.Option(
        "--lease", metavar="INDEX=LEASE", help="A lease that pays for an input (0 is the engine); repeat."
    ),
]
PerUnit = Annotated[str, typer.Option("--per-unit", metavar="AMOUNT", help="Price per metered unit.")]
Payees = Annotated[
    list[str],
    typer.Option(
        "--payee", metavar="ADDRESS=BPS", help="Who gets how many basis points; repeat. Default: all to you."
    ),
]

_ORDER = re.compile(r"0x[0-9a-fA-F]{1,64}")
_SHORTEST = 6


def profile_of(context: typer.Context) -> Profile:
    """Return the profile that --home or the environment names.

    Raises:
        NotFoundError, BadInputError: as `Profile.load`.
    """
    from marketplace.sdk.profile import Profile

    return Profile.load(context.obj)


def session_of(context: typer.Context, trust: Trust | None = None) -> Session:
    """Return a session on the profile, with other beliefs if any are given.

    A passphrase that the profile has no file for is asked for when it is needed.
    """
    from dataclasses import replace

    from marketplace.sdk.profile import Session

    profile = profile_of(context)
    return Session(profile if trust is None else replace(profile, trust=trust), ask=ask_secret)


def hash_of(context: typer.Context, text: str) -> Algorithm:
    """Return the hash of segments that is asked for, or the profile's, or BLAKE3 where there is no profile.

    Raises:
        BadInputError: none of ours.
    """
    from enclave_runtime.sealed.tree import Algorithm
    from marketplace.sdk.settings import parse_algorithm

    if text:
        return parse_algorithm(text, "--algorithm")
    try:
        return profile_of(context).owner.algorithm
    except NotFoundError:
        return Algorithm.BLAKE3


def parse_order(session: Session, text: str) -> bytes:
    """Return an order id; an abbreviated one is completed from the orders that this profile placed.

    Raises:
        BadInputError: no such form, or several orders begin so.
        NotFoundError: no order begins so.
    """
    if not _ORDER.fullmatch(text):
        raise BadInputError("order id", repr(text[:80]), "0x and 64 hex digits")
    digits = text[2:].lower()
    if len(digits) == 64:
        return bytes.fromhex(digits)
    if len(digits) < _SHORTEST:
        raise BadInputError("order id", text, f"0x and at least its first {_SHORTEST} hex digits")
    own = sorted(path.stem for path in session.profile.orders.glob("*.json"))
    found = [name for name in own if name.startswith(digits)]
    if not found:
        raise NotFoundError(
            f"order {text}: none of this profile's orders begins so", hint="give all 64 hex digits"
        )
    if len(found) > 1:
        raise BadInputError("order id", f"{text}, which {len(found)} orders begin with", "more digits")
    return bytes.fromhex(found[0])


def parse_id(text: str, what: str) -> bytes:
    """Return 32 bytes from their hex digits.

    Raises:
        BadInputError: another form.
    """
    if not _ORDER.fullmatch(text) or len(text) != 66:
        raise BadInputError(what, repr(text[:80]), "0x and 64 hex digits")
    return bytes.fromhex(text[2:])


def parse_holdback(text: str) -> Holdback:
    """Return a holdback from BPS=SECONDS; nothing is held back where the text is empty.

    Raises:
        BadInputError: another form.
    """
    from enclave_runtime.wire.orders import Holdback

    if not text:
        return Holdback()
    bps, equals, seconds = text.partition("=")
    if not equals or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (bps, seconds)):
        raise BadInputError("--holdback", repr(text[:40]), "BPS=SECONDS, such as 1000=86400")
    return Holdback(int(bps), int(seconds))


def parse_leases(texts: list[str], inputs: int) -> tuple[bytes, ...]:
    """Return one lease id per input, zero where there is none; empty where no lease is named.

    Raises:
        BadInputError: another form, or an input that there is not.
    """
    found = [bytes(32)] * inputs
    for text in texts:
        index, equals, lease = text.partition("=")
        if not equals or not index.isdecimal() or len(index) > 3 or int(index) >= inputs:
            raise BadInputError("--lease", repr(text[:90]), f"INDEX=LEASE, with an index below {inputs}")
        found[int(index)] = parse_id(lease, "--lease")
    return tuple(found) if texts else ()


def parse_price(
    info: TokenInfo, fixed: str, per_hour: str, min_seconds: int, per_unit: str, max_rent: int = 0
) -> Price:
    """Return a price from amounts in whole tokens.

    Raises:
        BadInputError: no amount, or more decimal places than the token has.
    """
    from enclave_runtime.wire.offers import Price
    from marketplace.domain.money import parse_amount

    for name, seconds in (("--min-seconds", min_seconds), ("--max-rent", max_rent)):
        if not 0 <= seconds < 1 << 32:
            raise BadInputError(name, seconds, f"0 to {(1 << 32) - 1}")
    return Price(
        fixed_price=parse_amount(fixed, info.decimals),
        per_hour=parse_amount(per_hour, info.decimals),
        min_seconds=min_seconds,
        max_seconds=max_rent,
        per_unit=parse_amount(per_unit, info.decimals),
    )


def parse_payees(texts: list[str]) -> list[Payee] | None:
    """Return the receivers in ADDRESS=BPS texts, or None where there are none.

    Raises:
        BadInputError: another form.
    """
    from enclave_runtime.wire.offers import Payee
    from marketplace.chain.signer import parse_address

    payees = []
    for text in texts:
        address, equals, bps = text.partition("=")
        if not equals or not bps.isascii() or not bps.isdigit() or len(bps) > 5:
            raise BadInputError("--payee", repr(text[:80]), "ADDRESS=BPS, such as 0x...=2500")
        payees.append(Payee(parse_address(address), int(bps)))
    return payees or None


def parse_sources(texts: list[str]) -> dict[int, Path]:
    """Return input index -> folder from INDEX=FOLDER texts.

    Raises:
        BadInputError: another form, or no such folder.
    """
    found = {}
    for text in texts:
        index, equals, folder = text.partition("=")
        if not equals or not index.isascii() or not index.isdigit() or not Path(folder).is_dir():
            raise BadInputError("--source", repr(text[:80]), "INDEX=FOLDER, such as 0=engine/")
        found[int(index)] = Path(folder)
    return found


def given_path(text: str) -> Path:
    """Return the path that was given. An empty one, as of a variable that a script never set, is no folder.

    Raises:
        BadInputError: it is empty.
    """
    if not text:
        raise BadInputError("path", "nothing", "a path; the current folder is .")
    return Path(text)
