"""What a CVM knows of the platform it runs on, for its own reports (docs/protocol.md section 8).

It reads its own quotes without believing them: verifiers judge the evidence, never this reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from enclave_runtime.attestation.dcap import layout as dcap
from enclave_runtime.attestation.dcap.registers import TdxRegisters
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.sev_snp import layout as snp
from enclave_runtime.attestation.sev_snp.registers import SnpRegisters
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.report import MAX_EVIDENCE_IDS, Trust

__all__ = ["PlatformFacts", "TrustNotes"]


@dataclass(frozen=True, slots=True)
class PlatformFacts:
    """What the start of this process fixed.

    Attributes:
        tee: kind of TEE.
        simulated: True where the platform is software.
        protected_clock: True where the host cannot stretch the monotonic clock.
    """

    tee: TeeKind
    simulated: bool
    protected_clock: bool = False

    @property
    def clock(self) -> str:
        """Return the word that statements use for the clock."""
        return "protected" if self.protected_clock else "host"


class TrustNotes:
    """Collects what the CVM's own quotes say."""

    def __init__(self, facts: PlatformFacts) -> None:
        self._facts = facts
        self._measurement: bytes | None = None
        self._ids: list[bytes] = []

    def note(self, evidence: Evidence) -> None:
        """Remember a quote that was made to be certified; the newest ones are kept."""
        try:
            self._measurement, identity = _READERS[evidence.tee](evidence.quote)
        except (KeyError, WireError):  # a kind that this build does not read, or no quote of it
            return
        self._ids = [*self._ids, identity][-MAX_EVIDENCE_IDS:]

    def trust(self) -> Trust:
        """Return what reports say."""
        facts = self._facts
        return Trust(facts.tee.value, facts.simulated, self._measurement, facts.clock, tuple(self._ids))


def _read_tdx(quote: bytes) -> tuple[bytes, bytes]:
    parsed = dcap.parse_quote(quote)
    if not isinstance(parsed.body, dcap.TdBody):
        raise WireError("quote: got an enclave's report, expected a TD's")
    return TdxRegisters.of(parsed.body).measurement(), dcap.canonical_id(parsed)


def _read_snp(quote: bytes) -> tuple[bytes, bytes]:
    report, _, _ = snp.parse_report(quote)
    return SnpRegisters.of(report).digest(), snp.canonical_id(quote)


_READERS: dict[TeeKind, Callable[[bytes], tuple[bytes, bytes]]] = {
    TeeKind.TDX: _read_tdx,
    TeeKind.SEV_SNP: _read_snp,
}
"""TEE -> measurement and identity of a quote."""
