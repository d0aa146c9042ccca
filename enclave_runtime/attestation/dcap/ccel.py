"""The boot log that firmware leaves a TD: the data behind the CCEL table, in TCG's format (protocol 4.3, 6).

Layout as in "TCG PC Client Platform Firmware Profile": one event of the old form that names the digests, then
events with one digest per algorithm; Intel's GHCI numbers the registers from 1 for RTMR0, and 0 is MRTD. The
table is as large as the firmware chose, with zeros or ones behind the log. Like every log it is untrusted
until it replays to the registers that the hardware signed.
"""

from __future__ import annotations

import struct

from enclave_runtime.attestation.dcap.rtmr import MAX_EVENTS, REGISTERS, Event, parse_log
from enclave_runtime.attestation.model import MAX_EVENT_LOG_BYTES
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_TABLE_BYTES", "log_in_table", "parse_any_log", "parse_ccel", "trim_ccel"]

MAX_TABLE_BYTES = 1 << 20
"""Firmware seen so far sets 64 or 256 KiB aside."""
_SHA384, _SHA384_SIZE = 0x000C, 48
_NO_ACTION = 3
_SIGNATURE = b"Spec ID Event03\x00"
_HEADER = struct.Struct("<II20sI")
_EVENT = struct.Struct("<III")
_MAX_PAYLOAD = 1 << 16
_NAMES = {
    0x01: "EV_POST_CODE",
    0x04: "EV_SEPARATOR",
    0x05: "EV_ACTION",
    0x06: "EV_EVENT_TAG",
    0x0D: "EV_IPL",
    0x80000001: "EV_EFI_VARIABLE_DRIVER_CONFIG",
    0x80000002: "EV_EFI_VARIABLE_BOOT",
    0x80000003: "EV_EFI_BOOT_SERVICES_APPLICATION",
    0x80000004: "EV_EFI_BOOT_SERVICES_DRIVER",
    0x80000006: "EV_EFI_GPT_EVENT",
    0x80000007: "EV_EFI_ACTION",
    0x80000008: "EV_EFI_PLATFORM_FIRMWARE_BLOB",
    0x80000009: "EV_EFI_HANDOFF_TABLES",
    0x8000000A: "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
    0x8000000B: "EV_EFI_HANDOFF_TABLES2",
    0x8000000C: "EV_EFI_VARIABLE_BOOT2",
    0x800000E0: "EV_EFI_VARIABLE_AUTHORITY",
}


def parse_any_log(data: bytes) -> tuple[Event, ...]:
    """Return the events of a log of either kind: JSON (`rtmr.parse_log`) or CCEL data.

    Raises:
        WireError: neither.
    """
    return parse_log(data) if data[:1] == b"[" else parse_ccel(data)


def parse_ccel(data: bytes) -> tuple[Event, ...]:
    """Return the events that extend run-time registers, in order; the caller bounds the length of `data`.

    Raises:
        WireError: another format, a cut event, another digest than SHA-384, too many events, or anything
            but padding behind the last one.
    """
    return _walk(data)[0]


def log_in_table(table: bytes) -> bytes | None:
    """Return the boot log in the firmware's table, None in an empty one: what an attester hands out.

    Firmware sets room aside for the log and fills what is left with a pattern.

    Raises:
        WireError: more than a table may have, no log, or one that evidence has no room for.
    """
    if not table:
        return None
    if len(table) > MAX_TABLE_BYTES:
        raise WireError(f"boot log: got a table of more than {MAX_TABLE_BYTES} bytes")
    log = trim_ccel(table)
    if len(log) > MAX_EVENT_LOG_BYTES:
        raise WireError(f"boot log: got {len(log)} bytes, expected at most {MAX_EVENT_LOG_BYTES}")
    return log


def trim_ccel(data: bytes) -> bytes:
    """Return the log without the table's padding: what an attester hands out.

    Raises:
        WireError: see `parse_ccel`.
    """
    return data[: _walk(data)[1]]


def _walk(data: bytes) -> tuple[tuple[Event, ...], int]:
    """Return the events, and where the last one ends."""
    at = _first_event(data)
    events: list[Event] = []
    while at + 8 <= len(data):
        index, kind = struct.unpack_from("<II", data, at)
        if (index, kind) in ((0xFFFFFFFF, 0xFFFFFFFF), (0, 0)):
            break
        if len(events) == MAX_EVENTS:
            raise WireError(f"ccel: got more than {MAX_EVENTS} events")
        digest, payload, at = _event(data, at)
        if kind == _NO_ACTION:
            continue
        if not 1 <= index <= REGISTERS:
            raise WireError(f"ccel: got register {index} in an event, expected 1 to {REGISTERS}")
        name = _NAMES.get(kind, f"{kind:#010x}")
        events.append(Event(index - 1, kind, digest, name, payload))
    if data[at:].strip(b"\xff").strip(b"\x00"):
        raise WireError("ccel: got bytes behind the last event that are no padding")
    return tuple(events), at


def _first_event(data: bytes) -> int:
    """Return where the events begin: behind the one that names the only digest, SHA-384."""
    if len(data) < _HEADER.size:
        raise WireError(f"ccel: got {len(data)} bytes, expected an event log")
    header: tuple[int, int, bytes, int] = _HEADER.unpack_from(data)
    _, kind, _, size = header
    spec = data[_HEADER.size : _HEADER.size + size]
    if kind != _NO_ACTION or len(spec) != size or size < 32 or not spec.startswith(_SIGNATURE):
        raise WireError("ccel: got something else than the log's identification in front")
    count, algorithm, digest_size = struct.unpack_from("<IHH", spec, 24)
    if (count, algorithm, digest_size) != (1, _SHA384, _SHA384_SIZE):
        raise WireError(f"ccel: got {count} digests, the first {algorithm:#06x}, expected SHA-384 alone")
    return _HEADER.size + size


def _event(data: bytes, at: int) -> tuple[bytes, bytes, int]:
    """Return digest, content, and where the next event begins."""
    digest_at = at + _EVENT.size + 2
    size_at = digest_at + _SHA384_SIZE
    if size_at + 4 > len(data):
        raise WireError("ccel: got a cut event")
    (count,) = struct.unpack_from("<I", data, at + 8)
    (algorithm,) = struct.unpack_from("<H", data, at + _EVENT.size)
    if (count, algorithm) != (1, _SHA384):
        raise WireError(
            f"ccel: got {count} digests of kind {algorithm:#06x} in an event, expected one SHA-384"
        )
    (size,) = struct.unpack_from("<I", data, size_at)
    end = size_at + 4 + size
    if size > _MAX_PAYLOAD or end > len(data):
        raise WireError(f"ccel: got an event of {size} bytes, expected at most what is left")
    return data[digest_at:size_at], data[size_at + 4 : end], end
