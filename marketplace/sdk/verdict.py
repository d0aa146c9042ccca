"""What verification takes beside the order, and what it gives (docs/protocol.md section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError

__all__ = ["Held", "Line", "TrustAnchor", "Verdict", "equal", "same", "short"]

_MAX_SHOWN = 400


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """What the auditor believes, by configuration: a root, a policy with reference values, collateral."""

    roots: RootSet
    policy: AppraisalPolicy
    collateral: Collateral


@dataclass(frozen=True, slots=True)
class Held:
    """What the auditor holds itself, where it does.

    Attributes:
        content: input index -> content digest that the auditor computed from its own copy.
        result_ciphertext: ciphertext digest of the sealed result that the auditor fetched.
    """

    content: Mapping[int, bytes] = field(default_factory=dict)
    result_ciphertext: bytes | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One numbered check: passed or not, and what was compared."""

    number: int
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All lines; `passed` only when each of them is. `trust_class` says SIMULATED where it is."""

    lines: tuple[Line, ...]
    trust_class: str

    @property
    def passed(self) -> bool:
        """Return whether every line passed."""
        return bool(self.lines) and all(line.passed for line in self.lines)

    @property
    def simulated(self) -> bool:
        """Return whether the evidence ends in a SIMULATED root: whoever shows this verdict, says so."""
        return self.trust_class.startswith("SIMULATED")


def same(step: str, got: bytes, expected: bytes) -> None:
    """Refuse bytes that differ.

    Raises:
        RefusedError: `step`, both in hex.
    """
    if got != expected:
        raise RefusedError(step, hex_of(got), hex_of(expected))


def equal(step: str, got: object, expected: object) -> None:
    """Refuse values that differ.

    Raises:
        RefusedError: `step`, both in words.
    """
    if got != expected:
        raise RefusedError(step, str(got)[:_MAX_SHOWN], str(expected)[:_MAX_SHOWN])


def short(data: bytes) -> str:
    """Return the first six bytes in hex, for a line that people read."""
    return hex_of(data)[:14]
