"""Collateral of every vendor in one file: what survives, and what is refused before anybody reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.collateral import (
    COLLATERAL_TYPE,
    AmdCollateral,
    CcaCollateral,
    CcaPlatformKey,
    Collateral,
    IntelCollateral,
    NvidiaCollateral,
)
from enclave_runtime.attestation.collateral.amd import MAX_AMD_BYTES, PRODUCTS
from enclave_runtime.attestation.collateral.cca import INSTANCE_ID_BYTES, MAX_CPAKS, MAX_SPKI_BYTES
from enclave_runtime.attestation.collateral.intel import MAX_INTEL_BYTES
from enclave_runtime.attestation.collateral.nvidia import MAX_NVIDIA_BYTES, MAX_OCSP, MAX_RIMS
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.wire.errors import WireError

PART = st.binary(min_size=1, max_size=20)
INTEL = st.builds(
    IntelCollateral, *(st.text(max_size=8) if kind == "s" else st.binary(max_size=8) for kind in "sbbssbssb")
)
AMD = st.builds(AmdCollateral, st.sampled_from(PRODUCTS), PART, PART, PART, PART)
NVIDIA = st.builds(
    NvidiaCollateral, st.lists(PART, max_size=3).map(tuple), st.lists(PART, max_size=3).map(tuple)
)
CPAKS = st.lists(
    st.builds(CcaPlatformKey, st.binary(min_size=INSTANCE_ID_BYTES, max_size=INSTANCE_ID_BYTES), PART),
    unique_by=lambda key: key.instance_id,
    max_size=3,
)
CCA = CPAKS.map(lambda keys: CcaCollateral(tuple(keys)))
WHOLE = st.builds(Collateral, st.none() | INTEL, st.none() | AMD, st.none() | NVIDIA, st.none() | CCA)


@settings(max_examples=40, deadline=None)
@given(WHOLE)
def test_collateral_survives_its_encoding_in_any_layout(collateral):
    data = collateral.to_bytes()
    assert Collateral.from_bytes(data) == collateral
    assert Collateral.from_bytes(json.dumps(json.loads(data), indent=1).encode()) == collateral


@settings(max_examples=20, deadline=None)
@given(INTEL)
def test_intels_own_form_is_taken_as_it_is(intel):
    assert Collateral.from_bytes(intel.to_bytes()) == Collateral(intel=intel)
    assert IntelCollateral.from_bytes(intel.to_bytes()) == intel


@settings(max_examples=20, deadline=None)
@given(WHOLE, WHOLE)
def test_the_newer_part_wins_and_none_is_lost(first, second):
    both = first | second
    for vendor in ("intel", "amd", "nvidia", "cca"):
        newer, older = getattr(second, vendor), getattr(first, vendor)
        assert getattr(both, vendor) == (older if newer is None else newer)


@pytest.mark.parametrize("vendor", ["intel", "amd", "nvidia", "cca"])
def test_a_missing_part_is_a_refusal_of_step_one(vendor):
    with pytest.raises(AttestationError) as refused:
        Collateral().need(vendor)
    assert refused.value.step == Step.CHAIN and "no " in refused.value.got


GOOD: dict[str, Any] = {
    "type": COLLATERAL_TYPE,
    "amd": {"product": "Genoa", "vek": "01", "ask": "02", "ark": "03", "crl": "04"},
    "nvidia": {"rims": ["01"], "ocsp": ["02"]},
    "cca": {"cpaks": [{"instance_id": "00" * INSTANCE_ID_BYTES, "spki": "01"}]},
}


def spoiled(path: str, value: object) -> bytes:
    """Return the good collateral with the member at `path` replaced, or left out where it is "absent"."""
    whole = json.loads(json.dumps(GOOD))
    *parents, last = path.split(".")
    inner = whole
    for name in parents:
        inner = inner[int(name) if name.isdigit() else name]
    if value == "absent":
        del inner[last]
    else:
        inner[last] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("type", "cloister/collateral/v2"),
        ("type", 1),
        ("other", {}),
        ("amd", []),
        ("amd", None),
        ("amd.product", "Naples"),
        ("amd.product", "genoa"),
        ("amd.vek", "absent"),
        ("amd.vek", ""),
        ("amd.vek", "zz"),
        ("amd.vek", 1),
        ("amd.more", "00"),
        ("amd.vek", "00" * MAX_AMD_BYTES),
        ("nvidia.rims", "00"),
        ("nvidia.rims", [""]),
        ("nvidia.rims", [1]),
        ("nvidia.rims", ["01"] * (MAX_RIMS + 1)),
        ("nvidia.ocsp", ["01"] * (MAX_OCSP + 1)),
        ("nvidia.ocsp", "absent"),
        ("nvidia.rims", ["00" * (MAX_NVIDIA_BYTES + 1)]),
        ("cca.cpaks", {}),
        ("cca.cpaks", [1]),
        ("cca.cpaks", GOOD["cca"]["cpaks"] * 2),
        ("cca.cpaks", [{"instance_id": f"{n:066x}", "spki": "01"} for n in range(MAX_CPAKS + 1)]),
        ("cca.cpaks", [{"instance_id": "00" * (INSTANCE_ID_BYTES - 1), "spki": "01"}]),
        ("cca.cpaks", [{"instance_id": "00" * INSTANCE_ID_BYTES, "spki": "00" * (MAX_SPKI_BYTES + 1)}]),
        ("cca.cpaks", [{"instance_id": "00" * INSTANCE_ID_BYTES}]),
    ],
)
def test_refuses_what_is_no_collateral_of_a_vendor(path, value):
    assert Collateral.from_bytes(json.dumps(GOOD).encode()).amd is not None
    with pytest.raises(WireError, match="collateral"):
        Collateral.from_bytes(spoiled(path, value))


def test_refuses_more_of_intels_than_there_ever_is():
    value = dict.fromkeys(IntelCollateral.__dataclass_fields__, "") | {
        "tcb_info": "x" * (MAX_INTEL_BYTES + 1)
    }
    for data in (value, {"type": COLLATERAL_TYPE, "intel": value}):
        with pytest.raises(WireError, match="Intel"):
            Collateral.from_bytes(json.dumps(data).encode())
