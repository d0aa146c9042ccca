"""Why an order is where it is, what may happen next and by when, in words (protocol section 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.orders import Phase, Windows
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState

__all__ = ["Deadline", "Explanation", "deadline_of", "why"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """A time after which something becomes possible.

    Attributes:
        name: the window in the order's terms.
        at: Unix time, in seconds; the window still holds at that very second.
        then: what anybody may do afterwards, as a command word.
    """

    name: str
    at: int
    then: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """An order's state in words.

    Attributes:
        headline: one sentence.
        money: what it means for the deposit, one sentence.
        next_steps: what may happen now, each with who does it.
        deadline: what ends this state by itself, or None in a terminal one.
        overdue_s: seconds since the deadline passed; 0 before.
    """

    state: OrderState
    headline: str
    money: str
    next_steps: tuple[str, ...]
    deadline: Deadline | None
    overdue_s: int


_S, _P = OrderState, Phase
_ALL_BACK: Final = "The whole deposit is the payer's again."
_CLAIM: Final = ("anybody: collect, so that each receiver gets its amount",)
_SLASHED: Final = (
    "What is proven is paid; the provider's stake pays what the inputs' owners are due beyond it."
)
_RUNNING: Final = (
    "anybody: checkpoint, with the CVM's signature; each proof pays and keeps the order alive for grace",
    "client: stop, and pay what is proven",
    "anybody: top up; payer: reclaim what the order does not need",
    "anybody: settle-revoked, if the CVM was revoked meanwhile",
)
_STOPPING: Final = (
    "provider: prove what was used within grace, or report",
    "anybody: expire after grace; with a proof after the stop the order is STOPPED, without one EXPIRED",
)

_WORDS: Final[dict[tuple[OrderState, Phase], tuple[str, str, tuple[str, ...]]]] = {
    (_S.NONE, _P.NONE): (
        "The chain knows no such order.",
        "Nothing was deposited.",
        ("client: place the order",),
    ),
    (_S.PLACED, _P.NONE): (
        "Placed; waiting for the provider to accept.",
        "The deposit is in escrow.",
        ("provider: accept", "client: cancel at any time"),
    ),
    (_S.ACCEPTED, _P.NONE): (
        "Accepted for one CVM; waiting for it to start.",
        "The deposit is in escrow; the provider's stake is locked for the order.",
        ("provider: start, with the CVM's signature", "anybody: void, if the CVM is not good any more"),
    ),
    (_S.RUNNING, _P.SETUP): (
        "Running: the CVM fetches keys and checks every digest; the engine has not started.",
        "Set-up time is due as it is proven; nothing fixed is due yet.",
        ("provider: checkpoint, refuse or report, with the CVM's signature", *_RUNNING),
    ),
    (_S.RUNNING, _P.ENGINE): (
        "Running: every digest was checked and the engine works.",
        "Time and units are due as they are proven; fixed prices with the result.",
        ("provider: report, with the CVM's signature", *_RUNNING),
    ),
    (_S.STOPPING, _P.SETUP): (
        "Stopped by the client before the engine started; the CVM may still prove what it did.",
        "Only what a CVM proves is paid.",
        _STOPPING,
    ),
    (_S.STOPPING, _P.ENGINE): (
        "Stopped by the client while the engine worked; the CVM may still prove what it did.",
        "Only what a CVM proves is paid.",
        _STOPPING,
    ),
    (_S.CANCELLED, _P.NONE): ("Cancelled before it ran.", _ALL_BACK, _CLAIM),
    (_S.EXPIRED, _P.NONE): (
        "Expired: the provider accepted and never started.",
        _ALL_BACK + " The start penalty from the provider's stake goes to the client.",
        _CLAIM,
    ),
    (_S.EXPIRED, _P.SETUP): (
        "Expired: no proof came for grace; the engine was never proven to start.",
        _SLASHED,
        _CLAIM,
    ),
    (_S.EXPIRED, _P.ENGINE): (
        "Expired: no proof came for grace. No result can be opened.",
        _SLASHED,
        _CLAIM,
    ),
    (_S.REFUSED, _P.SETUP): (
        "Refused by the CVM before the engine started: an owner's object is at fault, or a key never came.",
        "The provider gets the set-up time, inputs get nothing, the rest goes back.",
        _CLAIM,
    ),
    (_S.COMPLETED, _P.ENGINE): (
        "Completed: the CVM signed the order report.",
        "Everybody is due what the report proved; the rest goes back.",
        ("client: get the result, then give the receipt that frees what is held back", *_CLAIM),
    ),
    (_S.FAILED, _P.ENGINE): (
        "Failed: the engine itself ended badly, and the CVM signed that.",
        "Compute and inputs are due as proven; the rest goes back.",
        ("client: get the logs", *_CLAIM),
    ),
    (_S.LAPSED, _P.ENGINE): (
        "Lapsed: the paid time was over before the engine was done, and the CVM signed that.",
        "Time and units are due as proven, fixed prices in proportion; the rest goes back.",
        _CLAIM,
    ),
    (_S.HOST, _P.SETUP): (
        "Ended by the host's fault before the engine started.",
        "The set-up time that was proven is due, nothing else. Nothing is slashed.",
        _CLAIM,
    ),
    (_S.HOST, _P.ENGINE): (
        "Ended by the host's fault.",
        "Time and units proven before are due to compute; inputs of a batch order get nothing.",
        _CLAIM,
    ),
    (_S.REVOKED, _P.SETUP): (
        "Ended because the CVM was revoked before the engine started; nobody is at fault.",
        "Only what was proven is due; nothing is slashed.",
        _CLAIM,
    ),
    (_S.REVOKED, _P.ENGINE): (
        "Ended because the CVM was revoked; nobody is at fault.",
        "Paid to the last proof; nothing is slashed, the rest goes back.",
        _CLAIM,
    ),
    (_S.STOPPED, _P.SETUP): (
        "Stopped by the client before the engine started.",
        "The provider gets the set-up time that was proven; the rest goes back.",
        _CLAIM,
    ),
    (_S.STOPPED, _P.ENGINE): (
        "Stopped by the client while the engine worked.",
        "Compute and inputs are due to the last proof; the rest goes back.",
        _CLAIM,
    ),
}
"""Headline, money, next steps for every state and phase that the table of order_state can reach."""


def why(record: OrderRecord, windows: Windows, *, now: int) -> Explanation:
    """Return the state of `record` in words at chain time `now`, in seconds."""
    reserved = (f"In the reserved state {record.state.name}.", "Unknown to this version.", ())
    headline, money, steps = _WORDS.get((record.state, record.phase), reserved)
    deadline = deadline_of(record, windows)
    overdue = max(0, now - deadline.at) if deadline is not None else 0
    if deadline is not None and overdue:
        steps = (f"anybody: {deadline.then}, since {deadline.name} passed {overdue} s ago", *steps)
    return Explanation(record.state, headline, money, steps, deadline, overdue)


def deadline_of(record: OrderRecord, windows: Windows) -> Deadline | None:
    """Return what ends the order's present state by itself, or None if nothing does."""
    if record.state is OrderState.PLACED:
        return Deadline("acceptWithin", record.since + windows.accept_within, "cancel")
    if record.state is OrderState.ACCEPTED:
        return Deadline("startWithin", record.since, "expire")
    if record.state is OrderState.RUNNING:
        # A proof keeps an order alive for `grace`, and nothing does beyond the last second that is paid.
        alive = record.since + min(record.last_proof, record.limit(windows)) + windows.grace
        return Deadline("grace without a proof", alive, "expire")
    if record.state is OrderState.STOPPING:
        return Deadline("grace after the stop", record.extra.stopped_at + windows.grace, "expire")
    return None
