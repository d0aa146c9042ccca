"""Everything that a CVM signs about its order, each once (docs/protocol.md sections 6.8, 7(6), 7(9) and 8).

Two different summaries for one order and sequence are equivocation, and so is a refusal beside a checkpoint
of phase ENGINE. Both would cost the provider its stake, so every checkpoint takes a sequence that none had
before, and the notary has no way to sign two terminal summaries, or a refusal beside an IntegrityReport.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypedDict

from enclave_runtime.loader.admission import AdmittedOrder
from enclave_runtime.loader.keys import CvmKeyring
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of, to_json
from enclave_runtime.wire.dsse import Envelope
from enclave_runtime.wire.errors import EnclaveError, RefusedError
from enclave_runtime.wire.orders import NO_INPUT, TERMINAL_SEQUENCE, Outcome, Phase, ReportSummary
from enclave_runtime.wire.report import (
    MAX_TEXT_BYTES,
    MONOTONIC,
    IntegrityReport,
    Moment,
    OrderReport,
    Refusal,
    ResultLine,
    Trust,
)
from enclave_runtime.wire.scalars import ZERO32

__all__ = ["LAST_SEQUENCE", "End", "EquivocationError", "Notary", "Signed", "clip"]

LAST_SEQUENCE: Final = (1 << 24) - 2
"""The contract's highest sequence of a checkpoint; the IntegrityReport's may need it."""


class EquivocationError(EnclaveError):
    """Something else was signed in this place before."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A summary for the chain, the chain key's signature over it, and the statement that it names, if any."""

    summary: ReportSummary
    signature: bytes
    envelope: Envelope | None = None

    def to_json(self) -> JsonObject:
        """Return the members of an answer."""
        members: JsonObject = {"summary": dict(to_json(self.summary)), "signature": hex_of(self.signature)}
        if self.envelope is not None:
            members["statement"] = self.envelope.to_bytes().decode()
        return members


@dataclass(frozen=True, slots=True)
class End:
    """How an order ended, for its report.

    Attributes:
        seconds: metered since admission.
        now_s: on the CVM's clock.
    """

    outcome: Outcome
    exit_code: int | None
    reason: str
    result: ResultLine | None
    seconds: int
    now_s: int


class _Names(TypedDict):
    order_id: bytes
    order_book: bytes
    chain_id: int
    cvm_id: bytes


