"""Releasing a key, without HTTP and without knowing where anything comes from (docs/protocol.md section 5.2).

The order of steps: is our policy still the one in force; is this request known already; is its challenge
ours; what do our nodes say of the order; is the evidence genuine; does the policy agree
(`domain.release.decide`, pure); may a person have to say so; then, in one transaction on the disk, the use
and the grant; then the audit log; only then the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coincurve import PrivateKey

from enclave_runtime.sealed.wrap import seal_to
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.grant import GrantConditions, sign_grant
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.share_grant import ShareConditions, sign_share_grant
from enclave_runtime.wire.signatures import address_of
from marketplace.domain.clocks import clock_of
from marketplace.domain.order_state import OrderState
from marketplace.domain.release import Attested, OrderFacts, Refusal, ReleaseStep, decide
from marketplace.domain.release_policy import ReleasePolicy
from marketplace.keybroker.request import ReleaseRequest
from marketplace.keybroker.shares import HeldShare, KeyRing
from marketplace.keybroker.store import Approval, GrantRow, PendingRow, Store
from marketplace.keybroker.views import ChainView, agreed_facts, agreed_operator
from marketplace.service.appraisal import Appraiser
from marketplace.service.audit import AuditLog
from marketplace.service.challenges import ChallengeBook
from marketplace.service.errors import BusyError
from marketplace.service.moments import JudgingTime

__all__ = ["MAX_GRANTS_PER_USE", "MAX_WAITING", "Broker", "BrokerStep", "Granted"]

MAX_GRANTS_PER_USE: Final = 64
"""How many requests one CVM may make for one input of one order, each with fresh evidence."""
MAX_WAITING: Final = 256
"""How many uses may wait for a person."""
WAITING_DAYS: Final = 7
"""After these nobody waits for an answer any more: no order sets up that long."""


class BrokerStep(StrEnum):
    """Refusals of the broker itself, beside those of evidence and `ReleaseStep`; stable across versions."""

    POLICY = "broker.policy"
    DOMAIN = "broker.domain"
    CONTENT = "broker.content"
    GRANT_KEY = "broker.grant-key"
    APPROVAL = "broker.approval"
    REPEATS = "broker.repeats"


@dataclass(frozen=True, slots=True)
class Granted:
    """The grant's exact bytes."""

    grant: bytes


