"""`cloister attest verify` looked for its advice in the words of a refusal, and said what fits another file.

Of zeros behind a quote inside a bundle it said to cut the file with `head`, since the words are those of a
bare quote: what that leaves is no bundle any more. And revocation lists that are over, or not valid yet, got
the advice for a platform that is revoked.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.wire.report_data import Purpose
from marketplace.sdk.attest_policy import Accepted
from marketplace.sdk.attest_reading import recognise
from marketplace.sdk.attesting import Outcome, Wanted, judge
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.intel_case import NOW
from tests.fakes.simulated_tdx import SimulatedTdx

TDX, CHALLENGE = SimulatedTdx(), b"\x66" * 32
BUNDLE = TDX.bundle(FakeCvm(), CHALLENGE)


def advice(data: bytes, collateral: Collateral) -> str:
    rules = Accepted(TDX.root_set, frozenset({TDX.measurement}), simulated=frozenset({TDX.root_set}))
    wanted = Wanted(operator=OPERATOR, purpose=Purpose.CERTIFY, challenge=CHALLENGE)
    lines = judge(recognise(data), collateral, rules, wanted, now=NOW).lines
    (refused,) = [line for line in lines if line.outcome is Outcome.REFUSED]
    return refused.todo


def test_nobody_is_told_to_cut_a_bundle() -> None:
    padded = replace(BUNDLE, evidence=replace(BUNDLE.evidence, quote=BUNDLE.evidence.quote + bytes(9)))
    assert "head -c" not in advice(padded.to_bytes(), TDX.collateral(NOW))


@pytest.mark.parametrize(("world", "said"), [("crls_expired", "is over"), ("crls_future", "a later time")])
def test_lists_of_another_time_are_told_from_a_revoked_platform(world: str, said: str) -> None:
    told = advice(BUNDLE.to_bytes(), TDX.collateral(NOW, **{world: True}))
    assert said in told and "revoked" not in told
