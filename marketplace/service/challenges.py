"""Challenges that cost the asker's memory nothing until somebody answers one (docs/protocol.md section 4.1).

A challenge is nonce || expiry || MAC under a key born with the process, over who it was made for. So a crowd
that only asks fills no table, a restart ends every open challenge, and none can be made up. Only challenges
that were answered by verified evidence are remembered, until they expire anyway: single use.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from enclave_runtime.wire.errors import RefusedError
from marketplace.service.errors import BusyError

__all__ = ["STEP_CHALLENGE", "ChallengeBook"]

STEP_CHALLENGE = "challenge"
_NONCE = 12
_EXPIRY = 4
_MAC = 16


@dataclass(slots=True)
class ChallengeBook:
    """Issues 32-byte challenges and takes each back once.

    Attributes:
        monotonic: seconds that only rise: neither a warped chain nor a wall clock ages a challenge.
        entropy: returns that many random bytes.
        lifetime_s: seconds from issue to expiry.
        limit: how many used challenges are remembered at most.
    """

    monotonic: Callable[[], float]
    entropy: Callable[[int], bytes]
    lifetime_s: int = 300
    limit: int = 65_536
    _key: bytes = field(init=False, repr=False)
    _origin: float = field(init=False)
    _used: dict[bytes, int] = field(init=False, default_factory=dict, repr=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self._key = self.entropy(32)
        self._origin = self.monotonic()

    def issue(self, bound: bytes) -> bytes:
        """Return a fresh challenge, 32 bytes, that only `take` with the same `bound` accepts."""
        head = self.entropy(_NONCE) + (self._now() + self.lifetime_s).to_bytes(_EXPIRY, "big")
        return head + self._mac(head, bound)

    def check(self, challenge: bytes, bound: bytes) -> None:
        """Refuse a challenge that is not this service's, was made for another, is too old or was used.

        Raises:
            RefusedError: step `challenge`.
        """
        head, mac = challenge[: _NONCE + _EXPIRY], challenge[_NONCE + _EXPIRY :]
        if len(mac) != _MAC or not hmac.compare_digest(mac, self._mac(head, bound)):
            raise RefusedError(
                STEP_CHALLENGE,
                f"challenge {challenge.hex()}",
                "one that this service made for this asker since it started",
            )
        late = self._now() - int.from_bytes(head[_NONCE:], "big")
        if late > 0:
            raise RefusedError(
                STEP_CHALLENGE,
                f"a challenge that expired {late} s ago",
                f"one of the last {self.lifetime_s} s",
            )
        with self._lock:
            self._refuse_used(challenge)

    def take(self, challenge: bytes, bound: bytes) -> None:
        """Use `challenge` up; of any number of callers at once exactly one succeeds.

        Raises:
            RefusedError: as `check`.
            BusyError: too many challenges were used within one lifetime.
        """
        self.check(challenge, bound)
        with self._lock:
            self._refuse_used(challenge)
            now = self._now()
            if len(self._used) >= self.limit:
                self._used = {used: expiry for used, expiry in self._used.items() if expiry >= now}
            if len(self._used) >= self.limit:
                raise BusyError(
                    "too many challenges were answered at once", retry_after_s=max(1, self.lifetime_s // 10)
                )
            self._used[challenge] = now + self.lifetime_s

    def _refuse_used(self, challenge: bytes) -> None:
        if challenge in self._used:
            raise RefusedError(
                STEP_CHALLENGE, "a challenge that was answered before", "a challenge for one use"
            )

    def _now(self) -> int:
        return int(self.monotonic() - self._origin)

    def _mac(self, head: bytes, bound: bytes) -> bytes:
        return hmac.digest(self._key, b"cloister:challenge/v1\x00" + head + bound, hashlib.sha256)[:_MAC]