@dataclass(frozen=True, slots=True)
class Broker:
    """One owner's key broker; several in one process share nothing.

    Attributes:
        policy: what the owner demands.
        policy_digest: of it, as its owner activated it (`keybroker.activation`).
        by_hand: True when a person approves each release that the policy allows.
        domain: of the OrderBook that this broker serves.
        keys: content keys, and shares of content keys.
        grant_key: signs grants; its address is in the offers' terms.
        appraiser: believes evidence or refuses it, under the same policy.
        views: the owner's nodes.
        time: what time it is for evidence: no node decides that alone.
        challenges: this broker's own.
        store: uses, grants, waiting requests.
        audit: gets each grant and each refusal.
    """

    policy: ReleasePolicy
    policy_digest: bytes
    by_hand: bool
    domain: Domain
    keys: KeyRing
    grant_key: PrivateKey
    appraiser: Appraiser
    views: Sequence[ChainView]
    time: JudgingTime
    challenges: ChallengeBook
    store: Store
    audit: AuditLog

    def challenge(self) -> bytes:
        """Return a fresh challenge, 32 bytes, for one key request."""
        return self.challenges.issue(b"")

    def release(self, asked: ReleaseRequest) -> Granted | PendingRow:
        """Return the grant that answers `asked`, or the place where its use waits for a person.

        The same request gets the same grant again, for as long as the order runs. What a person approves is
        one input of one order for one CVM, so a CVM that asks again with a fresh request finds it approved.

        Raises:
            RefusedError: names the check that failed; it is in the audit log.
            BusyError: too many uses wait.
            MarketError: a node or a collateral source does not answer.
        """
        heads = [view.now() for view in self.views]
        now = self.time.latest(heads)
        try:
            self.time.check(heads)
            answer = self._release(asked, now)
        except RefusedError as refused:
            self._audit_refusal(asked, refused, now)
            raise
        if isinstance(answer, Granted):
            self._audit_grant(asked.signed.digest)
        return answer

    def _release(self, asked: ReleaseRequest, now: int) -> Granted | PendingRow:
        self._check_active()
        if asked.domain != self.domain:
            got, ours = asked.domain, self.domain
            raise RefusedError(
                BrokerStep.DOMAIN,
                f"chain {got.chain_id}, OrderBook {hex_of(got.verifying_contract)}",
                f"chain {ours.chain_id}, OrderBook {hex_of(ours.verifying_contract)}",
            )
        _refuse_denied(self.store.asked(asked.asked))
        known = self._known(asked)
        attested = None if known is not None else self._appraise(asked, now)
        # Asked last, so that the head is as new as can be when the decision falls.
        facts = agreed_facts(self.views, self.domain, asked.asked, asked.preimage)
        if attested is None:
            assert known is not None
            _refuse_ended(facts)
            return Granted(known.grant)
        with self.store.writing():
            return self._decide(asked, attested, facts, now)

    def _known(self, asked: ReleaseRequest) -> GrantRow | None:
        """Return the grant that answered this request before; a new one must carry a challenge of ours."""
        known = self.store.grant(asked.signed.digest)
        if known is None:
            try:
                self.challenges.check(asked.asked.challenge, b"")
            except RefusedError:
                # Another caller may have been faster with the same request, and used the challenge for it.
                known = self.store.grant(asked.signed.digest)
                if known is None:
                    raise
        return known

    def _appraise(self, asked: ReleaseRequest, now: int) -> Attested:
        """Believe evidence for our challenge and the operator that the chain knows, never the bundle's."""
        operator = agreed_operator(self.views, asked.asked.cvm_id)
        verified = self.appraiser(
            asked.bundle, purpose=Purpose.RELEASE, operator=operator, challenge=asked.asked.challenge, now=now
        )
        return Attested(verified, asked.bundle.keys.digests, operator)

    def _decide(
        self, asked: ReleaseRequest, attested: Attested, facts: OrderFacts, now: int
    ) -> Granted | PendingRow:
        """Count, decide and record; inside one write transaction."""
        self._check_active()  # in the transaction: no policy is activated between this and the record
        digest = asked.signed.digest
        again = self.store.grant(digest)
        if again is not None:  # another caller was faster with the same request
            return Granted(again.grant)
        uses = self.store.uses(asked.asked.manifest_digest, but=asked.asked.order_id)
        decision = decide(asked.signed, attested, facts, self.policy, uses=uses, now=now)
        if isinstance(decision, Refusal):
            raise decision.error()
        share = self._check_offer(asked)
        shown = _facts(asked, attested, self.policy)
        if share is not None:
            shown["share"] = share.number
        if self.by_hand and not self.store.is_used(asked.asked):
            queued = self.store.asked(asked.asked)
            _refuse_denied(queued)
            if queued is None or queued.state is not Approval.APPROVED:
                return queued or self._queue(asked, shown, now)
        grant = self._seal(asked, decision, share)
        self.challenges.take(asked.asked.challenge, b"")
        self.store.record(asked.asked, digest, grant, shown, at=now)
        return Granted(grant)

    def _check_active(self) -> None:
        """Refuse to grant under a policy that its owner has replaced or taken out of force meanwhile."""
        active = self.store.active_policy()
        if active != self.policy_digest:
            raise RefusedError(
                BrokerStep.POLICY,
                f"a broker that runs under policy {hex_of(self.policy_digest)}",
                "none in force" if active is None else f"{hex_of(active)}, which its owner activated since",
            )

    def _check_offer(self, asked: ReleaseRequest) -> HeldShare | None:
        """Refuse what this broker could not answer with a grant that the loader would take.

        Returns:
            This broker's share where the offer's key is in shares, None where it holds the whole key.
        """
        named = asked.preimage.inputs[asked.asked.input_index].grant_key
        ours = address_of(self.grant_key)
        share = self.keys.share(asked.asked.manifest_digest)
        if share is not None and share.group != named:
            share = None
        if named != ours and share is None:
            raise RefusedError(
                BrokerStep.GRANT_KEY,
                f"an offer whose grant key is {hex_of(named)}",
                f"this broker's {hex_of(ours)}, or a group of which it holds a share",
            )
        if share is None and self.keys.content_key(asked.asked.manifest_digest) is None:
            raise RefusedError(
                BrokerStep.CONTENT,
                hex_of(asked.asked.manifest_digest),
                "content whose key is in this keystore",
            )
        if self.store.grants_of(asked.asked) >= MAX_GRANTS_PER_USE:
            raise RefusedError(
                BrokerStep.REPEATS, "one more request for the same use", f"at most {MAX_GRANTS_PER_USE}"
            )
        return share

    def _queue(self, asked: ReleaseRequest, shown: JsonObject, now: int) -> PendingRow:
        self.store.forget_waiting(before=now - WAITING_DAYS * 86_400)
        if len(self.store.pending(Approval.WAITING)) >= MAX_WAITING:
            raise BusyError(f"{MAX_WAITING} uses wait for approval already", retry_after_s=60)
        return self.store.ask(asked.asked, shown, at=now)

    def _seal(self, asked: ReleaseRequest, conditions: GrantConditions, share: HeldShare | None) -> bytes:
        if share is not None:
            told = ShareConditions(conditions, share.threshold, share.number)
            sealed = seal_to(asked.bundle.keys.hpke, share.share, told.to_bytes())
            return sign_share_grant(told, sealed, self.grant_key).to_bytes()
        secret = self.keys.content_key(asked.asked.manifest_digest)
        assert secret is not None  # _check_offer saw it
        sealed = seal_to(asked.bundle.keys.hpke, secret, conditions.to_bytes())
        return sign_grant(conditions, sealed, self.grant_key).to_bytes()

    def _audit_grant(self, digest: bytes) -> None:
        """Put a grant into the audit log once, or twice after a crash in between, before it leaves."""
        row = self.store.grant(digest)
        if row is None or row.audited:
            return
        with self.store.writing():
            row = self.store.grant(digest)
            if row is not None and not row.audited:
                facts: JsonObject = {**row.facts, "grant_sha256": hex_of(sha256(row.grant))}
                self.audit.append("granted", facts, at=row.at)
                self.store.mark_audited(digest)

    def _audit_refusal(self, asked: ReleaseRequest, refused: RefusedError, now: int) -> None:
        self.audit.append(
            "refused",
            {
                **_identity(asked),
                "step": refused.step,
                "got": refused.got[:500],
                "expected": refused.expected[:500],
            },
            at=now,
        )


