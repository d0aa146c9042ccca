"""Verification of one order, numbered (protocol section 8): chain, statements, evidence, digests.

Pure: facts in, lines out. Every line says what was compared; a line that could not be looked at because an
earlier part is missing fails with that reason, and none is skipped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from enclave_runtime.attestation.appraise import appraise
from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.model import VerifiedEvidence
from enclave_runtime.attestation.policy import AppraisalPolicy
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.cvm import certifier_quorum_domain
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.errors import EnclaveError, RefusedError
from enclave_runtime.wire.orders import (
    TERMINAL_SEQUENCE,
    OrderStart,
    Outcome,
    Phase,
    ReportSummary,
    inputs_root,
    order_book_domain,
    order_id,
)
from enclave_runtime.wire.report import IntegrityReport, OrderReport, Refusal, Wiped
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.signatures import recover_signer
from marketplace.domain.order import check_preimage
from marketplace.sdk.bundle import Certified, OrderBundle, Signed
from marketplace.sdk.chain_facts import ChainFacts

__all__ = ["Held", "Line", "TrustAnchor", "Verdict", "verify_order"]


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """What the auditor believes, by configuration: a root, a policy with reference values, collateral."""

    roots: RootSet
    policy: AppraisalPolicy
    collateral: Collateral


@dataclass(frozen=True, slots=True)
class Held:
    """What the auditor holds itself, where it does.

    Attributes:
        content: input index -> content digest that the auditor computed from its own copy.
        result_ciphertext: ciphertext digest of the sealed result that the auditor fetched.
    """

    content: Mapping[int, bytes] = field(default_factory=dict)
    result_ciphertext: bytes | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One numbered check: passed or not, and what was compared."""

    number: int
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """All lines; `passed` only when each of them is. `trust_class` says SIMULATED where it is."""

    lines: tuple[Line, ...]
    trust_class: str

    @property
    def passed(self) -> bool:
        """Return whether every line passed."""
        return all(line.passed for line in self.lines)


def verify_order(bundle: OrderBundle, chain: ChainFacts, anchor: TrustAnchor, held: Held) -> Verdict:
    """Return the verdict on one order."""
    argument = _Argument(bundle, chain, anchor, held)
    steps: list[tuple[str, Callable[[], str]]] = [
        ("the chain knows this order", argument.chain_knows),
        ("terms and offers hash to what it names", argument.terms),
        ("the CVM's keys are the registered ones, and signed", argument.keys),
        ("summary and statement agree", argument.statements),
        ("the integrity report came before the engine", argument.integrity),
        ("raw evidence verifies down to the root", argument.evidence),
        ("the measurement is a reference value", argument.measurement),
        ("every manifest and content digest matches", argument.digests),
        ("the result has the reported digest", argument.result),
        ("the CVM wiped its keys and signed for it", argument.wiped),
    ]
    lines = []
    for number, (name, check) in enumerate(steps, 1):
        try:
            lines.append(Line(number, name, True, check()))
        except RefusedError as refusal:
            detail = f"{refusal.step}: got {refusal.got}, expected {refusal.expected}"
            lines.append(Line(number, name, False, detail))
        except EnclaveError as error:
            lines.append(Line(number, name, False, str(error)))
    return Verdict(tuple(lines), argument.trust_class())


