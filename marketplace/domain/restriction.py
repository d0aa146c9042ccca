"""Who may order an offer: by client, by engine, by runtime (protocol 6.1; twin of RestrictionLib.sol).

An owner keeps three lists; the offer's terms carry one word made of their Merkle roots. Whoever accepts an
order shows that its client, engine and runtime are in them. What the chain cannot see, the grant enforces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.scalars import ZERO32
from marketplace.errors import BadInputError

__all__ = ["MAX_MEMBERS", "Restrictions"]

MAX_MEMBERS: Final = 1 << 16
"""Most members of one list; a proof then has 16 siblings, half a kilobyte."""
_TREES: Final = ("client", "engine", "runtime")


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Three lists of who is allowed. An empty list admits everybody.

    Attributes:
        clients: addresses, 20 bytes each.
        engines: terms hashes of engine versions, 32 bytes each.
        runtimes: measurements, 32 bytes each.
    Raises:
        BadInputError: a member of another size, or too many.
    """

    clients: tuple[bytes, ...] = ()
    engines: tuple[bytes, ...] = ()
    runtimes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        for tree, members in enumerate(self._lists()):
            name = f"allowed {_TREES[tree]}s"
            if len(members) > MAX_MEMBERS:
                raise BadInputError(name, len(members), f"at most {MAX_MEMBERS}")
            size = 20 if tree == 0 else 32
            for member in members:
                if len(member) != size:
                    raise BadInputError(name, f"a member of {len(member)} bytes", f"{size} bytes")

    def digest(self) -> bytes:
        """Return the word for `OfferTerms.restrictions`: zero where nobody is left out."""
        if not any(self._lists()):
            return ZERO32
        return keccak256(b"".join(self._roots()))

    def proof(self, client: bytes, engine: bytes, runtime: bytes) -> bytes:
        """Return what shows the chain that these three are allowed; empty where nobody is left out.

        Raises:
            BadInputError: one of them is not in its list.
        """
        if not any(self._lists()):
            return b""
        wanted = (client, engine, runtime)
        ways = []
        for tree, members in enumerate(self._lists()):
            if members and wanted[tree] not in members:
                raise BadInputError(_TREES[tree], f"0x{wanted[tree].hex()}", "one that the owner allows")
            ways.append(_siblings(_leaves(tree, members), _leaf(tree, wanted[tree])) if members else [])
        counts = bytes(len(way) for way in ways)
        return b"".join((*self._roots(), counts, *(node for way in ways for node in way)))

    def _lists(self) -> tuple[tuple[bytes, ...], ...]:
        return (self.clients, self.engines, self.runtimes)

    def _roots(self) -> list[bytes]:
        return [
            _levels(_leaves(tree, members))[-1][0] if members else ZERO32
            for tree, members in enumerate(self._lists())
        ]


def _leaf(tree: int, value: bytes) -> bytes:
    """Hash twice, so that no inner node passes for a leaf, and with the tree's own tag."""
    tag = keccak256(f"Cloister restriction {_TREES[tree]}".encode())
    return keccak256(keccak256(tag + value.rjust(32, b"\0")))


def _leaves(tree: int, members: Sequence[bytes]) -> list[bytes]:
    """Sorted, so that the root does not depend on the order of the list."""
    return sorted({_leaf(tree, member) for member in members})


def _levels(leaves: list[bytes]) -> list[list[bytes]]:
    """Pairs are hashed in sorted order; a node without a partner goes up as it is."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        row = levels[-1]
        pairs = (sorted(row[at : at + 2]) for at in range(0, len(row), 2))
        levels.append([keccak256(b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs])
    return levels


def _siblings(leaves: list[bytes], leaf: bytes) -> list[bytes]:
    at, way = leaves.index(leaf), []
    for row in _levels(leaves)[:-1]:
        beside = at ^ 1
        if beside < len(row):
            way.append(row[beside])
        at //= 2
    return way
