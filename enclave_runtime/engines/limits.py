"""What an engine may use, and how its run ended (docs/protocol.md sections 7(7), 8 and 10).

Values only. `sandbox` enforces the limits; `loader` turns a `Reason` into the outcome of an order.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields
from typing import Final

from enclave_runtime.wire.errors import EnclaveError

__all__ = [
    "DEFAULT_LIMITS",
    "GIB",
    "MIB",
    "EngineResult",
    "Reason",
    "SandboxError",
    "SandboxLimits",
]

MIB: Final = 1 << 20
GIB: Final = 1 << 30


class SandboxError(EnclaveError):
    """The sandbox itself could not be set up or kept up: the host's fault, never the engine's."""


class Reason(enum.Enum):
    """Why an engine's run is over. Everything but OK and SANDBOX is the engine's (or the client's) doing."""

    OK = "ok"
    EXIT = "exit"  # a non-zero exit code of its own
    SIGNAL = "signal"  # died by a signal that no limit explains, such as a segmentation fault
    TIMEOUT = "timeout"  # wall clock
    CPU = "cpu"
    MEMORY = "memory"
    PROCESSES = "processes"
    OUTPUT = "output"  # output too large, or of a kind that is never read
    STOPPED = "stopped"  # told to stop from outside
    SANDBOX = "sandbox"  # the engine never started


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Upper bounds of one run; every one is enforced, none is a hint.

    Attributes:
        memory_bytes: of all processes together, tmpfs included where a cgroup counts it.
        cpu_s: processor time of all processes together, in seconds.
        wall_s: elapsed time, in seconds.
        processes: processes and threads alive at once.
        file_bytes: length of any single file.
        output_bytes: all files under /output together.
        log_bytes: captured stdout and stderr; the rest is dropped and counted, the engine goes on.
        tmp_bytes: each of /tmp and /dev/shm.
        output_files: files and folders under /output.
    """

    memory_bytes: int = 4 * GIB
    cpu_s: float = 3600.0
    wall_s: float = 3600.0
    processes: int = 256
    file_bytes: int = GIB
    output_bytes: int = GIB
    log_bytes: int = MIB
    tmp_bytes: int = 256 * MIB
    output_files: int = 4096

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 62:
                raise ValueError(f"sandbox limit {field.name}: got {value!r}, expected a positive number")


DEFAULT_LIMITS: Final = SandboxLimits()


@dataclass(frozen=True, slots=True)
class EngineResult:
    """How one run of an engine ended.

    Attributes:
        exit_code: of the engine's first process, 128 + n when signal n ended it; None when it was killed
            by the sandbox or never ran.
        reason: why it ended.
        seconds: from the moment the engine was let go until nothing of it was left.
        log: stdout and stderr as one stream, at most `log_bytes`. Plaintext derived from the inputs:
            sealed to the client, never shown to the host (section 7(8)).
        log_dropped: bytes of the log that did not fit.
        output_bytes: sum of the files handed over.
        output_files: number of the files handed over.
        cpu_s: processor time, in seconds, as last seen.
        detail: one sentence about `reason`; holds nothing that the engine could have chosen, so that it
            can be shown to the host.
    """

    exit_code: int | None
    reason: Reason
    seconds: float
    log: bytes
    log_dropped: int
    output_bytes: int
    output_files: int
    cpu_s: float
    detail: str

    @property
    def ok(self) -> bool:
        """True when the engine ended by itself with exit code 0 and a readable output."""
        return self.reason is Reason.OK
