"""The life cycle of an order as a table (protocol 6.2; twin of contracts/libraries/OrderStateLib.sol).

The table is the rule: what is not in it does not happen. docs/protocol.md draws its diagram from it. The
contract keeps the squares of states; which phase and which call belong to each stands here.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

from enclave_runtime.wire.orders import Outcome, Phase

__all__ = [
    "LIVE",
    "RUNNING",
    "TERMINAL",
    "TRANSITIONS",
    "Action",
    "OrderState",
    "allowed",
    "next_state",
    "outcome_state",
]


class OrderState(IntEnum):
    """States by the numbers that the contract stores."""

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
    """What moves an order; each is a call of OrderBook, or one kind of report that a call carries."""

    PLACE = "place"
    CANCEL = "cancel"
    ACCEPT = "accept"
    START = "start"
    EXPIRE = "expire"
    VOID = "void"
    CHECKPOINT = "checkpoint"
    """A proof of use: the phase stays."""
    OPEN = "open"
    """The first checkpoint in ENGINE: every digest was checked, the engine may start."""
    REFUSE = "refuse"
    COMPLETE = "complete"
    FAIL = "fail"
    HOST = "host"
    LAPSE = "lapse"
    STOP = "stop"
    SETTLE_STOPPED = "settle-stopped"
    """Grace after a stop is over and a proof came after it; without one it is EXPIRE."""
    SETTLE_REVOKED = "settle-revoked"


_S, _A, _P = OrderState, Action, Phase
Key = tuple[OrderState, Phase, Action]
Target = tuple[OrderState, Phase]

RUNNING: Final = (_S.RUNNING, _S.STOPPING)
"""The states in which a CVM works on the order and its checkpoints are taken."""

_BEFORE_START: Final[dict[Key, Target]] = {
    (_S.NONE, _P.NONE, _A.PLACE): (_S.PLACED, _P.NONE),
    (_S.PLACED, _P.NONE, _A.CANCEL): (_S.CANCELLED, _P.NONE),
    (_S.PLACED, _P.NONE, _A.ACCEPT): (_S.ACCEPTED, _P.NONE),
    (_S.ACCEPTED, _P.NONE, _A.START): (_S.RUNNING, _P.SETUP),
    (_S.ACCEPTED, _P.NONE, _A.EXPIRE): (_S.EXPIRED, _P.NONE),
    (_S.ACCEPTED, _P.NONE, _A.VOID): (_S.CANCELLED, _P.NONE),
}
_ENDS: Final = (
    (_P.SETUP, _A.REFUSE, _S.REFUSED),
    (_P.ENGINE, _A.COMPLETE, _S.COMPLETED),
    (_P.ENGINE, _A.FAIL, _S.FAILED),
    (_P.ENGINE, _A.LAPSE, _S.LAPSED),
    (_P.SETUP, _A.HOST, _S.HOST),
    (_P.ENGINE, _A.HOST, _S.HOST),
    (_P.SETUP, _A.EXPIRE, _S.EXPIRED),
    (_P.ENGINE, _A.EXPIRE, _S.EXPIRED),
    (_P.SETUP, _A.SETTLE_REVOKED, _S.REVOKED),
    (_P.ENGINE, _A.SETTLE_REVOKED, _S.REVOKED),
)
"""How an order ends once its CVM has started, being stopped or not: the end keeps the phase."""


def _while_running(state: OrderState) -> dict[Key, Target]:
    moves: dict[Key, Target] = {(state, phase, action): (end, phase) for phase, action, end in _ENDS}
    moves[state, _P.SETUP, _A.OPEN] = (state, _P.ENGINE)
    for phase in (_P.SETUP, _P.ENGINE):
        moves[state, phase, _A.CHECKPOINT] = (state, phase)
        if state is _S.RUNNING:
            moves[state, phase, _A.STOP] = (_S.STOPPING, phase)
        else:
            moves[state, phase, _A.SETTLE_STOPPED] = (_S.STOPPED, phase)
    return moves


TRANSITIONS: Final[dict[Key, Target]] = (
    _BEFORE_START | _while_running(_S.RUNNING) | _while_running(_S.STOPPING)
)

TERMINAL: Final = frozenset(state for state in OrderState if state.terminal)
LIVE: Final = frozenset({_S.PLACED, _S.ACCEPTED, _S.RUNNING, _S.STOPPING})

_OUTCOMES: Final[dict[Outcome, Action]] = {
    Outcome.COMPLETED: Action.COMPLETE,
    Outcome.FAILED: Action.FAIL,
    Outcome.HOST: Action.HOST,
    Outcome.LAPSED: Action.LAPSE,
    Outcome.REFUSED: Action.REFUSE,
}


def next_state(state: OrderState, phase: Phase, action: Action) -> Target | None:
    """Return the state and phase after `action`, or None where the table has no such step."""
    return TRANSITIONS.get((state, phase, action))


def allowed(state: OrderState, phase: Phase) -> tuple[Action, ...]:
    """Return the actions that the table has from (`state`, `phase`), in the order of `Action`."""
    return tuple(action for action in Action if (state, phase, action) in TRANSITIONS)


def outcome_state(phase: Phase, outcome: Outcome) -> OrderState | None:
    """Return the terminal state of an order in RUNNING or STOPPING whose CVM signed `outcome`, or None."""
    action = _OUTCOMES.get(outcome)
    target = None if action is None else next_state(OrderState.RUNNING, phase, action)
    return None if target is None else target[0]
