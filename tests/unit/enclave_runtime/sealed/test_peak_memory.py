"""Sealing and opening take the same memory whatever the size (docs/protocol.md section 3.5).

In processes of their own, as `scripts/bench/sealed.py` measures it: what streaming took over what the process
had with everything imported. The files are sparse; what is sealed of them goes nowhere.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).resolve().parents[4] / "scripts" / "bench" / "sealedlib" / "child.py"
MOST_MIB = 32
GROWTH_MIB = 4
"""What a longer stream may cost: 32 bytes for each MiB, folded page by page."""


@functools.cache
def peak_mib(direction: str, mib: int) -> float:
    words = [sys.executable, str(CHILD), "peak", direction, str(mib)]
    done = subprocess.run(words, capture_output=True, check=True)
    return float(json.loads(done.stdout)["peak_mib"])


@pytest.mark.parametrize("direction", ["seal", "open"])
def test_64_mib_take_no_more_than_32(direction: str) -> None:
    assert 0 < peak_mib(direction, 64) <= MOST_MIB


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mib", [1 << 10, 16 << 10], ids=["1 GiB", "16 GiB"])
@pytest.mark.parametrize("direction", ["seal", "open"])
def test_memory_does_not_grow_with_the_size(direction: str, mib: int) -> None:
    got = peak_mib(direction, mib)
    assert got <= MOST_MIB
    assert got <= peak_mib(direction, 64) + GROWTH_MIB
