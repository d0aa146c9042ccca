"""A cloud's key (VLEK) passed a list of machines by saying that it is one of them.

The guides say that such a key names no machine and is refused beside a list. Nothing refused it: no
certificate holds a VLEK to one chip, and whoever has taken it from any of the cloud's chips signs the listed
one's id.
"""

from __future__ import annotations

import pytest

from enclave_runtime.attestation.errors import Step
from enclave_runtime.attestation.sev_snp.verify import platform_id_hash
from enclave_runtime.attestation.simulated.snp import SnpWorld
from enclave_runtime.attestation.snp_rules import SnpRules
from marketplace.sdk.attest_reading import recognise
from marketplace.sdk.attest_words import explain
from tests.evidence.snp_case import SnpCase, refused

CLOUD, RULES = SnpWorld(vlek=True), SnpRules(accept_vlek=True)


@pytest.mark.parametrize("product", ["Genoa", "Turin"])
def test_a_clouds_key_is_on_no_list_of_machines(product: str) -> None:
    case = SnpCase(CLOUD, product, rules=RULES)
    chip = frozenset({platform_id_hash(case.vendor.chip_id)})
    assert case.verify().facts["chip id"] == "by a cloud's key"
    refusal = refused(Step.TCB, SnpCase(CLOUD, product, rules=RULES, policy={"platforms": chip}))
    assert "VLEK" in refusal.got and "VCEK" in refusal.expected
    assert SnpCase(product=product, policy={"platforms": chip}).verify().facts["chip id"] == "shown"


def test_nobody_is_shown_an_id_to_list_that_never_passes() -> None:
    report = SnpCase(CLOUD, rules=RULES).report
    assert report is not None
    assert explain(recognise(report)).parts[0].facts["platform id (ours)"].startswith("none: a cloud's key")