class Notary:
    """Signs for one order and remembers."""

    def __init__(self, order: AdmittedOrder, keyring: CvmKeyring, admitted_s: int) -> None:
        """Args:
        admitted_s: when the order was admitted, on the CVM's clock.
        """
        self._order = order
        self._keyring = keyring
        self._started = Moment(MONOTONIC, admitted_s)
        self.sequence = 0
        """Of the last checkpoint that was signed."""
        self.integrity: Signed | None = None
        self.terminal: Signed | None = None

    @property
    def phase(self) -> Phase:
        """Return ENGINE once the IntegrityReport is signed."""
        return Phase.SETUP if self.integrity is None else Phase.ENGINE

    def sign_checkpoint(self, sequence: int, seconds: int) -> Signed:
        """Return what was used so far, under a sequence that was never used before.

        Raises:
            RefusedError: step `sequence`: not the next one.
            EquivocationError: the order has ended.
        """
        if self.terminal is not None:
            raise EquivocationError("checkpoint: the order has a terminal statement already")
        if sequence != self.sequence + 1 or sequence >= LAST_SEQUENCE:
            raise RefusedError("sequence", sequence, f"{self.sequence + 1}, below {LAST_SEQUENCE}")
        return self._checkpoint(None, seconds)

    def sign_integrity(self, trust: Trust, seconds: int, now_s: int) -> Signed:
        """Return the IntegrityReport; to be called after every content digest was compared.

        Raises:
            EquivocationError: the order has ended.
        """
        if self.integrity is not None:
            return self.integrity
        if self.terminal is not None:
            raise EquivocationError("integrity report: the order has a terminal statement already")
        order, terms = self._order, self._order.preimage.terms
        report = IntegrityReport(
            **self._names(),
            inputs=order.lines,
            inputs_root=order.inputs_root,
            engine_digest=order.engine.terms.content_digest,
            config_digest=terms.config_digest,
            result_key_digest=terms.result_key_digest,
            runtime_policy_digest=terms.runtime_policy_digest,
            trust=trust,
            checked_at=Moment(MONOTONIC, now_s),
        )
        self.integrity = self._checkpoint(self._keyring.sign_statement(report.to_statement()), seconds)
        return self.integrity

    def sign_report(self, end: End, trust: Trust) -> Signed:
        """Return the one OrderReport.

        Raises:
            EquivocationError: the order has ended, or the outcome needs an IntegrityReport that there is not.
        """
        if self.terminal is not None:
            raise EquivocationError("order report: the order has a terminal statement already")
        if end.outcome not in (Outcome.COMPLETED, Outcome.FAILED, Outcome.HOST, Outcome.LAPSED):
            raise EquivocationError(f"order report: got outcome {end.outcome.name}")
        if self.integrity is None and end.outcome is not Outcome.HOST:
            raise EquivocationError(f"order report: got {end.outcome.name} before an integrity report")
        order, pre = self._order, self._order.preimage
        report = OrderReport(
            **self._names(),
            inputs=order.lines,
            inputs_root=order.inputs_root,
            engine_digest=order.engine.terms.content_digest,
            config_digest=pre.terms.config_digest,
            integrity_digest=None if self.integrity is None else self.integrity.summary.statement_digest,
            result=end.result,
            outcome=end.outcome,
            exit_code=end.exit_code,
            reason=clip(end.reason),
            seconds=end.seconds,
            units=0,
            prices=(pre.compute.price, *(offer.price for offer in pre.inputs)),
            trust=trust,
            started_at=self._started,
            ended_at=Moment(MONOTONIC, end.now_s),
        )
        digest = ZERO32 if end.result is None else end.result.ciphertext_digest
        envelope = self._keyring.sign_statement(report.to_statement())
        self.terminal = self._last_word(envelope, end.outcome, end.seconds, result_digest=digest)
        return self.terminal

    def sign_refusal(
        self, refusal: RefusedError, input_index: int | None, trust: Trust, seconds: int, now_s: int
    ) -> Signed:
        """Return the signed refusal of the order.

        Raises:
            EquivocationError: an IntegrityReport or a terminal statement was signed.
        """
        if self.integrity is not None or self.terminal is not None:
            raise EquivocationError("refusal: an integrity report or a terminal statement was signed already")
        statement = Refusal(
            **self._names(),
            inputs=self._order.lines,
            inputs_root=self._order.inputs_root,
            step=refusal.step[:64],
            got=clip(refusal.got),
            expected=clip(refusal.expected),
            attributable_input=input_index,
            seconds=seconds,
            trust=trust,
            refused_at=Moment(MONOTONIC, now_s),
        )
        envelope = self._keyring.sign_statement(statement.to_statement())
        blamed = NO_INPUT if input_index is None else input_index
        self.terminal = self._last_word(envelope, Outcome.REFUSED, seconds, blamed=blamed)
        return self.terminal

    def _names(self) -> _Names:
        domain = self._order.domain
        return {
            "order_id": self._order.order_id,
            "order_book": domain.verifying_contract,
            "chain_id": domain.chain_id,
            "cvm_id": self._keyring.cvm_id,
        }

    def _checkpoint(self, integrity: Envelope | None, seconds: int) -> Signed:
        self.sequence += 1  # first: whatever fails after this, no sequence serves twice
        phase = self.phase if integrity is None else Phase.ENGINE
        return self._sign(self._summary(phase, self.sequence, integrity, seconds), integrity)

    def _last_word(
        self,
        envelope: Envelope,
        outcome: Outcome,
        seconds: int,
        *,
        blamed: int = NO_INPUT,
        result_digest: bytes = ZERO32,
    ) -> Signed:
        summary = replace(
            self._summary(self.phase, TERMINAL_SEQUENCE, envelope, seconds),
            outcome=int(outcome),
            cvm_id=self._keyring.cvm_id,
            attributable_input=blamed,
            inputs_root=self._order.inputs_root,
            result_digest=result_digest,
        )
        return self._sign(summary, envelope)

    def _summary(self, phase: Phase, sequence: int, envelope: Envelope | None, seconds: int) -> ReportSummary:
        # A checkpoint names neither CVM nor inputs again: the key says which CVM, the order id which inputs.
        return ReportSummary(
            order_id=self._order.order_id,
            cvm_id=ZERO32,
            phase=int(phase),
            sequence=sequence,
            outcome=int(Outcome.NONE),
            attributable_input=NO_INPUT,
            inputs_root=ZERO32,
            result_digest=ZERO32,
            statement_digest=ZERO32 if envelope is None else envelope.digest,
            seconds_used=min(seconds, 0xFFFFFFFF),
            units_used=0,
        )

    def _sign(self, summary: ReportSummary, envelope: Envelope | None) -> Signed:
        return Signed(summary, self._keyring.sign(self._order.domain, summary), envelope)


def clip(text: str) -> str:
    """Return `text` cut to what a statement takes."""
    return text.encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore")
