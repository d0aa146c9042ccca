"""The theft: an owner's broker drips its answer until the agent misses the order's end, and its stake pays.

Every piece of the answer came within the timeout, a byte at a time, so no timeout ended it, least of all in
the head. While the agent waits it says neither that a key is missing nor that it failed.
"""

from __future__ import annotations

import contextlib
import inspect
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from marketplace.errors import UnreachableError
from marketplace.provider.policy import AgentPolicy
from marketplace.provider.services import Services

_LONGEST_S = 0.5
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


@pytest.fixture(params=["head", "body"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve one answer for ever: never silent for long, never at its end."""
    over = threading.Event()

    def drip() -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: " if request.param == "head" else _HEAD)
            while not over.wait(_LONGEST_S / 10):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join(60)


def test_an_answer_that_never_ends_is_given_up(url: str) -> None:
    services = Services(broker_s=_LONGEST_S)
    failure: list[BaseException] = []

    def ask() -> None:
        try:
            services.broker_challenge(url)
        except UnreachableError as error:
            failure.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    started = time.monotonic()
    asking.start()
    asking.join(60)  # it drips for as long as anybody listens
    assert not asking.is_alive(), f"still waiting after {time.monotonic() - started:.1f} s"
    assert "too long" in str(failure[0])


def test_a_round_of_asking_leaves_time_to_say_that_no_key_came() -> None:
    limits = inspect.signature(Services).parameters
    assert 2 * limits["broker_s"].default <= AgentPolicy(max_lock=0).min_grace_s * 2 / 3
