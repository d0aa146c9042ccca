"""Statements of vendors, from the cache while they are fresh, or else from the vendor.

Two times count. The vendor's own date ends an answer: it is never used after. Before that, each kind of
statement is asked for anew after a while, since a later one may say worse things; where the vendor does not
answer then, the one at hand goes on until its date.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from enclave_runtime.attestation.certificates import MALFORMED as CERTIFICATES_MALFORMED
from enclave_runtime.wire.errors import EnclaveError
from marketplace.collateral.base import CollateralUnavailableError
from marketplace.collateral.cache import Cache, Kept
from marketplace.collateral.web import Answer, Question, SilentError, Web

__all__ = ["DAY_S", "HOUR_S", "MALFORMED", "Library", "Statement"]

HOUR_S, DAY_S = 3600, 86_400

MALFORMED = (*CERTIFICATES_MALFORMED, EnclaveError, KeyError, OverflowError, RecursionError)
"""What reading an answer may raise: it is not what was asked for."""

_LOCKS = 16
_LEFT_ALONE_S = 20.0
"""How long a silent service is not asked: else every statement at hand would wait for it in turn."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One signed thing to have.

    Attributes:
        words: what it is, for errors.
        question: how to ask for it.
        anew_s: seconds after which it is asked for again although its dates hold.
        until: returns the last moment of its own dates, Unix time, in seconds; raises one of `MALFORMED` for
            bytes that are something else. It checks no signature: verifiers do.
    """

    words: str
    question: Question
    anew_s: int
    until: Callable[[Answer], int]


class Library:
    """Gets statements; safe to use from several threads, of which one asks each question."""

    def __init__(self, cache: Cache, web: Web, clock: Callable[[], float] = time.monotonic) -> None:
        """Take where answers are kept, who asks, and a clock of seconds that never goes back."""
        self._cache = cache
        self._web = web
        self._clock = clock
        self._silent_until: dict[str, float] = {}
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))

    def get(self, statement: Statement, now: int) -> Answer:
        """Return the statement that holds at Unix time `now`, in seconds.

        Raises:
            CollateralUnavailableError: none can be had, or what came is something else or out of date.
        """
        with self._locks[hash(statement.question) % _LOCKS]:
            kept = self._kept(statement)
            if kept and kept.fetched <= now < min(kept.fetched + statement.anew_s, kept.until):
                return kept.answer
            try:
                fetched = self._fetched(statement, now)
            except CollateralUnavailableError:
                if kept and kept.fetched <= now <= kept.until:
                    return kept.answer
                raise
            self._cache.write(statement.question, fetched)
            return fetched.answer

    def _kept(self, statement: Statement) -> Kept | None:
        kept = self._cache.read(statement.question)
        try:
            return kept if kept and statement.until(kept.answer) == kept.until else None
        except MALFORMED:
            return None

    def _asked(self, question: Question) -> Answer:
        host = urlsplit(question.url).netloc
        if self._clock() < self._silent_until.get(host, 0.0):
            raise CollateralUnavailableError(
                f"{host}: it did not answer a moment ago", hint=f"try again in {_LEFT_ALONE_S:g} s"
            )
        try:
            return self._web.ask(question)
        except SilentError:
            self._silent_until[host] = self._clock() + _LEFT_ALONE_S
            raise

    def _fetched(self, statement: Statement, now: int) -> Kept:
        answer = self._asked(statement.question)
        try:
            until = statement.until(answer)
        except MALFORMED as error:
            raise CollateralUnavailableError(
                f"{statement.question.url}: got something else than {statement.words}: {str(error)[:200]}"
            ) from error
        if until < now:
            raise CollateralUnavailableError(
                f"{statement.question.url}: got {statement.words} until {until}, expected one for {now}",
                hint="is this machine's clock right? A cache in between may hold old answers",
            )
        return Kept(answer, now, until)
