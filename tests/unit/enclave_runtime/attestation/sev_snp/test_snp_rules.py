"""Rules compose to what both accept and never to more; floors rate a platform and name what it lacks."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.simulated.snp import Crl, SnpWorld
from enclave_runtime.attestation.simulated.snp.world import TCBS
from enclave_runtime.attestation.snp_rules import AMD_FLOORS, SnpFloor, SnpFloors, SnpRules, SnpTcb
from enclave_runtime.wire.errors import WireError
from tests.evidence.snp_case import SnpCase

TABLES = st.sampled_from(
    [
        AMD_FLOORS,
        SnpFloors(0),
        SnpFloors(202701, frozenset({SnpFloor("Genoa", SnpTcb(snp=0x1C))})),
        SnpFloors(202512, frozenset({SnpFloor("Genoa", SnpTcb(bl=1))})),
    ]
)
FLAGS = {
    field.name: st.booleans()
    for field in fields(SnpRules)
    if field.name.startswith(("accept_", "require_", "unsafe_"))
}
RULES = st.builds(
    SnpRules,
    floors=st.frozensets(TABLES, min_size=1, max_size=2),
    max_vmpl=st.integers(0, 3),
    max_crl_age_s=st.none() | st.sampled_from([3599, 3600, 7200]),
    required_mitigations=st.integers(0, 3),
    **FLAGS,
)
WORLDS = [
    SnpWorld(),
    SnpWorld(vmpl=1, smt=False, smt_on=False),
    SnpWorld(version=5, mitigations=1, ciphertext_hiding=True, page_swap_disabled=False),
    SnpWorld(masked_chip=True, cxl=True),
    SnpWorld(alias_check=False, rapl_disabled=True),
    SnpWorld(vlek=True, crl=Crl.ABSENT),
]


def accepts(world: SnpWorld, rules: SnpRules) -> bool:
    try:
        SnpCase(world, rules=rules).verify()
    except AttestationError:
        return False
    return True


@settings(max_examples=25, deadline=None)
@given(RULES, RULES, st.sampled_from(WORLDS))
def test_rules_accept_together_only_what_each_accepts(first, second, world):
    if accepts(world, first & second):
        assert accepts(world, first) and accepts(world, second)


@given(RULES, RULES)
def test_composing_is_in_no_order_and_changes_nothing_with_itself(first, second):
    assert first & second == second & first and first & first == first


def test_every_rule_is_of_a_kind_that_composes():
    kinds = ("accept_", "require_", "unsafe_", "max_", "required_", "floors")
    assert all(field.name.startswith(kinds) for field in fields(SnpRules))


def test_rules_without_a_table_and_without_a_level_are_refused():
    with pytest.raises(WireError):
        SnpRules(floors=frozenset())
    for level in (-1, 4):
        with pytest.raises(WireError):
            SnpRules(max_vmpl=level)
    for level in (-1, 256):
        with pytest.raises(WireError):
            SnpTcb(snp=level)


def test_levels_are_compared_one_by_one():
    assert SnpTcb(2, 2, 2, 2, 2).reaches(SnpTcb(2, 2, 2, 2, 2))
    for name in ("bl", "tee", "snp", "ucode", "fmc"):
        assert not SnpTcb(2, 2, 2, 2, 2).reaches(SnpTcb(**{name: 3}))


def test_the_known_floors_are_about_parts_whose_simulation_reaches_them():
    for product, part in (("Genoa", (0x11, 1)), ("Turin", (0x02, 1))):
        floors = AMD_FLOORS.about(product, part)
        assert floors and all(TCBS[product].reaches(floor.tcb) and floor.advisory for floor in floors)
    assert AMD_FLOORS.about("Milan", (0x01, 1)) == AMD_FLOORS.about("Genoa", None) == ()
