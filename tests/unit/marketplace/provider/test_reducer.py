"""The agent's next step, given what it sees (tree: state on chain, then the CVM's state)."""

from dataclasses import replace

import pytest

from enclave_runtime.wire.orders import Phase, Windows
from marketplace.domain.order_state import OrderState
from marketplace.provider.reducer import CvmSeen, Observed, StepKind, next_step

ORDER = b"\x01" * 32
WINDOWS = Windows(60, 60, 30, 90, 90, 600, 60)
PLACED = Observed(now=1000, state=OrderState.PLACED, phase=Phase.NONE, since=1000, windows=WINDOWS, inputs=3)
READY = CvmSeen("AWAIT_ORDER", None)
RUNNING = replace(PLACED, state=OrderState.RUNNING, phase=Phase.SETUP, cvm=CvmSeen("AWAIT_KEYS", ORDER))


def cvm(state: str, granted: int = 0, fed: int = 0) -> CvmSeen:
    return CvmSeen(state, ORDER, frozenset(range(granted)), frozenset(range(fed)))


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (replace(PLACED, refused_by_policy="lock too high"), StepKind.FORGET),
        (replace(PLACED, now=1061), StepKind.FORGET),
        (PLACED, StepKind.FETCH),
        (replace(PLACED, held=True), StepKind.PREPARE_CVM),
        (replace(PLACED, held=True, cvm=READY), StepKind.PREPARE_CVM),
        (replace(PLACED, held=True, cvm=READY, cvm_certified=True), StepKind.ACCEPT),
    ],
)
def test_given_placed(seen: Observed, kind: StepKind) -> None:
    assert next_step(seen).kind is kind


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (replace(PLACED, state=OrderState.ACCEPTED), StepKind.WAIT),
        (replace(PLACED, state=OrderState.ACCEPTED, cvm=READY), StepKind.ADMIT),
        (replace(PLACED, state=OrderState.ACCEPTED, cvm=cvm("ADMITTED")), StepKind.START),
        (replace(PLACED, state=OrderState.ACCEPTED, cvm=cvm("REFUSED")), StepKind.WAIT),
        (replace(PLACED, state=OrderState.ACCEPTED, cvm=READY, now=1061), StepKind.WAIT),
    ],
)
def test_given_accepted(seen: Observed, kind: StepKind) -> None:
    assert next_step(seen).kind is kind


@pytest.mark.parametrize(
    ("cvm_now", "phase", "stored", "kind", "index"),
    [
        (cvm("AWAIT_KEYS"), Phase.SETUP, False, StepKind.ASK_KEY, 0),
        (cvm("AWAIT_KEYS", granted=2), Phase.SETUP, False, StepKind.ASK_KEY, 2),
        (cvm("OPENED", granted=3, fed=1), Phase.SETUP, False, StepKind.FEED, 1),
        (cvm("OPENED", granted=3, fed=3), Phase.SETUP, False, StepKind.CHECK, None),
        (cvm("CHECKED", 3, 3), Phase.SETUP, False, StepKind.CHECKPOINT, None),
        (cvm("CHECKED", 3, 3), Phase.ENGINE, False, StepKind.RUN, None),
        (cvm("RUNNING", 3, 3), Phase.ENGINE, False, StepKind.WAIT, None),
        (cvm("SEALED", 3, 3), Phase.ENGINE, False, StepKind.STORE_RESULT, None),
        (cvm("SEALED", 3, 3), Phase.ENGINE, True, StepKind.REPORT, None),
        (cvm("REPORTED", 3, 3), Phase.ENGINE, True, StepKind.COMPLETE, None),
        (cvm("REFUSED"), Phase.SETUP, False, StepKind.REFUSE, None),
        (READY, Phase.SETUP, False, StepKind.WAIT, None),
        (None, Phase.SETUP, False, StepKind.WAIT, None),
    ],
)
def test_given_running(
    cvm_now: CvmSeen | None, phase: Phase, stored: bool, kind: StepKind, index: int | None
) -> None:
    step = next_step(replace(RUNNING, cvm=cvm_now, phase=phase, stored=stored))
    assert (step.kind, step.input_index) == (kind, index)


def test_given_running_when_keys_are_late_then_refuses_for_the_first_missing_input() -> None:
    step = next_step(replace(RUNNING, cvm=cvm("AWAIT_KEYS", granted=1), now=1091))
    assert (step.kind, step.input_index) == (StepKind.REFUSE, 1)


def test_given_running_when_a_broker_asked_for_patience_then_the_others_are_asked() -> None:
    step = next_step(replace(RUNNING, ask_after={0: 1050}))
    assert (step.kind, step.input_index) == (StepKind.ASK_KEY, 1)
    assert next_step(replace(RUNNING, ask_after=dict.fromkeys(range(3), 1050))).kind is StepKind.WAIT


@pytest.mark.parametrize("state", [OrderState.EXPIRED, OrderState.COMPLETED, OrderState.REVOKED])
def test_given_terminal_when_the_cvm_lives_then_wipes_it(state: OrderState) -> None:
    assert next_step(replace(RUNNING, state=state)).kind is StepKind.WIPE
    assert next_step(replace(RUNNING, state=state, cvm=cvm("WIPED"))).kind is StepKind.FORGET
    assert next_step(replace(RUNNING, state=state, cvm=None)).kind is StepKind.FORGET


@pytest.mark.parametrize(("parting", "kind"), [("report", StepKind.COMPLETE), ("refusal", StepKind.REFUSE)])
def test_given_running_when_the_last_word_is_journalled_then_the_cvm_is_not_needed(
    parting: str, kind: StepKind
) -> None:
    assert next_step(replace(RUNNING, cvm=None, parting=parting)).kind is kind
