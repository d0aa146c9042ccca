"""What fuzzing shares: cases from seeds, counted, and what came of them.

A seed stands for `BATCH` cases: drawing every case from hypothesis would cost more than parsing it. Cases and
refusals are counted, since a run that ended early, or whose inputs all fall at the first byte, shows nothing.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.wire.errors import WireError

__all__ = ["BATCH", "HEAVY_CASES", "Tally", "fuzz"]

BATCH, HEAVY_CASES = 20, 200_000
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^]]*]|\([^)]*\)|\b[0-9a-f]{6,}\b|-?\d+")


@dataclass
class Tally:
    """What came of the cases.

    Attributes:
        cases: how many were parsed.
        accepted: how many were read or verified.
        refusals: how many ended with each refusal and its cause, without the numbers and names in them.
    """

    cases: int = 0
    accepted: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def refused(self, error: Exception) -> None:
        """Count a refusal under its words, and under those of the library behind it."""
        words = [_VARYING.sub("#", str(one))[:100] for one in (error, error.__cause__) if one is not None]
        self.refusals[" < ".join(words)] += 1

    def assert_deep(self, cases: int, reasons: int) -> None:
        """Check that the run was whole, and reached more than the first lines of a parser."""
        assert self.cases >= cases, f"{self.cases} cases of {cases}"
        assert len(self.refusals) >= reasons, self.refusals
        assert max(self.refusals.values()) < 0.9 * self.cases, self.refusals.most_common(3)


def fuzz(parse: Callable[[bytes], object], draw: Callable[[random.Random], bytes], cases: int) -> Tally:
    """Parse `cases` inputs that `draw` makes; anything but a value or our own error ends the test."""
    tally = Tally()

    @settings(
        max_examples=-(-cases // BATCH),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize=False,
    )
    @given(st.integers(0, (1 << 64) - 1))
    def run(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(BATCH):
            data = draw(dice)
            tally.cases += 1
            try:
                parse(data)
                tally.accepted += 1
            except (WireError, AttestationError) as error:
                tally.refused(error)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a panic of a library in Rust is no Exception
                raise AssertionError(f"{type(error).__name__} for {data.hex()}") from error

    run()
    return tally
