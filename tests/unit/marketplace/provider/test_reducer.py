"""The agent's next step, given what it sees (tree: state on chain, then the CVM's state)."""

from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.wire.orders import Phase, Windows
from marketplace.domain.order_state import OrderState
from marketplace.provider.reducer import CvmSeen, Observed, Step, StepKind, next_step

ORDER = b"\x01" * 32
WINDOWS = Windows(60, 60, 30, 90, 90, 600, 60)
PLACED = Observed(
    now=1000, state=OrderState.PLACED, phase=Phase.NONE, since=1000, windows=WINDOWS, inputs=3, limit=600
)
ACCEPTED = replace(PLACED, state=OrderState.ACCEPTED, since=1060)
"""`since` is the last second to start."""
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
        (ACCEPTED, StepKind.WAIT),
        (replace(ACCEPTED, cvm=READY), StepKind.ADMIT),
        (replace(ACCEPTED, cvm=cvm("ADMITTED")), StepKind.START),
        (replace(ACCEPTED, cvm=cvm("REFUSED")), StepKind.WAIT),
        (replace(ACCEPTED, cvm=READY, now=1060), StepKind.ADMIT),
        (replace(ACCEPTED, cvm=READY, now=1061), StepKind.WAIT),
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
    assert next_step(replace(at(5), now=5000, last_proof=4000)).kind is StepKind.ASK_KEY


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


@pytest.mark.parametrize("state", [OrderState.LAPSED, OrderState.COMPLETED, OrderState.REVOKED])
def test_given_terminal_when_the_cvm_lives_then_wipes_it(state: OrderState) -> None:
    assert next_step(replace(RUNNING, state=state)).kind is StepKind.WIPE
    assert next_step(replace(RUNNING, state=state, cvm=cvm("WIPED"))).kind is StepKind.FORGET
    assert next_step(replace(RUNNING, state=state, cvm=None)).kind is StepKind.FORGET


@pytest.mark.parametrize(("parting", "kind"), [("report", StepKind.COMPLETE), ("refusal", StepKind.REFUSE)])
def test_given_running_when_the_last_word_is_journalled_then_the_cvm_is_not_needed(
    parting: str, kind: StepKind
) -> None:
    assert next_step(replace(RUNNING, cvm=None, parting=parting)).kind is kind


def test_given_expired_when_nobody_settled_it_then_frees_the_lock_after_the_wipe() -> None:
    expired = replace(RUNNING, state=OrderState.EXPIRED)
    assert next_step(expired).kind is StepKind.WIPE
    for wiped in (cvm("WIPED"), None):
        assert next_step(replace(expired, cvm=wiped)).kind is StepKind.SETTLE
        assert next_step(replace(expired, cvm=wiped, rest_claimed=True)).kind is StepKind.FORGET


# ------------------------------------------------------------------------------------------- proofs
@pytest.mark.parametrize(
    ("state", "phase", "stored", "seconds", "otherwise"),
    [
        ("ADMITTED", Phase.SETUP, False, 15, StepKind.ASK_KEY),
        ("AWAIT_KEYS", Phase.SETUP, False, 15, StepKind.ASK_KEY),
        ("OPENED", Phase.SETUP, False, 15, StepKind.FEED),
        ("CHECKED", Phase.ENGINE, False, 30, StepKind.RUN),
        ("RUNNING", Phase.ENGINE, False, 30, StepKind.WAIT),
        ("SEALED", Phase.ENGINE, False, 15, StepKind.STORE_RESULT),
    ],
)
def test_given_running_when_half_of_grace_is_over_then_proves_first_and_sooner_before_long_steps(
    state: str, phase: Phase, stored: bool, seconds: int, otherwise: StepKind
) -> None:
    seen = replace(RUNNING, cvm=cvm(state, 3 if state not in ("ADMITTED", "AWAIT_KEYS") else 0), phase=phase)
    for last_proof in (0, 100):
        proven = replace(seen, last_proof=last_proof, now=seen.since + last_proof + seconds)
        assert next_step(proven).kind is otherwise
        assert next_step(replace(proven, now=proven.now + 1)).kind is StepKind.PROVE


