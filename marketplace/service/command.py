"""What the services' own small command lines share; `cloister` wraps the same functions for people."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from enclave_runtime.wire.errors import EnclaveError
from marketplace.errors import MarketError

__all__ = ["FAILED", "add_serving_options", "guarded", "say"]

FAILED = 2
"""Exit status after an error that a person can act on."""


def say(line: str) -> None:
    """Write one line to standard output."""
    sys.stdout.write(line + "\n")


def add_serving_options(parser: argparse.ArgumentParser) -> None:
    """Add --host, --port and --port-file."""
    parser.add_argument("--host", help="instead of the settings' one")
    parser.add_argument("--port", type=int, help="instead of the settings' one; 0 takes a free one")
    parser.add_argument(
        "--port-file", type=Path, metavar="FILE", help="gets the port when the service answers"
    )


def guarded(action: Callable[[], None]) -> int:
    """Run `action` and return the exit status; deliberate errors go to standard error."""
    try:
        action()
    except (MarketError, EnclaveError) as error:
        sys.stderr.write(f"error: {error}\n")
        hint = getattr(error, "hint", "")
        if hint:
            sys.stderr.write(f"hint: {hint}\n")
        return FAILED
    return 0
