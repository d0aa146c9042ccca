"""The main job, told step by step: publish, attest, place, run, settle, open, verify.

Every step goes through the SDK that users have; the provider's agent, the CVM, certifiers and brokers are
processes of their own. Whatever is printed here was read back from the chain or from files.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Final

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.offers import OfferKind, Payee
from enclave_runtime.wire.orders import Phase, Windows
from marketplace.chain.claims import Collected
from marketplace.chain.reader import Reader
from marketplace.demo.console import Console
from marketplace.demo.homes import OWNERS
from marketplace.demo.processes import Child
from marketplace.demo.scenario import (
    CAPACITY,
    COMPUTE_PRICE,
    DATASET_PRICE,
    ENGINE_PRICE,
    EXAMPLE,
    HOLDBACK,
    MAX_SECONDS,
    ROOT,
    SEGMENT_BYTES,
    STAKE,
    TOKEN,
    windows,
)
from marketplace.demo.world import World
from marketplace.domain.order import OrderRecord
from marketplace.domain.order_state import OrderState
from marketplace.errors import MarketError
from marketplace.provider.journal import Journal
from marketplace.sdk import auditor, author, client, income, ordering, provider
from marketplace.sdk.author import Published
from marketplace.sdk.income import Dues
from marketplace.sdk.ordering import OrderRequest, PlacedOrder
from marketplace.sdk.profile import Profile
from marketplace.sdk.verdict import Verdict

__all__ = ["Published3", "Story"]

_POLL_S: Final = 0.03
_TIMEOUT_S: Final = 90
_PATIENCE_S: Final = MAX_SECONDS


@dataclass(frozen=True, slots=True)
class Published3:
    """The three offers that an order needs beside compute."""

    engine: Published
    dataset_a: Published
    dataset_b: Published


class Story:
    """The honest run in one world."""

    def __init__(self, world: World, console: Console, *, by_hand: bool = False) -> None:
        """Args:
        by_hand: brokers wait for a person; the story waits as long as a person may take.
        """
        self.by_hand = by_hand
        self.world = world
        self.console = console
        self.data = world.folder / "plain"
        self.data_names: list[str] = []
        self.compute = 0
        self.agent: Child | None = None

    # --------------------------------------------------------------------------------------- publish
    def publish(self) -> Published3:
        """Prepare the hospitals' tables, seal engine and datasets, list three offers."""
        module = _load(EXAMPLE / "prepare.py")
        rows = module.prepare(self.data)
        self.console.detail(f"rows: {', '.join(f'{name} {count}' for name, count in rows.items())}")
        self.data_names = sorted(rows)
        folders = self.dataset_folders()
        engine = self.publish_engine(EXAMPLE / "engine")
        compared = author.digest(EXAMPLE / "engine", OfferKind.ENGINE, algorithm=self.world.algorithm)
        if compared != engine.content_digest:
            raise MarketError("the engine's digest differs from the source that the hospitals read")
        self.console.detail(
            f"both hospitals compared the engine's digest with its source: {_short(compared)}"
        )
        return Published3(
            engine,
            self.publish_dataset("hospital-a", folders[0]),
            self.publish_dataset("hospital-b", folders[1]),
        )

    def publish_engine(self, folder: Path, *, entry: str = "train.py") -> Published:
        """Seal and list an engine of the research centre."""
        return author.publish(
            self.world.homes["centre"].session,
            folder,
            OfferKind.ENGINE,
            price=ENGINE_PRICE,
            entry_point=("python", entry),
        )

    def publish_dataset(self, slug: str, folder: Path) -> Published:
        """Seal and list a hospital's dataset; a tenth of its income goes to the other hospital's registry."""
        other = "hospital-b" if slug == "hospital-a" else "hospital-a"
        payees = [Payee(self.world.homes[slug].address, 9000), Payee(self.world.homes[other].address, 1000)]
        published = author.publish(
            self.world.homes[slug].session,
            folder,
            OfferKind.DATASET,
            price=DATASET_PRICE,
            payees=payees,
            segment_bytes=SEGMENT_BYTES,
        )
        self.console.detail(f"offer {published.offer}: {slug}, ciphertext {published.content_uri[:30]}...")
        return published

    # --------------------------------------------------------------------------------------- provider
    def register_provider(self) -> None:
        """List compute, open its desk, stake; write what the agent needs to know."""
        homes = self.world.homes
        session, operator = homes["provider"].session, homes["operator"]
        self.compute = provider.list_compute(session, COMPUTE_PRICE).offer
        provider.open_desk(session, self.compute, operator.address, capacity=CAPACITY)
        provider.stake(session, self.compute, STAKE)
        operator.close()
        old = Profile.load(operator.path)
        Profile.write(
            operator.path,
            rpc=list(old.rpc),
            deployment=old.deployment,
            key=old.key,
            passphrase=old.passphrase,
            store=old.store,
            content_keys=old.content_keys,
            trust=self.world.trust(),
            provider=self.world.provider(operator, self.compute),
        )

    def start_agent(self, *options: str) -> Child:
        """Start the agent's process; its journal is where it was."""
        home = self.world.homes["operator"]
        argv = [sys.executable, "-m", "marketplace.demo.agent_process", str(home.path), *options]
        self.agent = self.world.processes.start("agent", argv)
        return self.agent

    def wait_certified(self) -> str:
        """Wait until the agent has a certified CVM, and return its id."""
        path = self.world.homes["operator"].path / "agent.sqlite3"
        found: list[str] = []

        def ready() -> bool:
            if path.exists():
                journal = Journal(path)
                found.extend(
                    hex_of(row.cvm_id) for row in journal.cvms() if row.registered and row.cvm_id is not None
                )
                journal.close()
            return bool(found)

        if self.agent is None:
            raise MarketError("the agent was not started")
        self.agent.wait_until(ready, timeout_s=60)
        return found[0]

    # --------------------------------------------------------------------------------------- order
    def request(self, offers: Published3, **changes: object) -> OrderRequest:
        """Return the order that the research centre wants."""
        config = (EXAMPLE / "config.json").read_bytes()
        inputs = (offers.engine.offer, offers.dataset_a.offer, offers.dataset_b.offer)
        wanted = OrderRequest(
            self.compute, inputs, config, MAX_SECONDS, windows=self._windows(), holdback=HOLDBACK
        )
        return replace(wanted, **changes)  # type: ignore[arg-type]  # names are OrderRequest's own

    def place(self, request: OrderRequest) -> PlacedOrder:
        """Show the cost, then place in one transaction with a permit."""
        session = self.world.homes["centre"].session
        quoted = ordering.quote(session, request)
        for line in quoted.lines:
            self.console.detail(f"{line.role:<8} offer {line.offer}: at most {_tokens(line.most)}")
        self.console.detail(
            f"deposit {_tokens(quoted.deposit)}, of which is surely owed {_tokens(quoted.least)}"
        )
        return ordering.place(session, request, entropy=os.urandom)

    def reader(self) -> Reader:
        """Return a view of the chain."""
        return self.world.homes["centre"].session.reader

    def dataset_folders(self) -> list[Path]:
        """Return the hospitals' plain folders, in the order of the inputs."""
        return [self.data / name for name in self.data_names]

    def record(self, order: bytes) -> OrderRecord:
        """Return the order as the chain has it now."""
        return self.world.homes["centre"].session.reader.get_order(order)

    def wait_until(
        self, order: bytes, reached: Callable[[OrderRecord], bool], *, timeout_s: float = _TIMEOUT_S
    ) -> float:
        """Wait until the order is there, and return when, Unix seconds."""
        reader = self.world.homes["centre"].session.reader
        until = time.time() + timeout_s
        while True:
            record = reader.get_order(order)
            if reached(record):
                return time.time()
            if record.state.terminal or time.time() > until or (self.agent and not self.agent.running):
                tail = "" if self.agent is None else self.agent.tail(25)
                raise MarketError(
                    f"order is {record.state.name}/{record.phase.name}; the agent says:\n{tail}"
                )
            time.sleep(_POLL_S)

    def _windows(self) -> Windows:
        return windows(keys_within_s=_PATIENCE_S) if self.by_hand else windows()

    def say_how_to_approve(self) -> None:
        """Print what an owner types when its broker waits for a person."""
        self.console.line("\nThe brokers wait for their owners. In another terminal, for each of them:")
        for slug in OWNERS:
            config = self.world.homes[slug].path / "broker.toml"
            self.console.line(f"  .venv/bin/cloister keybroker pending --config {config}")
            self.console.line(f"  .venv/bin/cloister keybroker approve ID --config {config}")

    def follow(self, order: bytes) -> None:
        """Follow an order to its end, step by step."""
        if self.by_hand:
            self.say_how_to_approve()
        timeout_s = _PATIENCE_S if self.by_hand else _TIMEOUT_S
        steps = (
            ("accept", "the operator accepts and starts", lambda r: r.state is OrderState.RUNNING),
            ("load", "owners release keys; every digest is checked", lambda r: r.phase is Phase.ENGINE),
            ("train", "the engine trains in the sandbox; the CVM reports", lambda r: r.state.terminal),
        )
        for name, text, reached in steps:
            with self.console.step(name, text):
                self.wait_until(order, reached, timeout_s=timeout_s)

    # --------------------------------------------------------------------------------------- result, money
    def open_result(self, order: bytes) -> Path:
        """Open the result into the client's folder, and return it."""
        folder = self.world.homes["centre"].path / "result"
        for name in client.result(self.world.homes["centre"].session, order, folder):
            self.console.detail(name)
        return folder

    def settlement(self, order: bytes) -> Dues:
        """Return what the ended order owes to whom, by the rules of the contract."""
        return income.dues(self.world.homes["centre"].session, order)

    def collect(self, order: bytes) -> Collected:
        """Let one party claim everything for everybody, and send each its credit, in one transaction.

        Raises:
            MarketError: a part was left out, or what left the market is not what was held and slashed.
        """
        due = self.settlement(order)
        collected = income.collect(self.world.homes["provider"].session, [order], everybody=True)
        if collected.failed:
            raise MarketError(f"collect: {collected.failed[0].words}: {collected.failed[0].reason}")
        paid, owed = sum(one.amount for one in collected.paid), sum(line.amount for line in due.lines)
        terms = client.preimage_of(self.world.homes["centre"].session, order).terms
        if not paid == owed == terms.deposit + due.sums.slashed:
            held = terms.deposit + due.sums.slashed
            raise MarketError(f"collect: {paid} units were paid, {owed} are due, {held} were held")
        return collected

    def receipt(self, order: bytes) -> str:
        """Let the client say that it has its result, which frees what was held back."""
        return client.receipt(self.world.homes["centre"].session, order)

    def title(self, address: bytes | None) -> str:
        """Return the name of a party, or its address."""
        names = {home.address: home.party.title for home in self.world.homes.values()}
        return "burned" if address is None else names.get(address, hex_of(address))

    def verify(self, order: bytes) -> Verdict:
        """Verify the order as an auditor who holds the engine's source."""
        session = self.world.homes["hospital-a"].session
        return auditor.verify(session, order, {0: EXAMPLE / "engine"})

    def verify_offline(self, order: bytes) -> bool:
        """Export the order, then verify the export in a network namespace with nothing in it."""
        home = self.world.homes["hospital-a"]
        path = self.world.folder / "order-bundle.json"
        auditor.export(home.session, order, path)
        argv = ["bwrap", "--dev-bind", "/", "/", "--unshare-net", "--die-with-parent", "--", sys.executable]
        argv += ["-m", "marketplace.cli.main", "--home", str(home.path), "verify", "--bundle", str(path)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=ROOT)
        if done.returncode:
            raise MarketError(f"offline verification: {done.stdout[-2000:]}{done.stderr[-1000:]}")
        return True


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise MarketError(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _short(data: bytes) -> str:
    return hex_of(data)[:14]


def _tokens(units: int) -> str:
    return f"{units / TOKEN:.6f}"
