"""One verification by a SIMULATED Intel vendor, of any form; a test orders a bad world in two lines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap.layout import EnclaveBody, TdBody
from enclave_runtime.attestation.dcap.registers import SgxRegisters, TdxRegisters
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.simulated.intel_quote import ordered_body
from enclave_runtime.attestation.simulated.intel_world import GOOD_WORLD, Form, World
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from enclave_runtime.attestation.simulated.measure import measure
from enclave_runtime.attestation.simulated.statements import enclave_body

__all__ = ["IntelCase"]

NOW = 1_790_000_000
REPORT_DATA = bytes(range(64))
VENDOR = SimulatedVendor.create()
_MEASURED = measure((("enclave_runtime/__main__.py", b"run()\n"),), (("runtime.txt", b"x==1\n"),), b"base")


def _body(form: Form) -> TdBody | EnclaveBody:
    if not form.sgx:
        return _MEASURED.body(REPORT_DATA)
    return enclave_body(
        attributes=bytes([0x05]) + bytes(7) + bytes([0xE7]) + bytes(7),
        mr_enclave=b"\xe1" * 32,
        mr_signer=b"\x51" * 32,
        isv_svn=b"\x07\x00",
        config_id=b"\xc0" * 64,
        report_data=REPORT_DATA,
    )


@dataclass
class IntelCase:
    """The arguments of one verification; the defaults verify."""

    form: Form
    world: World = GOOD_WORLD
    now: int = NOW
    vendor: SimulatedVendor = VENDOR
    report_data: bytes = REPORT_DATA
    body: TdBody | EnclaveBody = field(init=False)
    evidence: Evidence = field(init=False)
    collateral: Collateral = field(init=False)
    policy: AppraisalPolicy = field(init=False)

    def __post_init__(self) -> None:
        self.body = _body(self.form)
        self.order(self.world)

    @property
    def tee(self) -> TeeKind:
        return TeeKind.SGX if self.form.sgx else TeeKind.TDX

    def order(self, world: World) -> IntelCase:
        """Take evidence and collateral from `world`, and a policy that knows its measurement."""
        self.world = world
        self.requote()
        self.collateral = self.vendor.collateral(NOW, world, tee=self.tee)
        self.policy = AppraisalPolicy(
            root_sets=frozenset({self.vendor.roots.id}),
            measurements=frozenset({self.measurement()}),
            simulated=UnsafeAcceptSimulated(self.vendor.roots.id),
        )
        return self

    def requote(self, **fields_: bytes) -> IntelCase:
        """Take a quote over a body with other fields."""
        self.body = replace(self.body, **fields_)
        quote = self.vendor.quote(self.body, self.world, form=self.form)
        self.evidence = Evidence(self.tee, quote)
        return self

    def raw(self, quote: bytes) -> IntelCase:
        """Take these bytes in place of the quote."""
        self.evidence = Evidence(self.tee, quote)
        return self

    def measurement(self) -> bytes:
        """Return the measurement that the quote should have."""
        body = ordered_body(self.body, self.world, bytes(16))
        if isinstance(body, EnclaveBody):
            return SgxRegisters.of(body).measurement()
        return TdxRegisters.of(body).measurement()

    def verify(self) -> VerifiedEvidence:
        return verifier_for(self.tee).verify(
            self.evidence,
            self.collateral,
            roots=self.vendor.roots,
            policy=self.policy,
            expected_report_data=self.report_data,
            now=self.now,
        )
