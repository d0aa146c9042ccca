"""The same engine, rows and seed outside a CVM: the sealed result must equal this run bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from marketplace.demo.scenario import EXAMPLE
from marketplace.errors import MarketError

__all__ = ["Plain", "run_outside", "same_bits"]

_COMPARED: Final = ("model.safetensors", "metrics.json", "roc.png")
_TIMEOUT_S: Final = 300


@dataclass(frozen=True, slots=True)
class Plain:
    """A plain run: its output folder and the wall seconds of the whole process, imports included."""

    output: Path
    seconds: float


def run_outside(datasets: Sequence[Path], output: Path) -> Plain:
    """Run the engine as an ordinary process.

    Raises:
        MarketError: it failed.
    """
    argv = [sys.executable, str(EXAMPLE / "engine" / "train.py"), "--inputs", *map(str, datasets)]
    argv += ["--config", str(EXAMPLE / "config.json"), "--output", str(output)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    started = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, env=env, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise MarketError(f"the engine failed outside: {done.stderr[-400:]}")
    return Plain(output, seconds)


def same_bits(inside: Path, outside: Path) -> list[str]:
    """Return the names of files that differ."""
    return [name for name in _COMPARED if (inside / name).read_bytes() != (outside / name).read_bytes()]
