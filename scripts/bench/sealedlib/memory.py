"""Memory over an idle interpreter while content of any size streams through, in a process for each size.

16 GiB are zeros of a sparse file on the way in, and made as they are read on the way out: no disk holds them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.bench.sealedlib.rounds import Options, check, say

__all__ = ["measure"]

SIZES_MIB = (1, 1024, 16 << 10)


def measure(options: Options) -> dict[str, Any]:
    """Return the peaks in MiB by direction and size, and the highest."""
    peaks: dict[str, dict[str, float]] = {}
    for direction in ("seal", "open"):
        for mib in SIZES_MIB:
            child = Path(__file__).with_name("child.py")
            words = [sys.executable, str(child), "peak", direction, str(mib)]
            done = subprocess.run(words, capture_output=True, check=True)
            peaks[f"{direction}_{mib}_mib"] = json.loads(done.stdout)
            say(options, f"{direction} {mib} MiB: {done.stdout.decode().strip()}")
    highest = max(peak["peak_mib"] for peak in peaks.values())
    return {"over_idle": peaks, "goals": {"peak_mib": check(highest, at_most=32.0)}}
