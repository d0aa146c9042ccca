"""The session's states, and which message may do what in which of them (docs/protocol.md section 7).

Two tables and nothing else: `TRANSITIONS` is the state machine, `OPERATIONS` says in which states a message
may do something new. A message that was answered before is answered the same in every later state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

from enclave_runtime.wire.errors import EnclaveError

__all__ = ["OPERATIONS", "TRANSITIONS", "Event", "NotNowError", "State", "advance", "check_operation"]


class State(StrEnum):
    """Where a session stands. Each CVM walks through once, for one order."""

    AWAIT_ORDER = "AWAIT_ORDER"
    ADMITTED = "ADMITTED"
    AWAIT_KEYS = "AWAIT_KEYS"
    OPENED = "OPENED"
    CHECKED = "CHECKED"
    RUNNING = "RUNNING"
    SEALED = "SEALED"
    REPORTED = "REPORTED"
    REFUSED = "REFUSED"
    WIPED = "WIPED"


class Event(Enum):
    """What moves a session."""

    ADMIT = "every digest of the order's terms was checked, the start is signed"
    ASK = "the first key request was signed"
    OPEN = "the last grant opened"
    CHECK = "every content digest compared, the IntegrityReport signed"
    RUN = "the engine was let go"
    SEAL = "the engine ended, its result is sealed"
    REPORT = "the one OrderReport was signed"
    FAIL = "the host failed, or a grant ran out: an OrderReport without a result was signed"
    REFUSE = "a refusal was signed"
    WIPE = "keys erased, plaintext removed, and signed"


class NotNowError(EnclaveError):
    """A message that has its place in another state, or needs something that is not there yet.

    Attributes:
        step: the operation, or what it lacks.
        got: the state, or what there is.
        expected: the states in which it would do something.
    """

    def __init__(self, step: str, got: object, expected: object) -> None:
        super().__init__(f"{step}: got {got}, expected {expected}")
        self.step = step
        self.got = str(got)
        self.expected = str(expected)


_BEFORE_CHECK: Final = (State.ADMITTED, State.AWAIT_KEYS, State.OPENED)
_ENGINE: Final = (State.CHECKED, State.RUNNING)
_ALIVE: Final = frozenset(State) - {State.WIPED}

TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.AWAIT_ORDER, Event.ADMIT): State.ADMITTED,
        (State.ADMITTED, Event.ASK): State.AWAIT_KEYS,
        (State.AWAIT_KEYS, Event.OPEN): State.OPENED,
        (State.OPENED, Event.CHECK): State.CHECKED,
        (State.CHECKED, Event.RUN): State.RUNNING,
        (State.RUNNING, Event.SEAL): State.SEALED,
        (State.SEALED, Event.REPORT): State.REPORTED,
        (State.CHECKED, Event.FAIL): State.REPORTED,
        (State.RUNNING, Event.FAIL): State.REPORTED,
        (State.SEALED, Event.FAIL): State.REPORTED,
    }
    | {(state, Event.REFUSE): State.REFUSED for state in _BEFORE_CHECK}
    | {(state, Event.FAIL): State.REPORTED for state in _BEFORE_CHECK}
    | {(state, Event.WIPE): State.WIPED for state in _ALIVE}
)
"""Every move there is. After an IntegrityReport no REFUSE is left: the two together are equivocation."""

OPERATIONS: Final[Mapping[str, frozenset[State]]] = MappingProxyType(
    {
        "status": frozenset(State),
        "identify": frozenset(State),
        "evidence": _ALIVE,
        "possess": _ALIVE,
        "admit": frozenset({State.AWAIT_ORDER}),
        "key_request": frozenset({*_BEFORE_CHECK, *_ENGINE}),
        "grant": frozenset({State.AWAIT_KEYS, State.OPENED, *_ENGINE}),
        "begin": frozenset({State.AWAIT_KEYS, State.OPENED}),
        "feed": frozenset({State.AWAIT_KEYS, State.OPENED}),
        "feed_done": frozenset({State.AWAIT_KEYS, State.OPENED}),
        "check": frozenset({State.OPENED}),
        "checkpoint": frozenset({*_BEFORE_CHECK, *_ENGINE, State.SEALED}),
        "run": frozenset({State.CHECKED}),
        "stop": _ALIVE - {State.AWAIT_ORDER, State.REPORTED, State.REFUSED},
        "result": frozenset({State.SEALED, State.REPORTED}),
        "published": frozenset({State.RUNNING, State.SEALED, State.REPORTED}),
        "published_stored": frozenset({State.RUNNING, State.SEALED, State.REPORTED}),
        "report": frozenset({State.SEALED}),
        "refuse": frozenset({*_BEFORE_CHECK, State.REFUSED}),
        "host_failure": frozenset({*_BEFORE_CHECK, *_ENGINE, State.SEALED}),
        "wipe": frozenset({State.REPORTED, State.REFUSED}),
        "abandon": _ALIVE,
    }
)


def advance(state: State, event: Event) -> State:
    """Return the state that `event` leads to.

    Raises:
        NotNowError: the table has no such move; nothing may be signed for it.
    """
    following = TRANSITIONS.get((state, event))
    if following is None:
        expected = [source.value for source, known in TRANSITIONS if known is event]
        raise NotNowError(event.name.lower(), state.value, " or ".join(expected))
    return following


def check_operation(operation: str, state: State) -> None:
    """Refuse an operation that can do nothing new in `state`.

    Raises:
        NotNowError: names the states in which it can.
    """
    allowed = OPERATIONS[operation]
    if state not in allowed:
        expected = " or ".join(known.value for known in State if known in allowed)
        raise NotNowError(operation, state.value, expected)
