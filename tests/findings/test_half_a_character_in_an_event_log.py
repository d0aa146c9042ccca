"""The crash: whoever sends evidence writes its event log, with half a character in an event's name.

JSON can spell one and UTF-8 cannot: it left the verifier as a UnicodeEncodeError.
"""

from __future__ import annotations

import json

import pytest

from enclave_runtime.attestation.dcap.rtmr import RUNTIME_EVENT, parse_log
from enclave_runtime.wire.errors import WireError


@pytest.mark.parametrize("kind", [1, RUNTIME_EVENT])
@pytest.mark.parametrize("name", ["\ud800", "app\udfff", "é\ud8ff"])
def test_is_refused_in_our_words(kind, name):
    event = {"imr": 3, "event_type": kind, "digest": "00" * 48, "event": name, "event_payload": ""}
    with pytest.raises(WireError, match="no valid type and name"):
        parse_log(json.dumps([event]).encode())


def test_a_whole_one_is_read():
    event = {"imr": 3, "event_type": 1, "digest": "00" * 48, "event": "é😀", "event_payload": ""}
    assert parse_log(json.dumps([event]).encode())[0].name == "é😀"
