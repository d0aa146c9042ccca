"""Everything around an agent, in one process: chain, blob store, platform, brokers, certifiers, CVMs.

The CVMs are real loader sessions behind real sockets; only their hardware, disk and engine are in memory.
`touched` is called around every interaction with the world, so that a test can end the agent at each.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.host.transport import Server
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.manifest import Release
from enclave_runtime.wire.canonical import JsonObject, dump
from enclave_runtime.wire.codec import bytes_from_hex, hex_of, to_json
from enclave_runtime.wire.cvm import CvmCertificate, CvmKeys, cvm_id
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.grant import SignedKeyRequest
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.orders import (
    NO_INPUT,
    TERMINAL_SEQUENCE,
    OrderPreimage,
    OrderStart,
    OrderTerms,
    Outcome,
    Phase,
    ReportSummary,
    RuntimePolicy,
    inputs_root,
    order_id,
    runtime_policy_digest,
)
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.scalars import ZERO32
from enclave_runtime.wire.signatures import recover_signer
from marketplace.certifier.core import certificate_of
from marketplace.domain.offer import ListedOffer
from marketplace.domain.order_state import RUNNING, OrderState
from marketplace.domain.packet import OrderPacket
from marketplace.errors import ChainError, MarketError, NotFoundError, UnreachableError
from marketplace.provider.agent import Agent, AgentSettings
from marketplace.provider.fleet import Fleet, Launched
from marketplace.provider.journal import Journal
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.ports import OrderFacts, Placed, Sent
from marketplace.provider.reducer import StepKind
from marketplace.provider.services import Certification, ServiceRefusedError
from marketplace.provider.worker import Tools
from marketplace.storage.base import BlobNotFoundError
from tests.fakes.cvm import ReportDataAppraiser
from tests.fakes.sealed_order import (
    OPERATOR,
    SealedInput,
    SealedOrder,
    engine_and_data,
    offer_of,
    seal_input,
)
from tests.fakes.session import SessionDriver, sealed_info
from tests.fakes.shared_key import SharedInput

__all__ = [
    "NOW",
    "AgentDiedError",
    "CvmProcess",
    "MemoryChain",
    "MemoryPlatform",
    "ProviderWorld",
    "provider_world",
    "served_order",
    "small_order",
]

NOW = 1_700_000_000
_POLICY = RuntimePolicy((b"\x0c" * 32,), 2, (b"\x0d" * 32,), 1)
_CERTIFIED_S = 7200


class AgentDiedError(BaseException):
    """The agent's process ends here: nothing that catches errors catches this."""


@dataclass
class MemoryBlobs:
    """Blobs by a name that follows from their bytes."""

    touched: Callable[[str], None]
    blobs: dict[str, bytes] = field(default_factory=dict)

    def size(self, uri: str) -> int:
        """Return a blob's length."""
        return len(self._get(uri))

    def read(self, uri: str, offset: int, length: int) -> bytes:
        """Return a part of a blob."""
        return self._get(uri)[offset : offset + length]

    def hold(self, order_id: bytes, info: SealedInfo, locations: Sequence[str]) -> bool:
        """There is no cache."""
        return False

    def holds(self, info: SealedInfo) -> bool:
        """There is no cache."""
        return False

    def read_sealed(self, info: SealedInfo, uri: str, offset: int, length: int) -> bytes:
        """Return a part of a blob."""
        return self.read(uri, offset, length)

    def doubt(self, info: SealedInfo) -> None:
        """There is no cache."""

    def let_go(self, order_id: bytes) -> None:
        """There is no cache."""

    def put(self, chunks: Iterator[bytes]) -> str:
        """Store a blob."""
        data = b"".join(chunks)
        uri = _uri(data)
        self.touched("blob")
        self.blobs[uri] = data
        self.touched("blob")
        return uri

    def _get(self, uri: str) -> bytes:
        if uri not in self.blobs:
            raise BlobNotFoundError(f"{uri}: not here")
        return self.blobs[uri]


def _uri(data: bytes) -> str:
    return f"memory:{hashlib.sha256(data).hexdigest()}"


