"""Every operation in every state, and every move there is, held against the two tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from enclave_runtime.loader.messages import MESSAGES
from enclave_runtime.loader.states import (
    OPERATIONS,
    TRANSITIONS,
    Event,
    NotNowError,
    State,
    advance,
    check_operation,
)
from enclave_runtime.wire.codec import hex_of
from tests.fakes.sealed_order import SealedOrder, engine_and_data
from tests.fakes.session import SessionDriver

WORD = hex_of(b"\x05" * 32)


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return engine_and_data()


def walk_to(state: State, order: SealedOrder) -> SessionDriver:
    """Return a session that stands in `state`, by the straightest way."""
    cvm = SessionDriver()
    admit, keys = partial(cvm.admit, order), partial(cvm.open_keys, order)
    ways: dict[State, list[Callable[[], object]]] = {
        State.AWAIT_ORDER: [],
        State.ADMITTED: [admit],
        State.AWAIT_KEYS: [admit, partial(cvm.ask, 0)],
        State.OPENED: [admit, keys],
        State.CHECKED: [partial(cvm.to_checked, order)],
        State.RUNNING: [partial(cvm.to_running, order)],
        State.SEALED: [partial(cvm.to_sealed, order)],
        State.REPORTED: [partial(cvm.to_sealed, order), partial(cvm.ok, "report", location="x", stored=True)],
        State.REFUSED: [partial(refuse, cvm, order)],
        State.WIPED: [admit, partial(cvm.ok, "abandon")],
    }
    for step in ways[state]:
        step()
    assert cvm.state == state.value
    return cvm


def refuse(cvm: SessionDriver, order: SealedOrder) -> None:
    cvm.admit(order)
    cvm.sleep(order.windows.keys_within)
    cvm.ok("refuse", reason="keys-missing")


def message(operation: str, order: SealedOrder) -> tuple[bytes, dict[str, Any]]:
    """Return a body and members that are new to every session of this file."""
    members: dict[str, tuple[bytes, dict[str, Any]]] = {
        "status": (b"", {}),
        "identify": (b"", {}),
        "evidence": (b"", {"purpose": "certify", "operator": hex_of(b"\x01" * 20), "challenge": WORD}),
        "possess": (
            b"",
            {"operator": hex_of(b"\x01" * 20), "registry": hex_of(b"\x02" * 20), "chain_id": "1"}
            | {"challenge": WORD},
        ),
        "admit": (b"", order.admit()),
        "key_request": (b"", {"input_index": 1, "challenge": WORD}),
        "grant": (b"no grant", {"input_index": 1}),
        "begin": (b"", {"input_index": 1}),
        "feed": (b"", {"input_index": 1, "segment": 0}),
        "feed_done": (b"", {"input_index": 1}),
        "check": (b"", {}),
        "checkpoint": (b"", {"sequence": 9}),
        "run": (b"", {}),
        "stop": (b"", {"stop_signature": order.stop()}),
        "result": (b"", {"offset": 0}),
        "published": (b"", {"index": 0, "offset": 0}),
        "published_stored": (b"", {"index": 0}),
        "report": (b"", {"location": "somewhere else", "stored": True}),
        "refuse": (b"", {"reason": "because"}),
        "host_failure": (b"", {"reason": "storage"}),
        "wipe": (b"", {}),
        "abandon": (b"", {}),
    }
    return members[operation]


def test_tables_name_the_same_operations_and_states() -> None:
    assert set(OPERATIONS) == set(MESSAGES)
    reached = set(TRANSITIONS.values()) | {State.AWAIT_ORDER}
    assert reached == set(State)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_only_the_moves_of_the_table_exist(state: State, event: Event) -> None:
    if (state, event) in TRANSITIONS:
        assert advance(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(NotNowError) as error:
            advance(state, event)
        assert error.value.got == state.value


def test_no_refusal_after_an_integrity_report_and_nothing_after_wiped() -> None:
    for (state, event), following in TRANSITIONS.items():
        assert state is not State.WIPED
        if event is Event.REFUSE:
            assert following is State.REFUSED
            assert state in (State.ADMITTED, State.AWAIT_KEYS, State.OPENED)
    assert {state for state, event in TRANSITIONS if event is Event.WIPE} == set(State) - {State.WIPED}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_check_operation_follows_the_table(state: State, operation: str) -> None:
    if state in OPERATIONS[operation]:
        check_operation(operation, state)
    else:
        with pytest.raises(NotNowError):
            check_operation(operation, state)


@pytest.mark.parametrize("state", State)
def test_every_operation_in_every_state(state: State, order: SealedOrder) -> None:
    for operation, allowed in OPERATIONS.items():
        cvm = walk_to(state, order)
        body, members = message(operation, order)
        answer, _ = cvm.say(operation, body, **members)
        error: Any = answer.get("error")
        if state in allowed:
            # It may still lack something, or be refused for what it says; never for the state.
            assert error is None or error["expected"] != " or ".join(s for s in State if s in allowed)
            continue
        before_or_done = error is None and repeats(operation, state)
        out_of_place = error is not None and error["kind"] in ("not-now", "refused")
        assert before_or_done or out_of_place, (operation, state, answer)
        assert cvm.state == state.value, operation


def repeats(operation: str, state: State) -> bool:
    """Say whether the walk to `state` had said the very same message, so that it is answered again."""
    late = [State.CHECKED, State.RUNNING, State.SEALED, State.REPORTED]
    known = {
        "admit": set(State) - {State.AWAIT_ORDER},
        "begin": set(late),
        "feed": set(late),
        "feed_done": set(late),
        "check": set(late),
        "run": set(late[1:]),
        "abandon": {State.WIPED},
    }
    return state in known.get(operation, set())


@pytest.mark.parametrize("state", State)
def test_garbage_moves_nothing(state: State, order: SealedOrder) -> None:
    cvm = walk_to(state, order)
    bad: list[dict[str, Any]] = [
        {},
        {"op": "no such"},
        {"op": 1},
        {"op": "status", "more": 1},
        {"op": "feed", "input_index": "1", "segment": 0},
        {"op": "feed", "input_index": -1, "segment": 0},
        {"op": "evidence", "purpose": "other", "operator": hex_of(b"\x01" * 20), "challenge": WORD},
        {"op": "admit"},
        {"op": "run", "body": None},
    ]
    for header in bad:
        steps = cvm.session.handle(header, memoryview(b""), cvm.now_ns)
        with pytest.raises(StopIteration) as stop:
            next(steps)
        answer = stop.value.value[0]
        assert answer["error"]["kind"] == "bad-request"
    assert cvm.state == state.value
