"""The agent's loop: look at the chain, look at every open order, take each order's next step.

Orders are worked on in parallel, one thread each; nothing is remembered between looks but the journal
(docs/architecture.md, "Why level-triggered").
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from enclave_runtime.wire.canonical import Json, JsonObject
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.errors import EnclaveError
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.errors import MarketError
from marketplace.provider.cvm import CvmClient, CvmGoneError
from marketplace.provider.fleet import Fleet
from marketplace.provider.job import Job, JobSource, load_job
from marketplace.provider.journal import JobRow
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.reducer import CvmSeen, Observed, Step, StepKind, next_step
from marketplace.provider.worker import Tools, Worker

__all__ = ["Agent", "AgentSettings"]

_LONGEST_PAUSE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What one agent does.

    Attributes:
        compute_offer: the compute offer whose orders it serves.
        poll_s: seconds between looks when nothing moves.
        warm: how many certified CVMs wait ahead of orders.
    """

    compute_offer: int
    poll_s: float = 0.2
    warm: int = 1


@dataclass(slots=True)
class _Working:
    """One order in progress: what was loaded for it, and what was said of it last."""

    job: Job
    ask_after: dict[int, int] = field(default_factory=dict)
    said: str = ""
    failures: int = 0
    retry_at_s: float = 0.0


