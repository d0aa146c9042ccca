"""Frames go round, and nothing beyond a limit is believed."""

import struct

import pytest

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.frames import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    pack,
    read_header,
    read_prefix,
)


def test_goes_round() -> None:
    frame = pack({"op": "feed", "segment": 3}, body_bytes=77)
    header_bytes, body_bytes = read_prefix(frame[:PREFIX_BYTES])
    assert body_bytes == 77
    assert read_header(frame[PREFIX_BYTES : PREFIX_BYTES + header_bytes]) == {"op": "feed", "segment": 3}
    assert len(frame) == PREFIX_BYTES + header_bytes


@pytest.mark.parametrize(
    ("header_bytes", "body_bytes"),
    [(0, 0), (MAX_HEADER_BYTES + 1, 0), (1, MAX_BODY_BYTES + 1), (0xFFFFFFFF, 0xFFFFFFFF)],
)
def test_refuses_lengths_beyond_the_limits(header_bytes: int, body_bytes: int) -> None:
    with pytest.raises(WireError):
        read_prefix(struct.pack(">II", header_bytes, body_bytes))


def test_refuses_a_short_prefix_and_a_long_body() -> None:
    with pytest.raises(WireError):
        read_prefix(b"\x00" * 7)
    with pytest.raises(WireError):
        pack({"op": "status"}, MAX_BODY_BYTES + 1)


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"a": 1}', b'{"a":1,"a":1}', b'{"a":1.5}', b"\xff"])
def test_refuses_headers_that_are_no_canonical_object(data: bytes) -> None:
    with pytest.raises(WireError):
        read_header(data)
