"""What the services' own small command lines share; `cloister` wraps the same functions for people."""

from __future__ import annotations

import sys
from collections.abc import Callable

from enclave_runtime.wire.errors import EnclaveError
from marketplace.errors import MarketError

__all__ = ["FAILED", "guarded", "say"]

FAILED = 2
"""Exit status after an error that a person can act on."""


def say(line: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(line + "\n")


def guarded(action: Callable[[], None]) -> int:
    """Run `action` and return the exit status; deliberate errors go to standard error as one line and a hint."""
    try:
        action()
    except (MarketError, EnclaveError) as error:
        sys.stderr.write(f"error: {error}\n")
        hint = getattr(error, "hint", "")
        if hint:
            sys.stderr.write(f"hint: {hint}\n")
        return FAILED
    return 0
