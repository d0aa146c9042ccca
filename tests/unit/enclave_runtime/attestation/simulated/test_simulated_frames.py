"""Frames and the CVM's attester against a platform that misbehaves."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.simulated import frames
from enclave_runtime.attestation.simulated.attest import PlatformLine, SimulatedAttester, connect
from enclave_runtime.wire.errors import EnclaveError, WireError


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    theirs.settimeout(60)
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


@contextlib.contextmanager
def answering(theirs: socket.socket, *answers: object) -> Iterator[list[object]]:
    """Play a platform that gives these answers; yields what it was asked."""
    asked: list[object] = []

    def platform() -> None:
        for answer in answers:
            asked.append(frames.receive(theirs))
            frames.send(theirs, answer)

    thread = threading.Thread(target=platform)
    thread.start()
    yield asked
    thread.join(60)


HELLO = {"tee": "tdx", "devices": True}


@pytest.mark.parametrize(
    "answer", [{"error": "no"}, {"quote": "zz", "event_log": "5b5d"}, {"quote": "", "event_log": ""}, {}]
)
def test_attester_refuses_answers_that_are_no_evidence(pair, answer):
    ours, theirs = pair
    with answering(theirs, HELLO, answer) as asked, pytest.raises(EnclaveError):
        connect(os.dup(ours.fileno()))[0].evidence(bytes(64))
    assert asked == [{"op": "hello"}, {"op": "quote", "report_data": "00" * 64}]


@pytest.mark.parametrize("tee", TeeKind)
def test_attester_is_what_its_platform_is_and_has_no_devices_unless_told(pair, tee):
    ours, theirs = pair
    with answering(theirs, {"tee": tee.value, "devices": False}, {"quote": "01", "event_log": None}):
        attester, devices = connect(os.dup(ours.fileno()))
        assert attester.evidence(bytes(64)) == Evidence(tee, b"\x01") and devices is None


@pytest.mark.parametrize("answer", [{}, {"tee": "TDX"}, {"tee": 1}, {"error": "no"}])
def test_connect_refuses_a_platform_that_does_not_say_what_it_is(pair, answer):
    ours, theirs = pair
    with answering(theirs, answer), pytest.raises(EnclaveError):
        connect(os.dup(ours.fileno()))


def test_devices_are_asked_with_32_bytes_and_answer_with_bytes(pair):
    ours, theirs = pair
    with answering(theirs, HELLO, {"evidence": "0102"}, {"evidence": 1}) as asked:
        _, devices = connect(os.dup(ours.fileno()))
        assert devices is not None and devices.evidence(b"\x07" * 32) == b"\x01\x02"
        with pytest.raises(WireError, match="evidence"):
            devices.evidence(b"\x07" * 32)
        with pytest.raises(WireError, match="32"):
            devices.evidence(bytes(64))
    assert asked[1:] == [{"op": "devices", "nonce": "07" * 32}] * 2


def test_attester_asks_for_64_bytes_only_and_keeps_its_descriptor_to_itself(pair):
    descriptor = os.dup(pair[0].fileno())
    os.set_inheritable(descriptor, True)
    line = PlatformLine(descriptor)
    assert not os.get_inheritable(descriptor)
    with pytest.raises(WireError, match="64"):
        SimulatedAttester(line, TeeKind.TDX).evidence(bytes(63))
    line.close()
