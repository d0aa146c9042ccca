"""The agent's hands: one method for each step of the reducer. Every method may be run again after a crash.

The chain refuses what was done already, the CVM answers a repeated message as before, brokers repeat a
grant for the same request; so a step needs no memory of its own attempts.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import bytes_from_hex, hex_of, to_json
from enclave_runtime.wire.orders import OrderStart
from marketplace.errors import MarketError
from marketplace.provider.asking import ask_for_keys
from marketplace.provider.bundle import publish, published_at
from marketplace.provider.cvm import CvmClient, CvmGoneError, CvmRefusedError
from marketplace.provider.job import Blobs, Job, head_parts, hold_inputs, read_segment
from marketplace.provider.journal import Journal
from marketplace.provider.parting import Parting, signed_summary
from marketplace.provider.ports import AgentChain, Sent
from marketplace.provider.reducer import Step, StepKind, is_proof_due
from marketplace.provider.screening import admit_members
from marketplace.provider.services import Services

__all__ = ["Tools", "Worker"]

_ENDS_BEFORE_CHECK: Final = frozenset({StepKind.FEED, StepKind.CHECK})


@dataclass(frozen=True, slots=True)
class Tools:
    """What every step works with; one set for an agent."""

    chain: AgentChain
    blobs: Blobs
    services: Services
    journal: Journal
    operator: bytes
    say: Callable[[bytes, str], None]


class Worker:
    """Works on one order with one CVM."""

    def __init__(self, tools: Tools, order_id: bytes, job: Job, cvm: CvmClient | None) -> None:
        self._tools = tools
        self._order_id = order_id
        self._job = job
        self._cvm = cvm
        self._grace = job.preimage.terms.windows.grace
        self._look_again_at_s = time.monotonic() + self._grace / 8

    def do(self, step: Step) -> None:
        """Carry out one step.

        Raises:
            MarketError: it did not work out; the next look decides again.
        """
        try:
            self._actions()[step.kind](step)
        except CvmRefusedError as refusal:
            if not refusal.final and not self._give_up(step, refusal):
                raise
            # The CVM has its last word now: the next look puts it on chain.
            self._trouble(str(refusal))

    def _actions(self) -> dict[StepKind, Callable[[Step], None]]:
        return {
            StepKind.FETCH: self._fetch,
            StepKind.ACCEPT: self._accept,
            StepKind.ADMIT: self._admit,
            StepKind.START: self._start,
            StepKind.ASK_KEY: self._ask_key,
            StepKind.FEED: self._feed,
            StepKind.CHECK: self._check,
            StepKind.CHECKPOINT: self._checkpoint,
            StepKind.PROVE: self._prove,
            StepKind.RUN: self._run,
            StepKind.STOP: self._stop,
            StepKind.STORE_PUBLISHED: self._store_published,
            StepKind.STORE_RESULT: self._store_result,
            StepKind.REPORT: self._report,
            StepKind.COMPLETE: self._complete,
            StepKind.REFUSE: self._refuse,
            StepKind.HOST_FAULT: self._host_fault,
            StepKind.WIPE: self._wipe,
            StepKind.EXPIRE: self._expire,
            StepKind.SETTLE: self._settle,
        }

    def _give_up(self, step: Step, refusal: CvmRefusedError) -> bool:
        """Have the CVM sign that the order cannot go on, where time has run out under a step."""
        if refusal.step == "grant-expired" and step.kind in _ENDS_BEFORE_CHECK:
            self._sign_refusal()
        elif refusal.step in ("grant-expired", "max-seconds") and step.kind is StepKind.RUN:
            self._sign_host_fault(refusal.step)
        else:
            return False
        return True

    # --------------------------------------------------------------------------------------- placed, accepted
    def _fetch(self, _: Step) -> None:
        hold_inputs(self._job, self._tools.blobs, self._order_id)
        self._fact("held", "yes")

    def _accept(self, _: Step) -> None:
        journal = self._tools.journal
        cvm_id = self._promised()[1]
        try:
            number = self._tools.chain.cvm_number(cvm_id)
            if not number:
                raise MarketError("accept: the chain does not know the promised CVM")
            self._tools.chain.accept(
                self._job.preimage, self._job.packet.policy, number, self._sent("accept")
            )
        except MarketError:
            if not journal.was_sent(self._order_id, "accept"):
                # Refused before anything went out: the CVM is as free as before.
                journal.release(self._order_id)
            raise

    def _admit(self, _: Step) -> None:
        self._admitted()

    def _admitted(self) -> tuple[OrderStart, bytes]:
        """Hand the order to the CVM, which answers again as before; return the start that it signed."""
        if self._tools.journal.fact(self._order_id, "evidence") is None:
            self._fact("evidence", self._evidence_text())
        members = admit_members(self._job, self._order_id, self._tools.chain.domain(), self._tools.operator)
        answer = self._call("admit", **members)
        self._fact("start_signature", str(answer["start_signature"]))
        _, cvm_id = self._promised()
        start = OrderStart(self._order_id, cvm_id, bytes_from_hex(answer["inputs_root"], 32))
        return start, bytes_from_hex(answer["start_signature"], 65)

    def _start(self, _: Step) -> None:
        self._tools.chain.start(*self._admitted(), self._sent("start"))

    # --------------------------------------------------------------------------------------- keys and content
    def _ask_key(self, step: Step) -> None:
        brokers = [(index, self._job.inputs[index].manifest.release) for index in step.inputs]
        domain = self._tools.chain.domain()
        book: JsonObject = {"chain_id": domain.chain_id, "order_book": hex_of(domain.verifying_contract)}
        order: JsonObject = {"domain": book, "preimage": to_json(self._job.preimage)}
        ask_for_keys(self._tools.services, self._client(), order, brokers, self._refused)

    def _refused(self, index: int, why: str) -> None:
        self._trouble(f"input {index}: {why}")

    def _feed(self, step: Step) -> None:
        index = _index(step)
        try:
            self._feed_input(index)
        except CvmRefusedError:
            # Perhaps the disk under the cache fails: what is fetched next comes from its location again.
            self._tools.blobs.doubt(self._job.inputs[index].manifest.sealed)
            raise

    def _feed_input(self, index: int) -> None:
        held = self._job.inputs[index]
        info = held.manifest.sealed
        header, leaves = head_parts(self._tools.blobs, held.ciphertext_uri, info)
        self._call("begin", header + leaves, input_index=index)
        for segment in range(info.layout.segments):
            data = read_segment(self._tools.blobs, held.ciphertext_uri, info, segment)
            self._call("feed", data, input_index=index, segment=segment)
            self._keep_alive()
        self._call("feed_done", input_index=index)

    # --------------------------------------------------------------------------------------- proofs
    def _check(self, _: Step) -> None:
        self._call("check")

    def _checkpoint(self, _: Step) -> None:
        parting = Parting.of(self._call("check"))
        self._fact("integrity", parting.to_text())
        self._tools.chain.checkpoint(parting.summary, parting.signature, self._sent("checkpoint"))

    def _prove(self, _: Step) -> None:
        # One that was signed and got lost is left out: sequences need only rise.
        sequence = int(str(self._call("status")["sequence"])) + 1
        summary, signature = signed_summary(self._call("checkpoint", sequence=sequence))
        self._tools.chain.checkpoint(summary, signature, self._sent("checkpoint"))

    def _keep_alive(self) -> None:
        """In the middle of a long step, prove the use so far where that is due; if it fails, go on."""
        if time.monotonic() < self._look_again_at_s:
            return
        self._look_again_at_s = time.monotonic() + self._grace / 8
        with contextlib.suppress(MarketError):
            facts = self._tools.chain.order(self._order_id)
            if is_proof_due(self._tools.chain.now(), facts.since + facts.last_proof, self._grace):
                self._prove(Step(StepKind.PROVE))

    def _run(self, _: Step) -> None:
        self._call("run")

    def _stop(self, _: Step) -> None:
        known = self._tools.journal.fact(self._order_id, "stop_signature")
        signature = (
            self._tools.chain.stop_signature(self._order_id) if known is None else bytes.fromhex(known)
        )
        try:
            if signature:
                self._call("stop", stop_signature=hex_of(signature))
        except CvmRefusedError as refusal:
            # A contract's signature, or nobody's: the engine goes on until the order's own end.
            signature = b""
            self._trouble(str(refusal))
        self._fact("stop_signature", signature.hex())

    def _store_published(self, _: Step) -> None:
        known = published_at(self._tools.journal, self._order_id)
        try:
            uri = self._store_blob("published", index=len(known))
        except CvmRefusedError as refusal:
            # One that the CVM cannot give must not keep the others, and the report, from the client.
            self._trouble(f"checkpoint {len(known)}: {refusal}")
            uri = ""
        self._fact("published", "\n".join([*known, uri]))
        with contextlib.suppress(CvmRefusedError):
            self._call("published_stored", index=len(known))

    def _store_result(self, _: Step) -> None:
        # An engine that could not be run leaves nothing; the CVM will say so in its report.
        self._fact("result", self._store_blob("result"))

    def _store_blob(self, op: str, **members: Any) -> str:
        """Store what the CVM gives in pieces, and return its location; empty where there is nothing."""
        first = self._client().call(op, offset=0, **members)
        total = int(str(first.members["total"]))
        return self._tools.blobs.put(self._pieces(op, first.body, total, members)) if total else ""

    def _pieces(self, op: str, first: bytes, total: int, members: dict[str, Any]) -> Iterator[bytes]:
        piece, offset = first, 0
        while True:
            self._keep_alive()
            yield piece
            offset += len(piece)
            if offset >= total:
                return
            piece = self._client().call(op, offset=offset, **members).body
            if not piece:
                raise MarketError(f"{op}: got no bytes at {offset} of {total}")

    def _report(self, _: Step) -> None:
        uri = self._tools.journal.fact(self._order_id, "result") or ""
        try:
            self._keep(self._call("report", location=uri, stored=True), "report")
        except CvmRefusedError as refusal:
            reason = self._tools.journal.fact(self._order_id, "host_fault")
            if refusal.step != "one-report" or reason is None:
                raise
            # The one report says HOST, and the agent died before it had it.
            self._sign_host_fault(reason)

    def _complete(self, _: Step) -> None:
        parting = self._last_word()
        # Its last word is said: the keys go before the money moves. If the CVM is gone already, so are they.
        self._try_wipe()
        terms, sent = self._job.preimage.terms, self._sent("complete")
        self._tools.chain.complete(terms, parting.summary, parting.signature, self._publish(), sent)

    def _refuse(self, _: Step) -> None:
        if self._tools.journal.fact(self._order_id, "parting") is None:
            self._sign_refusal()
        parting = self._last_word()
        self._try_wipe()
        terms, sent = self._job.preimage.terms, self._sent("refuse")
        self._tools.chain.refuse(terms, parting.summary, parting.signature, self._publish(), sent)

    def _host_fault(self, step: Step) -> None:
        self._sign_host_fault(step.why)

    def _sign_refusal(self) -> None:
        self._keep(self._call("refuse", reason="keys-missing"), "refusal")

    def _sign_host_fault(self, reason: str) -> None:
        """Have outcome HOST signed; its reason is written down first, since a repetition must name it too."""
        self._fact("host_fault", reason)
        self._keep(self._call("host_failure", reason=reason), "report")

    def _keep(self, signed: JsonObject, parting: str) -> None:
        envelope = signed.get("key_envelope")
        if isinstance(envelope, str):
            self._fact("key_envelope", envelope)
        self._fact("report", Parting.of(signed).to_text())
        self._fact("parting", parting)

    def _last_word(self) -> Parting:
        text = self._tools.journal.fact(self._order_id, "report")
        if text is None:
            raise MarketError("report: nothing in the journal yet")
        return Parting.from_text(text)

    def _try_wipe(self) -> None:
        with contextlib.suppress(CvmGoneError):
            if self._cvm is not None and self._tools.journal.fact(self._order_id, "wiped") is None:
                self._wipe(Step(StepKind.WIPE))

    def _wipe(self, _: Step) -> None:
        try:
            statement = self._call("wipe")["statement"]
        except CvmRefusedError:
            # The order ended without this CVM's report; it erases all the same.
            statement = self._call("abandon")["statement"]
        self._fact("wiped", str(statement))

    def _expire(self, _: Step) -> None:
        self._tools.chain.expire(self._job.preimage.terms, self._sent("expire"))

    def _settle(self, _: Step) -> None:
        self._tools.chain.claim_rest(self._job.preimage, self._sent("settle"))

    # --------------------------------------------------------------------------------------- helpers
    def _publish(self) -> str:
        """Store the order's public bundle as far as it goes, and return where."""
        location = publish(self._tools.journal, self._tools.blobs, self._order_id, self._job)
        self._fact("bundle", location)
        return location

    def _promised(self) -> tuple[str, bytes]:
        """Return socket and id of the CVM that this order was promised."""
        row = self._tools.journal.cvm_of(self._order_id)
        if row is None or row.cvm_id is None:
            raise MarketError("no CVM is promised to this order")
        return row.socket, row.cvm_id

    def _evidence_text(self) -> str:
        socket, _ = self._promised()
        found = self._tools.journal.fact(socket.encode(), "certified")
        if found is None:
            raise MarketError("evidence: this CVM's certification is not in the journal")
        return found

    def _call(self, op: str, body: bytes = b"", **members: Any) -> JsonObject:
        return self._client().call(op, body, **members).members

    def _client(self) -> CvmClient:
        if self._cvm is None:
            raise MarketError("this order has no CVM")
        return self._cvm

    def _trouble(self, text: str) -> None:
        """Keep why it did not go on, for people: `Agent` shows it with what it does next."""
        self._fact("trouble", text)
        self._tools.say(self._order_id, text)

    def _fact(self, name: str, value: str) -> None:
        self._tools.journal.set_fact(self._order_id, name, value)

    def _sent(self, purpose: str) -> Sent:
        return lambda tx_hash: self._tools.journal.sent(self._order_id, purpose, tx_hash)


def _index(step: Step) -> int:
    if step.input_index is None:
        raise MarketError(f"{step.kind.name}: no input is named")
    return step.input_index
