"""Simulated vendors survive a restart: what they write is read again, and nothing else (simulated.state)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.snp import SimulatedAmd
from enclave_runtime.wire.errors import WireError

VENDORS: dict[str, Any] = {
    "intel": SimulatedVendor,
    "amd": SimulatedAmd,
    "nvidia": SimulatedNvidia,
}


@pytest.fixture(scope="module", params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> Any:
    return VENDORS[request.param].create()


def test_a_vendor_is_the_same_after_a_restart(vendor: Any) -> None:
    again = type(vendor).from_state(vendor.to_state())
    assert again.roots == vendor.roots
    assert json.loads(again.to_state()) == json.loads(vendor.to_state())


@pytest.mark.parametrize("text", ["", "[]", "{", '{"root": 1}', '{"root": {"key": "k", "cert": "c"}}'])
def test_a_file_of_another_shape_is_refused(vendor: Any, text: str) -> None:
    with pytest.raises(WireError, match="state file of another shape"):
        type(vendor).from_state(text.encode())


def test_one_vendor_s_file_is_not_another_s() -> None:
    intel, nvidia = SimulatedVendor.create().to_state(), SimulatedNvidia.create().to_state()
    with pytest.raises(WireError, match="not on secp384r1"):
        SimulatedNvidia.from_state(intel)
    with pytest.raises(WireError, match="not on secp256r1"):
        SimulatedVendor.from_state(nvidia)
    with pytest.raises(WireError):
        SimulatedAmd.from_state(intel)
