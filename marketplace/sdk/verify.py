"""Verification of one order, numbered (protocol section 8): chain, statements, evidence, digests.

Pure: facts in, lines out. Every line says what was compared; a line that could not be looked at because an
earlier part is missing fails with that reason, and none is skipped in silence.
"""

from __future__ import annotations

from collections.abc import Callable

from enclave_runtime.attestation.model import VerifiedEvidence
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.errors import EnclaveError, RefusedError, WireError
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.orders import (
    OrderStart,
    Outcome,
    Phase,
    inputs_root,
    order_book_domain,
    order_id,
)
from enclave_runtime.wire.report import InputLine, IntegrityReport, Wiped
from enclave_runtime.wire.scalars import ZERO32
from enclave_runtime.wire.signatures import recover_signer
from marketplace.domain.order import check_preimage
from marketplace.errors import MarketError
from marketplace.sdk.bundle import OrderBundle, Signed
from marketplace.sdk.chain_facts import ChainFacts
from marketplace.sdk.evidence import appraise_all, check_measurements
from marketplace.sdk.statements import LastWord, read_last_word
from marketplace.sdk.verdict import Held, Line, TrustAnchor, Verdict, equal, same, short

__all__ = ["Held", "Line", "TrustAnchor", "Verdict", "verify_order"]


def verify_order(bundle: OrderBundle, chain: ChainFacts, anchor: TrustAnchor, held: Held) -> Verdict:
    """Return the verdict on one order."""
    argument = _Argument(bundle, chain, anchor, held)
    steps: tuple[tuple[str, Callable[[], str]], ...] = (
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
    )
    lines = tuple(_line(number, name, check) for number, (name, check) in enumerate(steps, 1))
    return Verdict(lines, argument.trust_class())


def _line(number: int, name: str, check: Callable[[], str]) -> Line:
    try:
        return Line(number, name, True, check())
    except RefusedError as refusal:
        detail = f"{refusal.step}: got {refusal.got}, expected {refusal.expected}"
        return Line(number, name, False, detail)
    except (EnclaveError, MarketError) as error:
        return Line(number, name, False, str(error))


