"""Frames and the CVM's attester against a platform that misbehaves."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from enclave_runtime.attestation.simulated import frames
from enclave_runtime.attestation.simulated.attest import SimulatedTdxAttester
from enclave_runtime.wire.errors import EnclaveError, WireError


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    theirs.settimeout(5)
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_arrive_one_by_one(pair):
    ours, theirs = pair
    frames.send(ours, {"a": 1})
    frames.send(ours, {"b": ["x"]})
    assert frames.receive(theirs) == {"a": 1} and frames.receive(theirs) == {"b": ["x"]}


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x00\x00",
        b"\x7f\xff\xff\xff",
        b"\x00\x00\x00\x02{}x"[:5],
        b"\x00\x00\x00\x03{ }",
        b"\x00\x00\x00\x02[]",
    ],
)
def test_refuses_what_is_no_message(pair, data):
    ours, theirs = pair
    ours.sendall(data)
    ours.shutdown(socket.SHUT_WR)
    with pytest.raises(WireError):
        frames.receive(theirs)


def test_refuses_to_send_more_than_a_frame_holds(pair):
    with pytest.raises(WireError, match="frame"):
        frames.send(pair[0], {"a": "x" * frames.MAX_FRAME_BYTES})


@pytest.mark.parametrize(
    "answer", [{"error": "no"}, {"quote": "zz", "event_log": "5b5d"}, {"quote": "", "event_log": ""}]
)
def test_attester_refuses_answers_that_are_no_evidence(pair, answer):
    ours, theirs = pair
    attester = SimulatedTdxAttester(os.dup(ours.fileno()))
    asked: list[object] = []

    def platform() -> None:
        asked.append(frames.receive(theirs))
        frames.send(theirs, answer)

    thread = threading.Thread(target=platform)
    thread.start()
    with pytest.raises(EnclaveError):
        attester.quote(bytes(64))
    thread.join(5)
    assert asked == [{"op": "quote", "report_data": "00" * 64}]
    attester._socket.close()


def test_attester_asks_for_64_bytes_only_and_keeps_its_descriptor_to_itself(pair):
    descriptor = os.dup(pair[0].fileno())
    os.set_inheritable(descriptor, True)
    attester = SimulatedTdxAttester(descriptor)
    assert not os.get_inheritable(descriptor)
    with pytest.raises(WireError, match="64"):
        attester.quote(bytes(63))
    attester._socket.close()
