"""The agent's loop: look at the chain, look at every open order, take each order's next step.

Orders are worked on in parallel, one thread each; finding orders and keeping CVMs ready have threads of their
own, so that no order and no certifier holds up another. Nothing is remembered between looks but the journal
(docs/architecture.md, "Why level-triggered").
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.errors import EnclaveError
from marketplace.domain.order_state import OrderState
from marketplace.errors import MarketError
from marketplace.provider.cvm import CvmClient
from marketplace.provider.fleet import Fleet
from marketplace.provider.job import Job, JobSource, load_job
from marketplace.provider.journal import CvmRow, JobRow
from marketplace.provider.looking import Desk, find_orders, observe
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.ports import OrderFacts
from marketplace.provider.reducer import Step, StepKind, next_step
from marketplace.provider.screening import admit_members, inadmissible, plaintext_needed
from marketplace.provider.worker import Tools, Worker

__all__ = ["Agent", "AgentSettings"]

_ORDER_THREADS: Final = 16
_OWN_THREADS: Final = 2
_SETTLED: Final = frozenset({OrderState.COMPLETED, OrderState.FAILED})
_GIVING_UP: Final = frozenset({StepKind.REFUSE, StepKind.HOST_FAULT})
_AT_THE_END: Final = frozenset({StepKind.COMPLETE, StepKind.WIPE, StepKind.EXPIRE, StepKind.SETTLE})
_KEEPS_TROUBLE: Final = _GIVING_UP | _AT_THE_END | {StepKind.PROVE}
_MAX_WORDS: Final = 1000


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What one agent does.

    Attributes:
        compute_offer: the compute offer whose orders it serves.
        poll_s: seconds between looks when nothing moves.
        warm: how many certified CVMs wait ahead of orders.
        longest_pause_s: the longest pause between two tries at something that keeps failing.
    """

    compute_offer: int
    poll_s: float = 0.2
    warm: int = 1
    longest_pause_s: float = 10.0


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
        self._desks: dict[bytes, Desk] = {}
        self._busy: dict[bytes, asyncio.Task[None]] = {}
        self._numbers: dict[bytes, int] = {}
        self._preparing = threading.Lock()
        self._certified_for_s = float("inf")
        self._order_threads = ThreadPoolExecutor(_ORDER_THREADS, thread_name_prefix="order")
        self._own_threads = ThreadPoolExecutor(_OWN_THREADS, thread_name_prefix="agent")

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
        job = self._desks[order_id].job
        if job is None:
            raise KeyError(order_id.hex())
        return job

    def open_jobs(self) -> list[JobRow]:
        """Return the orders that still need looking at."""
        return self._tools.journal.open_jobs()

    # ------------------------------------------------------------------------------------------- the loop
    async def run(self) -> None:
        """Look and work until cancelled; what fails is said, and tried again ever later.

        When it is cancelled, steps under way come to their end; CVMs go on, and the journal finds them again.

        Raises:
            MarketError: another agent works on this journal.
        """
        self._tools.journal.own()
        own = (self._again(self.find_orders), self._again(self._keep_warm), self._serve_all())
        tasks = [asyncio.ensure_future(one) for one in own]
        try:
            await asyncio.gather(*tasks)
        finally:
            tasks += self._busy.values()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.close()

    def close(self) -> None:
        """Wait for steps under way, then close connections and journal."""
        for pool in (self._order_threads, self._own_threads):
            pool.shutdown(wait=True, cancel_futures=True)
        self._tools.services.close()
        self._tools.journal.close()

    async def _again(self, action: Callable[[], None]) -> None:
        """Do one of the agent's own duties for ever."""
        loop, failures, said = asyncio.get_running_loop(), 0, ""
        while True:
            try:
                await loop.run_in_executor(self._own_threads, action)
                failures, said = 0, ""
            except Exception as error:  # a duty that ends would be an agent that only looks alive
                failures, text = failures + 1, _words(error)
                if text != said:
                    self._tools.say(b"", text)
                said = text
            await asyncio.sleep(self._pause_s(failures))

    async def _serve_all(self) -> None:
        while True:
            for row in self._tools.journal.open_jobs():
                if row.order_id not in self._busy and self._desk(row.order_id).is_due():
                    self._start(row.order_id, self._serve(row.order_id))
            await asyncio.sleep(self._settings.poll_s)

    def _start(self, order_id: bytes, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._busy[order_id] = task
        task.add_done_callback(lambda _: self._busy.pop(order_id, None))

    async def _serve(self, order_id: bytes) -> None:
        """Take steps of one order until it waits, fails or is over; a failure is tried again ever later."""
        loop = asyncio.get_running_loop()
        while True:
            row = next((one for one in self.open_jobs() if one.order_id == order_id), None)
            if row is None:
                return
            try:
                kind = await loop.run_in_executor(self._order_threads, self._advance, row)
            except Exception as error:  # nobody foresaw it: this order waits, the others go on
                self._failed(order_id, _words(error))
                return
            if kind is StepKind.FORGET:
                return
            self._desk(order_id).failures = 0
            if kind is StepKind.WAIT:
                return

    def _advance(self, row: JobRow) -> StepKind:
        kind = self.take_step(row)
        if kind is not StepKind.PREPARE_CVM:
            return kind
        if not self._preparing.acquire(blocking=False):
            return StepKind.WAIT  # one is on its way; orders that run need this thread
        try:
            start_within = self._desk(row.order_id).start_within
            if start_within < self._certified_for_s and self._prepare(start_within):
                return kind
            # Trying again would launch one CVM after the other.
            self._certified_for_s = min(self._certified_for_s, start_within)
        finally:
            self._preparing.release()
        self._forget(row, f"it may start {start_within} s after it is accepted, certificates end before")
        return StepKind.FORGET

    def _failed(self, order_id: bytes, text: str) -> None:
        self._say(order_id, text)
        self._tools.journal.set_fact(order_id, "trouble", text)
        desk = self._desk(order_id)
        desk.failures += 1
        desk.pause(self._pause_s(desk.failures))

    def _pause_s(self, failures: int) -> float:
        longest: float = max(self._settings.longest_pause_s, self._settings.poll_s)
        return min(longest, self._settings.poll_s * 2.0 ** min(failures, 16))

    # ------------------------------------------------------------------------------------------- its duties
    def find_orders(self) -> None:
        """Read orders placed since the last look into the journal."""
        find_orders(self._tools, self._settings.compute_offer)

    def _keep_warm(self) -> None:
        # While an order is served its engine has the machine: a boot beside it would be paid by the client.
        while not any(job.cvm is not None for job in self.open_jobs()):
            with self._preparing:
                ready = len(self._fleet.spare(self._tools.chain.now()))
                if ready >= self._settings.warm and not self._fleet.unfinished():
                    return
                self._before_step(StepKind.PREPARE_CVM)
                self._fleet.prepare()

    def _prepare(self, start_within: int) -> bool:
        """Make a CVM ready that an order may start with; False where a fresh certificate ends before."""
        if self._fleet.ready(self._tools.chain.now() + start_within) is not None:
            return True
        self._before_step(StepKind.PREPARE_CVM)
        if self._fleet.renew(self._tools.chain.now() + start_within) is not None:
            return True
        # Another order may have it by now: it was good enough all the same.
        fresh = self._fleet.prepare()
        return self._tools.chain.cvm_usable(fresh, self._tools.chain.now() + start_within)

    # ------------------------------------------------------------------------------------------- one order
    def take_step(self, row: JobRow) -> StepKind:
        """Look at one order and take its next step; PREPARE_CVM is left to the caller.

        Raises:
            MarketError, EnclaveError: the step did not work out.
        """
        record = self._tools.chain.order(row.order_id)
        desk = self._desk(row.order_id)
        if desk.job is None and not self._load(row, record, desk):
            return StepKind.FORGET
        refusal = self._refusal(desk, record) if record.state is OrderState.PLACED else ""
        client = self._client_for(row, record, desk, refusal)
        try:
            step = next_step(observe(self._tools, row.order_id, record, desk, client, refusal))
            self._before_step(step.kind)
            self._act(row, record, desk, client, step)
            return step.kind
        finally:
            if client is not None:
                client.close()

    def _load(self, row: JobRow, record: OrderFacts, desk: Desk) -> bool:
        """Fetch what the order needs; False where it is over without that."""
        source = JobSource.from_text(row.preimage)
        try:
            job = load_job(source, self._tools.blobs)
        except (MarketError, EnclaveError) as error:
            if self._is_over(source, record):
                self._forget(row, f"{record.state.name}, and it was never fetched: {error}")
                return False
            raise
        tools = self._tools
        desk.unfit = inadmissible(job, admit_members(job, row.order_id, tools.chain.domain(), tools.operator))
        desk.plaintext_bytes = plaintext_needed(job)
        desk.job = job
        return True

    def _is_over(self, source: JobSource, record: OrderFacts) -> bool:
        terms, now = source.preimage.terms, self._tools.chain.now()
        if record.state is OrderState.NONE:
            return now > terms.place_before
        late = record.state is OrderState.PLACED and now > record.since + terms.windows.accept_within
        return late or record.state.terminal

    def _refusal(self, desk: Desk, record: OrderFacts) -> str:
        assert desk.job is not None
        penalty_bps = self._tools.chain.start_penalty_bps()
        return desk.unfit or self._policy.refusal(
            desk.job.preimage, desk.plaintext_bytes, penalty_bps, record.added
        )

    # ------------------------------------------------------------------------------------------- its CVM
    def _client_for(self, row: JobRow, record: OrderFacts, desk: Desk, refusal: str) -> CvmClient | None:
        journal = self._tools.journal
        promised = journal.cvm_of(row.order_id)
        if record.state is OrderState.PLACED:
            promised = self._promised(row, desk, promised, refusal)
        elif promised is not None and record.cvm != self._number(promised):
            # Never accepted, or accepted with another CVM: this one is as free as before.
            journal.release(row.order_id)
            promised = None
        return None if promised is None or promised.ended else self._fleet.client(promised)

    def _number(self, promised: CvmRow) -> int:
        """Return a promised CVM's number in the registry, which never changes.

        Raises:
            MarketError: a node that does not know it, and so knows nothing of who serves the order.
        """
        cvm_id = promised.cvm_id or b""
        number = self._numbers.get(cvm_id) or self._tools.chain.cvm_number(cvm_id)
        if not number:
            raise MarketError(f"the chain does not know CVM {promised.name}")
        self._numbers[cvm_id] = number
        return number

    def _promised(self, row: JobRow, desk: Desk, promised: CvmRow | None, refusal: str) -> CvmRow | None:
        """Return the CVM to accept with. Only an order that could be accepted now binds one."""
        journal, order_id = self._tools.journal, row.order_id
        until = self._tools.chain.now() + desk.start_within
        if promised is not None:
            if self._fleet.usable(promised, until):
                return promised
            journal.release(order_id)
        if refusal or journal.fact(order_id, "held") is None:
            return None
        spare = self._fleet.spare(until)
        return next((one for one in spare if journal.promise(one.socket, order_id)), None)

    # ------------------------------------------------------------------------------------------- its step
    def _act(self, row: JobRow, record: OrderFacts, desk: Desk, client: CvmClient | None, step: Step) -> None:
        if step.kind is StepKind.FORGET:
            self._forget(row, self._with_trouble(row, step.why, record))
        elif step.kind is StepKind.WAIT:
            self._say(row.order_id, self._with_trouble(row, step.why, record))
        elif step.kind is not StepKind.PREPARE_CVM:
            if step.kind is not StepKind.PROVE:
                self._say(row.order_id, step.kind.value)
            self._note_trouble(row.order_id, step)
            self._work(row, record, desk, client, step)

    def _work(
        self, row: JobRow, record: OrderFacts, desk: Desk, client: CvmClient | None, step: Step
    ) -> None:
        assert desk.job is not None
        worker = Worker(self._tools, row.order_id, desk.job, client)
        try:
            worker.do(step)
        except MarketError as error:
            if step.kind is not StepKind.WIPE or not record.state.terminal:
                raise
            # It does not even erase: ending the process takes its memory and its plaintext with it.
            self._forget(row, f"the order is {record.state.name}; {error}")
        desk.was_asked(step.inputs)

    def _note_trouble(self, order_id: bytes, step: Step) -> None:
        """Keep why an order is given up; forget what was in the way of a step that goes on."""
        journal = self._tools.journal
        before = journal.fact(order_id, "trouble") or ""
        if step.kind in _GIVING_UP and step.why not in before:
            journal.set_fact(order_id, "trouble", "; ".join(text for text in (step.why, before) if text))
        elif before and step.kind not in _KEEPS_TROUBLE:
            journal.set_fact(order_id, "trouble", "")

    def _with_trouble(self, row: JobRow, why: str, record: OrderFacts) -> str:
        trouble = self._tools.journal.fact(row.order_id, "trouble") or ""
        return f"{why}; {trouble}" if trouble and record.state not in _SETTLED else why

    def _forget(self, row: JobRow, why: str) -> None:
        """End the order's CVM, unless it never came to serve it, and the order's work."""
        journal = self._tools.journal
        promised = journal.cvm_of(row.order_id)
        if promised is not None and not journal.was_sent(row.order_id, "accept"):
            journal.release(row.order_id)
        elif promised is not None and not promised.ended:
            self._fleet.retire(promised)
        self._say(row.order_id, why)
        journal.finish(row.order_id, why)
        self._tools.blobs.let_go(row.order_id)
        self._desks.pop(row.order_id, None)

    def _desk(self, order_id: bytes) -> Desk:
        return self._desks.setdefault(order_id, Desk())

    def _say(self, order_id: bytes, text: str) -> None:
        desk = self._desk(order_id)
        if desk.said != text:
            desk.said = text
            self._tools.journal.note(order_id, text)
            self._tools.say(order_id, text)


def _words(error: Exception) -> str:
    text = str(error) if isinstance(error, MarketError | EnclaveError) else f"unexpected {error!r}"
    return text[:_MAX_WORDS]
