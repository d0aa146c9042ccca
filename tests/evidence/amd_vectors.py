"""Real SEV-SNP reports with their chains, as the record has them; revocation lists it has none."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import AmdCollateral, Collateral
from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import Evidence, TeeKind, VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.sev_snp.chain import NO_CRL
from enclave_runtime.attestation.sev_snp.layout import REPORT_BYTES, parse_report
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.attestation.sev_snp.verify import SnpVerifier
from enclave_runtime.attestation.snp_rules import SnpRules
from tests.evidence import vectors

__all__ = ["LENIENT", "SnpVector", "certificates", "parameters", "reports"]

LENIENT = SnpRules(
    accept_milan=True,
    accept_vlek=True,
    accept_masked_chip=True,
    max_vmpl=1,
    require_alias_check=False,
    require_closed_page_oracle=False,
    unsafe_accept_without_crl=True,
)
"""Rules that old machines and a record without revocation lists can meet: what is left is cryptography."""

_STATUSES = frozenset({"UpToDate", "OutOfDate", "Unrated"})
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END", re.DOTALL)


def certificates(data: bytes) -> list[bytes]:
    """Return the certificates in a file, DER, in its order."""
    if data[:1] == b"\x30":
        return [data]
    return [base64.b64decode(part) for part in _PEM.findall(data)]


@dataclass(frozen=True)
class SnpVector:
    """One row of the manifest: a report held against one chain at one time."""

    row: dict[str, Any]
    report: bytes = field(repr=False)
    collateral: AmdCollateral = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.row['file']}+{self.row['vek']}@{self.row['product']}"

    @property
    def expected(self) -> str:
        """Return "ok" or "reject"."""
        return str(self.row["checks"][0]["result"])

    def verification(self, **changes: Any) -> Callable[..., VerifiedEvidence]:
        """Return the verification under AMD's root at the row's time by a policy that its own facts satisfy.

        The callable takes another `report` or `collateral` in place of the row's.

        Args:
            changes: `roots`, `now`, `report_data`, or fields of the policy.
        """
        roots = changes.pop("roots", None) or RootSet.amd(self.collateral.product)
        now, report_data = changes.pop("now", self.row["now"]), changes.pop("report_data", None)
        accepted = {
            "root_sets": frozenset({roots.id}),
            "measurements": frozenset({SnpRegisters.of(parse_report(self.report)[0]).digest()}),
            "tcb_statuses": _STATUSES,
            "snp": LENIENT,
        }
        policy, own = AppraisalPolicy(**(accepted | changes)), Collateral(amd=self.collateral)
        expected = report_data or bytes.fromhex(self.row["fields"]["report_data"])
        verifier = SnpVerifier()

        def verify(report: bytes = self.report, collateral: AmdCollateral | None = None) -> VerifiedEvidence:
            return verifier.verify(
                Evidence(TeeKind.SEV_SNP, report),
                own if collateral is None else Collateral(amd=collateral),
                roots=roots,
                policy=policy,
                expected_report_data=expected,
                now=now,
            )

        return verify

    def verify(self, **changes: Any) -> VerifiedEvidence:
        """Verify; `changes` are those of `verification`, and `report` and `collateral`."""
        given = {name: changes.pop(name) for name in ("report", "collateral") if name in changes}
        return self.verification(**changes)(**given)

    def outcome(self) -> str:
        """Return "ok" or "reject", as the record counts: cryptography, chain and dates.

        A guest in debug is genuine, and is refused all the same: at its own step, behind all of those.
        """
        try:
            self.verify()
        except AttestationError as error:
            behind = error.step == Step.DEBUG and self.row["fields"]["debug"]
            return "ok" if behind else "reject"
        return "ok, in debug" if self.row["fields"]["debug"] else "ok"


def reports() -> list[SnpVector]:
    """Return every row of the record."""
    return [_load(row) for row in vectors.rows("snp-report")]


def parameters(result: str) -> list[Any]:
    """Return the rows with a result, as pytest parameters."""
    return [pytest.param(item, id=item.name) for item in reports() if item.expected == result]


def _load(row: dict[str, Any]) -> SnpVector:
    ask, ark = certificates((vectors.ROOT / row["chain"]).read_bytes())
    data = (vectors.ROOT / row["file"]).read_bytes()
    vek = data if row["vek"].startswith("json:") else (vectors.ROOT / row["vek"]).read_bytes()
    if row["vek"].startswith("json:"):
        vek = _vek_of(json.loads(data)["vcek"])
    product = row["product"].partition("_")[0].capitalize()
    parts = AmdCollateral(product, certificates(vek)[0], ask, ark, NO_CRL)
    return SnpVector(row, _report_of(data, row["encoding"]), parts)


def _vek_of(text: str) -> bytes:
    if text.startswith("-----"):
        return text.encode()
    return base64.urlsafe_b64decode(text + "==")


def _report_of(data: bytes, encoding: str) -> bytes:
    """Return the 1184 bytes of a capture; a report is never cut out of anything but by its stated place."""
    name, _, offset = encoding.rpartition("offset:")
    if name.startswith("json:"):
        value = json.loads(data)[name.split(":")[1]]
        data = bytes(value) if isinstance(value, list) else base64.urlsafe_b64decode(value + "==")
    start = int(offset) if "offset:" in encoding else 0
    return data[start : start + REPORT_BYTES]
