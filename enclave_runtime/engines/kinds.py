"""The table of engine kinds, by the word that an engine's manifest uses (docs/protocol.md section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from enclave_runtime.engines.base import Engine
from enclave_runtime.engines.command import CommandEngine
from enclave_runtime.engines.sandbox import Runner
from enclave_runtime.engines.training import TrainingEngine
from enclave_runtime.wire.errors import WireError

__all__ = ["KINDS", "open_engine"]

KINDS: Final[Mapping[str, Callable[[Runner], Engine]]] = {
    "command": CommandEngine,
    "training": TrainingEngine,
}


def open_engine(kind: str, runner: Runner) -> Engine:
    """Return an engine of `kind` that runs in `runner`.

    Raises:
        WireError: there is no such kind.
    """
    if kind not in KINDS:
        raise WireError(f"engine kind: got {kind[:32]!r}, expected one of {', '.join(sorted(KINDS))}")
    return KINDS[kind](runner)
