"""The shares of one content key, until there are enough of them (docs/protocol.md section 5.4).

A share comes here after its grant was judged and its commitment compared. The key's time ends when fewer
than t brokers still consent: every later grant of any of them counts, also of one whose share was not needed.
"""

from __future__ import annotations

from enclave_runtime.loader.keys import Secret
from enclave_runtime.sealed.shamir import combine
from enclave_runtime.sealed.threshold import Threshold

__all__ = ["ShareShelf"]


class ShareShelf:
    """Holds the shares of one input's key."""

    def __init__(self, threshold: Threshold) -> None:
        self.threshold = threshold
        self._shares: dict[int, Secret] = {}
        self._ends: dict[int, int] = {}

    def put(self, number: int, share: Secret, expires_ns: int) -> None:
        """Keep a share that is the one committed to, until `expires_ns` on the CVM's clock."""
        old = self._shares.pop(number, None)
        if old is not None:
            old.erase()
        self._shares[number] = share
        self.consent(number, expires_ns)

    def consent(self, number: int, expires_ns: int) -> None:
        """Note that a broker agrees until then."""
        self._ends[number] = max(self._ends.get(number, 0), expires_ns)

    def in_force(self, now_ns: int) -> list[int]:
        """Return the numbers of the brokers that consent now."""
        ends = dict(self._ends)  # `status` asks while another message may be adding
        return sorted(number for number, end in ends.items() if now_ns < end)

    @property
    def expires_ns(self) -> int:
        """Return when fewer than t brokers consent any more; 0 where that is so from the start."""
        ends = sorted(self._ends.values(), reverse=True)
        return ends[self.threshold.needed - 1] if len(ends) >= self.threshold.needed else 0

    def combined(self, now_ns: int) -> Secret | None:
        """Return content key and salt once t shares are in force, else None. The caller erases it."""
        usable = [number for number in self.in_force(now_ns) if number in self._shares]
        if len(usable) < self.threshold.needed:
            return None
        chosen = usable[: self.threshold.needed]
        data = combine({number: self._shares[number].view() for number in chosen})
        try:
            return Secret(data)
        finally:
            data[:] = bytes(len(data))

    def forget(self) -> None:
        """Erase, and forget who consented too."""
        self.erase()
        self._ends.clear()

    def erase(self) -> None:
        """Overwrite and forget every share; who consented until when stays. May be called twice."""
        for share in self._shares.values():
            share.erase()
        self._shares.clear()
