"""The agent's next step, given what it sees (tree: state on chain, then the CVM's state)."""

from dataclasses import replace

import pytest

from enclave_runtime.wire.orders import Phase, Windows
from marketplace.domain.order_state import OrderState
from marketplace.provider.reducer import CvmSeen, Observed, Step, StepKind, next_step

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
        (replace(PLACED, held=True, cvm=READY), StepKind.ACCEPT),
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
        (cvm("ADMITTED"), Phase.SETUP, False, StepKind.ASK_KEY, None),
        (cvm("AWAIT_KEYS", granted=2), Phase.SETUP, False, StepKind.ASK_KEY, None),
        (cvm("OPENED", granted=3, fed=1), Phase.SETUP, False, StepKind.FEED, 1),
        (cvm("OPENED", granted=3, fed=3), Phase.SETUP, False, StepKind.CHECK, None),
        (cvm("CHECKED", 3, 3), Phase.SETUP, False, StepKind.CHECKPOINT, None),
        (cvm("CHECKED", 3, 3), Phase.ENGINE, False, StepKind.RUN, None),
        (cvm("RUNNING", 3, 3), Phase.ENGINE, False, StepKind.WAIT, None),
        (cvm("SEALED", 3, 3), Phase.ENGINE, False, StepKind.STORE_RESULT, None),
        (cvm("SEALED", 3, 3), Phase.ENGINE, True, StepKind.REPORT, None),
        (cvm("REPORTED", 3, 3), Phase.ENGINE, True, StepKind.REPORT, None),
        (cvm("WIPED", 3, 3), Phase.ENGINE, True, StepKind.WAIT, None),
        (cvm("SOMETHING NEW"), Phase.SETUP, False, StepKind.WAIT, None),
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


def at(second: int, state: str = "AWAIT_KEYS", granted: int = 0) -> Observed:
    """Return a running order in the CVM's second `second`."""
    return replace(RUNNING, cvm=replace(cvm(state, granted), seconds=second))


def test_given_running_when_keys_are_missing_then_asks_for_all_of_them_at_once() -> None:
    assert next_step(RUNNING) == Step(StepKind.ASK_KEY, inputs=(0, 1, 2))
    assert next_step(at(1, granted=1)) == Step(StepKind.ASK_KEY, inputs=(1, 2))


def test_given_running_when_a_broker_was_asked_a_moment_ago_then_only_the_others_are() -> None:
    assert next_step(replace(RUNNING, asked=frozenset({0}))) == Step(StepKind.ASK_KEY, inputs=(1, 2))
    step = next_step(replace(RUNNING, asked=frozenset(range(3))))
    assert step.kind is StepKind.WAIT
    assert "[0, 1, 2]" in step.why


def test_given_running_when_keys_are_late_by_the_cvms_clock_then_refuses_for_the_first_missing_input() -> (
    None
):
    assert next_step(at(89, granted=1)).kind is StepKind.ASK_KEY
    step = next_step(at(90, granted=1))
    assert (step.kind, step.input_index) == (StepKind.REFUSE, 1)
    # The chain's clock is none of the CVM's: it would not sign.
    assert next_step(replace(at(5), now=5000)).kind is StepKind.ASK_KEY


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (at(600, "OPENED", granted=3), "max-seconds"),
        (at(600, "CHECKED", granted=3), "max-seconds"),
        (replace(at(700, "CHECKED", granted=3), phase=Phase.ENGINE), "max-seconds"),
        (replace(at(130, "OPENED", granted=3), opened=40), "load-window"),
    ],
)
def test_given_running_when_no_engine_can_run_any_more_then_the_host_says_so(
    seen: Observed, why: str
) -> None:
    """Silence until the deadline would cost stake; saying it costs the pay only."""
    assert next_step(seen) == Step(StepKind.HOST_FAULT, why=why)


def test_given_running_when_the_load_window_lasts_then_loads_on() -> None:
    assert next_step(replace(at(129, "OPENED", granted=3), opened=40)).kind is StepKind.FEED


def test_given_running_when_keys_and_the_whole_time_are_over_then_the_owners_silence_is_named() -> None:
    step = next_step(at(600))
    assert (step.kind, step.input_index) == (StepKind.REFUSE, 0)


def test_given_none_when_the_chain_forgot_the_order_then_waits() -> None:
    """A reorganisation: the order comes back in another block, or not."""
    assert next_step(replace(PLACED, state=OrderState.NONE)).kind is StepKind.WAIT


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
