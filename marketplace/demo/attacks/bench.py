"""The bench of one attack: fresh orders in the running market, an agent that can be stopped at any step.

The agent here is the provider's real one, driven step by step in this process, so that an attack can change
what the host does between two honest steps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.orders import OrderPreimage
from enclave_runtime.wire.report import Refusal
from marketplace.chain.anyone import Anyone
from marketplace.chain.refusals import ContractRefusal
from marketplace.demo.ledger import Ledger
from marketplace.demo.plaintext import count_plaintext, markers_of
from marketplace.demo.scenario import windows
from marketplace.demo.story import Published3, Story
from marketplace.domain.order import OrderRecord
from marketplace.domain.why import deadline_of
from marketplace.errors import MarketError
from marketplace.provider.agent import Agent
from marketplace.provider.cvm import CvmClient, CvmRefusedError
from marketplace.provider.reducer import StepKind
from marketplace.provider.services import ServiceRefusedError
from marketplace.sdk import auditor, client, ordering
from marketplace.sdk.ordering import OrderRequest
from marketplace.sdk.provider import build_agent

__all__ = ["Bench", "Outcome", "Refused", "refusal_of"]

_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Refused:
    """Who said no, and how."""

    by: str
    step: str
    got: str
    expected: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attack came to; `note` is one sentence for people."""

    refused: Refused | None
    note: str


def refusal_of(call: Callable[[], object]) -> Refused:
    """Run what an attacker tries and return the refusal.

    Raises:
        MarketError: nobody refused.
    """
    try:
        call()
    except CvmRefusedError as error:
        return Refused("CVM", error.step, error.got, error.expected)
    except ServiceRefusedError as error:
        return Refused("service", error.step, error.got, error.expected)
    except ContractRefusal as error:
        got = ", ".join(f"{name} {_shown(value)}" for name, value in error.arguments.items())
        return Refused("contract", error.name, got, error.hint or "what the contract's rule says")
    except RefusedError as error:
        return Refused("verifier", error.step, error.got, error.expected)
    raise MarketError("nobody refused")


def _shown(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value)
    text = value.rstrip(b"\x00")
    return text.decode() if text and text.isalnum() and text.isascii() else "0x" + value.hex()


class _HaltError(Exception):
    """The agent reached the step that an attack waits for."""


