"""What the agent does next for one order: a pure function of what it sees (protocol sections 6.2 and 7).

The agent is level-triggered. It never asks "what was I doing?" but "what is true now?": the order on
chain, the CVM's own status, and the few facts in the journal. Killing the agent between any two
lines therefore costs nothing but time: the next look leads to the same step.

Deadlines of the chain are compared with chain time; deadlines that the CVM keeps (keysWithin, loadWithin,
maxSeconds) with the CVM's own seconds, since it is the CVM that will or will not sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from enclave_runtime.wire.orders import Phase, Windows
from marketplace.domain.order_state import RUNNING, TERMINAL, OrderState

__all__ = ["CvmSeen", "Observed", "Step", "StepKind", "is_proof_due", "next_step"]


class StepKind(Enum):
    """The agent's whole vocabulary; each but the last two has one method in `marketplace.provider.worker`.

    PREPARE_CVM is the fleet's.
    """

    FETCH = "fetch every ciphertext by digest"
    PREPARE_CVM = "launch and certify a CVM"
    ACCEPT = "accept on chain"
    ADMIT = "hand the order to the CVM"
    START = "start on chain"
    ASK_KEY = "ask the owners' brokers for grants"
    FEED = "give ciphertext to the CVM"
    CHECK = "let the CVM compare every digest"
    CHECKPOINT = "put the IntegrityReport's digest on chain"
    PROVE = "put the use so far on chain"
    RUN = "start the engine"
    STOP = "hand the client's stop to the CVM"
    STORE_PUBLISHED = "store a sealed checkpoint that the engine published"
    STORE_RESULT = "store the sealed result"
    REPORT = "let the CVM sign the order report"
    COMPLETE = "report on chain and settle"
    REFUSE = "put the CVM's refusal on chain"
    HOST_FAULT = "let the CVM sign that the host failed"
    WIPE = "let the CVM erase its keys and sign for it"
    EXPIRE = "end a stopped order whose CVM has nothing more to say"
    SETTLE = "settle an expired order, which frees the rest of the lock"
    WAIT = "wait"
    FORGET = "nothing left to do"


_PROOFS: Final = frozenset({StepKind.CHECKPOINT, StepKind.REPORT, StepKind.REFUSE, StepKind.EXPIRE})
"""Steps that need no proof ahead of them: the next one is on its way with them, or the order is over."""
_LONG: Final = frozenset(
    {StepKind.ASK_KEY, StepKind.FEED, StepKind.CHECK, StepKind.STORE_PUBLISHED, StepKind.STORE_RESULT}
)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        input_index: the input that it is about, where it is about one.
        inputs: ASK_KEY: every input to ask for now, the first time or again.
        why: for people; HOST_FAULT: the reason by which the CVM knows it.
    """

    kind: StepKind
    input_index: int | None = None
    why: str = ""
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CvmSeen:
    """What a CVM says of itself (docs/cvm-socket.md, `status`).

    Attributes:
        seconds: since it admitted the order.
        stopping: its engine was told to end.
        grants_last: seconds until each input's grant is over.
        published: checkpoints that its engine published so far.
    """

    state: str
    order_id: bytes | None
    granted: frozenset[int] = frozenset()
    fed: frozenset[int] = frozenset()
    refusal: str = ""
    seconds: int = 0
    stopping: bool = False
    grants_last: Mapping[int, int] = field(default_factory=dict)
    published: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the next step depends on.

    Attributes:
        now: chain time, Unix seconds.
        state: the order's state on chain.
        phase: the order's phase on chain.
        since: Unix seconds: placed at; once accepted, the last second to start; then the start.
        last_proof: seconds from the start to the last proof on chain.
        limit: most seconds that are paid.
        stopped_at: when the client stopped the order, Unix seconds, or zero.
        stop_signed: whether the client's signed stop is here, or may be had.
        rest_claimed: whether an ended order was settled.
        windows: the order's deadlines.
        inputs: how many inputs the order has.
        held: whether every ciphertext is in the local store, by digest.
        refused_by_policy: why this agent does not take the order; empty when it does.
        cvm: the CVM's own status; None when there is no such process.
        stored: whether the sealed result lies in the blob store.
        published: checkpoints of the engine that lie there.
        parting: the CVM's last word in the journal: "report", "refusal", or empty. With it the CVM may go.
        asked: inputs whose broker was asked a moment ago.
        opened: the CVM's second in which the last grant was opened; None before.
    """

    now: int
    state: OrderState
    phase: Phase
    since: int
    windows: Windows
    inputs: int
    last_proof: int = 0
    limit: int = 0
    stopped_at: int = 0
    stop_signed: bool = False
    rest_claimed: bool = False
    held: bool = False
    refused_by_policy: str = ""
    cvm: CvmSeen | None = None
    stored: bool = False
    published: int = 0
    parting: str = ""
    asked: frozenset[int] = frozenset()
    opened: int | None = None


def next_step(seen: Observed) -> Step:
    """Return the one step that moves this order on, or WAIT, or FORGET."""
    if seen.state in TERMINAL:
        return _after_the_end(seen)
    if seen.state is OrderState.PLACED:
        return _placed(seen)
    if seen.state in RUNNING and seen.parting:
        return Step(StepKind.COMPLETE if seen.parting == "report" else StepKind.REFUSE)
    if seen.state is OrderState.NONE:
        return Step(StepKind.WAIT, why="the chain does not know this order any more")
    if seen.cvm is None:
        return _silent(seen, "the CVM is gone")
    if seen.state is OrderState.ACCEPTED:
        return _accepted(seen, seen.cvm)
    return _running(seen, seen.cvm)


def _placed(seen: Observed) -> Step:
    if seen.refused_by_policy:
        return Step(StepKind.FORGET, why=seen.refused_by_policy)
    if seen.now > seen.since + seen.windows.accept_within:
        return Step(StepKind.FORGET, why="the time to accept is over")
    if not seen.held:
        return Step(StepKind.FETCH)
    return Step(StepKind.PREPARE_CVM if seen.cvm is None else StepKind.ACCEPT)


def _accepted(seen: Observed, cvm: CvmSeen) -> Step:
    if seen.now > seen.since:
        return Step(StepKind.WAIT, why="the time to start is over; anybody may expire the order")
    if cvm.state == "AWAIT_ORDER":
        return Step(StepKind.ADMIT)
    if cvm.state == "REFUSED":
        return Step(StepKind.WAIT, why=f"the CVM refused the order: {cvm.refusal}")
    return Step(StepKind.START)


def _running(seen: Observed, cvm: CvmSeen) -> Step:
    match cvm.state:
        case "REFUSED":
            return Step(StepKind.REFUSE, why=f"the CVM refused the order: {cvm.refusal}")
        case "AWAIT_ORDER":
            return _silent(seen, "this CVM holds no order")
        case "ADMITTED" | "AWAIT_KEYS" | "OPENED" | "CHECKED" | "RUNNING":
            return _proof_before(_engine(seen, cvm), seen, cvm)
        case "SEALED":
            if cvm.published > seen.published:
                return _proof_before(Step(StepKind.STORE_PUBLISHED), seen, cvm)
            return _proof_before(Step(StepKind.REPORT if seen.stored else StepKind.STORE_RESULT), seen, cvm)
        case "REPORTED":
            # It signed, and the agent died before it wrote that down: the CVM says it again.
            return Step(StepKind.REPORT)
        case "WIPED":
            return _silent(seen, "the CVM is wiped and its last word lost")
        case other:
            return Step(StepKind.WAIT, why=f"the CVM says {other}")


def _proof_before(step: Step, seen: Observed, cvm: CvmSeen) -> Step:
    """Return `step`, or the proof of the use so far where that is due first.

    Silence costs stake, and time that was not proven is not paid where the order ends without a report.
    """
    if step.kind in _PROOFS:
        return step
    proof_at, grace = seen.since + seen.last_proof, seen.windows.grace
    # What takes its time begins with most of the grace ahead of it.
    due = is_proof_due(seen.now, proof_at, grace // 2 if step.kind in _LONG else grace)
    stopped = seen.state is OrderState.STOPPING and proof_at <= seen.stopped_at < seen.now
    if not due and not stopped and not (_unfunded(seen) and seen.last_proof < seen.limit):
        return step
    # The chain enters ENGINE by the summary that names the IntegrityReport, and by no other.
    names_integrity = cvm.state == "CHECKED" and seen.phase is Phase.SETUP
    return Step(StepKind.CHECKPOINT if names_integrity else StepKind.PROVE)


def is_proof_due(now: int, proof_at: int, grace: int) -> bool:
    """Return whether half of `grace` is over since the last proof; after all of it anybody may expire."""
    return now > proof_at + grace // 2


def _unfunded(seen: Observed) -> bool:
    """Return whether the deposit pays for less than the whole time, and that is over."""
    return seen.limit < seen.windows.max_seconds and seen.now >= seen.since + seen.limit


def _engine(seen: Observed, cvm: CvmSeen) -> Step:
    """Return the next step with an engine that has not ended."""
    if _unfunded(seen):
        return Step(StepKind.HOST_FAULT, why="unfunded")
    if cvm.state == "RUNNING":
        return _under_way(seen, cvm)
    if seen.state is OrderState.STOPPING:
        return Step(StepKind.HOST_FAULT, why="stopped")
    if cvm.state != "CHECKED":
        return _loading(seen, cvm)
    if _too_late(seen, cvm):
        return Step(StepKind.HOST_FAULT, why="max-seconds")
    return Step(StepKind.CHECKPOINT if seen.phase is Phase.SETUP else StepKind.RUN)


def _under_way(seen: Observed, cvm: CvmSeen) -> Step:
    if _stop_is_over(seen):
        return Step(StepKind.EXPIRE)
    if seen.stop_signed and not cvm.stopping:
        return Step(StepKind.STOP)
    left = seen.windows.max_seconds - cvm.seconds
    soon = min(left, seen.windows.grace // 2)
    ending = (index for index, seconds in cvm.grants_last.items() if seconds < soon)
    due = tuple(index for index in ending if index not in seen.asked)
    if due and not cvm.stopping:
        return Step(StepKind.ASK_KEY, inputs=due)
    if seen.state is OrderState.STOPPING and not cvm.stopping:
        return Step(StepKind.WAIT, why="the client stopped the order and signed nothing that ends the engine")
    if cvm.published > seen.published:
        return Step(StepKind.STORE_PUBLISHED)
    return Step(StepKind.WAIT, why="the engine runs")


def _stop_is_over(seen: Observed) -> bool:
    """Return whether a stopped order can end as proven: a proof followed the stop, and the grace is over."""
    over = seen.now > seen.stopped_at + seen.windows.grace
    return seen.state is OrderState.STOPPING and over and seen.since + seen.last_proof > seen.stopped_at


def _silent(seen: Observed, why: str) -> Step:
    """Return the step for an order whose CVM will say no more."""
    if _stop_is_over(seen):
        return Step(StepKind.EXPIRE)
    return Step(StepKind.WAIT, why=f"{why}; the order's deadline settles it")


def _loading(seen: Observed, cvm: CvmSeen) -> Step:
    missing = [index for index in range(seen.inputs) if index not in cvm.granted]
    if missing and cvm.seconds >= seen.windows.keys_within:
        return Step(StepKind.REFUSE, missing[0], why=f"no key of inputs {missing} within keysWithin")
    if _too_late(seen, cvm):
        return Step(StepKind.HOST_FAULT, why="max-seconds")
    if missing:
        due = tuple(index for index in missing if index not in seen.asked)
        if due:
            return Step(StepKind.ASK_KEY, inputs=due)
        return Step(StepKind.WAIT, why=f"waiting for the owners of inputs {missing}")
    if seen.opened is not None and cvm.seconds >= seen.opened + seen.windows.load_within:
        return Step(StepKind.HOST_FAULT, why="load-window")
    unfed = [index for index in range(seen.inputs) if index not in cvm.fed]
    return Step(StepKind.FEED, unfed[0]) if unfed else Step(StepKind.CHECK)


def _too_late(seen: Observed, cvm: CvmSeen) -> bool:
    """Return whether no engine can run any more: saying so costs no stake, silence would."""
    return cvm.seconds >= seen.windows.max_seconds


def _after_the_end(seen: Observed) -> Step:
    if seen.cvm is not None and seen.cvm.state != "WIPED":
        return Step(StepKind.WIPE)
    if seen.state is OrderState.EXPIRED and not seen.rest_claimed:
        return Step(StepKind.SETTLE)
    return Step(StepKind.FORGET, why=f"the order is {seen.state.name}")
