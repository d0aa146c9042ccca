"""What the sandbox tests share: a sandbox in each of its two modes, and engines written on the spot."""

from __future__ import annotations

import dataclasses
import functools
import sys
import threading
import time
from pathlib import Path

import pytest

from enclave_runtime.engines.limits import MIB, EngineResult, SandboxError, SandboxLimits
from enclave_runtime.engines.sandbox import Sandbox
from enclave_runtime.engines.spec import SandboxSpec

REPOSITORY = Path(__file__).resolve().parents[2]
MODES = ("cgroup", "sampled")
TIGHT = SandboxLimits(
    memory_bytes=192 * MIB, cpu_s=20, wall_s=20, processes=16, file_bytes=4 * MIB, output_bytes=8 * MIB,
    log_bytes=64 << 10, tmp_bytes=8 * MIB, output_files=64,
)  # fmt: skip


@functools.cache
def detected() -> Sandbox | str:
    """The machine's sandbox, or why there is none."""
    try:
        return Sandbox.detect()
    except SandboxError as error:
        return str(error)


def sandbox(mode: str = "sampled") -> Sandbox:
    """Return the machine's sandbox with or without control groups; skips the test where there is none."""
    found = detected()
    if isinstance(found, str):
        pytest.skip(f"no sandbox on this machine: {found}")
    if mode == "sampled":
        return dataclasses.replace(found, cgroups=None)
    if found.cgroups is None:
        pytest.skip("no writable control groups here (needs root and the memory and pids controllers)")
    return found


def run(
    box: Sandbox,
    folder: Path,
    source: str | Path,
    *,
    limits: SandboxLimits = TIGHT,
    config: bytes = b"{}",
    inputs: tuple[Path, ...] = (),
    stop: threading.Event | None = None,
) -> EngineResult:
    """Run `source` (text, or a folder with attack.py) as an engine in `folder`."""
    engine = source if isinstance(source, Path) else folder / "engine"
    if isinstance(source, str):
        engine.mkdir(exist_ok=True)
        (engine / "attack.py").write_text(source)
    spec = SandboxSpec(
        argv=(sys.executable, "-S", "attack.py"),
        engine_dir=engine,
        inputs=inputs,
        config=config,
        output_dir=folder / "output",
        scratch=folder / "scratch",
    )
    return box.run(spec, limits, stop=stop or threading.Event(), clock=time.monotonic)
