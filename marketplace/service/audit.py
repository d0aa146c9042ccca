"""An append-only log in which every line commits to all lines before it.

One canonical JSON object per line: {seq, previous, at, event, facts}. The hash of a line is the tagged
SHA-256 of its bytes; `previous` is the hash of the line before. Whoever has once seen a head (the hash of the
last line, which services publish) can tell whether anything before it was altered, dropped or reordered; a
log cut at its end is told from the head alone, so keep one elsewhere. A line reaches the disk before `append`
returns. A lock on the file lets the service and its command line append to one log.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from enclave_runtime.wire.canonical import Json, JsonObject, dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged
from marketplace.errors import BadInputError, NotFoundError
from marketplace.service.errors import AuditError

__all__ = [
    "GENESIS",
    "MAX_LINE_BYTES",
    "AuditLog",
    "Head",
    "checked_log",
    "parse_head",
    "read_log",
    "verify_log",
]

GENESIS = b"\x00" * 32
"""`previous` of the first line."""
MAX_LINE_BYTES = 64 << 10
_MEMBERS = {"seq", "previous", "at", "event", "facts"}


@dataclass(frozen=True, slots=True)
class Head:
    """How long a log is, and the hash of its last line: what commits to all of it."""

    entries: int
    digest: bytes


class AuditLog:
    """Appends to the log at `path`; creates it for its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, event: str, facts: Mapping[str, Json], *, at: int) -> Head:
        """Write one entry through to the disk and return the new head.

        Args:
            event: what happened, in a word.
            facts: about it; never a secret.
            at: Unix time, in seconds, by the clock that the service decides by.
        Raises:
            AuditError: the last line of the file is not a whole entry of this log.
            WireError: `facts` is not canonical JSON or too large.
        """
        with self._open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _drop_torn_line(file)
            head = _tail(file)
            entry: JsonObject = {
                "seq": head.entries,
                "previous": head.digest.hex(),
                "at": at,
                "event": event,
                "facts": dict(facts),
            }
            line = dump(entry)
            if len(line) >= MAX_LINE_BYTES:
                raise WireError(f"audit entry: got {len(line)} bytes, expected fewer than {MAX_LINE_BYTES}")
            file.seek(0, os.SEEK_END)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return Head(head.entries + 1, _line_hash(line))

    def head(self) -> Head:
        """Return the head, believing all but the last line.

        Raises:
            AuditError: as `append`.
        """
        with self._open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return _tail(file)

    def _open(self) -> BinaryIO:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.fdopen(os.open(self._path, flags, 0o600), "r+b")


def verify_log(path: Path, known: Head | None = None) -> Head:
    """Return the head of the log at `path` after following every line from the first.

    Args:
        known: a head that was seen earlier. A log that was cut, or written anew, does not go through it.
    Raises:
        AuditError: names the first line that does not follow.
        FileNotFoundError: there is no such log.
    """
    head = Head(0, GENESIS)
    for reached, _entry_of_line in _walk(path):
        head = reached
        if known is not None and reached.entries == known.entries and reached.digest != known.digest:
            raise AuditError(reached.entries, f"head {reached.digest.hex()}", known.digest.hex())
    if known is not None and head.entries < known.entries:
        raise AuditError(head.entries + 1, "the end of the log", f"{known.entries} entries or more")
    return head


def checked_log(path: Path, known: Head | None = None) -> Head:
    """Return the head as `verify_log` does, in a service's own errors.

    Raises:
        AuditError: as `verify_log`.
        NotFoundError: there is no such log.
    """
    try:
        return verify_log(path, known)
    except FileNotFoundError as error:
        raise NotFoundError(f"no audit log at {path}") from error


def parse_head(text: str) -> Head:
    """Return the head that a service published, written as "<entries>:0x<hex>".

    Raises:
        BadInputError: another form.
    """
    entries, _, digest = text.partition(":")
    try:
        return Head(int(entries), bytes_from_hex(digest, 32))
    except (ValueError, WireError):
        raise BadInputError("head", repr(text[:90]), "ENTRIES:0x and 64 hex digits") from None


def read_log(path: Path) -> Iterator[JsonObject]:
    """Yield each verified entry of the log at `path`.

    Raises:
        AuditError: as `verify_log`, when the first bad line is reached.
    """
    for _, entry in _walk(path):
        yield entry


def _walk(path: Path) -> Iterator[tuple[Head, JsonObject]]:
    seq, previous = 0, GENESIS
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            if not line.endswith(b"\n"):
                raise AuditError(
                    seq + 1, "a line without an end", f"at most {MAX_LINE_BYTES} bytes and a new line"
                )
            entry = _entry(line[:-1], seq)
            if entry["seq"] != seq:
                raise AuditError(seq + 1, f"sequence {entry['seq']}", seq)
            if entry["previous"] != previous.hex():
                raise AuditError(seq + 1, f"previous {entry['previous']}", previous.hex())
            seq, previous = seq + 1, _line_hash(line[:-1])
            yield Head(seq, previous), entry


def _entry(line: bytes, seq: int) -> JsonObject:
    try:
        entry = parse_object(line, limit=MAX_LINE_BYTES)
    except WireError as error:
        raise AuditError(seq + 1, str(error), "one canonical JSON object") from error
    if set(entry) != _MEMBERS or type(entry["seq"]) is not int:
        raise AuditError(seq + 1, f"members {sorted(entry)}", sorted(_MEMBERS))
    return entry


def _tail(file: BinaryIO) -> Head:
    """Return the head from the last whole line, without reading the others."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return Head(0, GENESIS)
    start = max(0, size - MAX_LINE_BYTES - 1)
    file.seek(start)
    lines = file.read(size - start).split(b"\n")
    if len(lines) < 2 or (start > 0 and len(lines) == 2):
        raise AuditError(1, "no whole line at the end of the file", "entries that end with a new line")
    entry = _entry(lines[-2], 0)
    entries = entry["seq"]
    assert isinstance(entries, int)
    return Head(entries + 1, _line_hash(lines[-2]))


def _drop_torn_line(file: BinaryIO) -> None:
    """Cut off what a crash left of a line that was never acknowledged."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - MAX_LINE_BYTES - 1)
    file.seek(start)
    kept = file.read(size - start).rfind(b"\n") + 1
    if start + kept == size:
        return
    if kept == 0 and start > 0:
        raise AuditError(1, f"more than {MAX_LINE_BYTES} bytes without a new line", "whole entries")
    file.truncate(start + kept)


def _line_hash(line: bytes) -> bytes:
    return tagged("audit-log/v1", line)
