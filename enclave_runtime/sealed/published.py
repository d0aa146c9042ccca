"""The list of containers that an engine published while it ran; a file of the result (protocol section 7(8)).

The result's digest is in the OrderReport, so the report covers every container by its digests. The key and
the salt are the result's own; where the containers lie is the host's word, in the order's bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.records import Items, Text, dump_record, load_record

__all__ = ["LIST_NAME", "MAX_PUBLISHED", "PublishedList", "PublishedOne"]

LIST_NAME: Final = "checkpoints.json"
MAX_PUBLISHED: Final = 256
"""Containers of one order; what an engine declares beyond them is in its result."""
_MAX_BYTES: Final = 256 << 10
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class PublishedOne:
    """One container.

    Attributes:
        name: the number that the engine gave it.
    """

    name: Annotated[str, Text(9)]
    sealed: SealedInfo

    def __post_init__(self) -> None:
        if not (self.name.isascii() and self.name.isdigit()):
            raise WireError("published checkpoint: got a name that is no number")


@dataclass(frozen=True, slots=True)
class PublishedList:
    """All containers of one order, in the order in which they were published."""

    published: Annotated[tuple[PublishedOne, ...], Items(MAX_PUBLISHED)]
    version: int = _VERSION

    def __post_init__(self) -> None:
        if self.version != _VERSION:
            raise WireError(f"published checkpoints: got version {self.version}, expected {_VERSION}")
        if len({one.name for one in self.published}) != len(self.published):
            raise WireError("published checkpoints: got a name twice")

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return dump(dump_record(self))

    @classmethod
    def from_bytes(cls, data: bytes) -> PublishedList:
        """Return the list in `data`.

        Raises:
            WireError: oversize, not canonical, or values that no list has.
        """
        return load_record(cls, parse_object(data, limit=_MAX_BYTES))