@pytest.mark.parametrize(
    ("cvm_now", "phase", "stored", "kind"),
    [
        (cvm("CHECKED", 3, 3), Phase.SETUP, False, StepKind.CHECKPOINT),
        (cvm("SEALED", 3, 3), Phase.ENGINE, True, StepKind.REPORT),
        (cvm("REPORTED", 3, 3), Phase.ENGINE, True, StepKind.REPORT),
        (cvm("REFUSED", 3, 3), Phase.SETUP, True, StepKind.REFUSE),
        (replace(cvm("AWAIT_KEYS"), seconds=90), Phase.SETUP, False, StepKind.REFUSE),
        (cvm("AWAIT_ORDER"), Phase.SETUP, False, StepKind.WAIT),
        (None, Phase.SETUP, False, StepKind.WAIT),
    ],
)
def test_given_running_when_a_word_is_on_its_way_or_none_can_come_then_no_proof_is_due(
    cvm_now: CvmSeen | None, phase: Phase, stored: bool, kind: StepKind
) -> None:
    late = replace(RUNNING, cvm=cvm_now, phase=phase, stored=stored, now=1055)
    assert next_step(late).kind is kind


def test_given_running_when_the_integrity_report_is_not_on_chain_then_it_goes_first() -> None:
    """The chain would refuse it, and the proof would be missing."""
    late = replace(RUNNING, cvm=replace(cvm("CHECKED", 3, 3), seconds=700), now=1500, limit=300)
    assert next_step(late).kind is StepKind.CHECKPOINT


# ------------------------------------------------------------------------------------------- stopped
def stopping(state: str, *, proven: bool = True, **members: Any) -> Observed:
    """Return an order that was stopped in second 100 and looked at in second 120."""
    phase = Phase.ENGINE if state in ("CHECKED", "RUNNING", "SEALED") else Phase.SETUP
    stopped = replace(RUNNING, state=OrderState.STOPPING, stopped_at=1100, now=1120, phase=phase)
    return replace(stopped, cvm=cvm(state, 3, 3), last_proof=101 if proven else 100, **members)


@pytest.mark.parametrize("state", ["ADMITTED", "AWAIT_KEYS", "OPENED", "CHECKED"])
def test_given_stopping_before_the_engine_then_proves_once_and_says_so(state: str) -> None:
    assert next_step(stopping(state, proven=False)).kind is StepKind.PROVE
    assert next_step(stopping(state)) == Step(StepKind.HOST_FAULT, why="stopped")


def test_given_stopping_and_checked_when_the_integrity_report_is_not_on_chain_then_it_is_the_proof() -> None:
    seen = replace(stopping("CHECKED", proven=False), phase=Phase.SETUP)
    assert next_step(seen).kind is StepKind.CHECKPOINT


def test_given_stopping_in_the_very_second_then_waits_for_the_next() -> None:
    assert next_step(replace(stopping("RUNNING", proven=False), now=1100)).kind is StepKind.WAIT


def test_given_stopping_when_the_engine_runs_then_proves_and_hands_on_what_the_client_signed() -> None:
    assert next_step(stopping("RUNNING", proven=False, stop_signed=True)).kind is StepKind.PROVE
    assert next_step(stopping("RUNNING", stop_signed=True)).kind is StepKind.STOP
    told = replace(cvm("RUNNING", 3, 3), stopping=True)
    assert next_step(replace(stopping("RUNNING", stop_signed=True), cvm=told)).kind is StepKind.WAIT
    assert "signed nothing" in next_step(stopping("RUNNING")).why


def test_given_running_when_a_signed_stop_was_handed_over_then_the_cvm_gets_it() -> None:
    seen = replace(RUNNING, phase=Phase.ENGINE, cvm=cvm("RUNNING", 3, 3), stop_signed=True)
    assert next_step(seen).kind is StepKind.STOP


@pytest.mark.parametrize("cvm_now", [cvm("RUNNING", 3, 3), cvm("WIPED"), READY, None])
def test_given_stopping_when_grace_is_over_and_nothing_will_be_said_then_ends_it_as_proven(
    cvm_now: CvmSeen | None,
) -> None:
    late = replace(stopping("RUNNING"), cvm=cvm_now, last_proof=150, now=1160)
    assert next_step(late).kind is StepKind.WAIT
    assert next_step(replace(late, now=1161)).kind is StepKind.EXPIRE
    # Without a proof since the stop it would cost stake: then nobody is hurried.
    unproven = replace(late, now=1161, last_proof=100)
    assert next_step(unproven).kind is (StepKind.PROVE if cvm_now == cvm("RUNNING", 3, 3) else StepKind.WAIT)


