"""How a CVM answers: success, the four kinds of failure, and the memory that makes messages idempotent."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from enclave_runtime.loader.effects import Answer
from enclave_runtime.loader.intake import HostFaultError
from enclave_runtime.loader.report import clip
from enclave_runtime.loader.states import NotNowError
from enclave_runtime.wire.canonical import JsonObject, dump
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.hashes import tagged

__all__ = [
    "FinalRefusal",
    "Memory",
    "bad_request",
    "host_fault",
    "message_key",
    "not_now",
    "refused",
    "succeeded",
]

_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class FinalRefusal:
    """The check that ended the order, and the input whose owner's object is at fault, if any."""

    step: str
    got: str
    expected: str
    input_index: int | None


class Memory:
    """Answers by message; the same message gets the same answer. The oldest give way."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()

    def get(self, key: bytes) -> Answer | None:
        """Return the answer that was given before."""
        return self._answers.get(key)

    def keep(self, key: bytes, answer: Answer) -> Answer:
        """Remember and return `answer`."""
        self._answers[key] = answer
        while len(self._answers) > self._most:
            self._answers.popitem(last=False)
        return answer


def message_key(header: JsonObject, body: bytes | memoryview) -> bytes:
    """Return what tells one message from another, 32 bytes."""
    return tagged("cvm-message/v1", dump(header), bytes(body))


def succeeded(members: JsonObject, body: bytes = b"") -> Answer:
    """Return a success."""
    return {"ok": True, **members}, body


def refused(refusal: RefusedError | FinalRefusal) -> Answer:
    """Return a refusal: of this message, or of the order where it is final."""
    final = isinstance(refusal, FinalRefusal)
    index = refusal.input_index if isinstance(refusal, FinalRefusal) else None
    return _failed("refused", refusal.step, refusal.got, refusal.expected, final=final, index=index)


def not_now(error: NotNowError) -> Answer:
    """Return that the message has its place in another state."""
    return _failed("not-now", error.step, error.got, error.expected)


def host_fault(error: HostFaultError) -> Answer:
    """Return that the host has to try again."""
    return _failed("host", error.step, error.got, error.expected, segment=error.segment)


def bad_request(got: object, expected: object) -> Answer:
    """Return that the message is none."""
    return _failed("bad-request", "message", got, expected)


def _failed(
    kind: str,
    step: str,
    got: object,
    expected: object,
    *,
    final: bool = False,
    index: int | None = None,
    segment: int | None = None,
) -> Answer:
    error: JsonObject = {
        "kind": kind,
        "step": step,
        "got": clip(str(got)),
        "expected": clip(str(expected)),
        "final": final,
        "input_index": index,
        "segment": segment,
    }
    return {"ok": False, "error": error}, b""