class CvmProcess:
    """A loader session behind its socket; an engine that ends at once unless it is told to last."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.path = folder / "cvm.sock"
        self.driver = SessionDriver()
        self.driver.result = os.urandom(sealed_info().ciphertext_bytes)
        self.engine_lasts = False
        self._turn = threading.Lock()
        self._server = Server(self.path, self._answer)
        self._thread = threading.Thread(target=self._server.serve, daemon=True)
        self._thread.start()
        self.running = True

    def end(self) -> None:
        """End the process, as a signal would."""
        if self.running:
            self.running = False
            self._server.close()

    def _answer(self, header: JsonObject, body: memoryview) -> tuple[JsonObject, bytes]:
        members: dict[str, Any] = {name: value for name, value in header.items() if name != "op"}
        with self._turn:
            answer = self.driver.say(str(header["op"]), bytes(body), **members)
            if header["op"] == "run" and self.driver.state == "RUNNING" and not self.engine_lasts:
                self.driver.end()
            if header["op"] == "status" and self.driver.state == "WIPED":
                # The real one ends a moment after it told this.
                threading.Timer(0.05, self.end).start()
        return answer


@dataclass
class MemoryPlatform:
    """A `Launcher`."""

    folder: Path
    touched: Callable[[str], None]
    cvms: dict[int, CvmProcess] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    gone: bool = False

    def launch(self, name: str) -> Launched:
        """Start a CVM."""
        self._check()
        self.touched("launch")
        process = CvmProcess(self.folder / name)
        pid = 1000 + len(self.cvms)
        self.cvms[pid], self.names[name] = process, pid
        self.touched("launch")
        return Launched(process.path, pid)

    def find(self, name: str) -> Launched | None:
        """Find a running CVM."""
        self._check()
        pid = self.names.get(name)
        if pid is None or not self.cvms[pid].running:
            return None
        return Launched(self.cvms[pid].path, pid)

    def kill(self, pid: int) -> None:
        """End a CVM."""
        self._check()
        self.touched("kill")
        self.cvms[pid].end()
        self.touched("kill")

    def running(self) -> list[CvmProcess]:
        """Return the CVMs that run."""
        return [cvm for cvm in self.cvms.values() if cvm.running]

    def _check(self) -> None:
        if self.gone:
            raise MarketError("the platform is not there")


@dataclass
class MemoryServices:
    """Certifiers and brokers; `refusing` and `silent` are addresses that say no, or nothing."""

    touched: Callable[[str], None]
    now: Callable[[], int]
    owners: dict[str, tuple[SealedOrder, SealedInput]] = field(default_factory=dict)
    uses: list[tuple[bytes, int, bytes]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    undecided: set[str] = field(default_factory=set)
    sharers: dict[str, tuple[SharedInput, int]] = field(default_factory=dict)
    lying: set[str] = field(default_factory=set)
    seen: dict[tuple[str, str], CvmCertificate] = field(default_factory=dict)
    renewals: list[str] = field(default_factory=list)
    ttl_s: int = 3600
    certified_s: int = _CERTIFIED_S
    closed: bool = False

    def close(self) -> None:
        """Close."""
        self.closed = True

    def certifier_challenge(self, url: str, operator: str) -> bytes:
        """Return a challenge."""
        self._reach(url)
        return os.urandom(32)

    def certify(self, url: str, operator: str, bundle: Any) -> Certification:
        """Return a certificate over what the bundle says."""
        self._reach(url)
        seen = EvidenceBundle.from_bytes(dump(bundle))
        verified = ReportDataAppraiser()(
            seen,
            purpose=Purpose.CERTIFY,
            operator=bytes_from_hex(operator, 20),
            challenge=seen.challenge,
            now=self.now(),
        )
        made = certificate_of(seen, verified, bytes_from_hex(operator, 20))
        self.seen[url, hex_of(made.cvm_id)] = made
        return self._dated(made)

    def renew(self, url: str, cvm_id: str, challenge: bytes, possession: bytes) -> Certification:
        """Return the same verdict, later, to a CVM that was certified here."""
        self._reach(url)
        if (url, cvm_id) not in self.seen or len(possession) != 65:
            raise ServiceRefusedError(url, "certificate.renewal", "a CVM unknown here", "one that is known")
        self.renewals.append(url)
        return self._dated(self.seen[url, cvm_id])

    def _dated(self, made: CvmCertificate) -> Certification:
        now = self.now()
        dated = replace(made, issued_at=now, expires_at=now + self.certified_s)
        return Certification(dict(to_json(dated)), "0x" + "11" * 65)

    def broker_challenge(self, url: str) -> bytes:
        """Return a challenge."""
        self._reach(url)
        return os.urandom(32)

    def release(self, url: str, body: dict[str, Any]) -> bytes | None:
        """Return a grant for the CVM in the bundle."""
        self._reach(url)
        if url in self.undecided:
            return None
        request = SignedKeyRequest.from_json(body["request"])
        bundle = EvidenceBundle.from_bytes(dump(body["bundle"]))
        asked = request.request
        use = (asked.order_id, asked.input_index, asked.cvm_id)
        if use not in self.uses:
            self.uses.append(use)
        if url in self.sharers:
            shared, number = self.sharers[url]
            lie = bytes(64) if url in self.lying else None
            grant = shared.grant(number, request, bundle.keys.hpke, ttl_s=self.ttl_s, share=lie)
        else:
            grant = self.owners[url][0].grant(request, bundle.keys.hpke, ttl_s=self.ttl_s)
        self.asked.append(url)
        self.touched("grant")
        return grant

    def _reach(self, url: str) -> None:
        self.touched("service")
        if url in self.silent:
            raise UnreachableError(f"{url}: no answer")
        if url in self.refusing:
            raise ServiceRefusedError(url, "release.policy", "this engine", "another")


@dataclass
class MemoryChain:
    """An `AgentChain`: transitions of the contract, signatures checked, every write counted."""

    touched: Callable[[str], None]
    contract: Domain
    time: int = NOW
    placed: list[Placed] = field(default_factory=list)
    offers: dict[int, ListedOffer] = field(default_factory=dict)
    records: dict[bytes, OrderFacts] = field(default_factory=dict)
    cvms: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    stops: dict[bytes, bytes] = field(default_factory=dict)
    threshold: int = 2
    calls: list[str] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)
    penalty_bps: int = 1000

    # ------------------------------------------------------------------------------------------- reads
    def now(self) -> int:
        """Return chain time."""
        return self.time

    def domain(self) -> Domain:
        """Return the OrderBook's domain."""
        return self.contract

    def cvm_registry(self) -> bytes:
        """Return an address."""
        return b"\x0e" * 20

    def start_penalty_bps(self) -> int:
        """Return the penalty."""
        return self.penalty_bps

    def placed_since(self, compute_offer: int, block: int) -> tuple[list[Placed], int]:
        """Return what was placed after a block; the n-th order is in block n."""
        found = [one for one in self.placed if one.block > block and one.terms.compute.offer == compute_offer]
        return found, len(self.placed)

    def order(self, order: bytes) -> OrderFacts:
        """Return an order's facts."""
        return self.records.get(order, OrderFacts(order, OrderState.NONE, Phase.NONE))

    def stop_signature(self, order: bytes) -> bytes:
        """Return what the transaction that stopped an order carried."""
        return self.stops.get(order, b"")

    def offer(self, offer: int, version: int) -> ListedOffer:
        """Return an offer."""
        if offer not in self.offers:
            raise NotFoundError(f"offer {offer}: no such offer")
        return self.offers[offer]

    def cvm_number(self, cvm: bytes) -> int:
        """Return a CVM's number: the first one has 1."""
        return [*self.cvms].index(cvm) + 1 if cvm in self.cvms else 0

    def certifier_threshold(self) -> int:
        """Return how many certifiers must vouch."""
        return self.threshold

    def cvm_usable(self, cvm: bytes, until: int) -> bool:
        """Return whether a CVM is registered and good."""
        return cvm in self.cvms and self.cvms[cvm][1] > until

    # ------------------------------------------------------------------------------------------- writes
    def register_cvm(
        self,
        keys: CvmKeys,
        operator: bytes,
        challenge: bytes,
        possession: bytes,
        certificates: Sequence[tuple[CvmCertificate, bytes]],
        sent: Sent,
    ) -> None:
        """Register a CVM."""
        with self._sending("register", sent):
            self.cvms[cvm_id(keys)] = (keys.signer, min(one.expires_at for one, _ in certificates))

    def accept(self, preimage: OrderPreimage, policy: RuntimePolicy, cvm: int, sent: Sent) -> None:
        """Accept an order."""
        record = self.record_of(preimage.terms)
        if record.state is OrderState.ACCEPTED and record.cvm == cvm:
            return
        self._demand(record, OrderState.PLACED)
        windows = preimage.terms.windows
        if self.time > record.since + windows.accept_within:
            raise ChainError("accept: too late")
        until = self.time + windows.start_within
        if not self.cvm_usable(self.cvm_id(cvm), until):
            raise ChainError("accept: the CVM expires")
        with self._sending("accept", sent):
            self._put(record, state=OrderState.ACCEPTED, cvm=cvm, since=until)

    def start(self, start: OrderStart, signature: bytes, sent: Sent) -> None:
        """Start an order."""
        record = self.order(start.order_id)
        if record.state not in (OrderState.PLACED, OrderState.ACCEPTED):
            return
        self._demand(record, OrderState.ACCEPTED)
        (terms,) = (one.terms for one in self.placed if one.order_id == start.order_id)
        assert start == OrderStart(record.order_id, self.cvm_id(record.cvm), inputs_root(terms.inputs))
        assert recover_signer(typed_digest(self.contract, start), signature) == self._signer(record)
        with self._sending("start", sent):
            self._put(record, state=OrderState.RUNNING, phase=Phase.SETUP, since=self.time)

    def checkpoint(self, summary: ReportSummary, signature: bytes, sent: Sent) -> None:
        """Put a checkpoint on chain; one that enters ENGINE is counted as `checkpoint`, others as `prove`."""
        record = self.order(summary.order_id)
        if record.sequence >= summary.sequence:
            return
        self._demand(record, *RUNNING)
        self._check(record, summary, signature)
        assert summary.sequence < TERMINAL_SEQUENCE >> 8
        assert (summary.outcome, summary.attributable_input) == (Outcome.NONE, NO_INPUT)
        assert summary.inputs_root == summary.result_digest == ZERO32
        phase, seconds = Phase(summary.phase), min(summary.seconds_used, self.time - record.since)
        assert seconds >= record.seconds_used
        if (phase is record.phase) is not (summary.statement_digest == ZERO32):
            raise ChainError("checkpoint: statementDigest")
        with self._sending("prove" if phase is record.phase else "checkpoint", sent):
            proof = {"last_proof": self.time - record.since, "seconds_used": seconds}
            self._put(record, phase=phase, sequence=summary.sequence, **proof)

    def refuse(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """End an order by the CVM's refusal."""
        self._end(terms, summary, signature, "refuse", Phase.SETUP, sent)

    def complete(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, location: str, sent: Sent
    ) -> None:
        """End an order by the CVM's report."""
        host = summary.outcome == Outcome.HOST
        phase = self.record_of(terms).phase if host else Phase.ENGINE
        self._end(terms, summary, signature, "complete", phase, sent)

    def expire(self, terms: OrderTerms, sent: Sent) -> None:
        """End an order that its client stopped."""
        record = self.record_of(terms)
        if record.state.terminal:
            return
        self._demand(record, OrderState.STOPPING)
        if self.time <= record.stopped_at + terms.windows.grace:
            raise ChainError("expire: too early")
        proven = record.since + record.last_proof > record.stopped_at
        with self._sending("expire", sent):
            self._put(record, state=OrderState.STOPPED if proven else OrderState.EXPIRED)

    def claim_rest(self, preimage: OrderPreimage, sent: Sent) -> None:
        """Settle an order that expired."""
        record = self.record_of(preimage.terms)
        if record.rest_claimed:
            return
        self._demand(record, OrderState.EXPIRED)
        with self._sending("claim_rest", sent):
            self._put(record, rest_claimed=True)

    # ------------------------------------------------------------------------------------------ others' calls
    def end(self, order: bytes, state: OrderState) -> None:
        """End an order as somebody else's call does."""
        self._put(self.records[order], state=state)

    def stop(self, order: bytes, signature: bytes = b"") -> None:
        """Stop an order as its client's call does."""
        self.stops[order] = signature
        self._put(self.records[order], state=OrderState.STOPPING, stopped_at=self.time)

    def fund(self, order: bytes, limit: int, added: int = 0) -> None:
        """Let an order's funds pay for `limit` seconds."""
        self._put(self.records[order], limit=limit, added=added)

    # ------------------------------------------------------------------------------------------- helpers
    def cvm_id(self, number: int) -> bytes:
        """Return the id of the CVM with this number."""
        return [*self.cvms][number - 1]

    def record_of(self, terms: OrderTerms) -> OrderFacts:
        """Return the facts of the order with these terms."""
        return self.order(order_id(self.contract, terms))

    def _end(
        self, terms: OrderTerms, summary: ReportSummary, signature: bytes, call: str, phase: Phase, sent: Sent
    ) -> None:
        record = self.record_of(terms)
        if record.state.terminal:
            return
        self._demand(record, *RUNNING)
        if record.phase is not phase:
            raise ChainError(f"{call}: phase {record.phase.name}, expected {phase.name}")
        self._check(record, summary, signature)
        assert (summary.sequence, summary.inputs_root) == (TERMINAL_SEQUENCE, inputs_root(terms.inputs))
        with self._sending(call, sent):
            self._put(record, state=OrderState[Outcome(summary.outcome).name])

    def _check(self, record: OrderFacts, summary: ReportSummary, signature: bytes) -> None:
        # A checkpoint names no CVM: the key that signs it says which.
        named = ZERO32 if summary.outcome == Outcome.NONE else self.cvm_id(record.cvm)
        assert (summary.order_id, summary.cvm_id) == (record.order_id, named)
        assert recover_signer(typed_digest(self.contract, summary), signature) == self._signer(record)

    def _signer(self, record: OrderFacts) -> bytes:
        return self.cvms[self.cvm_id(record.cvm)][0]

    def _demand(self, record: OrderFacts, *states: OrderState) -> None:
        if record.state not in states:
            expected = " or ".join(state.name for state in states)
            raise ChainError(f"wrong state: {record.state.name}, expected {expected}")

    @contextlib.contextmanager
    def _sending(self, call: str, sent: Sent) -> Iterator[None]:
        self.touched(call)
        if call in self.refusing:
            raise ChainError(f"{call}: refused")
        sent(f"0x{call}{len(self.calls)}")
        self.touched(call)
        yield
        self.calls.append(call)
        self.touched(call)

    def _put(self, record: OrderFacts, **changes: Any) -> None:
        self.records[record.order_id] = replace(record, **changes)


class ProviderWorld:
    """A provider's surroundings. `agent` may be called again and again: what lives on, lives on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.touched: Callable[[str], None] = lambda _: None
        self.said: list[tuple[bytes, str]] = []
        touch = lambda what: self.touched(what)  # noqa: E731 - one name for what a test sets later
        self.chain = MemoryChain(touch, engine_and_data().domain)
        self.blobs = MemoryBlobs(touch)
        self.platform = MemoryPlatform(folder / "cvms", touch)
        self.services = MemoryServices(touch, self.chain.now)
        self.journal = self._journal()
        """Opened beside the agent's own."""
        self._agents: list[Journal] = []

    def close(self) -> None:
        """End every CVM."""
        for cvm in self.platform.running():
            cvm.end()
        for journal in (self.journal, *self._agents):
            journal.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _journal(self) -> Journal:
        return Journal(self.folder / "agent.sqlite3")

    def agent(self, *, settings: AgentSettings | None = None, **policy: Any) -> Agent:
        """Return a fresh agent, as after a restart: the one before does nothing any more."""
        for journal in self._agents:
            journal.close()
        self._agents = [self._journal()]
        say = lambda order, text: self.said.append((order, text))  # noqa: E731
        tools = Tools(self.chain, self.blobs, self.services, self._agents[0], OPERATOR, say)  # type: ignore[arg-type]
        bounds = {"max_lock": 1 << 60, **policy}
        known = settings or AgentSettings(1, poll_s=0.01)
        return Agent(known, AgentPolicy(**bounds), tools, self.fleet(journal=self._agents[0]))

    def fleet(self, **options: Any) -> Fleet:
        """Return a fresh fleet on the same journal."""
        return Fleet(
            launcher=self.platform,
            chain=self.chain,
            services=self.services,  # type: ignore[arg-type]  # the same methods
            operator=OPERATOR,
            certifiers=("http://certifier-1", "http://certifier-2"),
            say=lambda text: self.said.append((b"", text)),
            **{"journal": self.journal, "boot_timeout_s": 60.0, **options},
        )

    def place(self, order: SealedOrder) -> bytes:
        """Put an order on chain whose blobs are in the store; return its id."""
        preimage = order.preimage
        packet = OrderPacket(order.config, order.config_salt, order.result_key.public_bytes, _POLICY)
        location = self.blobs.put(iter([packet.to_bytes()]))
        for ref, item in zip(preimage.terms.inputs, order.inputs, strict=True):
            self.blobs.put(iter([item.stream]))
            uri = self.blobs.put(iter([item.manifest.to_bytes()]))
            self._list(ref.offer, item.terms, uri)
            if isinstance(item, SharedInput):
                for number, broker in enumerate(item.threshold.brokers, start=1):
                    self.services.sharers[broker.url] = (item, number)
            elif item.manifest.release.url is not None:
                self.services.owners[item.manifest.release.url] = (order, item)
        self._list(preimage.terms.compute.offer, preimage.compute, "")
        return self.announce(preimage.terms, location)

    def announce(self, terms: OrderTerms, location: str) -> bytes:
        """Put an order on chain, whatever it names; return its id."""
        order = order_id(self.chain.contract, terms)
        assert order not in self.chain.records, "an id is used once for ever"
        self.chain.placed.append(Placed(order, terms, location, len(self.chain.placed) + 1))
        record = replace(self.chain.order(order), state=OrderState.PLACED, since=self.chain.time)
        self.chain.records[order] = record
        return order

    def drive(self, agent: Agent, order: bytes, *, limit: int = 60) -> list[StepKind]:
        """Let an agent work on one order until it waits for somebody or is done; return its steps."""
        agent.find_orders()
        steps: list[StepKind] = []
        while len(steps) < limit:
            row = next((row for row in agent.open_jobs() if row.order_id == order), None)
            if row is None:
                return steps
            steps.append(agent.take_step(row))
            if steps[-1] is StepKind.PREPARE_CVM:
                agent.fleet.prepare()
            elif steps[-1] is StepKind.WAIT:
                return steps
        raise AssertionError(f"no end after {limit} steps: {[step.name for step in steps[-8:]]}")

    def cvm(self, order: bytes) -> CvmProcess:
        """Return the CVM that an order was promised."""
        row = self.journal.cvm_of(order)
        assert row is not None
        return self.platform.cvms[row.pid]

    def note(self, order: bytes) -> str:
        """Return what the journal says last of an order."""
        return next(row.note for row in self.journal.jobs() if row.order_id == order)

    def wait_until_gone(self, cvm: CvmProcess) -> None:
        """Wait until a wiped CVM has ended."""
        until = time.monotonic() + 60
        while cvm.running:
            assert time.monotonic() < until
            time.sleep(0.01)

    def _list(self, number: int, terms: Any, uri: str) -> None:
        owner = b"\x99" * 20
        self.chain.offers[number] = ListedOffer(number, 1, owner, True, terms, uri, 1, 1)


def served_order(salt: int = 1, **members: Any) -> SealedOrder:
    """Return an order whose owners have brokers, http://owner-0 and so on; each `salt` is another order."""
    order = engine_and_data(**members)
    inputs = tuple(_with_broker(index, item) for index, item in enumerate(order.inputs))
    changed = {
        "runtime_policy_digest": runtime_policy_digest(_POLICY),
        "place_before": NOW + 3600,
        "salt": salt.to_bytes(32, "big"),
        **order.changed,
    }
    return replace(order, inputs=inputs, changed=changed)


def small_order(salt: int = 1, **members: Any) -> SealedOrder:
    """Return the same with one small dataset: few interactions."""
    order = served_order(salt, **members)
    data = seal_input(OfferKind.DATASET, {"numbers.txt": b"1"})
    return replace(order, inputs=(order.inputs[0], _with_broker(1, data)))


def _with_broker(index: int, item: SealedInput) -> SealedInput:
    release = Release(f"http://owner-{index}", item.manifest.release.grant_key)
    locations = (_uri(item.stream),)
    manifest = replace(item.manifest, release=release, locations=locations)
    return replace(item, manifest=manifest, terms=offer_of(manifest))


@contextlib.contextmanager
def provider_world() -> Iterator[ProviderWorld]:
    """Give a world in a folder with a short path (a Unix socket's has 107 bytes), in memory if it can be."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
    world = ProviderWorld(Path(tempfile.mkdtemp(prefix="pw-", dir=memory)))
    try:
        yield world
    finally:
        world.close()
