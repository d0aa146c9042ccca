"""Answers of vendors' services on this machine's disk: each under its question, replaced in one step.

An entry that does not read back whole counts as none: nothing here is believed, and what is lost is fetched.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import WireError
from marketplace.collateral.web import Answer, Question

__all__ = ["MAX_ENTRIES", "Cache", "Kept"]

MAX_ENTRIES = 4096
"""Evidence comes from strangers: who invents chips must not fill the disk. The oldest entries give way."""

_TYPE = "cloister/collateral-cache/v1"
_FIELDS = frozenset({"type", "question", "body", "chain", "fetched", "until"})
_MAX_ENTRY_BYTES = 1 << 21


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer with the times that decide whether it is used.

    Attributes:
        answer: as it came.
        fetched: when, Unix time, in seconds.
        until: last moment of the vendor's own dates, Unix time, in seconds.
    """

    answer: Answer
    fetched: int
    until: int


class Cache:
    """A folder of entries; several processes may share it."""

    def __init__(self, folder: Path, *, max_entries: int = MAX_ENTRIES) -> None:
        """Take a folder, made at the first entry."""
        self._folder = folder
        self._max_entries = max_entries

    def read(self, question: Question) -> Kept | None:
        """Return what is kept of the answer to `question`, or None."""
        try:
            with self._path(question).open("rb") as file:
                data = file.read(_MAX_ENTRY_BYTES + 1)
            return _parse(data, _name(question))
        except (OSError, ValueError):  # a WireError is a ValueError too
            return None

    def write(self, question: Question, kept: Kept) -> None:
        """Keep an answer. A disk that takes none is no reason to refuse evidence: then nothing is kept."""
        entry: canonical.JsonObject = {
            "type": _TYPE,
            "question": _name(question),
            "body": kept.answer.body.hex(),
            "chain": kept.answer.chain,
            "fetched": kept.fetched,
            "until": kept.until,
        }
        text = canonical.dump(entry)
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room()
            _replace(self._path(question), hashlib.sha256(text).digest() + text)

    def _path(self, question: Question) -> Path:
        return self._folder / f"{_name(question)}.entry"

    def _make_room(self) -> None:
        entries = list(self._folder.glob("*.entry"))
        if len(entries) < self._max_entries:
            return
        entries.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in entries[: len(entries) - self._max_entries + 1]:
            path.unlink(missing_ok=True)


def _name(question: Question) -> str:
    """Return the digest of a question: an address that nobody can steer out of the folder."""
    kind, content = question.post or ("", b"")
    parts = (question.url.encode(), kind.encode(), content)
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


def _parse(data: bytes, name: str) -> Kept:
    digest, text = data[:32], data[32:]
    if hashlib.sha256(text).digest() != digest:
        raise WireError("collateral cache: got an entry that is not whole")
    value = canonical.parse_object(text, limit=_MAX_ENTRY_BYTES)
    body, chain, fetched, until = (value.get(key) for key in ("body", "chain", "fetched", "until"))
    if value.keys() != _FIELDS or value["type"] != _TYPE or value["question"] != name:
        raise WireError("collateral cache: got an entry of another shape or question")
    if not (isinstance(body, str) and isinstance(chain, str)):
        raise WireError("collateral cache: got an entry without text")
    if not (isinstance(fetched, int) and isinstance(until, int)):
        raise WireError("collateral cache: got an entry without times")
    return Kept(Answer(bytes.fromhex(body), chain), fetched, until)


def _replace(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step: a reader sees the old entry, or the new one, whole."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
