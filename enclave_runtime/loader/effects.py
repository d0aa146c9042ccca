"""What a session asks of its surroundings: values, carried out by `host.effects` in the order they come.

A handler yields an effect and is resumed with its result, or with the error that it raised. So the session
itself opens no file, starts no process and reads no clock, and tests drive it with dictionaries.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import EnclaveError, RefusedError

__all__ = [
    "Answer",
    "CountPlaintext",
    "CountPublished",
    "Devices",
    "Effect",
    "EngineEnd",
    "EngineTask",
    "InputFaultError",
    "OpenSink",
    "Quote",
    "ReadPublished",
    "ReadResult",
    "ReleasePublished",
    "RemoveAll",
    "StartEngine",
    "Steps",
    "StopEngine",
    "Unpack",
]

T = TypeVar("T")
Answer: TypeAlias = tuple[JsonObject, bytes]
"""Members of an answer's header, and its body."""


@dataclass(frozen=True, slots=True)
class Devices:
    """Evidence of every GPU and switch of this CVM over a nonce, 32 bytes. Gives bytes, or None without."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class Quote:
    """Evidence over 64 bytes of report_data. Gives `attestation.model.Evidence`."""

    report_data: bytes


@dataclass(frozen=True, slots=True)
class OpenSink:
    """An empty place for one input's plaintext, on memory that goes with the CVM. Gives a `Sink`."""

    input_index: int


@dataclass(frozen=True, slots=True)
class Unpack:
    """Make every input's archive a folder, mounted or unpacked. Raises `InputFaultError`, OSError.

    Attributes:
        lengths: of each archive, in the order's order.
    """

    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EngineTask:
    """One run, and how its outcome is sealed.

    Attributes:
        kind: kind of engine, and `entry_point` its command, from its manifest.
        config: the bytes that it reads.
        wall_s: seconds until the sandbox ends it by itself; the session's own clock comes first.
        content_key: fresh, 32 bytes; the result is sealed with it.
        digest_salt: fresh, 32 bytes; hides the result's content digest.
        algorithm: hash of the outcome's segments.
    """

    kind: str
    entry_point: tuple[str, ...]
    config: bytes
    wall_s: float
    content_key: memoryview
    digest_salt: bytes
    algorithm: Algorithm


@dataclass(frozen=True, slots=True)
class StartEngine:
    """Let the engine go and come back at once; `Session.engine_ended` is called when it is over."""

    task: EngineTask


@dataclass(frozen=True, slots=True)
class StopEngine:
    """End the engine; `Session.engine_ended` follows."""


@dataclass(frozen=True, slots=True)
class EngineEnd:
    """How a run ended.

    Attributes:
        reason: a word: "ok", or what ended it; "sandbox" and "seal" are the host's fault.
        exit_code: of the engine, None where it did not end by itself.
        detail: one sentence without anything that the engine chose.
        milliseconds: that the engine ran.
        sealed: the result's public facts; None where there is no result.
    """

    reason: str
    exit_code: int | None
    detail: str
    milliseconds: int
    sealed: SealedInfo | None


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Bytes of the sealed result from `offset` on, as many as fit into a frame."""

    offset: int


@dataclass(frozen=True, slots=True)
class CountPublished:
    """Gives the number of checkpoints that the engine published so far."""


@dataclass(frozen=True, slots=True)
class ReadPublished:
    """Gives the public facts of one published checkpoint, and its ciphertext from `offset` on."""

    index: int
    offset: int


@dataclass(frozen=True, slots=True)
class ReleasePublished:
    """The host has a published checkpoint: its ciphertext makes room."""

    index: int


@dataclass(frozen=True, slots=True)
class RemoveAll:
    """Remove every file of this order, plaintext first. Gives the number of files that are left."""

    keep_result: bool


@dataclass(frozen=True, slots=True)
class CountPlaintext:
    """Gives the number of files with plaintext."""


Effect: TypeAlias = (
    Devices
    | Quote
    | OpenSink
    | Unpack
    | StartEngine
    | StopEngine
    | ReadResult
    | CountPublished
    | ReadPublished
    | ReleasePublished
    | RemoveAll
    | CountPlaintext
)
Steps: TypeAlias = Generator[Effect, Any, T]
"""A handler at work: yields effects, takes their results, returns its answer."""


class InputFaultError(EnclaveError):
    """An input's plaintext, authenticated and with the right digest, is no archive that may be unpacked."""

    def __init__(self, input_index: int, refusal: RefusedError) -> None:
        super().__init__(f"input {input_index}: {refusal}")
        self.input_index = input_index
        self.refusal = refusal
