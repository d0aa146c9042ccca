"""Who takes part in the demo, and at what prices: every number of the story in one place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.wire.offers import Price
from enclave_runtime.wire.orders import Holdback, Windows

__all__ = [
    "CAPACITY",
    "COMPUTE_PRICE",
    "DATASET_PRICE",
    "ENGINE_PRICE",
    "EXAMPLE",
    "FEE_BPS",
    "HOLDBACK",
    "MAX_SECONDS",
    "MIN_GRACE_S",
    "PARTIES",
    "ROOT",
    "SEGMENT_BYTES",
    "STAKE",
    "START_PENALTY_BPS",
    "TOKEN",
    "Party",
    "windows",
]

ROOT: Final = Path(__file__).resolve().parents[2]
"""The project's folder: the demo runs from a checkout."""
EXAMPLE: Final = ROOT / "examples" / "breast_cancer"

TOKEN: Final = 10**6
"""One token: the demo's ERC-20 has 6 decimals."""
FEE_BPS: Final = 250
START_PENALTY_BPS: Final = 1000
MIN_GRACE_S: Final = 2
STAKE: Final = 500 * TOKEN
CAPACITY: Final = 4
"""How many orders the provider's desk runs at once."""
HOLDBACK: Final = Holdback(bps=1000, window=3600)
"""A tenth of the compute price waits for the client's receipt."""
MAX_SECONDS: Final = 600
SEGMENT_BYTES: Final = 16 << 10
"""Small enough that the demo's datasets have several segments, so that their order can be attacked."""

ENGINE_PRICE: Final = Price(fixed_price=3 * TOKEN)
DATASET_PRICE: Final = Price(fixed_price=5 * TOKEN, per_hour=6 * TOKEN, min_seconds=60)
COMPUTE_PRICE: Final = Price(per_hour=36 * TOKEN, min_seconds=10)


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody in the story.

    Attributes:
        slug: name of its folder and of its processes.
        title: name as the demo prints it.
        tokens: what it starts with, in whole tokens.
    """

    slug: str
    title: str
    tokens: int = 0


PARTIES: Final = (
    Party("hospital-a", "hospital A"),
    Party("hospital-b", "hospital B"),
    Party("centre", "research centre", tokens=1000),
    Party("provider", "provider", tokens=1000),
    Party("operator", "provider's operator"),
    Party("treasury", "treasury"),
)


def windows(*, keys_within_s: int = 60, max_seconds: int = MAX_SECONDS) -> Windows:
    """Return the deadlines of the demo's orders, seconds."""
    return Windows(
        accept_within=120,
        start_within=120,
        setup_seconds=60,
        keys_within=keys_within_s,
        load_within=60,
        max_seconds=max_seconds,
        grace=30,
    )
