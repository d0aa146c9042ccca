"""The defect: clouds append zeros to a TD's quote; our attesters handed them on, our verifiers refused them.

What was captured at dstack and Azure has 70 bytes more than its quote; Google's buffer has 8000 in all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.attestation.model import Attester, TeeKind
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.tdx.verify import TdxVerifier
from enclave_runtime.attestation.tsm.attest import TsmAttester
from enclave_runtime.wire.errors import WireError
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.unit.enclave_runtime.attestation.guestdev.test_guest_devices import Kernel, quote_answer, tdx
from tests.unit.enclave_runtime.attestation.tsm.test_tsm import Machine

NOW = 1_790_000_000
DATA = bytes(range(64))
PLATFORM = SimulatedTdx()
QUOTE = PLATFORM.vendor.quote(PLATFORM.measured.body(DATA))
PADDINGS = (0, 70, 8000 - len(QUOTE))
ATTESTERS = ("configfs-tsm", "quoting service")


def attester(name: str, answer: bytes) -> Attester:
    if name == "configfs-tsm":
        return TsmAttester(Machine(quote=lambda _: answer, log=None))
    return tdx(Kernel(), lambda _: quote_answer(answer), Path("/none"))


@pytest.mark.parametrize("name", ATTESTERS)
@pytest.mark.parametrize("padding", PADDINGS, ids=["none", "some", "to 8000"])
def test_what_the_attester_gives_verifies(name: str, padding: int) -> None:
    evidence = attester(name, QUOTE + bytes(padding)).evidence(DATA)
    assert (evidence.tee, evidence.quote) == (TeeKind.TDX, QUOTE)
    roots = PLATFORM.vendor.roots
    policy = AppraisalPolicy(
        root_sets=frozenset({roots.id}),
        measurements=frozenset({PLATFORM.measurement}),
        simulated=UnsafeAcceptSimulated(roots.id),
    )
    collateral = PLATFORM.vendor.collateral(NOW)
    assert TdxVerifier().verify(
        evidence, collateral, roots=roots, policy=policy, expected_report_data=DATA, now=NOW
    )


@pytest.mark.parametrize("name", ATTESTERS)
@pytest.mark.parametrize(
    "answer",
    [QUOTE + bytes(70) + b"\1", QUOTE[:-1], b"quote", bytes(8000)],
    ids=["more than zeros", "cut", "text", "zeros"],
)
def test_what_is_no_quote_with_zeros_is_not_handed_on(name: str, answer: bytes) -> None:
    with pytest.raises(WireError, match="quote"):
        attester(name, answer).evidence(DATA)
