"""What the agent does next for one order: a pure function of what it sees (protocol sections 6.2 and 7).

The agent is level-triggered. It never asks "what was I doing?" but "what is true now?": the order on
chain, the CVM's own status, and the few facts in the journal. Killing the agent between any two
lines therefore costs nothing but time: the next look leads to the same step.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from enclave_runtime.wire.orders import Phase, Windows
from marketplace.domain.order_state import TERMINAL, OrderState

__all__ = ["CvmSeen", "Observed", "Step", "StepKind", "next_step"]


class StepKind(Enum):
    """The agent's whole vocabulary; each has one method in `marketplace.provider.steps`."""

    FETCH = "fetch every ciphertext by digest"
    PREPARE_CVM = "launch and certify a CVM"
    ACCEPT = "accept on chain"
    ADMIT = "hand the order to the CVM"
    START = "start on chain"
    ASK_KEY = "ask an owner's broker for a grant"
    FEED = "give ciphertext to the CVM"
    CHECK = "let the CVM compare every digest"
    CHECKPOINT = "put the IntegrityReport's digest on chain"
    RUN = "start the engine"
    STORE_RESULT = "store the sealed result"
    REPORT = "let the CVM sign the order report"
    COMPLETE = "report on chain and settle"
    REFUSE = "put the CVM's refusal on chain"
    HOST_FAULT = "report our own failure on chain"
    WIPE = "let the CVM erase its keys and sign for it"
    WAIT = "wait"
    FORGET = "nothing left to do"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, with the input that it is about where there is one."""

    kind: StepKind
    input_index: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class CvmSeen:
    """What a CVM says of itself (docs/cvm-socket.md, `status`)."""

    state: str
    order_id: bytes | None
    granted: frozenset[int] = frozenset()
    fed: frozenset[int] = frozenset()
    refusal: str = ""


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
        cvm_certified: whether the CVM is registered on chain and usable.
        stored: whether the sealed result lies in the blob store.
        parting: the CVM's last word in the journal: "report", "refusal", or empty. With it the CVM may go.
        ask_after: chain time before which an input's broker is not asked again.
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
    cvm_certified: bool = False
    stored: bool = False
    parting: str = ""
    ask_after: dict[int, int] = field(default_factory=dict)


def next_step(seen: Observed) -> Step:
    """Return the one step that moves this order on, or WAIT, or FORGET."""
    if seen.state in TERMINAL:
        return _after_the_end(seen)
    if seen.state is OrderState.PLACED:
        return _placed(seen)
    if seen.state is OrderState.RUNNING and seen.parting:
        return Step(StepKind.COMPLETE if seen.parting == "report" else StepKind.REFUSE)
    if seen.cvm is None:
        return Step(StepKind.WAIT, why="the CVM is gone; the order's deadline settles it")
    if seen.state is OrderState.ACCEPTED:
        return _accepted(seen, seen.cvm)
    if seen.state is OrderState.RUNNING:
        return _running(seen, seen.cvm)
    return Step(StepKind.FORGET, why=f"nothing to do in {seen.state.name}")


def _placed(seen: Observed) -> Step:
    if seen.refused_by_policy:
        return Step(StepKind.FORGET, why=seen.refused_by_policy)
    if seen.now > seen.since + seen.windows.accept_within:
        return Step(StepKind.FORGET, why="the time to accept is over")
    if not seen.held:
        return Step(StepKind.FETCH)
    if seen.cvm is None or not seen.cvm_certified:
        return Step(StepKind.PREPARE_CVM)
    return Step(StepKind.ACCEPT)


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
            return Step(StepKind.REFUSE, why=cvm.refusal)
        case "AWAIT_ORDER":
            return Step(StepKind.WAIT, why="this CVM holds no order; the deadline settles it")
        case "ADMITTED" | "AWAIT_KEYS" | "OPENED":
            return _loading(seen, cvm)
        case "CHECKED":
            return Step(StepKind.CHECKPOINT if seen.phase is Phase.SETUP else StepKind.RUN)
        case "RUNNING":
            return Step(StepKind.WAIT, why="the engine runs")
        case "SEALED":
            return Step(StepKind.REPORT if seen.stored else StepKind.STORE_RESULT)
        case "REPORTED" | "WIPED":
            return Step(StepKind.COMPLETE)
        case other:
            return Step(StepKind.WAIT, why=f"the CVM says {other}")


def _loading(seen: Observed, cvm: CvmSeen) -> Step:
    missing = [index for index in range(seen.inputs) if index not in cvm.granted]
    if not missing:
        unfed = [index for index in range(seen.inputs) if index not in cvm.fed]
        return Step(StepKind.FEED, unfed[0]) if unfed else Step(StepKind.CHECK)
    if seen.now > seen.since + seen.windows.keys_within:
        return Step(StepKind.REFUSE, missing[0], why="no grant within keysWithin")
    due = [index for index in missing if seen.ask_after.get(index, 0) <= seen.now]
    if due:
        return Step(StepKind.ASK_KEY, due[0])
    return Step(StepKind.WAIT, why=f"waiting for the owner of input {missing[0]}")


def _after_the_end(seen: Observed) -> Step:
    if seen.cvm is not None and seen.cvm.state != "WIPED":
        return Step(StepKind.WIPE)
    return Step(StepKind.FORGET, why=f"the order is {seen.state.name}")
