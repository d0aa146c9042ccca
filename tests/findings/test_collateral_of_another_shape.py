"""The crash: whoever serves collateral, or writes the file, made the reader raise what is not ours.

Intel's part as a number, a list or null left `Collateral.from_bytes` as an AttributeError; half a character,
which JSON can spell and UTF-8 cannot, was read and left the verifier as a UnicodeEncodeError.
"""

from __future__ import annotations

import json

import pytest

from enclave_runtime.attestation.collateral import COLLATERAL_TYPE, Collateral
from enclave_runtime.attestation.simulated.intel_world import Form
from enclave_runtime.wire.errors import WireError
from tests.fakes.intel_case import IntelCase


@pytest.mark.parametrize("part", [None, 0, 1.5, True, "x", [], [{}]])
@pytest.mark.parametrize("vendor", ["intel", "amd", "nvidia", "cca"])
def test_a_part_that_is_no_object_is_refused(vendor, part):
    with pytest.raises(WireError, match="expected an object"):
        Collateral.from_bytes(json.dumps({"type": COLLATERAL_TYPE, vendor: part}).encode())


@pytest.mark.parametrize("name", ["tcb_info", "qe_identity", "tcb_info_issuer_chain", "pck_crl_issuer_chain"])
def test_half_a_character_is_refused(name):
    members = IntelCase(Form.TDX_V4).collateral.need("intel").to_json()
    spoiled = members | {name: f"\ud800{members[name]}"}
    with pytest.raises(WireError, match="half a character"):
        Collateral.from_bytes(json.dumps({"type": COLLATERAL_TYPE, "intel": spoiled}).encode())
