"""Every limit is tried before the first order: some do nothing for root, or inside another container.

`check` runs small engines that break each limit and looks at what happened (docs/protocol.md section 7(7)).
Once per boot of a CVM; the probes run side by side.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.engines import probes
from enclave_runtime.engines.limits import MIB, EngineResult, Reason, SandboxError, SandboxLimits
from enclave_runtime.engines.sandbox import Clock, Runner, Sandbox
from enclave_runtime.engines.spec import SandboxSpec, environment
from enclave_runtime.engines.unisolated import DangerousNoIsolation

__all__ = ["LimitCheck", "check", "open_runner", "self_test"]

_OUTPUT, _FILE, _TMP, _LOG = 4 * MIB, MIB, 2 * MIB, 16 << 10
_LIMITS: Final = SandboxLimits(
    memory_bytes=96 * MIB, cpu_s=10, wall_s=5, processes=16, file_bytes=_FILE, output_bytes=_OUTPUT,
    log_bytes=_LOG, tmp_bytes=_TMP, output_files=64,
)  # fmt: skip
_SHORT_S: Final = 0.1
_GRACE_S: Final = 1.5  # a busy machine wakes the guard late
_BY_OTHERS: Final = (
    "PWD",
    "OLDPWD",
    "SHLVL",
    "_",
    "LC_CTYPE",
)  # set by bubblewrap, the shell, the interpreter
_FLAGS: Final = ("-I", "-S", "-B", "-c")  # a bare interpreter starts in a third of the time


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """One limit that was tried. `detail` says what the probe saw."""

    name: str
    works: bool
    detail: str


@dataclass(frozen=True, slots=True)
class _Probe:
    run: Callable[..., EngineResult]
    folder: Path

    def __call__(self, name: str, source: str, config: dict[str, object], **limits: float) -> EngineResult:
        folder = self.folder / name
        for part in ("engine", "inputs"):
            (folder / part).mkdir(parents=True)
        spec = SandboxSpec(
            argv=(sys.executable, *_FLAGS, source),
            engine_dir=folder / "engine",
            inputs=(folder / "inputs",),
            config=json.dumps(config).encode(),
            output_dir=folder / "output",
            scratch=folder / "scratch",
        )
        bounds = {name: getattr(_LIMITS, name) for name in _LIMITS.__slots__}
        return self.run(spec, SandboxLimits(**(bounds | limits)), stop=threading.Event())


def self_test(
    sandbox: Sandbox, *, clock: Clock = time.monotonic, scratch: Path | None = None
) -> list[LimitCheck]:
    """Try every limit of `sandbox` and return what was found, in a fixed order.

    Args:
        scratch: a folder for the probes' files; by default a new one where temporary files go.
    Raises:
        SandboxError: a probe could not even start.
    """

    def run(spec: SandboxSpec, limits: SandboxLimits, *, stop: threading.Event) -> EngineResult:
        return sandbox.run(spec, limits, stop=stop, clock=clock)

    with tempfile.TemporaryDirectory(prefix="cloister-selftest-", dir=scratch) as name:
        probe = _Probe(run, Path(name))
        tests = (_contained, _files, _memory, _cpu, _wall, _processes, _leftovers)
        with ThreadPoolExecutor(len(tests)) as pool:
            found = list(pool.map(lambda test: list(test(probe)), tests))
    return [result for results in found for result in results]


def check(
    sandbox: Sandbox, *, clock: Clock = time.monotonic, scratch: Path | None = None
) -> list[LimitCheck]:
    """Return `self_test`'s findings if all is well.

    Raises:
        SandboxError: a limit does not hold; all that do not are named.
    """
    found = self_test(sandbox, clock=clock, scratch=scratch)
    if broken := [result for result in found if not result.works]:
        words = "; ".join(f"{result.name}: {result.detail}" for result in broken)
        raise SandboxError(f"sandbox self-test: got limits that do not hold ({words}), expected all to hold")
    return found


def open_runner(
    *,
    dangerous_run_without_isolation: bool = False,
    clock: Clock = time.monotonic,
    scratch: Path | None = None,
) -> Runner:
    """Return the sandbox of this machine after its self-test. Call once per boot.

    Args:
        dangerous_run_without_isolation: run engines as plain processes, with nothing between them and the
            machine, *if* no sandbox can be had. For development only; it is printed at every run.
    Raises:
        SandboxError: there is no sandbox, or one of its limits does not hold.
    """
    try:
        sandbox = Sandbox.detect()
        check(sandbox, clock=clock, scratch=scratch)
    except SandboxError:
        if not dangerous_run_without_isolation:
            raise
        return DangerousNoIsolation()
    return sandbox


def _contained(probe: _Probe) -> Iterator[LimitCheck]:
    config: dict[str, object] = {
        "outside": str(probe.folder),
        "environment": [*environment(1), *_BY_OTHERS],
    }
    result = probe("contained", probes.CONTAINED, config)
    attempts = _answer(result)
    if not result.ok or not attempts:
        yield LimitCheck("contained", False, f"the probe ended with {result.reason.value} ({result.detail})")
    for name, got in attempts.items():
        yield LimitCheck(name, got == "", str(got) or "refused")


def _files(probe: _Probe) -> Iterator[LimitCheck]:
    caps = {"file": _FILE, "tmp": _TMP, "dev/shm": _TMP, "output": _OUTPUT}
    result = probe("files", probes.FILES, dict(caps))
    wrote = _answer(result)
    for name, cap in caps.items():
        done = wrote.get(name)
        works = isinstance(done, int) and 0 < done <= cap
        yield LimitCheck(f"size-{name}", works, f"wrote {done} bytes under a limit of {cap}")
    kept = len(result.log)
    yield LimitCheck("size-log", result.log_dropped > 0 and kept < 2 * _LOG, f"kept {kept} bytes of a flood")
    yield LimitCheck("output-full", result.reason is Reason.OUTPUT, f"ended with {result.reason.value}")


def _memory(probe: _Probe) -> Iterator[LimitCheck]:
    result = probe("memory", probes.MEMORY, {})
    held = b"held" in result.log
    yield LimitCheck("memory", not held and not result.ok, "was given too much" if held else result.detail)


def _cpu(probe: _Probe) -> Iterator[LimitCheck]:
    result = probe("cpu", probes.CPU, {}, cpu_s=_SHORT_S, wall_s=_SHORT_S + 2 * _GRACE_S)
    yield LimitCheck("cpu", result.reason is Reason.CPU, f"{result.detail}, {result.seconds:.2f} s")


def _wall(probe: _Probe) -> Iterator[LimitCheck]:
    result = probe("wall", probes.WALL, {}, wall_s=_SHORT_S)
    works = result.reason is Reason.TIMEOUT and result.seconds < _SHORT_S + _GRACE_S
    yield LimitCheck("wall", works, f"{result.detail}, {result.seconds:.2f} s")


def _processes(probe: _Probe) -> Iterator[LimitCheck]:
    result = probe("processes", probes.PROCESSES, {}, processes=8)
    first, _, _ = result.log.partition(b"\n")
    refused = first.isdigit() and int(first) <= 8
    killed = result.reason is Reason.PROCESSES
    yield LimitCheck(
        "processes", refused or killed, f"ended with {result.reason.value} after {first.decode()!r}"
    )


def _leftovers(probe: _Probe) -> Iterator[LimitCheck]:
    result = probe("leftovers", probes.LINGER, {})
    left = _mentions(str(probe.folder / "leftovers"))
    yield LimitCheck("leftovers", result.ok and not left, f"{left} processes left")


def _answer(result: EngineResult) -> dict[str, object]:
    """Return the JSON object on the first line of a probe's log, an empty one if there is none."""
    with contextlib.suppress(ValueError):
        value = json.loads(result.log.partition(b"\n")[0])
        if isinstance(value, dict):
            return value
    return {}


def _mentions(text: str) -> int:
    """Count processes with `text` in their arguments: bubblewrap's, which end after all that they hold."""
    count = 0
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            count += text.encode() in Path("/proc", entry, "cmdline").read_bytes()
    return count
