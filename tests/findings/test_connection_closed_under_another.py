"""Closing a range twice closed the connection that another range had been given meanwhile."""

from __future__ import annotations

from contextlib import closing

from marketplace.storage.base import pieces
from marketplace.storage.network import NetworkPolicy
from marketplace.storage.patience import Patience
from marketplace.storage.ranges import Ranges
from tests.fakes.range_server import RangeServer

DATA = bytes(range(256)) * 2000


def test_a_second_close_leaves_the_next_owner_alone() -> None:
    policy = NetworkPolicy(dangerous_allow_loopback=True)
    with RangeServer(DATA) as server, closing(Ranges(policy, Patience(tries=1))) as ranges:
        first = ranges.run(server.url, 0, 10)
        assert first.readinto(memoryview(bytearray(10))) == 10
        first.close()
        second = ranges.run(server.url, 1, len(DATA) - 1)  # more than comes with the head
        first.close()
        assert b"".join(pieces(second, len(DATA) - 1, server.url)) == DATA[1:]
