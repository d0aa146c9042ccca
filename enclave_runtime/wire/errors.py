"""The root of every error that the trusted runtime raises on purpose."""

from __future__ import annotations

__all__ = ["EnclaveError", "RefusedError", "WireError"]


class EnclaveError(Exception):
    """Base of all deliberate errors of `enclave_runtime`."""


class WireError(EnclaveError, ValueError):
    """Bytes that do not follow their format: oversize, non-canonical, wrong version or type."""


class RefusedError(EnclaveError):
    """A numbered check failed (docs/protocol.md sections 4.3 and 7).

    Attributes:
        step: name of the check that failed, stable across versions.
        got: what was found, in words or hex; never a secret.
        expected: what the check demanded.
    """

    def __init__(self, step: str, got: object, expected: object) -> None:
        super().__init__(f"{step}: got {got}, expected {expected}")
        self.step = step
        self.got = str(got)
        self.expected = str(expected)
