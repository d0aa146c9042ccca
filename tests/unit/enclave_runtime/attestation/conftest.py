"""A simulated vendor and everything that a good verification needs; each test then spoils one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap.layout import TdBody
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from enclave_runtime.attestation.simulated.measure import Measured, measure
from enclave_runtime.attestation.tdx.verify import TdxVerifier

NOW = 1_790_000_000
REPORT_DATA = bytes(range(64))


@dataclass
class Case:
    """The arguments of one verification; the defaults of the fixture verify."""

    vendor: SimulatedVendor
    measured: Measured
    evidence: Evidence
    collateral: Collateral
    roots: RootSet
    policy: AppraisalPolicy
    report_data: bytes = REPORT_DATA
    now: int = NOW
    body: TdBody = field(init=False)

    def __post_init__(self) -> None:
        self.body = self.measured.body(REPORT_DATA)

    def verify(self) -> VerifiedEvidence:
        return TdxVerifier().verify(
            self.evidence,
            self.collateral,
            roots=self.roots,
            policy=self.policy,
            expected_report_data=self.report_data,
            now=self.now,
        )


@pytest.fixture(scope="session")
def vendor() -> SimulatedVendor:
    return SimulatedVendor.create()


@pytest.fixture
def case(vendor: SimulatedVendor) -> Case:
    measured = measure((("enclave_runtime/__main__.py", b"run()\n"),), (("runtime.txt", b"x==1\n"),), b"base")
    policy = AppraisalPolicy(
        root_sets=frozenset({vendor.roots.id}),
        measurements=frozenset({measured.registers.measurement()}),
        simulated=UnsafeAcceptSimulated(vendor.roots.id),
    )
    return Case(
        vendor=vendor,
        measured=measured,
        evidence=Evidence(TeeKind.TDX, vendor.quote(measured.body(REPORT_DATA)), measured.event_log),
        collateral=vendor.collateral(NOW),
        roots=vendor.roots,
        policy=policy,
    )


@pytest.fixture
def with_quote(case: Case) -> Callable[[bytes], Case]:
    """Return the case with another quote in place of its own."""

    def replaced(quote: bytes) -> Case:
        case.evidence = Evidence(TeeKind.TDX, quote, case.evidence.event_log)
        return case

    return replaced
