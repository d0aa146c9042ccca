"""What goes wrong outside the enclave, in words that a person can act on.

Every error says what was got, what was expected and, in `hint`, what to do; none carries a secret.
The command line maps these classes to exit codes; `RefusedError` (a numbered check failed) is the wire's.
"""

from __future__ import annotations

__all__ = [
    "BadInputError",
    "ChainError",
    "MarketError",
    "NotFoundError",
    "RpcError",
    "UnreachableError",
    "WaitTimeoutError",
]


class MarketError(Exception):
    """Base of all deliberate errors of `marketplace`.

    Attributes:
        hint: what the reader can do about it; empty where there is nothing to do.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BadInputError(MarketError, ValueError):
    """A value that a person or a file gave cannot be used.

    Attributes:
        name: which value.
        got: what it was, in words; never a secret.
        expected: what it must be.
    """

    def __init__(self, name: str, got: object, expected: object, *, hint: str = "") -> None:
        super().__init__(f"{name}: got {got}, expected {expected}", hint=hint)
        self.name = name
        self.got = str(got)
        self.expected = str(expected)


class NotFoundError(MarketError, LookupError):
    """The thing asked for does not exist where it was looked for."""


class ChainError(MarketError):
    """Talking to the chain did not work out."""


class UnreachableError(ChainError):
    """No usable answer from a node within the time and retries allowed."""


class RpcError(ChainError):
    """A node answered with an error.

    Attributes:
        code: JSON-RPC error code.
        data: the error's data, such as the bytes of a revert, or empty.
    """

    def __init__(self, method: str, code: int, message: str, data: bytes = b"") -> None:
        super().__init__(f"{method}: the node answered error {code}: {message[:200]}")
        self.method = method
        self.code = code
        self.node_message = message
        self.data = data


class WaitTimeoutError(ChainError, TimeoutError):
    """Something expected on chain did not happen within the time allowed."""