@dataclass(slots=True)
class Bench:
    """One attack's tools. `orders` are all that it placed."""

    story: Story
    offers: Published3
    orders: list[OrderPreimage] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    _stop_before: frozenset[StepKind] = frozenset()
    _agent: Agent | None = None
    _ledger: Ledger | None = None

    def __enter__(self) -> Bench:
        """Note where the money is after the last honest step."""
        self._ledger = Ledger(self.story.world, self.story.compute)
        return self

    def __exit__(self, *_: object) -> None:
        """End the CVMs that the attack left."""
        fleet = self.agent.fleet
        for row in fleet.rows():
            fleet.retire(row)
        self.agent.close()

    @property
    def world(self) -> Any:
        """The market around."""
        return self.story.world

    @property
    def agent(self) -> Agent:
        """The provider's agent, in this process."""
        if self._agent is None:
            session = self.world.homes["operator"].session
            self._agent = build_agent(session, self._hear, before_step=self._before)
        return self._agent

    # ------------------------------------------------------------------------------------------- orders
    def request(self, **changes: object) -> OrderRequest:
        """Return the honest order, with changes."""
        return self.story.request(self.offers, **changes)

    def place(self, request: OrderRequest | None = None) -> bytes:
        """Place an order as the research centre and return its id."""
        session = self.world.homes["centre"].session
        placed = ordering.place(session, request or self.request(), entropy=os.urandom)
        self.orders.append(client.preimage_of(session, placed.order_id))
        return placed.order_id

    def quick(self, keys_within_s: int = 2) -> OrderRequest:
        """Return the honest order with a short wait for keys."""
        return self.request(windows=windows(keys_within_s=keys_within_s))

    def record(self, order: bytes) -> OrderRecord:
        """Return the order as the chain has it."""
        return self.story.record(order)

    # ------------------------------------------------------------------------------------------- the agent
    def run_until(self, order: bytes, *stop: StepKind, timeout_s: float = _TIMEOUT_S) -> StepKind | None:
        """Let the agent work on an order until it is about to take one of `stop`, or the order has ended.

        Returns:
            The step it stopped before; None where the order came to its end.
        """
        self._stop_before = frozenset(stop)
        until = time.monotonic() + timeout_s
        self.agent.find_orders()
        try:
            while time.monotonic() < until:
                row = next((row for row in self.agent.open_jobs() if row.order_id == order), None)
                if row is None:
                    return None
                kind = self.agent.take_step(row)
                if kind is StepKind.PREPARE_CVM:
                    self.agent.fleet.prepare()
                elif kind is StepKind.WAIT:
                    time.sleep(0.03)
        except _HaltError as halt:
            return StepKind[str(halt)]
        finally:
            self._stop_before = frozenset()
        raise MarketError(f"the order did not get there in {timeout_s:.0f} s: {self.said[-3:]}")

    def cvm(self, order: bytes) -> CvmClient:
        """Return a connection to the CVM of an order."""
        row = self.agent.tools.journal.cvm_of(order)
        if row is None:
            raise MarketError("this order has no CVM")
        found = self.agent.fleet.client(row)
        if found is None:
            raise MarketError("this order's CVM is gone")
        return found

    def spare_cvm(self) -> CvmClient:
        """Return a connection to a certified CVM that no order has."""
        row = self.agent.fleet.ready(self.world.chain.now())
        found = None if row is None else self.agent.fleet.client(row)
        if found is None:
            raise MarketError("no spare CVM")
        return found

    def stated_refusal(self, order: bytes) -> Refused:
        """Return what the CVM's signed refusal says, from the order's public bundle."""
        bundle, _ = auditor.collect(self.world.homes["hospital-a"].session, order)
        if bundle.report is None:
            raise MarketError("the bundle has no refusal")
        stated = Refusal.from_statement(bundle.report.envelope.statement())
        return Refused("CVM", stated.step, stated.got, stated.expected)

    def status(self, order: bytes) -> JsonObject:
        """Return what an order's CVM says of itself."""
        connection = self.cvm(order)
        try:
            return connection.call("status").members
        finally:
            connection.close()

    def kill_cvm(self, order: bytes) -> None:
        """End an order's CVM at once."""
        row = self.agent.tools.journal.cvm_of(order)
        if row is not None:
            self.agent.fleet.retire(row)

    # ------------------------------------------------------------------------------------------- the end
    def expire(self, order: bytes) -> str:
        """Warp past the order's deadline, let anybody end it, and return its state's name."""
        terms = self.preimage(order).terms
        session = self.world.homes["hospital-a"].session
        deadline = deadline_of(self.record(order), terms.windows)
        if deadline is None:
            raise MarketError(f"the order is {self.record(order).state.name}, which no deadline ends")
        if self.world.chain.now() <= deadline.at:
            self.world.chain.warp_to(deadline.at + 1)
        Anyone(session.reader, session.writer).poke(terms)
        return self.record(order).state.name

    def preimage(self, order: bytes) -> OrderPreimage:
        """Return the preimage of an order that this attack placed."""
        return next(one for one in self.orders if self.world.order_id(one) == order)

    def money_problems(self) -> list[str]:
        """Return what is not where the design says, to the last unit."""
        if self._ledger is None:
            raise MarketError("the bench was not entered")
        return self._ledger.problems(self.orders)

    def plaintext_left(self) -> int:
        """Return files with the hospitals' rows outside their own folders, and in CVMs that still live."""
        left = count_plaintext(self.world.folder, markers_of(self.story.data))
        for row in self.agent.fleet.rows():
            found = self.agent.fleet.client(row)
            if found is not None:
                left += int(str(found.call("status").members["plaintext_files"]))
                found.close()
        return left

    def _before(self, kind: StepKind) -> None:
        if kind in self._stop_before:
            raise _HaltError(kind.name)

    def _hear(self, order_id: bytes, text: str) -> None:
        self.said.append(f"{hex_of(order_id)[:10] if order_id else ''} {text}")