class _Argument:
    """The checks, in the order of section 8. Each returns what it compared, or raises."""

    def __init__(self, bundle: OrderBundle, chain: ChainFacts, anchor: TrustAnchor, held: Held) -> None:
        self._bundle = bundle
        self._chain = chain
        self._anchor = anchor
        self._held = held
        self._domain = order_book_domain(chain.chain_id, chain.order_book)
        self._verified: list[VerifiedEvidence] = []

    def trust_class(self) -> str:
        return self._verified[0].trust_class if self._verified else "not verified"

    # (1) an order that the chain does not know is no order
    def chain_knows(self) -> str:
        got = order_id(self._domain, self._chain.terms)
        _same("chain.order", got, self._chain.order_id)
        _same("chain.bundle", self._bundle.order_id, self._chain.order_id)
        if self._chain.started_at is None or self._chain.terminal is None:
            raise RefusedError(
                "chain.events", f"state {self._chain.state}", "an order that started and reported"
            )
        return f"order {_short(got)} is {self._chain.state}, read from {self._chain.source}"

    # (2)
    def terms(self) -> str:
        check_preimage(self._domain, self._chain.order_id, self._bundle.preimage)
        self._bundle.packet.check(self._bundle.preimage.terms)
        return f"1 compute and {len(self._bundle.preimage.inputs)} inputs; configuration, result key, policy"

    # (3)
    def keys(self) -> str:
        chain = self._chain
        if not self._bundle.certified:
            raise RefusedError("keys.evidence", "no evidence in the bundle", "at least one certified bundle")
        for one in self._bundle.certified:
            _same("keys.cvm", one.bundle.keys.cvm_id(), chain.cvm_id)
            _same("keys.signer", one.bundle.keys.signer, chain.cvm.signer)
            _same("keys.operator", one.bundle.operator, chain.cvm.operator)
        root = inputs_root(chain.terms.inputs)
        start = typed_digest(self._domain, OrderStart(chain.order_id, chain.cvm_id, root))
        _same("keys.start", recover_signer(start, self._bundle.start_signature or b""), chain.cvm.signer)
        for signed in (self._bundle.integrity, self._bundle.report):
            if signed is not None:
                self._check_signed(signed)
        return f"CVM {_short(chain.cvm_id)} signed start, checkpoint and report as {_short(chain.cvm.signer)}"

    # (4)
    def statements(self) -> str:
        report = self._report()
        _equal("report.summary", report.summary, self._chain.terminal)
        value = report.envelope.statement()
        summary = report.summary
        if summary.outcome == Outcome.REFUSED:
            refusal = Refusal.from_statement(value)
            _same("report.order", refusal.order_id, self._chain.order_id)
            return f"REFUSED at {refusal.step}: got {refusal.got}, expected {refusal.expected}"
        stated = OrderReport.from_statement(value)
        self._check_report(stated, summary)
        return f"{stated.outcome.name} after {stated.seconds} s; statement {_short(report.envelope.digest)}"

    def _check_report(self, stated: OrderReport, summary: ReportSummary) -> None:
        terms = self._chain.terms
        _same("report.order", stated.order_id, self._chain.order_id)
        _same("report.order-book", stated.order_book, self._chain.order_book)
        _same("report.cvm", stated.cvm_id, self._chain.cvm_id)
        _same("report.inputs", stated.inputs_root, inputs_root(terms.inputs))
        _same("report.config", stated.config_digest, terms.config_digest)
        result = b"\x00" * 32 if stated.result is None else stated.result.ciphertext_digest
        _same("report.result", result, summary.result_digest)
        _equal("report.outcome", int(stated.outcome), summary.outcome)
        _equal("report.seconds", stated.seconds, summary.seconds_used)
        _equal("report.units", stated.units, summary.units_used)
        _equal("report.sequence", summary.sequence, TERMINAL_SEQUENCE)

    # (5)
    def integrity(self) -> str:
        if self._report().summary.outcome == Outcome.REFUSED:
            return "refused before any engine ran"
        signed = self._bundle.integrity
        if signed is None or self._chain.checkpoint is None:
            raise RefusedError("integrity.report", "none", "an IntegrityReport and its checkpoint on chain")
        _equal("integrity.summary", signed.summary, self._chain.checkpoint)
        _equal("integrity.phase", signed.summary.phase, int(Phase.ENGINE))
        stated = IntegrityReport.from_statement(signed.envelope.statement())
        _same("integrity.order", stated.order_id, self._chain.order_id)
        _same("integrity.config", stated.config_digest, self._chain.terms.config_digest)
        _same("integrity.policy", stated.runtime_policy_digest, self._chain.terms.runtime_policy_digest)
        report = OrderReport.from_statement(self._report().envelope.statement())
        _same("integrity.digest", report.integrity_digest or b"", signed.envelope.digest)
        return f"on chain at {self._chain.checkpoint_at}, before the report; {_short(signed.envelope.digest)}"

    # (6)
    def evidence(self) -> str:
        for one in self._bundle.certified:
            self._verified.append(self._appraise(one))
        self._check_quorum()
        verified = self._verified[0]
        return (
            f"{len(self._verified)} quotes, {verified.tee.value}, root set {verified.trust_class}, "
            f"TCB {verified.tcb_status}, certified by {self._chain.threshold} of {len(self._chain.certifiers)}"
        )

    def _appraise(self, one: Certified) -> VerifiedEvidence:
        expected = one.bundle.keys.report_data(
            Purpose.CERTIFY, operator=self._chain.cvm.operator, challenge=one.certificate.challenge
        )
        verified = appraise(
            one.bundle,
            self._anchor.collateral,
            roots=self._anchor.roots,
            policy=self._anchor.policy,
            expected_report_data=expected,
            now=one.certificate.issued_at,
        )
        _same("evidence.id", verified.canonical_id, one.certificate.evidence_id)
        _same("evidence.root-set", self._anchor.roots.chain_id, self._chain.cvm.root_set)
        return verified

    def _check_quorum(self) -> None:
        domain = certifier_quorum_domain(self._chain.chain_id, self._chain.quorum)
        signers = {
            recover_signer(typed_digest(domain, one.certificate), one.signature)
            for one in self._bundle.certified
        }
        known = signers & set(self._chain.certifiers)
        if len(known) < self._chain.threshold:
            raise RefusedError(
                "evidence.quorum", f"{len(known)} known certifiers", f"{self._chain.threshold}"
            )

    # (7)
    def measurement(self) -> str:
        if not self._verified:
            raise RefusedError("measurement", "no verified evidence", "evidence that step 6 accepted")
        for verified in self._verified:
            self._anchor.policy.check_measurement(verified.measurement)
            _same("measurement.registry", self._chain.cvm.measurement, verified.measurement)
        if verified.measurement not in self._bundle.packet.policy.measurements:
            raise RefusedError(
                "measurement.order", hex_of(verified.measurement), "one that the order accepts"
            )
        where = "also on chain" if self._chain.cvm.reference else "since removed on chain"
        return f"{_short(verified.measurement)}: ours, the order's, {where}"

    # (8)
    def digests(self) -> str:
        report = self._report()
        lines = (
            Refusal.from_statement(report.envelope.statement()).inputs
            if report.summary.outcome == Outcome.REFUSED
            else OrderReport.from_statement(report.envelope.statement()).inputs
        )
        offers = self._bundle.preimage.inputs
        _equal("digests.count", len(lines), len(offers))
        _equal("digests.manifests", len(self._bundle.manifests), len(offers))
        for index, (line, offer, manifest) in enumerate(
            zip(lines, offers, self._bundle.manifests, strict=True)
        ):
            _same(f"digests.{index}.manifest", line.manifest_digest, offer.manifest_digest)
            _same(f"digests.{index}.manifest-bytes", manifest.digest(), offer.manifest_digest)
            _same(f"digests.{index}.content", line.content_digest, offer.content_digest)
            _same(f"digests.{index}.content-manifest", manifest.sealed.content_digest, offer.content_digest)
        for index, digest in self._held.content.items():
            _same(f"digests.{index}.own-copy", offers[index].content_digest, digest)
        own = f"; {len(self._held.content)} compared with our own copies" if self._held.content else ""
        return f"{len(offers)} inputs{own}"

    # (9)
    def result(self) -> str:
        digest = self._report().summary.result_digest
        if digest == b"\x00" * 32:
            return "no result left the CVM, and none is reported"
        if self._held.result_ciphertext is None:
            raise RefusedError("result.fetched", "no sealed result", f"one with digest {hex_of(digest)}")
        _same("result.ciphertext", self._held.result_ciphertext, digest)
        return f"sealed result {_short(digest)} as reported; only the client can open it"

    # (10)
    def wiped(self) -> str:
        envelope = self._bundle.wiped
        if envelope is None:
            raise RefusedError("wiped", "no statement", "the CVM's signed `wiped`")
        if not envelope.verify(self._statement_spki()):
            raise RefusedError("wiped.signature", "one that does not verify", "the statement key's")
        stated = Wiped.from_statement(envelope.statement())
        _same("wiped.cvm", stated.cvm_id, self._chain.cvm_id)
        _same("wiped.terminal", stated.terminal_digest or b"", self._report().envelope.digest)
        _equal("wiped.plaintext-files", stated.plaintext_files, 0)
        return f"0 plaintext files left; erased: {', '.join(stated.erased)}"

    def _report(self) -> Signed:
        if self._bundle.report is None:
            raise RefusedError("report", "none in the bundle", "the CVM's report or refusal")
        return self._bundle.report

    def _statement_spki(self) -> bytes:
        if not self._bundle.certified:
            raise RefusedError("keys.evidence", "no evidence in the bundle", "at least one certified bundle")
        return self._bundle.certified[0].bundle.keys.statement

    def _check_signed(self, signed: Signed) -> None:
        digest = typed_digest(self._domain, signed.summary)
        _same("keys.summary", recover_signer(digest, signed.signature), self._chain.cvm.signer)
        _same("keys.summary-order", signed.summary.order_id, self._chain.order_id)
        _same("keys.summary-cvm", signed.summary.cvm_id, self._chain.cvm_id)
        _same("keys.statement-digest", signed.envelope.digest, signed.summary.statement_digest)
        if not signed.envelope.verify(self._statement_spki()):
            raise RefusedError("keys.statement", "a signature that does not verify", "the statement key's")


def _same(step: str, got: bytes, expected: bytes) -> None:
    if got != expected:
        raise RefusedError(step, hex_of(got), hex_of(expected))


def _equal(step: str, got: object, expected: object) -> None:
    if got != expected:
        raise RefusedError(step, str(got)[:400], str(expected)[:400])


def _short(data: bytes) -> str:
    return hex_of(data)[:14]
