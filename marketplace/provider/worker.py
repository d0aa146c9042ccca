"""The agent's hands: one method for each step of the reducer. Every method may be run again after a crash.

The chain refuses what was done already, the CVM answers a repeated message as before, brokers repeat a
grant for the same request; so a step needs no memory of its own attempts.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.canonical import JsonObject, dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.orders import ReportSummary
from marketplace.errors import MarketError, UnreachableError
from marketplace.provider.bundle import publish
from marketplace.provider.cvm import CvmClient, CvmGoneError, CvmRefusedError
from marketplace.provider.job import Blobs, Job, head_parts, hold_inputs, read_segment
from marketplace.provider.journal import Journal
from marketplace.provider.ports import AgentChain, Sent
from marketplace.provider.reducer import Step, StepKind
from marketplace.provider.services import ServiceRefusedError, Services

__all__ = ["Parting", "Tools", "Worker"]

_RESULT_CHUNK: Final = 1 << 20
_ASK_AGAIN_S: Final = 2


@dataclass(frozen=True, slots=True)
class Tools:
    """What every step works with; one set for an agent."""

    chain: AgentChain
    blobs: Blobs
    services: Services
    journal: Journal
    operator: bytes
    say: Callable[[bytes, str], None]


@dataclass(slots=True)
class Parting:
    """What a CVM signed at one point, kept as the JSON that goes into the order's bundle."""

    statement: str
    summary: ReportSummary
    signature: bytes


