"""What the agent does next for one order: a pure function of what it sees (protocol sections 6.2 and 7).

The agent is level-triggered. It never asks "what was I doing?" but "what is true now?": the order on
chain, the CVM's own status, and the few facts in the journal. Killing the agent between any two
lines therefore costs nothing but time: the next look leads to the same step.

Deadlines of the chain are compared with chain time; deadlines that the CVM keeps (keysWithin, loadWithin,
maxSeconds) with the CVM's own seconds, since it is the CVM that will or will not sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from enclave_runtime.wire.orders import Phase, Windows
from marketplace.domain.order_state import TERMINAL, OrderState

__all__ = ["CvmSeen", "Observed", "Step", "StepKind", "next_step"]


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
    RUN = "start the engine"
    STORE_RESULT = "store the sealed result"
    REPORT = "let the CVM sign the order report"
    COMPLETE = "report on chain and settle"
    REFUSE = "put the CVM's refusal on chain"
    HOST_FAULT = "let the CVM sign that the host failed"
    WIPE = "let the CVM erase its keys and sign for it"
    WAIT = "wait"
    FORGET = "nothing left to do"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do.

    Attributes:
        input_index: the input that it is about, where it is about one.
        inputs: ASK_KEY: every input to ask for now.
        why: for people; HOST_FAULT: the reason by which the CVM knows it.
    """

    kind: StepKind
    input_index: int | None = None
    why: str = ""
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CvmSeen:
    """What a CVM says of itself (docs/cvm-socket.md, `status`); `seconds` since it admitted the order."""

    state: str
    order_id: bytes | None
    granted: frozenset[int] = frozenset()
    fed: frozenset[int] = frozenset()
    refusal: str = ""
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the next step depends on.

    Attributes:
        now: chain time, Unix seconds.
        state: the order's state on chain.
        phase: the order's phase on chain.
        since: time of the last state change but checkpoints, Unix seconds.
        windows: the order's deadlines.
        inputs: how many inputs the order has.
        held: whether every ciphertext is in the local store, by digest.
        refused_by_policy: why this agent does not take the order; empty when it does.
        cvm: the CVM's own status; None when there is no such process.
        stored: whether the sealed result lies in the blob store.
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
    held: bool = False
    refused_by_policy: str = ""
    cvm: CvmSeen | None = None
    stored: bool = False
    parting: str = ""
    asked: frozenset[int] = frozenset()
    opened: int | None = None


def next_step(seen: Observed) -> Step:
    """Return the one step that moves this order on, or WAIT, or FORGET."""
    if seen.state in TERMINAL:
        return _after_the_end(seen)
    if seen.state is OrderState.PLACED:
        return _placed(seen)
    if seen.state is OrderState.RUNNING and seen.parting:
        return Step(StepKind.COMPLETE if seen.parting == "report" else StepKind.REFUSE)
    if seen.state is OrderState.NONE:
        return Step(StepKind.WAIT, why="the chain does not know this order any more")
    if seen.cvm is None:
        return Step(StepKind.WAIT, why="the CVM is gone; the order's deadline settles it")
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
    if seen.now > seen.since + seen.windows.start_within:
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
            return Step(StepKind.WAIT, why="this CVM holds no order; the deadline settles it")
        case "ADMITTED" | "AWAIT_KEYS" | "OPENED":
            return _loading(seen, cvm)
        case "CHECKED":
            if _too_late(seen, cvm):
                return Step(StepKind.HOST_FAULT, why="max-seconds")
            return Step(StepKind.CHECKPOINT if seen.phase is Phase.SETUP else StepKind.RUN)
        case "RUNNING":
            return Step(StepKind.WAIT, why="the engine runs")
        case "SEALED":
            return Step(StepKind.REPORT if seen.stored else StepKind.STORE_RESULT)
        case "REPORTED":
            # It signed, and the agent died before it wrote that down: the CVM says it again.
            return Step(StepKind.REPORT)
        case "WIPED":
            return Step(StepKind.WAIT, why="the CVM is wiped and its last word lost; the deadline settles it")
        case other:
            return Step(StepKind.WAIT, why=f"the CVM says {other}")


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
    return Step(StepKind.FORGET, why=f"the order is {seen.state.name}")
