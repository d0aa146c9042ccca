"""What time it is for evidence and collateral (docs/protocol.md sections 4.3, 4.5 and 5.2).

Confidentiality never depends on the chain, so its time is no judge alone: nodes that froze, or lie, would
keep collateral of before a revocation good for ever. Evidence is judged at the later one of two clocks, the
newest block's and this machine's: to make anything good again, both must be turned back. Where they are far
apart, one of them is wrong, and nothing is judged by either. A development chain may be warped by hours and
has no such limit; the later clock counts there too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.errors import RefusedError
from marketplace.service.settings import Table

__all__ = ["DEFAULT_HEAD_AGE_S", "STEP_TIME", "JudgingTime", "head_age_of", "take_head_age"]

STEP_TIME: Final = "chain.time"
"""Refusal of everything while the chain's time and this machine's are far apart; stable across versions."""
DEFAULT_HEAD_AGE_S: Final = 600
_MOST_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class JudgingTime:
    """Two clocks of which the later one counts.

    Attributes:
        wall: this machine's clock, Unix seconds.
        max_head_age_s: how many seconds a node's newest block may be behind that clock, or before it; None
            on a development chain, whose time is anybody's.
    """

    wall: Callable[[], int]
    max_head_age_s: int | None

    def latest(self, heads: Sequence[int]) -> int:
        """Return the later one of the two clocks, Unix seconds; `heads` are times of nodes' newest blocks."""
        return max(self.wall(), *heads)

    def check(self, heads: Sequence[int]) -> None:
        """Refuse to judge by clocks that are far apart.

        Raises:
            RefusedError: step `chain.time`.
        """
        most, wall = self.max_head_age_s, self.wall()
        if most is None:
            return
        for number, head in enumerate(heads, start=1):
            apart = wall - head
            if abs(apart) > most:
                where = "behind" if apart > 0 else "ahead of"
                raise RefusedError(
                    STEP_TIME,
                    f"node {number}'s newest block {abs(apart)} s {where} this machine's clock",
                    f"at most {most} s: the node stands still or lies, or this clock is wrong",
                )


def take_head_age(chain: Table) -> int:
    """Take `max_head_age_s` of a [chain] section, in seconds: a minute to a day, 10 minutes by default.

    Raises:
        BadInputError: another value.
    """
    return chain.integer("max_head_age_s", DEFAULT_HEAD_AGE_S, least=60, most=_MOST_S)


def head_age_of(setting_s: int, chain_id: int) -> int | None:
    """Return the limit that counts on this chain: none on a development chain."""
    from marketplace.chain.devchain import DEV_CHAIN_IDS

    return None if chain_id in DEV_CHAIN_IDS else setting_s
