"""Real event logs replay to the registers of the real quotes beside them (docs/protocol.md 4.3, step 6)."""

from __future__ import annotations

import hashlib
import json
import struct

import pytest

from enclave_runtime.attestation.dcap.ccel import parse_any_log, parse_ccel, trim_ccel
from enclave_runtime.attestation.dcap.layout import TdBody, parse_quote, strip_zero_padding
from enclave_runtime.attestation.dcap.rtmr import Event, encode_log, replay
from enclave_runtime.attestation.model import MAX_EVENT_LOG_BYTES
from enclave_runtime.wire.errors import WireError
from tests.evidence import vectors

INTEL = vectors.ROOT / "intel"


def rtmrs(quote: bytes) -> tuple[bytes, ...]:
    body = parse_quote(strip_zero_padding(quote)).body
    assert isinstance(body, TdBody)
    return body.rtmrs


@vectors.REQUIRED
@pytest.mark.parametrize("name", ["quote-report.json", "tdx-lite-getquote.json"])
def test_dstack_logs_replay_to_all_four_registers(name):
    captured = json.loads((INTEL / "dstack" / name).read_bytes())
    events = parse_any_log(captured["event_log"].encode())
    assert replay(events) == rtmrs(bytes.fromhex(captured["quote"]))
    for spoiled in range(len(events)):
        assert replay(events[:spoiled] + events[spoiled + 1 :]) != replay(events)


@vectors.REQUIRED
def test_a_log_that_only_a_service_kept_replays_too():
    captured = json.loads((INTEL / "near-mpc" / "dstack_tcb_info.json").read_bytes())
    events = parse_any_log(json.dumps(captured["event_log"]).encode())
    quote = bytes(json.loads((INTEL / "near-mpc" / "quote.json").read_bytes()))
    assert replay(events) == rtmrs(quote)


@vectors.REQUIRED
def test_a_clouds_boot_log_replays_to_its_quote():
    log = (INTEL / "go-tdx-guest" / "ccel_ccel_data.dat").read_bytes()
    quote = (INTEL / "go-tdx-guest" / "ccel_cos-113-tdx-quote.dat").read_bytes()
    events = parse_any_log(log)
    assert replay(events) == rtmrs(quote)
    assert {event.name for event in events} >= {"EV_SEPARATOR", "EV_EFI_VARIABLE_DRIVER_CONFIG"}
    # The padding of the table says nothing: without it the log is the same.
    short = trim_ccel(log)
    assert parse_ccel(short) == events and trim_ccel(short) == short
    assert len(short) < MAX_EVENT_LOG_BYTES < len(log)


@vectors.REQUIRED
@pytest.mark.parametrize("path", ["dstack/ccel.bin", "trustee/CCEL_data_ovmf"])
def test_other_firmwares_logs_parse(path):
    assert len(parse_ccel((INTEL / path).read_bytes())) > 10


def ccel(*events: tuple[int, int, bytes], algorithm: int = 0x0C, tail: bytes = b"") -> bytes:
    spec = b"Spec ID Event03\x00" + bytes(4) + bytes([0, 2, 0, 2]) + struct.pack("<IHHB", 1, algorithm, 48, 0)
    log = struct.pack("<II20sI", 1, 3, bytes(20), len(spec)) + spec
    for index, kind, payload in events:
        digest = hashlib.sha384(payload).digest()
        log += struct.pack("<IIIH", index, kind, 1, 0x0C) + digest + struct.pack("<I", len(payload)) + payload
    return log + tail


def test_reads_what_it_was_given_and_skips_events_without_effect():
    events = parse_ccel(ccel((1, 4, b"\0\0\0\0"), (3, 3, b"nothing"), (2, 0x99, b"own"), tail=b"\xff" * 64))
    assert [(e.imr, e.name, e.payload) for e in events] == [
        (0, "EV_SEPARATOR", b"\0\0\0\0"),
        (1, "0x00000099", b"own"),
    ]


def test_json_logs_go_the_other_way():
    log = encode_log([Event.runtime(3, "name", b"payload")])
    assert parse_any_log(log)[0].name == "name"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(31),
        bytes(4096),
        ccel(algorithm=0x0B),
        ccel((0, 4, b"x")),
        ccel((5, 4, b"x")),
        ccel((1, 4, b"x"))[:-1],
        ccel((1, 4, b"x"), tail=b"\xff" * 8 + b"more"),
        ccel(*[(1, 4, b"")] * 1025),
        ccel((1, 4, b"x")).replace(b"\x01\x00\x00\x00\x0c\x00" + b"\x4f", b"\x02\x00\x00\x00\x0c\x00\x4f")[
            :70
        ],
    ],
)
def test_refuses_what_is_no_log(data):
    with pytest.raises(WireError, match="ccel"):
        parse_ccel(data)


def test_every_cut_is_refused_or_ends_between_two_events():
    log = ccel((1, 4, b"first"), (2, 4, b"second"))
    whole = {len(ccel()), len(ccel((1, 4, b"first")))}
    for size in range(len(log)):
        if size in whole or size - max(end for end in {0, *whole} if end <= size) < 8:
            continue
        with pytest.raises(WireError):
            parse_ccel(log[:size])
