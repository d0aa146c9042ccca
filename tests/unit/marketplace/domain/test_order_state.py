"""The table of transitions, and words for every place in it (protocol section 6.2)."""

from enclave_runtime.wire.orders import Outcome, Phase, Windows
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import (
    LIVE,
    RUNNING,
    TERMINAL,
    TRANSITIONS,
    Action,
    OrderState,
    allowed,
    next_state,
    outcome_state,
)
from marketplace.domain.why import why

WINDOWS = Windows(10, 20, 30, 40, 50, 100, 60)


def record(state: OrderState, phase: Phase, since: int = 1000) -> OrderRecord:
    return OrderRecord(b"\x01" * 32, state, phase, b"\x02" * 32, since, since, 0, 0, 0, 1)


def reachable() -> set[tuple[OrderState, Phase]]:
    return {(OrderState.NONE, Phase.NONE)} | set(TRANSITIONS.values())


def test_every_start_is_reachable_and_terminal_states_lead_nowhere() -> None:
    assert {(state, phase) for state, phase, _ in TRANSITIONS} <= reachable()
    assert not any(state in TERMINAL for state, _, _ in TRANSITIONS)
    assert all(allowed(state, phase) for state, phase in reachable() if state in LIVE)


def test_every_live_state_can_end_without_the_provider() -> None:
    by_anybody = {Action.CANCEL, Action.EXPIRE}
    for state, phase in reachable():
        if state in LIVE:
            assert by_anybody & set(allowed(state, phase)), f"{state.name} {phase.name} could last for ever"


def test_every_state_is_entered_and_no_way_leads_back_from_stopping() -> None:
    assert {state for state, _ in TRANSITIONS.values()} == set(OrderState) - {OrderState.NONE}
    after = {target for (state, _, _), (target, _) in TRANSITIONS.items() if state is OrderState.STOPPING}
    assert OrderState.RUNNING not in after
    assert [move for move in TRANSITIONS if TRANSITIONS[move][0] is OrderState.STOPPED] == [
        (OrderState.STOPPING, phase, Action.SETTLE_STOPPED) for phase in (Phase.SETUP, Phase.ENGINE)
    ]


def test_a_stop_takes_no_end_away() -> None:
    for phase in (Phase.SETUP, Phase.ENGINE):
        running, stopping = (set(allowed(state, phase)) for state in RUNNING)
        assert stopping == running - {Action.STOP} | {Action.SETTLE_STOPPED}


def test_checkpoints_open_the_engine_once() -> None:
    for state in RUNNING:
        assert next_state(state, Phase.SETUP, Action.OPEN) == (state, Phase.ENGINE)
        assert next_state(state, Phase.ENGINE, Action.OPEN) is None
        assert next_state(state, Phase.ENGINE, Action.CHECKPOINT) == (state, Phase.ENGINE)


def test_refuse_is_closed_once_the_engine_was_proven_to_start() -> None:
    assert next_state(OrderState.RUNNING, Phase.ENGINE, Action.REFUSE) is None
    assert next_state(OrderState.RUNNING, Phase.SETUP, Action.COMPLETE) is None


def test_outcomes_lead_where_the_contract_leads() -> None:
    assert outcome_state(Phase.ENGINE, Outcome.COMPLETED) is OrderState.COMPLETED
    assert outcome_state(Phase.SETUP, Outcome.HOST) is OrderState.HOST
    assert outcome_state(Phase.ENGINE, Outcome.LAPSED) is OrderState.LAPSED
    assert outcome_state(Phase.SETUP, Outcome.LAPSED) is None
    assert outcome_state(Phase.SETUP, Outcome.COMPLETED) is None
    assert outcome_state(Phase.ENGINE, Outcome.NONE) is None


def test_every_reachable_state_has_words() -> None:
    for state, phase in reachable():
        told = why(record(state, phase), WINDOWS, now=1000)
        assert "reserved" not in told.headline and told.money, (state, phase)
        assert (told.deadline is None) == (state not in LIVE)


def test_tells_what_anybody_may_do_once_a_deadline_passed() -> None:
    early = why(record(OrderState.RUNNING, Phase.ENGINE), WINDOWS, now=1160)
    late = why(record(OrderState.RUNNING, Phase.ENGINE), WINDOWS, now=1161)
    assert early.overdue_s == 0 and not any("expire" in step for step in early.next_steps)
    assert late.overdue_s == 1 and late.next_steps[0].startswith("anybody: expire")
    assert (
        why(record(OrderState.PLACED, Phase.NONE), WINDOWS, now=2000)
        .next_steps[0]
        .startswith("anybody: cancel")
    )
