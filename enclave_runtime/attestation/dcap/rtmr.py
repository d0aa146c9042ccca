"""Run-time measurement registers and the event log that explains them (docs/protocol.md section 4.3, step 6).

A register starts at zero and only grows: RTMR' = SHA-384(RTMR || event digest). The log is untrusted until
it replays to the registers that the hardware signed. Its shape is the JSON that TDX guests of the dstack
family write, where a run-time event's digest is SHA-384(type as u32 || ":" || name || ":" || payload).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

from enclave_runtime.wire.errors import WireError

__all__ = [
    "MAX_EVENTS",
    "REGISTERS",
    "RUNTIME_EVENT",
    "ZERO_REGISTER",
    "Event",
    "encode_log",
    "parse_log",
    "replay",
]

REGISTERS = 4
RUNTIME_EVENT = 0x08000001
"""Type of events whose digest is made of their own name and payload."""
MAX_EVENTS = 1024
ZERO_REGISTER = b"\x00" * 48
_MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Event:
    """One extension of one register.

    Attributes:
        imr: register number, 0 to 3.
        event_type: TCG event type, or `RUNTIME_EVENT`.
        digest: SHA-384, 48 bytes.
        name: label, informative but for run-time events.
        payload: content, informative but for run-time events.
    """

    imr: int
    event_type: int
    digest: bytes
    name: str
    payload: bytes

    @classmethod
    def runtime(cls, imr: int, name: str, payload: bytes) -> Event:
        """Return a run-time event, its digest computed."""
        return cls(imr, RUNTIME_EVENT, _runtime_digest(name, payload), name, payload)


def replay(events: Iterable[Event]) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the four registers after `events`, from zero."""
    registers = [ZERO_REGISTER] * REGISTERS
    for event in events:
        registers[event.imr] = hashlib.sha384(registers[event.imr] + event.digest).digest()
    return registers[0], registers[1], registers[2], registers[3]


def encode_log(events: Iterable[Event]) -> bytes:
    """Return the log as JSON."""
    rows = [
        {
            "imr": event.imr,
            "event_type": event.event_type,
            "digest": event.digest.hex(),
            "event": event.name,
            "event_payload": event.payload.hex(),
        }
        for event in events
    ]
    return json.dumps(rows, separators=(",", ":")).encode()


def parse_log(data: bytes) -> tuple[Event, ...]:
    """Return the events in `data`; the caller bounds its length.

    Raises:
        WireError: not a log, too many events, or a run-time event whose digest is not that of its content.
    """
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError("event log: got bytes that are not JSON") from error
    if not isinstance(rows, list) or len(rows) > MAX_EVENTS:
        raise WireError(f"event log: got something else than a list of at most {MAX_EVENTS} events")
    return tuple(_event(index, row) for index, row in enumerate(rows))


def _event(index: int, row: object) -> Event:
    if not isinstance(row, dict):
        raise WireError(f"event log: got {type(row).__name__} as event {index}, expected an object")
    imr, kind, name = row.get("imr"), row.get("event_type"), row.get("event")
    if type(imr) is not int or not 0 <= imr < REGISTERS:
        raise WireError(f"event log: got register {str(imr)[:20]} in event {index}, expected 0 to 3")
    if type(kind) is not int or not 0 <= kind < 1 << 32 or not _is_name(name):
        raise WireError(f"event log: got no valid type and name in event {index}")
    digest, payload = _hex(index, row.get("digest")), _hex(index, row.get("event_payload"))
    if kind == RUNTIME_EVENT:
        expected = _runtime_digest(name, payload)
        if digest not in (b"", expected):
            raise WireError(
                f"event log: got digest {digest.hex()} in event {index}, expected {expected.hex()}"
            )
        digest = expected
    if len(digest) != 48:
        raise WireError(f"event log: got a digest of {len(digest)} bytes in event {index}, expected 48")
    return Event(imr, kind, digest, name, payload)


def _is_name(name: object) -> TypeGuard[str]:
    if not isinstance(name, str) or len(name) > _MAX_NAME:
        return False
    # JSON can spell half a character, of which UTF-8 has no bytes to hash.
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _hex(index: int, value: object) -> bytes:
    try:
        if isinstance(value, str):
            return bytes.fromhex(value)
    except ValueError:
        pass
    raise WireError(f"event log: got something else than hex in event {index}")


def _runtime_digest(name: str, payload: bytes) -> bytes:
    message = RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload
    return hashlib.sha384(message).digest()
