"""What a CVM knows of the platform it runs on, for its own reports (docs/protocol.md section 8).

It reads its own quotes without believing them: verifiers judge the evidence, never this reading.
"""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.dcap.layout import TdBody, canonical_id, parse_quote
from enclave_runtime.attestation.dcap.registers import TdxRegisters
from enclave_runtime.attestation.model import Evidence, TeeKind
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
        if evidence.tee is not TeeKind.TDX:
            return
        try:
            quote = parse_quote(evidence.quote)
        except WireError:
            return
        if isinstance(quote.body, TdBody):
            self._measurement = TdxRegisters.of(quote.body).measurement()
            self._ids = [*self._ids, canonical_id(quote)][-MAX_EVIDENCE_IDS:]

    def trust(self) -> Trust:
        """Return what reports say."""
        facts = self._facts
        return Trust(facts.tee.value, facts.simulated, self._measurement, facts.clock, tuple(self._ids))
