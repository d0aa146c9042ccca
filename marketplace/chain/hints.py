"""Where an order's public bundle lies, as its events say: hints that anybody may bring (protocol 8)."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.chain.reader import OrderEvent

__all__ = ["last_location"]

_NAMING = ("OrderReported", "OrderLocated")


def last_location(events: Sequence[OrderEvent]) -> str:
    """Return the newest hint at an order's bundle, or an empty text.

    The newest is the best: after the end only the CVM's operator can add one, where a stranger that carried
    the report said something else.

    Args:
        events: of one order, oldest first.
    """
    named = [str(event.members["location"]) for event in events if event.name in _NAMING]
    return next((location for location in reversed(named) if location), "")
