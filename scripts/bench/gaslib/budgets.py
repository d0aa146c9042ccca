"""What each operation may cost, and what others' contracts cost for the same."""

from __future__ import annotations

from typing import Any

__all__ = ["BUDGETS", "LIFE_GOAL", "PEERS", "REPORT_SURCHARGE"]

BUDGETS: dict[str, int] = {
    "place": 90_000,
    "place_permit": 115_000,
    "place_batch10_each": 45_000,
    "accept": 95_000,
    "start": 45_000,
    "complete": 70_000,
    "claim": 50_000,
    "checkpoint": 40_000,
    "checkpoint_batch8_each": 20_000,
    "withdraw": 42_000,
    "list": 60_000,
    "lease": 90_000,
    "life": 290_000,
}
"""Gas as a sender pays it: whole transactions, warm accounts, no proxy."""
LIFE_GOAL = 220_000
"""What `life` would ideally cost; the report says what stands between."""
REPORT_SURCHARGE = 6_000
"""The most that checking a report against the CVM's key may add to one that nobody signed."""

_OWN_TESTS = "the project's own test suite with a gas reporter"
_SAME_RUN = "measured in one forge run, whole transactions"
PEERS: list[dict[str, Any]] = [
    {
        "peer": "Marlin Oyster MarketV1 (2026-05)",
        "what": "jobOpen + jobSettle + jobReviseRateInitiate + jobClose; no report checked",
        "gas": [553_000, 553_000],
        "how": _OWN_TESTS,
    },
    {
        "peer": "iExec PoCo 6.2.0 (2026-01), Boost",
        "what": "matchOrdersBoost + pushResultBoost, its cheapest way",
        "gas": [660_000, 760_000],
        "how": _OWN_TESTS,
    },
    {
        "peer": "iExec PoCo 6.2.0 (2026-01), classic",
        "what": "matchOrders, initialize, contribute, reveal, finalize, claim",
        "gas": [1_400_000, 2_200_000],
        "how": _OWN_TESTS,
    },
    {
        "peer": "Ocean 2.8 C2D escrow (2026-06)",
        "what": "deposit, createLock, claimLocksAndWithdraw",
        "gas": [421_000, 631_000],
        "how": _OWN_TESTS,
    },
    {
        "peer": "Sablier Flow",
        "what": "createAndDeposit + withdrawMax; neither start nor report",
        "gas": [237_000, 237_000],
        "how": _SAME_RUN,
    },
]
"""Whole life of one order or stream, lowest and highest figure; we measured them for this market's design."""
