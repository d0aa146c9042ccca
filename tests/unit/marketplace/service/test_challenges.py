"""Challenges: this service's own, for one asker, once, for a while (marketplace.service.challenges)."""

from __future__ import annotations

import os
import threading

import pytest

from enclave_runtime.wire.errors import RefusedError
from marketplace.service.challenges import ChallengeBook
from marketplace.service.errors import BusyError

OPERATOR = b"\x0a" * 20
OTHER = b"\x0b" * 20


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def book(ticks: Ticks) -> ChallengeBook:
    return ChallengeBook(ticks, os.urandom, lifetime_s=60, limit=4)


def test_taken_once_by_the_asker_it_was_made_for(book: ChallengeBook) -> None:
    challenge = book.issue(OPERATOR)
    assert len(challenge) == 32
    book.check(challenge, OPERATOR)
    book.take(challenge, OPERATOR)
    for again in (book.check, book.take):
        with pytest.raises(RefusedError, match="answered before"):
            again(challenge, OPERATOR)


def test_refused_for_another_asker(book: ChallengeBook) -> None:
    with pytest.raises(RefusedError) as caught:
        book.take(book.issue(OPERATOR), OTHER)
    assert caught.value.step == "challenge"


def test_refused_once_expired_and_not_before(book: ChallengeBook, ticks: Ticks) -> None:
    challenge = book.issue(OPERATOR)
    ticks.seconds += 60
    book.check(challenge, OPERATOR)
    ticks.seconds += 1
    with pytest.raises(RefusedError, match="expired 1 s ago"):
        book.take(challenge, OPERATOR)


@pytest.mark.parametrize("challenge", [b"", b"\x00" * 32, b"\xff" * 32, b"\x01" * 33])
def test_refused_when_made_up(book: ChallengeBook, challenge: bytes) -> None:
    with pytest.raises(RefusedError):
        book.take(challenge, OPERATOR)


def test_every_flipped_byte_is_refused(book: ChallengeBook) -> None:
    challenge = book.issue(OPERATOR)
    for index in range(32):
        altered = bytearray(challenge)
        altered[index] ^= 1
        with pytest.raises(RefusedError):
            book.take(bytes(altered), OPERATOR)
    book.take(challenge, OPERATOR)


def test_a_restart_ends_open_challenges(book: ChallengeBook, ticks: Ticks) -> None:
    with pytest.raises(RefusedError):
        ChallengeBook(ticks, os.urandom, lifetime_s=60).take(book.issue(OPERATOR), OPERATOR)


def test_asking_alone_fills_nothing_and_answers_are_forgotten_with_their_expiry(
    book: ChallengeBook, ticks: Ticks
) -> None:
    for _ in range(1000):
        book.issue(OPERATOR)
    for _ in range(4):
        book.take(book.issue(OPERATOR), OPERATOR)
    with pytest.raises(BusyError):
        book.take(book.issue(OPERATOR), OPERATOR)
    ticks.seconds += 61
    book.take(book.issue(OPERATOR), OPERATOR)


def test_of_many_takers_at_once_exactly_one_succeeds(book: ChallengeBook) -> None:
    challenge, outcomes = book.issue(OPERATOR), []
    barrier = threading.Barrier(8)

    def take() -> None:
        barrier.wait()
        try:
            book.take(challenge, OPERATOR)
            outcomes.append(True)
        except RefusedError:
            outcomes.append(False)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [False] * 7 + [True]


def test_repr_shows_no_key(book: ChallengeBook) -> None:
    assert book._key.hex() not in repr(book) and repr(book._key) not in repr(book)
