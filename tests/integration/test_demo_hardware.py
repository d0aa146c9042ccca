"""The whole demo on every hardware that it can simulate: one order, ten checks, and who is told what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from marketplace.demo.world import HARDWARE

pytestmark = [pytest.mark.integration, pytest.mark.heavy]

ROOT = Path(__file__).parents[2]


def told(*options: str) -> tuple[dict[str, Any], str]:
    """Return the demo's JSON report and what it said to people."""
    path = f"{ROOT / 'node_modules' / '.bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "marketplace.demo", "--json", *options],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.parametrize("name", HARDWARE)
def test_the_demo_runs_on_each_and_says_what_it_is(name: str) -> None:
    report, words = told("--tee", name)
    hardware = HARDWARE[name]
    assert report["verified"] and report["accuracy"] >= 0.95
    assert report["trust_class"].startswith("SIMULATED (dev:")
    assert report["hardware"].startswith(f"SIMULATED {hardware.tee.value}")
    gpus = f"{hardware.gpus} x gpu under SIMULATED (dev:" if hardware.gpus else "no GPU"
    assert f"2 quotes, {hardware.tee.value}, root set SIMULATED" in words and gpus in words