class Worker:
    """Works on one order with one CVM."""

    def __init__(self, tools: Tools, order_id: bytes, job: Job, cvm: CvmClient | None) -> None:
        self._tools = tools
        self._order_id = order_id
        self._job = job
        self._cvm = cvm
        self.ask_after: dict[int, int] = {}
        """Chain time before which an input's broker is not asked again."""

    def do(self, step: Step) -> None:
        """Carry out one step.

        Raises:
            MarketError: it did not work out; the next look decides again.
        """
        actions: dict[StepKind, Callable[[Step], None]] = {
            StepKind.FETCH: self._fetch,
            StepKind.ACCEPT: self._accept,
            StepKind.ADMIT: self._admit,
            StepKind.START: self._start,
            StepKind.ASK_KEY: self._ask_key,
            StepKind.FEED: self._feed,
            StepKind.CHECK: self._check,
            StepKind.CHECKPOINT: self._checkpoint,
            StepKind.RUN: self._run,
            StepKind.STORE_RESULT: self._store_result,
            StepKind.REPORT: self._report,
            StepKind.COMPLETE: self._complete,
            StepKind.REFUSE: self._refuse,
            StepKind.WIPE: self._wipe,
        }
        try:
            actions[step.kind](step)
        except CvmRefusedError as refusal:
            if not refusal.final:
                raise
            # The CVM is REFUSED now: the next look puts its signed refusal on chain.
            self._tools.say(self._order_id, str(refusal))

    # --------------------------------------------------------------------------------------- placed, accepted
    def _fetch(self, _: Step) -> None:
        hold_inputs(self._job, self._tools.blobs)
        self._fact("held", "yes")

    def _accept(self, _: Step) -> None:
        row = self._tools.journal.cvm_of(self._order_id)
        if row is None or row.cvm_id is None:
            raise MarketError("accept: no CVM is promised to this order")
        self._tools.chain.accept(
            self._job.preimage, self._job.packet.policy, row.cvm_id, self._sent("accept")
        )

    def _admit(self, _: Step) -> None:
        self._fact_once("evidence", self._evidence_text)
        self._fact("start_signature", str(self._admitted()["start_signature"]))

    def _admitted(self) -> JsonObject:
        packet = self._job.packet
        return self._call(
            "admit",
            domain={**self._domain_json(), "chain_id": str(self._tools.chain.domain().chain_id)},
            order_id=hex_of(self._order_id),
            preimage=to_json(self._job.preimage),
            manifests=[held.manifest_bytes.decode() for held in self._job.inputs],
            config=hex_of(packet.config),
            config_salt=hex_of(packet.config_salt),
            result_key=hex_of(packet.result_key),
            operator=hex_of(self._tools.operator),
        )

    def _start(self, _: Step) -> None:
        # The CVM answers a repeated `admit` as before: the signature needs no place in the journal.
        signature = bytes_from_hex(self._admitted()["start_signature"], 65)
        self._tools.chain.start(self._job.preimage.terms, signature, self._sent("start"))

    # --------------------------------------------------------------------------------------- keys and content
    def _ask_key(self, step: Step) -> None:
        index = _index(step)
        url = self._job.inputs[index].manifest.release.url
        if url is None:
            self._later(index, "the owner grants by hand; no broker is named")
            return
        try:
            grant = self._release(index, url)
        except ServiceRefusedError as refusal:
            self._later(index, str(refusal))
            self._fact(f"refusal.{index}", str(refusal))
            return
        except UnreachableError as error:
            self._later(index, str(error))
            return
        if grant is None:
            self._later(index, "the owner has not decided yet")
            return
        try:
            self._call("grant", grant, input_index=index)
        except CvmRefusedError as refusal:
            self._later(index, str(refusal))
            self._fact(f"refusal.{index}", str(refusal))

    def _release(self, index: int, url: str) -> bytes | None:
        challenge = self._tools.services.broker_challenge(url)
        asked = self._call("key_request", input_index=index, challenge=hex_of(challenge))
        order = {"domain": self._domain_json(), "preimage": to_json(self._job.preimage)}
        body = {"request": asked["request"], "bundle": asked["bundle"]}
        return self._tools.services.release(url, {**body, "order": order, "challenge": hex_of(challenge)})

    def _feed(self, step: Step) -> None:
        index = _index(step)
        held = self._job.inputs[index]
        info = held.manifest.sealed
        header, leaves = head_parts(self._tools.blobs, held.ciphertext_uri, info)
        self._call("begin", header + leaves, input_index=index)
        for segment in range(info.layout.segments):
            data = read_segment(self._tools.blobs, held.ciphertext_uri, info, segment)
            self._call("feed", data, input_index=index, segment=segment)
        self._call("feed_done", input_index=index)

    # --------------------------------------------------------------------------------------- proofs
    def _check(self, _: Step) -> None:
        self._call("check")

    def _checkpoint(self, _: Step) -> None:
        parting = _parting(self._call("check"))
        self._fact("integrity", _as_text(parting))
        location = self._publish()
        self._tools.chain.checkpoint(
            self._job.preimage.terms, parting.summary, parting.signature, location, self._sent("checkpoint")
        )

    def _run(self, _: Step) -> None:
        self._call("run")

    def _store_result(self, _: Step) -> None:
        uri = self._tools.blobs.put(self._result_chunks())
        self._fact("result", uri)

    def _result_chunks(self) -> Iterator[bytes]:
        offset, total = 0, 1
        while offset < total:
            answer = self._client().call("result", offset=offset)
            total = int(str(answer.members["total"]))
            if not answer.body and offset < total:
                raise MarketError(f"result: got no bytes at {offset} of {total}")
            offset += len(answer.body)
            yield answer.body

    def _report(self, _: Step) -> None:
        uri = self._tools.journal.fact(self._order_id, "result") or ""
        signed = self._call("report", location=uri, stored=True)
        envelope = signed.get("key_envelope")
        if isinstance(envelope, str):
            self._fact("key_envelope", envelope)
        self._fact("report", _as_text(_parting(signed)))
        self._fact("parting", "report")

    def _complete(self, _: Step) -> None:
        parting = self._kept("report")
        # Its last word is said: the keys go before the money moves. If the CVM is gone already, so are they.
        self._try_wipe()
        self._tools.chain.complete(
            self._job.preimage, parting.summary, parting.signature, self._publish(), self._sent("complete")
        )

    def _refuse(self, step: Step) -> None:
        if self._tools.journal.fact(self._order_id, "parting") is None:
            reason = "keys-missing" if step.input_index is not None else "refused"
            self._fact("report", _as_text(_parting(self._call("refuse", reason=reason))))
            self._fact("parting", "refusal")
        parting = self._kept("report")
        self._try_wipe()
        self._tools.chain.refuse(
            self._job.preimage, parting.summary, parting.signature, self._publish(), self._sent("refuse")
        )

    def _try_wipe(self) -> None:
        with contextlib.suppress(CvmGoneError):
            if self._cvm is not None and self._tools.journal.fact(self._order_id, "wiped") is None:
                self._wipe(Step(StepKind.WIPE))

    def _kept(self, name: str) -> Parting:
        text = self._tools.journal.fact(self._order_id, name)
        if text is None:
            raise MarketError(f"{name}: nothing in the journal yet")
        value = parse_object(text.encode())
        statement = dump(value["statement"]).decode()
        return Parting(
            statement, from_json(ReportSummary, value["summary"]), bytes_from_hex(value["signature"])
        )

    def _wipe(self, _: Step) -> None:
        try:
            statement = self._call("wipe")["statement"]
        except CvmRefusedError:
            # The order ended without this CVM's report; it erases all the same.
            statement = self._call("abandon")["statement"]
        self._fact("wiped", str(statement))

    # --------------------------------------------------------------------------------------- helpers
    def _publish(self) -> str:
        """Store the order's public bundle as far as it goes, and return where."""
        location = publish(self._tools.journal, self._tools.blobs, self._order_id, self._job)
        self._fact("bundle", location)
        return location

    def _evidence_text(self) -> str:
        row = self._tools.journal.cvm_of(self._order_id)
        found = None if row is None else self._tools.journal.fact(row.socket.encode(), "certified")
        if found is None:
            raise MarketError("evidence: this CVM's certification is not in the journal")
        return found

    def _domain_json(self) -> JsonObject:
        domain = self._tools.chain.domain()
        return {"chain_id": domain.chain_id, "order_book": hex_of(domain.verifying_contract)}

    def _call(self, op: str, body: bytes = b"", **members: Any) -> JsonObject:
        return self._client().call(op, body, **members).members

    def _client(self) -> CvmClient:
        if self._cvm is None:
            raise MarketError("this order has no CVM")
        return self._cvm

    def _later(self, index: int, why: str) -> None:
        self.ask_after[index] = self._tools.chain.now() + _ASK_AGAIN_S
        self._tools.say(self._order_id, f"input {index}: {why}")

    def _fact(self, name: str, value: str) -> None:
        self._tools.journal.set_fact(self._order_id, name, value)

    def _fact_once(self, name: str, make: Callable[[], str]) -> None:
        if self._tools.journal.fact(self._order_id, name) is None:
            self._fact(name, make())

    def _sent(self, purpose: str) -> Sent:
        return lambda tx_hash: self._tools.journal.sent(self._order_id, purpose, tx_hash)


def _parting(signed: JsonObject) -> Parting:
    return Parting(
        str(signed["statement"]),
        from_json(ReportSummary, signed["summary"]),
        bytes_from_hex(signed["signature"], 65),
    )


def _as_text(parting: Parting) -> str:
    value = {"statement": json.loads(parting.statement), "summary": to_json(parting.summary)}
    return dump({**value, "signature": hex_of(parting.signature)}).decode()


def _index(step: Step) -> int:
    if step.input_index is None:
        raise MarketError(f"{step.kind.name}: no input is named")
    return step.input_index