class Agent:
    """Serves the orders of one compute offer until it is cancelled."""

    def __init__(
        self,
        settings: AgentSettings,
        policy: AgentPolicy,
        tools: Tools,
        fleet: Fleet,
        *,
        before_step: Callable[[StepKind], None] = lambda _: None,
    ) -> None:
        """`before_step` is called ahead of every step: tests end the process there."""
        self._settings = settings
        self._policy = policy
        self._tools = tools
        self._fleet = fleet
        self._before_step = before_step
        self._working: dict[bytes, _Working] = {}
        self._busy: dict[bytes, asyncio.Task[None]] = {}
        self._preparing = asyncio.Lock()

    @property
    def tools(self) -> Tools:
        """What its steps work with."""
        return self._tools

    @property
    def fleet(self) -> Fleet:
        """Its CVMs."""
        return self._fleet

    def job_of(self, order_id: bytes) -> Job:
        """Return an order that was looked at, with everything that was fetched for it.

        Raises:
            KeyError: never looked at, or over.
        """
        return self._working[order_id].job

    def open_jobs(self) -> list[JobRow]:
        """Return the orders that still need looking at."""
        return self._tools.journal.open_jobs()

    async def run(self) -> None:
        """Look and work until cancelled; a step that fails is logged and looked at again."""
        while True:
            try:
                await asyncio.to_thread(self.find_orders)
                await self._keep_warm()
            except (MarketError, EnclaveError) as error:
                self._tools.say(b"", f"{error}")
            for row in self._tools.journal.open_jobs():
                task = self._busy.get(row.order_id)
                if task is None or task.done():
                    self._busy[row.order_id] = asyncio.create_task(self._serve(row.order_id))
            await asyncio.sleep(self._settings.poll_s)

    def find_orders(self) -> None:
        """Read orders placed since the last look into the journal."""
        journal = self._tools.journal
        placed, head = self._tools.chain.placed_since(self._settings.compute_offer, journal.cursor())
        for one in placed:
            journal.see_order(one.order_id, JobSource.of(self._tools.chain, one).to_text())
        journal.move_cursor(head)

    async def _keep_warm(self) -> None:
        if (
            self._settings.warm
            and await asyncio.to_thread(self._fleet.ready, self._tools.chain.now()) is None
        ):
            await self._prepare()

    async def _prepare(self) -> None:
        async with self._preparing:
            if await asyncio.to_thread(self._fleet.ready, self._tools.chain.now()) is None:
                self._before_step(StepKind.PREPARE_CVM)
                await asyncio.to_thread(self._fleet.prepare)

    async def _serve(self, order_id: bytes) -> None:
        """Take steps of one order until it waits, fails or is over; a failure is tried again ever later."""
        working = self._working.get(order_id)
        if working is not None and time.monotonic() < working.retry_at_s:
            return
        while True:
            row = next((one for one in self._tools.journal.open_jobs() if one.order_id == order_id), None)
            if row is None:
                return
            try:
                kind = await asyncio.to_thread(self.take_step, row)
                if kind is StepKind.PREPARE_CVM:
                    await self._prepare()
            except (MarketError, EnclaveError) as error:
                self._failed(order_id, str(error))
                return
            except Exception as error:  # nobody foresaw it: this order waits, the others go on
                self._failed(order_id, f"unexpected {type(error).__name__}: {error}")
                return
            self._went_well(order_id)
            if kind in (StepKind.WAIT, StepKind.FORGET):
                return

    def _failed(self, order_id: bytes, text: str) -> None:
        self._say(order_id, text)
        working = self._working.get(order_id)
        if working is not None:
            working.failures += 1
            pause_s = min(_LONGEST_PAUSE_S, self._settings.poll_s * 2**working.failures)
            working.retry_at_s = time.monotonic() + pause_s

    def _went_well(self, order_id: bytes) -> None:
        working = self._working.get(order_id)
        if working is not None:
            working.failures = 0

    def take_step(self, row: JobRow) -> StepKind:
        """Look at one order and take its next step; PREPARE_CVM is left to the caller.

        Raises:
            MarketError, EnclaveError: the step did not work out.
        """
        chain = self._tools.chain
        record = chain.order(row.order_id)
        working = self._load(row)
        if working is None:
            if record.state.terminal or record.state is OrderState.NONE:
                why = f"{record.state.name}, and its packet was never found"
                self._tools.journal.finish(row.order_id, why)
            return StepKind.WAIT
        client = self._client_for(row, record, working.job)
        try:
            seen = self._observe(row, record, working, client)
            step = next_step(seen)
            self._before_step(step.kind)
            return self._act(row, working, client, step)
        finally:
            if client is not None:
                client.close()

    def _act(self, row: JobRow, working: _Working, client: CvmClient | None, step: Step) -> StepKind:
        if step.kind is StepKind.FORGET:
            self._forget(row, step.why)
        elif step.kind is StepKind.WAIT:
            self._say(row.order_id, step.why)
        elif step.kind is not StepKind.PREPARE_CVM:
            self._say(row.order_id, step.kind.value)
            worker = Worker(self._tools, row.order_id, working.job, client)
            worker.ask_after = working.ask_after
            worker.do(step)
        return step.kind

    def _load(self, row: JobRow) -> _Working | None:
        if row.order_id not in self._working:
            try:
                job = load_job(JobSource.from_text(row.preimage), self._tools.blobs)
            except (MarketError, EnclaveError) as error:
                self._say_once(row.order_id, f"cannot work on this order: {error}")
                return None
            self._working[row.order_id] = _Working(job)
        return self._working[row.order_id]

    def _client_for(self, row: JobRow, record: OrderRecord, job: Job) -> CvmClient | None:
        promised = self._tools.journal.cvm_of(row.order_id)
        if promised is None and record.state is OrderState.PLACED:
            until = self._tools.chain.now() + job.preimage.terms.windows.start_within
            promised = self._fleet.ready(until)
            if promised is not None:
                self._tools.journal.promise(promised.socket, row.order_id)
        return None if promised is None else self._fleet.client(promised)

    def _observe(
        self, row: JobRow, record: OrderRecord, working: _Working, client: CvmClient | None
    ) -> Observed:
        journal = self._tools.journal
        promised = journal.cvm_of(row.order_id)
        return Observed(
            now=self._tools.chain.now(),
            state=record.state,
            phase=record.phase,
            since=record.since,
            windows=working.job.preimage.terms.windows,
            inputs=len(working.job.inputs),
            held=journal.fact(row.order_id, "held") is not None,
            refused_by_policy=self._refusal(working.job),
            cvm=_seen(client, len(working.job.inputs)),
            cvm_certified=promised is not None and promised.registered,
            stored=journal.fact(row.order_id, "result") is not None,
            parting=journal.fact(row.order_id, "parting") or "",
            ask_after=working.ask_after,
        )

    def _refusal(self, job: Job) -> str:
        plaintext = sum(held.manifest.sealed.plaintext_bytes for held in job.inputs)
        return self._policy.refusal(job.preimage, plaintext, self._tools.chain.start_penalty_bps())

    def _forget(self, row: JobRow, why: str) -> None:
        promised = self._tools.journal.cvm_of(row.order_id)
        if promised is not None and not promised.ended:
            self._fleet.retire(promised)
        self._tools.journal.finish(row.order_id, why)
        self._working.pop(row.order_id, None)
        self._say(row.order_id, why)

    def _say(self, order_id: bytes, text: str) -> None:
        working = self._working.get(order_id)
        if working is not None and working.said == text:
            return
        if working is not None:
            working.said = text
        self._tools.journal.note(order_id, text)
        self._tools.say(order_id, text)

    def _say_once(self, order_id: bytes, text: str) -> None:
        row = next((one for one in self._tools.journal.open_jobs() if one.order_id == order_id), None)
        if row is not None and row.note != text:
            self._tools.journal.note(order_id, text)
            self._tools.say(order_id, text)


def _seen(client: CvmClient | None, inputs: int) -> CvmSeen | None:
    if client is None:
        return None
    try:
        return _read_status(client.call("status").members, inputs)
    except CvmGoneError:
        return None


def _read_status(members: JsonObject, inputs: int) -> CvmSeen:
    order_id = members.get("order_id")
    refusal = members.get("refusal")
    return CvmSeen(
        state=str(members.get("state")),
        order_id=bytes_from_hex(order_id, 32) if isinstance(order_id, str) else None,
        granted=frozenset(range(inputs)) - _indexes(members.get("missing_keys")),
        fed=frozenset(range(inputs)) - _indexes(members.get("open_inputs")),
        refusal="" if refusal is None else str(refusal)[:400],
    )


def _indexes(value: Json) -> frozenset[int]:
    return (
        frozenset(item for item in value if isinstance(item, int)) if isinstance(value, list) else frozenset()
    )
