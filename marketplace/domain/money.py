"""Whole amounts of a token: floors with the rounding in the name, and amounts in words (protocol 6.3).

All arithmetic is on integers of the token's smallest unit; nothing here is a float.
"""

from __future__ import annotations

import re

from enclave_runtime.wire.offers import BPS
from marketplace.errors import BadInputError

__all__ = ["MAX_AMOUNT", "format_amount", "parse_amount", "share_down", "time_down"]

MAX_AMOUNT = (1 << 128) - 1
"""The largest amount that terms can name (uint128)."""
_AMOUNT = re.compile(r"([0-9]{1,39})(?:\.([0-9]{1,36}))?")
_SECONDS_PER_HOUR = 3600


def share_down(amount: int, bps: int) -> int:
    """Return `bps` basis points of `amount`, rounded down."""
    return amount * bps // BPS


def time_down(per_hour: int, seconds: int) -> int:
    """Return the price of `seconds` at `per_hour`, billed by the second, rounded down."""
    return per_hour * seconds // _SECONDS_PER_HOUR


def parse_amount(text: str, decimals: int) -> int:
    """Return the smallest units in a decimal amount such as "12.5".

    Args:
        text: what a person typed: digits, optionally a point and more digits.
        decimals: how many decimal places the token has.
    Raises:
        BadInputError: another form, more places than the token has, or more than `MAX_AMOUNT`.
    """
    match = _AMOUNT.fullmatch(text.strip().replace("_", ""))
    if match is None:
        raise BadInputError("amount", repr(text[:50]), "digits with at most one decimal point, such as 12.5")
    whole, part = match.group(1), (match.group(2) or "").rstrip("0")
    if len(part) > decimals:
        raise BadInputError("amount", f"{len(part)} decimal places", f"at most {decimals}, as the token has")
    value = int(whole + part.ljust(decimals, "0"))
    if value > MAX_AMOUNT:
        raise BadInputError("amount", f"{value} units", f"at most {MAX_AMOUNT}")
    return value


def format_amount(units: int, decimals: int, symbol: str = "") -> str:
    """Return `units` of the smallest unit as an exact decimal, such as "12.5 USDX"."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    whole, part = divmod(units, 10**decimals)
    places = str(part).rjust(decimals, "0").rstrip("0") if decimals else ""
    text = f"{sign}{whole}.{places}" if places else f"{sign}{whole}"
    return f"{text} {symbol}" if symbol else text
