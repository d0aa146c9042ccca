"""What the loader asks of an engine, whatever its kind (docs/protocol.md section 7(7))."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, Protocol

from enclave_runtime.engines.limits import DEFAULT_LIMITS, EngineResult, SandboxLimits
from enclave_runtime.engines.publishing import Take
from enclave_runtime.engines.sandbox import Clock
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_CONFIG_BYTES", "MAX_THREADS", "Engine", "EngineJob", "threads_of"]

MAX_CONFIG_BYTES: Final = 1 << 20
MAX_THREADS: Final = 1024


@dataclass(frozen=True, slots=True)
class EngineJob:
    """One order's work, every byte of it checked before.

    Attributes:
        entry_point: the command of the engine's manifest, such as ("python", "train.py").
        engine_dir: the engine's archive, unpacked.
        inputs: the other inputs in the order's order, each a file or an unpacked folder.
        config: the order's configuration, a JSON object; `threads` in it is for the runtime too.
        output_dir: absent or empty; receives the engine's files.
        scratch: absent or empty; of this job alone.
        limits: what the order's terms allow.
        take: takes over checkpoints while the engine runs.
    """

    entry_point: tuple[str, ...]
    engine_dir: Path
    inputs: tuple[Path, ...]
    config: bytes
    output_dir: Path
    scratch: Path
    limits: SandboxLimits = DEFAULT_LIMITS
    take: Take | None = None


class Engine(Protocol):
    """One kind of engine: turns a job into a run in the sandbox and says how it ended."""

    def run(self, job: EngineJob, *, stop: threading.Event, clock: Clock) -> EngineResult:
        """Run `job` to its end.

        Raises:
            WireError: the configuration or the entry point is malformed; nothing ran.
            SandboxError: the sandbox failed; nothing of the engine is believed.
        """


def threads_of(config: bytes) -> int:
    """Return the thread count that `config` asks for, 1 when it asks for none.

    One thread is the default because sums on several threads may differ in their last bits.

    Raises:
        WireError: oversize, not one JSON object, duplicate keys, NaN, or `threads` out of range.
    """
    if len(config) > MAX_CONFIG_BYTES:
        raise WireError(f"engine config: got {len(config)} bytes, expected at most {MAX_CONFIG_BYTES}")
    try:
        value = json.loads(config, object_pairs_hook=_unique, parse_constant=_no_constant)
    except WireError:
        raise
    except (ValueError, RecursionError) as error:
        raise WireError("engine config: got bytes that are not JSON") from error
    if not isinstance(value, dict):
        raise WireError(f"engine config: got {type(value).__name__}, expected an object")
    threads = value.get("threads", 1)
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise WireError(f"engine config: got a bad thread count, expected 1 to {MAX_THREADS}")
    return threads


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise WireError("engine config: got a key twice in one object")
    return result


def _no_constant(_: str) -> NoReturn:
    raise WireError("engine config: got NaN or Infinity, expected JSON")
