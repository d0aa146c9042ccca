"""A whole market for integration tests: the demo's world, a provider, an engine that takes no time."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from enclave_runtime.attestation.simulated.client import CvmState, PlatformClient
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.orders import Windows
from marketplace.demo.console import Console
from marketplace.demo.ledger import Ledger
from marketplace.demo.processes import Child, Processes
from marketplace.demo.story import Story
from marketplace.demo.world import World
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.provider.journal import CvmRow, Journal
from marketplace.sdk import auditor, client

__all__ = ["OWNERS", "QUICK", "Market", "start_market"]

T = TypeVar("T")

OWNERS = ("centre", "hospital-a")
"""Whose brokers release keys for a quick order: the engine's and the data's."""
_DYING = Path(__file__).with_name("dying_agent.py")
_TIMEOUT_S = 180.0

QUICK = b"""
import json, pathlib, time
config = json.loads(pathlib.Path("/config.json").read_text())
numbers = [int(line) for line in pathlib.Path("/inputs/0/numbers.txt").read_text().split()]
for number in range(config.get("publish", 0)):
    folder = pathlib.Path("/output/checkpoints/next")
    folder.mkdir(parents=True)
    (folder / "sum.txt").write_text(str(sum(numbers[:number + 1])))
    folder.rename(folder.with_name(str(number)))
