"""A session with surroundings in memory: effects are carried out by dictionaries, time moves by hand."""

from __future__ import annotations

import os
from typing import Any

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.loader import effects
from enclave_runtime.loader.effects import Effect, EngineEnd, EngineTask, InputFaultError, Steps
from enclave_runtime.loader.session import Session
from enclave_runtime.loader.trust import PlatformFacts
from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.sink import MemorySink
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.canonical import JsonObject, dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.grant import SignedKeyRequest
from tests.fakes.sealed_order import SealedOrder

__all__ = ["SECOND", "SessionDriver", "sealed_info"]

SECOND = 1_000_000_000


def sealed_info() -> SealedInfo:
    """Return public facts of some sealed result."""
    return SealedInfo(Algorithm.BLAKE3, 1 << 20, 100, b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)


class SessionDriver:
    """Plays host for one session. Every answer must be what canonical JSON can carry."""

    def __init__(self, plaintext_bytes: int = 1 << 30) -> None:
        facts = PlatformFacts(TeeKind.TDX, simulated=True)
        self.now_ns = 77 * SECOND
        self.session = Session(facts, plaintext_bytes=plaintext_bytes, entropy=os.urandom, now_ns=self.now_ns)
        self.sinks: dict[int, MemorySink] = {}
        self.unpack_fault: InputFaultError | OSError | None = None
        self.task: EngineTask | None = None
        self.stops = 0
        self.files_left = 0
        self.removed: list[bool] = []
        self.remove_fault: OSError | None = None
        self.unpacked: tuple[int, ...] | None = None
        self.result = b"sealed result"
        self.published: list[tuple[SealedInfo, bytes]] = []
        self.released: list[int] = []
        self.published_fault: int | None = None
        self.gpu: bytes | None = None

    def say(self, op: str, body: bytes = b"", **members: Any) -> tuple[JsonObject, bytes]:
        """Say one message and return header and body of the answer."""
        header = parse_object(dump({"op": op, **members}))
        answer, data = self._drive(self.session.handle(header, memoryview(body), self.now_ns))
        return parse_object(dump(answer)), data

    def ok(self, op: str, body: bytes = b"", **members: Any) -> dict[str, Any]:
        """Say one message that must succeed and return the answer's members."""
        answer, _ = self.say(op, body, **members)
        assert answer["ok"] is True, answer
        return answer

    def error(self, op: str, body: bytes = b"", **members: Any) -> dict[str, Any]:
        """Say one message that must fail and return the error."""
        answer, _ = self.say(op, body, **members)
        assert answer["ok"] is False, answer
        error = answer["error"]
        assert isinstance(error, dict)
        return error

    def step(self, op: str, body: bytes = b"", **members: Any) -> str:
        """Say one message that must fail and return the step that did."""
        return str(self.error(op, body, **members)["step"])

    @property
    def state(self) -> str:
        """The session's state."""
        return self.session.state.value

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ns += int(seconds * SECOND)
        self._drive(self.session.tick(self.now_ns))

    @property
    def hpke(self) -> bytes:
        """The CVM's public key for grants."""
        return bytes_from_hex(self.ok("identify")["public"]["hpke"])

    def ask(self, index: int, challenge: bytes = b"\x07" * 32) -> SignedKeyRequest:
        """Have a key request signed; its evidence must answer the same challenge."""
        answer = self.ok("key_request", input_index=index, challenge=hex_of(challenge))
        assert EvidenceBundle.from_bytes(dump(answer["bundle"])).challenge == challenge
        return SignedKeyRequest.from_json(answer["request"])

    def admit(self, order: SealedOrder) -> None:
        """Have an honest order admitted."""
        self.ok("admit", **order.admit())

    def open_keys(self, order: SealedOrder, **grant: Any) -> None:
        """Have every owner grant."""
        hpke = self.hpke
        for index in range(len(order.inputs)):
            self.ok("grant", order.grant(self.ask(index), hpke, **grant), input_index=index)

    def load(self, order: SealedOrder) -> None:
        """Carry in every input's ciphertext."""
        for index, item in enumerate(order.inputs):
            self.ok("begin", item.head, input_index=index)
            for number, segment in enumerate(item.segments):
                self.ok("feed", segment, input_index=index, segment=number)
            self.ok("feed_done", input_index=index)

    def to_checked(self, order: SealedOrder) -> dict[str, Any]:
        """Walk to CHECKED and return the answer of `check`."""
        self.admit(order)
        self.open_keys(order)
        self.load(order)
        return self.ok("check")

    def to_running(self, order: SealedOrder) -> None:
        """Walk to RUNNING."""
        self.to_checked(order)
        self.ok("run")

    def end(
        self, reason: str = "ok", code: int | None = 0, *, sealed: bool = True, milliseconds: int = 1234
    ) -> None:
        """Let the engine end."""
        end = EngineEnd(reason, code, "a sentence", milliseconds, sealed_info() if sealed else None)
        self._drive(self.session.engine_ended(end, self.now_ns))

    def to_sealed(self, order: SealedOrder, reason: str = "ok", code: int | None = 0) -> None:
        """Walk to SEALED."""
        self.to_running(order)
        self.end(reason, code)

    def _drive(self, steps: Steps[Any]) -> Any:
        try:
            effect = next(steps)
            while True:
                try:
                    result = self._perform(effect)
                except Exception as error:
                    effect = steps.throw(error)
                else:
                    effect = steps.send(result)
        except StopIteration as stop:
            return stop.value

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case effects.Devices(nonce):
                return self.gpu and self.gpu + nonce
            case effects.Quote(report_data):
                return Evidence(TeeKind.TDX, report_data)
            case effects.OpenSink(index):
                self.sinks[index] = MemorySink(1 << 20)
                return self.sinks[index]
            case effects.Unpack(lengths):
                if self.unpack_fault is not None:
                    raise self.unpack_fault
                self.unpacked = lengths
            case effects.StartEngine(task):
                self.task = task
            case effects.StopEngine():
                self.stops += 1
            case effects.ReadResult(offset):
                return self.result[offset:]
            case effects.RemoveAll(keep_result):
                if self.remove_fault is not None:
                    raise self.remove_fault
                self.removed.append(keep_result)
                return self.files_left
            case effects.CountPlaintext():
                return self.files_left
            case effects.CountPublished():
                return len(self.published)
            case effects.ReadPublished(index, _) if index == self.published_fault:
                raise OSError(5, "no such ciphertext")
            case effects.ReadPublished(index, offset):
                info, data = self.published[index]
                return info, data[offset:]
            case effects.ReleasePublished(index):
                self.released.append(index)
        return None