@pytest.mark.parametrize(("stored", "kind"), [(False, StepKind.STORE_RESULT), (True, StepKind.REPORT)])
def test_given_stopping_when_the_engine_ended_then_reports_however_late(stored: bool, kind: StepKind) -> None:
    assert next_step(replace(stopping("SEALED", stored=stored), last_proof=110)).kind is kind
    assert next_step(replace(stopping("SEALED", stored=True), now=1500)).kind is StepKind.REPORT


@pytest.mark.parametrize(("parting", "kind"), [("report", StepKind.COMPLETE), ("refusal", StepKind.REFUSE)])
def test_given_stopping_when_the_last_word_is_journalled_then_it_goes_on_chain(
    parting: str, kind: StepKind
) -> None:
    assert next_step(replace(stopping("RUNNING"), cvm=None, parting=parting)).kind is kind


# ------------------------------------------------------------------------------------------- funds and grants
def test_given_partly_funded_when_the_last_paid_second_is_over_then_proves_it_and_gives_up() -> None:
    seen = replace(RUNNING, phase=Phase.ENGINE, cvm=cvm("RUNNING", 3, 3), limit=300, last_proof=290)
    assert next_step(replace(seen, now=1299)).kind is StepKind.WAIT
    assert next_step(replace(seen, now=1300)).kind is StepKind.PROVE
    assert next_step(replace(seen, now=1301, last_proof=300)) == Step(StepKind.HOST_FAULT, why="unfunded")
    topped_up = replace(seen, now=1301, last_proof=300, limit=600)
    assert next_step(topped_up).kind is StepKind.WAIT


def test_given_partly_funded_when_the_engine_has_ended_then_reports() -> None:
    seen = replace(RUNNING, phase=Phase.ENGINE, cvm=cvm("SEALED", 3, 3), limit=300, stored=True, now=1400)
    assert next_step(seen).kind is StepKind.REPORT


def test_given_running_when_grants_end_before_the_order_then_asks_for_those_again() -> None:
    def running(left: dict[int, int], second: int = 0, **members: Any) -> Step:
        engine = replace(cvm("RUNNING", 3, 3), grants_last=left, seconds=second, **members)
        return next_step(replace(RUNNING, phase=Phase.ENGINE, cvm=engine))

    assert running({0: 600, 1: 30, 2: 30}).kind is StepKind.WAIT
    assert running({0: 600, 1: 29, 2: 3}) == Step(StepKind.ASK_KEY, inputs=(1, 2))
    assert running({0: 600, 1: 29, 2: 3}, second=595) == Step(StepKind.ASK_KEY, inputs=(2,))
    assert running({0: 600, 1: 29}, stopping=True).kind is StepKind.WAIT
    asked = replace(RUNNING, phase=Phase.ENGINE, asked=frozenset({1}))
    engine = replace(cvm("RUNNING", 3, 3), grants_last={0: 600, 1: 29})
    assert next_step(replace(asked, cvm=engine)).kind is StepKind.WAIT


@pytest.mark.parametrize(
    ("changes", "published", "stored", "kind"),
    [
        ({}, 1, 0, StepKind.STORE_PUBLISHED),
        ({}, 1, 1, StepKind.WAIT),
        ({"state": "SEALED"}, 2, 1, StepKind.STORE_PUBLISHED),
        ({"state": "SEALED"}, 2, 2, StepKind.STORE_RESULT),
        ({"grants_last": {0: 1}}, 1, 0, StepKind.ASK_KEY),
    ],
)
def test_given_checkpoints_that_the_engine_published(
    changes: dict[str, Any], published: int, stored: int, kind: StepKind
) -> None:
    now = replace(cvm("RUNNING", granted=3, fed=3), published=published, **changes)
    seen = replace(RUNNING, phase=Phase.ENGINE, cvm=now, published=stored)
    assert next_step(seen).kind is kind


def test_a_proof_that_is_due_comes_before_a_published_checkpoint() -> None:
    now = replace(cvm("RUNNING", granted=3, fed=3), published=1)
    seen = replace(RUNNING, phase=Phase.ENGINE, cvm=now, now=RUNNING.since + WINDOWS.grace)
    assert next_step(seen).kind is StepKind.PROVE