time.sleep(config.get("sleep", 0))
pathlib.Path("/output/sum.txt").write_text(str(sum(numbers)))
"""
"""An engine of the standard library alone; its configuration has `sleep`, in seconds, and `publish`: how many
checkpoints it leaves first."""


@dataclass
class Market:
    """One market, one provider; orders of the quick engine on a small dataset."""

    world: World
    story: Story
    engine: int = 0
    data: int = 0

    # ------------------------------------------------------------------------------------------- orders
    def place(self, config: bytes = b"{}", **changes: Any) -> bytes:
        """Place a quick order as the research centre and return its id; `changes` are of its windows."""
        session = self.world.homes["centre"].session
        windows = self.windows(**changes)
        inputs = (self.engine, self.data)
        request = client.OrderRequest(
            self.story.compute, inputs, config, windows.max_seconds, windows=windows
        )
        return client.place(session, request, entropy=os.urandom).order_id

    @staticmethod
    def windows(**changes: Any) -> Windows:
        """Return the deadlines of a quick order."""
        return replace(Windows(120, 120, 60, 60, 60, 60, 30), **changes)

    def record(self, order: bytes) -> OrderRecord:
        """Return the order as the chain has it."""
        return self.story.record(order)

    def wait_for(self, order: bytes, *states: OrderState, timeout_s: float = _TIMEOUT_S) -> OrderRecord:
        """Wait until the order is in one of `states`."""
        return self.until(lambda: self.record(order), lambda record: record.state in states, timeout_s)

    def until(self, look: Callable[[], T], good: Callable[[T], bool], timeout_s: float = _TIMEOUT_S) -> T:
        """Look again and again until it is good."""
        deadline = time.monotonic() + timeout_s
        while not good(seen := look()):
            assert time.monotonic() < deadline, f"{seen}\n{self.agent_says()}"
            time.sleep(0.03)
        return seen

    def events(self, order: bytes) -> list[str]:
        """Return the names of an order's events, oldest first."""
        return [event.name for event in self.story.reader().history(order)]

    def verify(self, order: bytes) -> auditor.Verdict:
        """Verify the order as an auditor."""
        return auditor.verify(self.world.homes["hospital-a"].session, order)

    def uses(self, slug: str, order: bytes) -> int:
        """Return how many uses of its content an owner's broker has counted for an order."""
        path = self.world.homes[slug].path / "state" / "broker.sqlite3"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            (count,) = db.execute("SELECT count(*) FROM uses WHERE order_id = ?", (order,)).fetchone()
        return int(count)

    # ------------------------------------------------------------------------------------------- agent
    def start_agent(self, *options: str) -> Child:
        """Start the provider's agent; `options` name where it dies.

        One that a failed test left behind is ended first: that test said why, and the next are their own.
        """
        if self.story.agent is not None:
            self.world.processes.stop_one(self.story.agent, kill=True)
        if options and options[0] != "--stop-before":
            home = self.world.homes["operator"].path
            argv = [sys.executable, str(_DYING), str(home), *options]
            self.story.agent = self.world.processes.start("agent", argv)
            return self.story.agent
        return self.story.start_agent(*options)

    def stop_agent(self, agent: Child, how: signal.Signals = signal.SIGTERM) -> int:
        """Tell the agent to end and return its exit code."""
        if agent.running:
            os.kill(agent.pid, how)
        return self.wait_end(agent)

    def wait_end(self, agent: Child, timeout_s: float = _TIMEOUT_S) -> int:
        """Wait until the agent has ended and return its exit code."""
        try:
            return agent.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent did not end:\n{agent.tail(30)}") from None

    def agent_says(self, lines: int = 30) -> str:
        """Return the last lines of the agent's log."""
        return "" if self.story.agent is None else self.story.agent.tail(lines)

    def journal(self) -> Journal:
        """Return the agent's journal, opened beside the agent."""
        return Journal(self.world.homes["operator"].path / "agent.sqlite3")

    def note(self, order: bytes) -> tuple[str, bool]:
        """Return what the journal says last of an order, and whether it is done with it."""
        journal = self.journal()
        try:
            row = next((row for row in journal.jobs() if row.order_id == order), None)
            return ("", False) if row is None else (row.note, row.done)
        finally:
            journal.close()

    def wait_done(self, order: bytes) -> str:
        """Wait until the agent has nothing left to do for an order and return its last note."""
        return self.until(lambda: self.note(order), lambda seen: seen[1])[0]

    # ------------------------------------------------------------------------------------------- CVMs
    def running_cvms(self) -> list[CvmState]:
        """Return the CVMs that run, by the platform's word."""
        return [cvm for cvm in PlatformClient(self.world.platform_socket).list() if cvm.running]

    def cvm_rows(self) -> list[CvmRow]:
        """Return the CVMs that have not ended, by the agent's word."""
        journal = self.journal()
        try:
            return journal.cvms()
        finally:
            journal.close()

    def cvm_of(self, order: bytes) -> CvmState:
        """Return the CVM that serves an order."""
        journal = self.journal()
        try:
            row = journal.cvm_of(order)
        finally:
            journal.close()
        assert row is not None
        return next(cvm for cvm in PlatformClient(self.world.platform_socket).list() if cvm.pid == row.pid)

    def kill_cvm(self, order: bytes) -> None:
        """End an order's CVM at once."""
        PlatformClient(self.world.platform_socket).kill(self.cvm_of(order).pid)

    # ------------------------------------------------------------------------------------------- money
    def ledger(self) -> Ledger:
        """Return a ledger that starts from what everybody has now."""
        return Ledger(self.world, self.story.compute)

    def money_problems(self, ledger: Ledger, orders: list[bytes]) -> list[str]:
        """Claim everything of these orders and return what is not as the design says."""
        session = self.world.homes["centre"].session
        return ledger.problems([client.preimage_of(session, order) for order in orders])


def start_market(folder: Path, processes: Processes, *, algorithm: Algorithm = Algorithm.BLAKE3) -> Market:
    """Start a market in an empty folder whose path is short; owners seal under `algorithm`."""
    quick = folder / "quick"
    quick.mkdir(parents=True)
    (quick / "main.py").write_bytes(QUICK)
    world = World.start(folder, processes, more_engines=(quick,), algorithm=algorithm)
    story = Story(world, Console(json_on_stdout=True))
    market = Market(world, story)
    market.engine = story.publish_engine(quick, entry="main.py").offer
    numbers = folder / "numbers"
    numbers.mkdir(parents=True)
    # Several segments, so that an agent can die between two of them.
    (numbers / "numbers.txt").write_text("\n".join(str(number) for number in range(10_000)))
    market.data = story.publish_dataset("hospital-a", numbers).offer
    story.register_provider()
    config = world.homes["operator"].path / "config.toml"
    # The agent looks more often than it would: a test waits for each of its looks.
    config.write_text(config.read_text().replace("[provider]", "[provider]\npoll_s = 0.05"))
    return market