class _Argument:
    """The checks, in the order of section 8. Each returns what it compared, or raises."""

    def __init__(self, bundle: OrderBundle, chain: ChainFacts, anchor: TrustAnchor, held: Held) -> None:
        self._bundle = bundle
        self._chain = chain
        self._anchor = anchor
        self._held = held
        self._domain = order_book_domain(chain.chain_id, chain.order_book)
        self._verified: tuple[VerifiedEvidence, ...] = ()

    def trust_class(self) -> str:
        return self._verified[0].trust_class if self._verified else "not verified"

    # (1) an order that the chain does not know is no order
    def chain_knows(self) -> str:
        got = order_id(self._domain, self._chain.terms)
        same("chain.order", got, self._chain.order_id)
        same("chain.bundle", self._bundle.order_id, self._chain.order_id)
        if self._chain.started_at is None or self._chain.terminal is None:
            expected = "an order that started and was reported on"
            raise RefusedError("chain.events", f"state {self._chain.state}", expected)
        outcome = self._chain.terminal.outcome
        ended = Outcome(outcome).name if outcome in set(Outcome) else f"outcome {outcome}"
        equal("chain.state", self._chain.state, ended)
        return f"order {short(got)} is {self._chain.state}, read from {self._chain.source}"

    # (2) from the order id to every price, configuration and policy, by hash
    def terms(self) -> str:
        check_preimage(self._domain, self._chain.order_id, self._bundle.preimage)
        self._bundle.packet.check(self._bundle.preimage.terms)
        return f"1 compute and {len(self._bundle.preimage.inputs)} inputs; configuration, result key, policy"

    # (3) one set of keys: registered, in the evidence, under every signature
    def keys(self) -> str:
        chain = self._chain
        for one in self._bundle.certified:
            same("keys.cvm", one.bundle.keys.cvm_id, chain.cvm_id)
            same("keys.signer", one.bundle.keys.signer, chain.cvm.signer)
            same("keys.operator", one.bundle.operator, chain.cvm.operator)
        spki = self._statement_spki()
        start = typed_digest(
            self._domain, OrderStart(chain.order_id, chain.cvm_id, inputs_root(chain.terms.inputs))
        )
        same("keys.start", _signer("keys.start", start, self._bundle.start_signature), chain.cvm.signer)
        # A checkpoint names no CVM: the key that signs it says which.
        for signed, named in ((self._bundle.integrity, ZERO32), (self._report(), chain.cvm_id)):
            if signed is not None:
                self._check_signed(signed, spki, named)
        since = "; REVOKED since" if chain.cvm.revoked else ""
        signer = short(chain.cvm.signer)
        return f"CVM {short(chain.cvm_id)} signed start, checkpoint and report as {signer}{since}"

    # (4) what the contract settled on is what the CVM stated
    def statements(self) -> str:
        equal("report.summary", self._report().summary, self._chain.terminal)
        last = self._last_word()
        last.check(self._chain, self._bundle.preimage)
        return last.words

    # (5) the digest was on chain, and the engine comes after it
    def integrity(self) -> str:
        signed, on_chain = self._bundle.integrity, self._chain.checkpoint
        last = self._last_word()
        if last.outcome in (Outcome.REFUSED, Outcome.HOST) and on_chain is None:
            return (
                f"{last.outcome.name} before any engine ran: no integrity report is on chain, none is needed"
            )
        if signed is None or on_chain is None:
            expected = "an IntegrityReport and its checkpoint on chain"
            raise RefusedError("integrity.report", "none", expected)
        equal("integrity.outcome", last.outcome is Outcome.REFUSED, False)
        started, checked = self._chain.started_at or 0, self._chain.checkpoint_at
        if checked is None or checked < started:
            raise RefusedError(
                "integrity.time", f"a checkpoint at {checked}", f"one after the start, {started}"
            )
        equal("integrity.summary", signed.summary, on_chain)
        equal("integrity.phase", on_chain.phase, int(Phase.ENGINE))
        stated = IntegrityReport.from_statement(signed.envelope.statement())
        terms = self._chain.terms
        same("integrity.order", stated.order_id, self._chain.order_id)
        same("integrity.cvm", stated.cvm_id, self._chain.cvm_id)
        same("integrity.config", stated.config_digest, terms.config_digest)
        same("integrity.result-key", stated.result_key_digest, terms.result_key_digest)
        same("integrity.policy", stated.runtime_policy_digest, terms.runtime_policy_digest)
        equal("integrity.inputs", stated.inputs, last.inputs)
        same("integrity.digest", last.integrity_digest or b"", signed.envelope.digest)
        return f"on chain at {checked}, before the report; {short(signed.envelope.digest)}"

    # (6) the hardware vendor's word, through no certifier's
    def evidence(self) -> str:
        self._verified = appraise_all(self._bundle.certified, self._chain, self._anchor)
        first = self._verified[0]
        return (
            f"{len(self._verified)} quotes, {first.tee.value}, root set {first.trust_class}, TCB "
            f"{first.tcb_status}, {first.device_words}, "
            f"certified by {self._chain.threshold} of {len(self._chain.certifiers)}"
        )

    # (7)
    def measurement(self) -> str:
        policy = self._bundle.packet.policy
        return check_measurements(self._verified, self._chain, self._anchor, policy)

    # (8) what the CVM says it used is what the order pinned, and what we hold ourselves
    def digests(self) -> str:
        lines, preimage = self._last_word().inputs, self._bundle.preimage
        equal("digests.count", len(lines), len(preimage.inputs))
        equal("digests.manifests", len(self._bundle.manifests), len(preimage.inputs))
        for index, line in enumerate(lines):
            self._check_input(index, line)
        for index, digest in self._held.content.items():
            same(f"digests.{index}.own-copy", preimage.inputs[index].content_digest, digest)
        own = f"; {len(self._held.content)} compared with our own copies" if self._held.content else ""
        return f"{len(lines)} inputs{own}"

    def _check_input(self, index: int, line: InputLine) -> None:
        ref, offer = self._bundle.preimage.terms.inputs[index], self._bundle.preimage.inputs[index]
        manifest = self._bundle.manifests[index]
        equal(f"digests.{index}.offer", (line.offer, line.version), (ref.offer, ref.version))
        equal(f"digests.{index}.kind", int(line.kind), offer.kind)
        same(f"digests.{index}.terms", line.terms_hash, ref.terms_hash)
        same(f"digests.{index}.manifest", line.manifest_digest, offer.manifest_digest)
        same(f"digests.{index}.manifest-bytes", manifest.digest(), offer.manifest_digest)
        same(f"digests.{index}.content", line.content_digest, offer.content_digest)
        same(f"digests.{index}.content-manifest", manifest.sealed.content_digest, offer.content_digest)

    # (9)
    def result(self) -> str:
        digest = self._report().summary.result_digest
        if digest == ZERO32:
            return "no result left the CVM, and none is reported"
        if self._held.result_ciphertext is None:
            raise RefusedError("result.fetched", "no sealed result", f"one with digest 0x{digest.hex()}")
        same("result.ciphertext", self._held.result_ciphertext, digest)
        return f"sealed result {short(digest)} as reported; only the client can open it"

    # (10)
    def wiped(self) -> str:
        envelope, spki = self._bundle.wiped, self._statement_spki()
        if envelope is None:
            raise RefusedError("wiped.statement", "none", "the CVM's signed `wiped`")
        if not envelope.verify(spki):
            raise RefusedError("wiped.signature", "one that does not verify", "the statement key's")
        stated = Wiped.from_statement(envelope.statement())
        same("wiped.cvm", stated.cvm_id, self._chain.cvm_id)
        same("wiped.order", stated.order_id or b"", self._chain.order_id)
        same("wiped.statement-key", stated.statement_key, sha256(spki))
        same("wiped.terminal", stated.terminal_digest or b"", self._report().envelope.digest)
        equal("wiped.plaintext-files", stated.plaintext_files, 0)
        return f"0 plaintext files left; erased: {', '.join(stated.erased)}"

    def _report(self) -> Signed:
        if self._bundle.report is None:
            raise RefusedError("report", "none in the bundle", "the CVM's report or refusal")
        return self._bundle.report

    def _last_word(self) -> LastWord:
        return read_last_word(self._report())

    def _statement_spki(self) -> bytes:
        """Return the statement key, after it was found to be the one that the CVM id commits to."""
        if not self._bundle.certified:
            raise RefusedError("keys.evidence", "no evidence in the bundle", "at least one certified bundle")
        keys = self._bundle.certified[0].bundle.keys
        same("keys.cvm", keys.cvm_id, self._chain.cvm_id)
        return keys.statement_spki

    def _check_signed(self, signed: Signed, spki: bytes, cvm_id: bytes) -> None:
        digest = typed_digest(self._domain, signed.summary)
        same("keys.summary", _signer("keys.summary", digest, signed.signature), self._chain.cvm.signer)
        same("keys.summary-order", signed.summary.order_id, self._chain.order_id)
        same("keys.summary-cvm", signed.summary.cvm_id, cvm_id)
        same("keys.statement-digest", signed.envelope.digest, signed.summary.statement_digest)
        if not signed.envelope.verify(spki):
            raise RefusedError("keys.statement", "a signature that does not verify", "the statement key's")


def _signer(step: str, digest: bytes, signature: bytes | None) -> bytes:
    """Return who signed `digest`, or refuse at `step` what is no signature."""
    try:
        return recover_signer(digest, signature or b"")
    except WireError as error:
        raise RefusedError(step, "none" if signature is None else error, "a signature of the CVM") from None
