"""Registers that only grow, and the log that explains them."""

from __future__ import annotations

import hashlib
import json

import pytest

from enclave_runtime.attestation.dcap.rtmr import ZERO_REGISTER, Event, encode_log, parse_log, replay
from enclave_runtime.wire.errors import WireError

EVENTS = (
    Event.runtime(0, "first", b"\x01"),
    Event.runtime(3, "second", b""),
    Event(3, 4, b"\x09" * 48, "", b""),
)


def test_log_survives_encoding_and_replays():
    assert parse_log(encode_log(EVENTS)) == EVENTS
    registers = replay(EVENTS)
    assert registers[1] == registers[2] == ZERO_REGISTER
    message = b"\x01\x00\x00\x08:first:\x01"
    assert registers[0] == hashlib.sha384(ZERO_REGISTER + hashlib.sha384(message).digest()).digest()
    assert replay(EVENTS[::-1])[3] != registers[3]


def row(**changes):
    good = {"imr": 0, "event_type": 4, "digest": "09" * 48, "event": "", "event_payload": ""}
    return json.dumps([{**good, **changes}]).encode()


@pytest.mark.parametrize(
    "log",
    [
        b"{}",
        b"nothing",
        b"[1]",
        b"[" * 100_000,
        row(imr=4),
        row(imr=True),
        row(imr="0"),
        row(event_type=-1),
        row(event_type=1 << 32),
        row(event="x" * 300),
        row(event=None),
        row(digest="09" * 47),
        row(digest="zz"),
        row(event_payload=None),
        row(event_type=0x08000001),
        json.dumps([{}] * 1025).encode(),
    ],
)
def test_refuses_what_is_no_log(log):
    with pytest.raises(WireError, match="event log"):
        parse_log(log)


def test_a_runtime_event_whose_digest_is_left_out_gets_its_own():
    (event,) = parse_log(row(event_type=0x08000001, digest="", event="name", event_payload="aa"))
    assert event == Event.runtime(0, "name", b"\xaa")
