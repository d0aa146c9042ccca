"""How the agent looks: new orders on chain, one order's surroundings, and what is at hand of an order."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from enclave_runtime.wire.canonical import Json, JsonObject
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.errors import RefusedError, WireError
from marketplace.domain.order import check_preimage
from marketplace.domain.order_state import RUNNING, OrderState
from marketplace.errors import NotFoundError
from marketplace.provider.bundle import published_at
from marketplace.provider.cvm import CvmClient, CvmGoneError
from marketplace.provider.job import Job, JobSource
from marketplace.provider.ports import OrderFacts
from marketplace.provider.reducer import CvmSeen, Observed
from marketplace.provider.worker import Tools

__all__ = ["Desk", "find_orders", "observe"]

_ASK_AGAIN_S: Final = 2.0
_LOADING: Final = frozenset({"AWAIT_KEYS", "OPENED"})
_MAX_WORDS: Final = 400


@dataclass(slots=True)
class Desk:
    """One order at hand, in this process's memory only.

    Attributes:
        job: the order with all that was fetched for it; None until that worked.
        unfit: why no CVM would admit it; empty when one would.
        plaintext_bytes: what it needs in a CVM.
        said: what was said of it last.
        failures: how often in a row it failed.
    """

    job: Job | None = None
    unfit: str = ""
    plaintext_bytes: int = 0
    said: str = ""
    failures: int = 0
    _asked: dict[int, float] = field(default_factory=dict)
    _retry_at_s: float = 0.0

    @property
    def start_within(self) -> int:
        """The order's startWithin, seconds; 0 while it is not known."""
        return 0 if self.job is None else self.job.preimage.terms.windows.start_within

    def is_due(self) -> bool:
        """Return whether it may be tried again."""
        return time.monotonic() >= self._retry_at_s

    def pause(self, seconds: float) -> None:
        """Leave it alone for a while."""
        self._retry_at_s = time.monotonic() + seconds

    def was_asked(self, inputs: Iterable[int]) -> None:
        """Leave the brokers of these inputs alone for a moment."""
        for index in inputs:
            self._asked[index] = time.monotonic() + _ASK_AGAIN_S

    def asked(self) -> frozenset[int]:
        """Return the inputs whose broker was asked a moment ago."""
        now = time.monotonic()
        return frozenset(index for index, until in self._asked.items() if now < until)


def find_orders(tools: Tools, compute_offer: int) -> None:
    """Read orders placed since the last look into the journal.

    One that names offers that do not exist, or other terms than theirs, is noted and left: anybody can place
    such an order, and it must not stand in the way of others.

    Raises:
        MarketError: the chain gives no usable answer; nothing is skipped.
    """
    journal, chain = tools.journal, tools.chain
    placed, head = chain.placed_since(compute_offer, journal.cursor())
    for one in placed:
        try:
            source = JobSource.of(chain, one)
            check_preimage(chain.domain(), one.order_id, source.preimage)
        except (NotFoundError, RefusedError, WireError) as error:
            journal.see_order(one.order_id, "")
            journal.finish(one.order_id, f"nobody can serve it: {error}")
            tools.say(one.order_id, f"nobody can serve it: {error}")
        else:
            journal.see_order(one.order_id, source.to_text())
    journal.move_cursor(head)


def observe(
    tools: Tools, order_id: bytes, record: OrderFacts, desk: Desk, client: CvmClient | None, refusal: str
) -> Observed:
    """Return what one look at an order finds.

    Args:
        client: a connection to its CVM; None where there is none.
        refusal: why the agent would not take it; empty where it would.
    """
    assert desk.job is not None
    journal, inputs = tools.journal, len(desk.job.inputs)
    windows = desk.job.preimage.terms.windows
    parting = journal.fact(order_id, "parting") or ""
    stop = journal.fact(order_id, "stop_signature")  # empty once it is known that there is none
    # With its last word here the CVM is asked for nothing but `wipe`: told its state, a wiped one would end.
    finished = bool(parting) and record.state in RUNNING
    cvm = None if finished else _seen(client, inputs)
    return Observed(
        now=tools.chain.now(),
        state=record.state,
        phase=record.phase,
        since=record.since,
        windows=windows,
        inputs=inputs,
        last_proof=record.last_proof,
        limit=record.limit or windows.max_seconds,
        stopped_at=record.stopped_at,
        stop_signed=bool(stop) or (stop is None and record.state is OrderState.STOPPING),
        rest_claimed=record.rest_claimed,
        held=journal.fact(order_id, "held") is not None,
        refused_by_policy=refusal,
        cvm=cvm if cvm is None or cvm.order_id in (None, order_id) else None,
        stored=journal.fact(order_id, "result") is not None,
        published=len(published_at(journal, order_id)),
        parting=parting,
        asked=desk.asked(),
        opened=_opened(tools, order_id, cvm, inputs),
    )


def _opened(tools: Tools, order_id: bytes, cvm: CvmSeen | None, inputs: int) -> int | None:
    """Return the second in which the last grant was seen; noted when it is first seen."""
    known = tools.journal.fact(order_id, "opened")
    if known is not None:
        return int(known)
    if cvm is None or cvm.state not in _LOADING or len(cvm.granted) < inputs:
        return None
    tools.journal.set_fact(order_id, "opened", str(cvm.seconds))
    return cvm.seconds


def _seen(client: CvmClient | None, inputs: int) -> CvmSeen | None:
    if client is None:
        return None
    try:
        return _read_status(client.call("status").members, inputs)
    except CvmGoneError:
        return None


def _read_status(members: JsonObject, inputs: int) -> CvmSeen:
    order_id, seconds = members.get("order_id"), members.get("order_seconds")
    return CvmSeen(
        state=str(members.get("state")),
        order_id=bytes_from_hex(order_id, 32) if isinstance(order_id, str) else None,
        granted=frozenset(range(inputs)) - _indexes(members.get("missing_keys")),
        fed=frozenset(range(inputs)) - _indexes(members.get("open_inputs")),
        refusal=_refusal(members.get("refusal")),
        seconds=seconds if isinstance(seconds, int) else 0,
        stopping=members.get("stop_reason") is not None,
        grants_last=_grants_last(members.get("grants_last")),
        published=published if isinstance(published := members.get("published"), int) else 0,
    )


def _grants_last(value: Json) -> dict[int, int]:
    if not isinstance(value, dict):
        return {}
    return {int(name): left for name, left in value.items() if name.isdecimal() and isinstance(left, int)}


def _refusal(value: Json) -> str:
    if not isinstance(value, dict):
        return ""
    index = value.get("input_index")
    where = "" if index is None else f"input {index} at "
    return f"{where}{value.get('step')}: got {value.get('got')}, expected {value.get('expected')}"[
        :_MAX_WORDS
    ]


def _indexes(value: Json) -> frozenset[int]:
    return (
        frozenset(item for item in value if isinstance(item, int)) if isinstance(value, list) else frozenset()
    )
