"""The theft: a client orders with a result key that nothing can be sealed to, and the work is never paid.

Everything ran; only the order report could not be made, because it seals the result's key to the client. The
provider was left with outcome HOST (unpaid), or with silence (its stake pays the inputs' owners).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from enclave_runtime.loader.admission import admit
from enclave_runtime.loader.messages import Admit, parse_message
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError
from tests.fakes.sealed_order import engine_and_data

_MLKEM_BYTES = 1184


@pytest.mark.parametrize("broken", ["x25519 point of low order", "ML-KEM coefficients out of range"])
def test_a_key_that_nothing_can_be_sealed_to_is_refused_at_admission(broken: str) -> None:
    honest = engine_and_data()
    public = honest.result_key.public_bytes
    key = public[:_MLKEM_BYTES] + bytes(32) if broken.startswith("x") else b"\xff" * len(public)
    order = replace(honest, changed={"result_key_digest": hashlib.sha256(key).digest()})
    _, message = parse_message({"op": "admit", **order.admit(), "result_key": hex_of(key)})
    assert isinstance(message, Admit)
    with pytest.raises(RefusedError) as refusal:
        admit(message, plaintext_bytes=1 << 30)
    assert refusal.value.step == "result-key"
