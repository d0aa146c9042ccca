"""The life cycle of an order as a table (protocol 6.2; twin of contracts/libraries/OrderStateLib.sol).

The table is the rule: what is not in it does not happen. docs/protocol.md draws its diagram from it. Until
checkpoints pay there is exactly one, from SETUP to ENGINE.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

from enclave_runtime.wire.orders import Outcome, Phase

__all__ = [
    "LIVE",
    "TERMINAL",
    "TRANSITIONS",
    "Action",
    "OrderState",
    "allowed",
    "next_state",
    "outcome_state",
]


class OrderState(IntEnum):
    """States by the numbers that the contract stores; STOPPING and LAPSED are reserved."""

    NONE = 0
    PLACED = 1
    ACCEPTED = 2
    RUNNING = 3
    STOPPING = 4
    CANCELLED = 5
    EXPIRED = 6
    REFUSED = 7
    COMPLETED = 8
    FAILED = 9
    HOST = 10
    LAPSED = 11
    REVOKED = 12
    STOPPED = 13

    @property
    def terminal(self) -> bool:
        """Return whether nothing but claims can follow."""
        return self >= OrderState.CANCELLED


class Action(StrEnum):
    """What moves an order; each is one call of OrderBook."""

    PLACE = "place"
    CANCEL = "cancel"
    ACCEPT = "accept"
    START = "start"
    EXPIRE = "expire"
    VOID = "void"
    CHECKPOINT = "checkpoint"
    REFUSE = "refuse"
    COMPLETE = "complete"
    FAIL = "fail"
    HOST = "host"
    STOP = "stop"
    SETTLE_REVOKED = "settle-revoked"


_S, _A, _P = OrderState, Action, Phase
Key = tuple[OrderState, Phase, Action]
Target = tuple[OrderState, Phase]

TRANSITIONS: Final[dict[Key, Target]] = {
    (_S.NONE, _P.NONE, _A.PLACE): (_S.PLACED, _P.NONE),
    (_S.PLACED, _P.NONE, _A.CANCEL): (_S.CANCELLED, _P.NONE),
    (_S.PLACED, _P.NONE, _A.ACCEPT): (_S.ACCEPTED, _P.NONE),
    (_S.ACCEPTED, _P.NONE, _A.START): (_S.RUNNING, _P.SETUP),
    (_S.ACCEPTED, _P.NONE, _A.EXPIRE): (_S.EXPIRED, _P.NONE),
    (_S.ACCEPTED, _P.NONE, _A.VOID): (_S.CANCELLED, _P.NONE),
    (_S.RUNNING, _P.SETUP, _A.CHECKPOINT): (_S.RUNNING, _P.ENGINE),
    (_S.RUNNING, _P.SETUP, _A.REFUSE): (_S.REFUSED, _P.SETUP),
    (_S.RUNNING, _P.ENGINE, _A.COMPLETE): (_S.COMPLETED, _P.ENGINE),
    (_S.RUNNING, _P.ENGINE, _A.FAIL): (_S.FAILED, _P.ENGINE),
    (_S.RUNNING, _P.SETUP, _A.HOST): (_S.HOST, _P.SETUP),
    (_S.RUNNING, _P.ENGINE, _A.HOST): (_S.HOST, _P.ENGINE),
    (_S.RUNNING, _P.SETUP, _A.STOP): (_S.STOPPED, _P.SETUP),
    (_S.RUNNING, _P.ENGINE, _A.STOP): (_S.STOPPED, _P.ENGINE),
    (_S.RUNNING, _P.SETUP, _A.EXPIRE): (_S.EXPIRED, _P.SETUP),
    (_S.RUNNING, _P.ENGINE, _A.EXPIRE): (_S.EXPIRED, _P.ENGINE),
    (_S.RUNNING, _P.SETUP, _A.SETTLE_REVOKED): (_S.REVOKED, _P.SETUP),
    (_S.RUNNING, _P.ENGINE, _A.SETTLE_REVOKED): (_S.REVOKED, _P.ENGINE),
}

TERMINAL: Final = frozenset(state for state in OrderState if state.terminal)
LIVE: Final = frozenset({_S.PLACED, _S.ACCEPTED, _S.RUNNING, _S.STOPPING})

_OUTCOMES: Final[dict[Outcome, Action]] = {
    Outcome.COMPLETED: Action.COMPLETE,
    Outcome.FAILED: Action.FAIL,
    Outcome.HOST: Action.HOST,
    Outcome.REFUSED: Action.REFUSE,
}


def next_state(state: OrderState, phase: Phase, action: Action) -> Target | None:
    """Return the state and phase after `action`, or None where the table has no such step."""
    return TRANSITIONS.get((state, phase, action))


def allowed(state: OrderState, phase: Phase) -> tuple[Action, ...]:
    """Return the actions that the table has from (`state`, `phase`), in the order of `Action`."""
    return tuple(action for action in Action if (state, phase, action) in TRANSITIONS)


def outcome_state(phase: Phase, outcome: Outcome) -> OrderState | None:
    """Return the terminal state of a RUNNING order whose CVM signed `outcome`, or None if none follows."""
    action = _OUTCOMES.get(outcome)
    target = None if action is None else next_state(OrderState.RUNNING, phase, action)
    return None if target is None else target[0]
