"""A CVM's last word on an order, report or refusal, in the form that verification asks for (section 8)."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.wire.orders import (
    NO_INPUT,
    TERMINAL_SEQUENCE,
    OrderPreimage,
    Outcome,
    ReportSummary,
    inputs_root,
)
from enclave_runtime.wire.report import InputLine, OrderReport, Refusal
from enclave_runtime.wire.scalars import ZERO32
from marketplace.sdk.bundle import Signed
from marketplace.sdk.chain_facts import ChainFacts
from marketplace.sdk.verdict import equal, same, short

__all__ = ["LastWord", "read_last_word"]


@dataclass(frozen=True, slots=True)
class LastWord:
    """A signed summary, and the statement that its digest names."""

    signed: Signed
    stated: OrderReport | Refusal

    @property
    def summary(self) -> ReportSummary:
        """What went to the chain."""
        return self.signed.summary

    @property
    def outcome(self) -> Outcome:
        """What the summary claims."""
        return Outcome(self.summary.outcome)

    @property
    def inputs(self) -> tuple[InputLine, ...]:
        """The inputs that the statement names."""
        return self.stated.inputs

    @property
    def integrity_digest(self) -> bytes | None:
        """The IntegrityReport that a report builds on; None for a refusal."""
        return self.stated.integrity_digest if isinstance(self.stated, OrderReport) else None

    @property
    def words(self) -> str:
        """The statement in one line."""
        if isinstance(self.stated, Refusal):
            return f"REFUSED at {self.stated.step}: got {self.stated.got}, expected {self.stated.expected}"
        digest = short(self.signed.envelope.digest)
        return f"{self.stated.outcome.name} after {self.stated.seconds} s; statement {digest}"

    def check(self, chain: ChainFacts, preimage: OrderPreimage) -> None:
        """Compare statement, summary, terms and chain.

        Raises:
            RefusedError: steps `report.*`, the first difference.
        """
        stated, summary, terms = self.stated, self.summary, chain.terms
        same("report.order", stated.order_id, chain.order_id)
        same("report.order-book", stated.order_book, chain.order_book)
        equal("report.chain", stated.chain_id, chain.chain_id)
        same("report.cvm", stated.cvm_id, chain.cvm_id)
        same("report.inputs", stated.inputs_root, inputs_root(terms.inputs))
        same("report.summary-inputs", summary.inputs_root, stated.inputs_root)
        equal("report.seconds", stated.seconds, summary.seconds_used)
        equal("report.sequence", summary.sequence, TERMINAL_SEQUENCE)
        if isinstance(stated, Refusal):
            blamed = NO_INPUT if stated.attributable_input is None else stated.attributable_input
            equal("report.input-at-fault", blamed, summary.attributable_input)
            same("report.result", summary.result_digest, ZERO32)
            return
        same("report.config", stated.config_digest, terms.config_digest)
        same("report.engine", stated.engine_digest, preimage.inputs[0].content_digest)
        prices = (preimage.compute.price, *(offer.price for offer in preimage.inputs))
        equal("report.prices", stated.prices, prices)
        result = ZERO32 if stated.result is None else stated.result.ciphertext_digest
        same("report.result", result, summary.result_digest)
        equal("report.outcome", int(stated.outcome), summary.outcome)
        equal("report.units", stated.units, summary.units_used)


def read_last_word(signed: Signed) -> LastWord:
    """Return the report or refusal that `signed` carries.

    Raises:
        WireError: another statement, or a malformed one.
        RefusedError: step `report.outcome`: a summary that is no last word.
    """
    value = signed.envelope.statement()
    outcome = signed.summary.outcome
    if outcome not in set(Outcome) - {Outcome.NONE, Outcome.LAPSED}:
        equal("report.outcome", outcome, "COMPLETED, FAILED, HOST or REFUSED")
    refused = outcome == Outcome.REFUSED
    return LastWord(signed, Refusal.from_statement(value) if refused else OrderReport.from_statement(value))