def _refuse_ended(facts: OrderFacts) -> None:
    """Refuse to repeat a grant once the order has ended: its CVM may not have opened the first one."""
    for view, where in ((facts.final, "in a finalized block"), (facts.head, "at the head")):
        if view.state is not OrderState.RUNNING:
            raise RefusedError(ReleaseStep.RUNNING.value, f"{view.state.name} {where}", "RUNNING")


def _refuse_denied(queued: PendingRow | None) -> None:
    if queued is not None and queued.state is Approval.DENIED:
        raise RefusedError(BrokerStep.APPROVAL, "a release that the owner denied", "approval by the owner")


def _identity(asked: ReleaseRequest) -> JsonObject:
    request = asked.asked
    return {
        "request": hex_of(asked.signed.digest),
        "order_id": hex_of(request.order_id),
        "cvm_id": hex_of(request.cvm_id),
        "input_index": request.input_index,
        "manifest_digest": hex_of(request.manifest_digest),
    }


def _facts(asked: ReleaseRequest, attested: Attested, policy: ReleasePolicy) -> JsonObject:
    """Return what an owner looks at before approving, and what the audit log keeps."""
    request, terms, verified = asked.asked, asked.preimage.terms, attested.verified
    others = [
        item for index, item in enumerate(asked.preimage.inputs) if index not in (0, request.input_index)
    ]
    return {
        **_identity(asked),
        "client": hex_of(terms.client),
        "engine_digest": hex_of(request.engine_digest),
        "config_digest": hex_of(request.config_digest),
        "result_key_digest": hex_of(request.result_key_digest),
        "other_inputs": [hex_of(item.manifest_digest) for item in others],
        "operator": hex_of(attested.operator),
        "trust_class": verified.trust_class,
        "platform_id": hex_of(verified.platform_id_hash),
        "devices": verified.device_words,
        "device_ids": [hex_of(device.device_id) for device in verified.devices],
        "simulated": verified.simulated,
        "measurement": hex_of(verified.measurement),
        "tcb_status": verified.tcb_status,
        "evidence_id": hex_of(verified.canonical_id),
        "clock": clock_of(verified, policy.secure_tsc).value,
        "ttl_s": policy.ttl_s,
    }
