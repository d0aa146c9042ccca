"""Whether a content key may leave its owner: `decide`, a pure function (protocol section 5.2).

Everything that can be checked without a network is checked here, in a numbered order, so that the answer
depends on nothing but its arguments: the request's signature, the evidence's binding to the CVM's keys,
the order's hash, its state on chain, and then the owner's policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from enclave_runtime.attestation.model import VerifiedEvidence
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.cvm import CvmKeys, cvm_id
from enclave_runtime.wire.eip712 import Domain, typed_digest
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.grant import GrantConditions, KeyRequest, SignedKeyRequest
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.offers import OfferTerms
from enclave_runtime.wire.orders import OrderPreimage, OrderStart, inputs_root
from enclave_runtime.wire.report_data import Purpose, bind
from enclave_runtime.wire.signatures import recover_signer
from marketplace.domain.clocks import Clock, clock_of
from marketplace.domain.order import OrderView, check_preimage
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import amount_down
from marketplace.domain.release_policy import ReleasePolicy
from marketplace.domain.tcb import words_within

__all__ = ["Attested", "OrderFacts", "OrderView", "Refusal", "ReleaseStep", "decide"]


class ReleaseStep(StrEnum):
    """Names of the checks in their order, stable across versions."""

    POLICY = "release.00.policy"
    ORDER = "release.01.order"
    RUNNING = "release.02.running"
    CVM = "release.03.cvm"
    REQUEST = "release.04.request"
    START = "release.05.start"
    EVIDENCE = "release.06.evidence"
    INPUT = "release.07.input"
    ENGINE = "release.08.engine"
    CONFIG = "release.09.config"
    RESULT_KEY = "release.10.result-key"
    TRUST_CLASS = "release.11.trust-class"
    TEE = "release.12.tee"
    MEASUREMENT = "release.13.measurement"
    TCB = "release.14.tcb"
    PLATFORM = "release.15.platform"
    CLIENT = "release.16.client"
    OTHER_INPUTS = "release.17.other-inputs"
    ORDERS_BEFORE = "release.18.orders-before"
    PRICE = "release.19.price"
    USES = "release.20.uses"
    HOURS = "release.21.hours"
    SELLER = "release.22.seller"
    GPU = "release.23.gpu"
    CLOCK = "release.24.clock"


@dataclass(frozen=True, slots=True)
class Attested:
    """A verdict on evidence, and the keys and operator that its quote must bind.

    `keys` are digests of the bundle's public keys; `operator` is the broker's own view of who runs the CVM.
    """

    verified: VerifiedEvidence
    keys: CvmKeys
    operator: bytes


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """An order as its preimage and the owner's own nodes show it.

    Attributes:
        domain: of the OrderBook that the owner's settings name.
        final: the order in a finalized block.
        head: the order at the newest block.
        seller: who listed the offer that the requested input is ordered through; zero where nobody did.
    """

    domain: Domain
    order_id: bytes
    preimage: OrderPreimage
    final: OrderView
    head: OrderView
    seller: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """A numbered check that failed."""

    step: ReleaseStep
    got: str
    expected: str

    def error(self) -> RefusedError:
        """Return this refusal as an exception."""
        return RefusedError(self.step.value, self.got, self.expected)

    def to_json(self) -> JsonObject:
        """Return the members that a broker answers with."""
        return {"step": self.step.value, "got": self.got, "expected": self.expected}


@dataclass(frozen=True, slots=True)
class _Case:
    signed: SignedKeyRequest
    attested: Attested
    order: OrderFacts
    policy: ReleasePolicy
    uses: int
    now: int

    @property
    def request(self) -> KeyRequest:
        return self.signed.request

    @property
    def content(self) -> OfferTerms:
        return self.order.preimage.inputs[self.request.input_index]


Difference: TypeAlias = "tuple[object, object] | None"


def decide(
    request: SignedKeyRequest,
    attested: Attested,
    order: OrderFacts,
    policy: ReleasePolicy,
    *,
    uses: int,
    now: int,
) -> GrantConditions | Refusal:
    """Return the conditions of the grant that answers `request`, or the first check that failed.

    Args:
        request: as the CVM signed it; its challenge must be compared with the broker's own by the caller,
            who knows which ones it gave out.
        attested: evidence verified for purpose RELEASE and exactly that challenge.
        order: preimage, and the order in the owner's view of the chain.
        policy: what the owner demands.
        uses: how many other orders have already been given this key.
        now: Unix time, in seconds.
    """
    case = _Case(request, attested, order, policy, uses, now)
    for step, check in _CHECKS.items():
        difference = check(case)
        if difference is not None:
            return Refusal(step, _show(difference[0]), _show(difference[1]))
    asked = request.request
    return GrantConditions(
        order_id=asked.order_id,
        cvm_id=asked.cvm_id,
        input_index=asked.input_index,
        manifest_digest=asked.manifest_digest,
        engine_digest=asked.engine_digest,
        config_digest=asked.config_digest,
        result_key_digest=asked.result_key_digest,
        request_digest=request.digest,
        ttl_s=policy.ttl_s,
    )


def _policy(case: _Case) -> Difference:
    name = case.policy.empty()
    return None if name is None else (f"a policy whose {name} accepts nothing", "at least one accepted value")


def _order(case: _Case) -> Difference:
    if case.request.order_id != case.order.order_id:
        return case.request.order_id, case.order.order_id
    try:
        check_preimage(case.order.domain, case.order.order_id, case.order.preimage)
    except RefusedError as error:
        return f"{error.step} {error.got}", error.expected
    return None


def _running(case: _Case) -> Difference:
    final, head = case.order.final, case.order.head
    if final.state is not OrderState.RUNNING:
        return f"{final.state.name} in a finalized block", "RUNNING"
    if head.state is not OrderState.RUNNING:
        return f"{head.state.name} at the head", "RUNNING"
    return None


def _cvm(case: _Case) -> Difference:
    asked = case.request.cvm_id
    for known in (case.order.final.cvm_id, case.order.head.cvm_id, cvm_id(case.attested.keys)):
        if known != asked:
            return asked, known
    return None


def _request(case: _Case) -> Difference:
    digest = sha256(case.signed.statement_spki)
    if digest != case.attested.keys.statement:
        return f"statement key {digest.hex()}", f"the attested {case.attested.keys.statement.hex()}"
    try:
        signed = case.signed.verify()
    except WireError as error:
        return str(error), "a P-256 statement key"
    return None if signed else ("a signature that does not verify", "one by the attested statement key")


def _start(case: _Case) -> Difference:
    root = inputs_root(case.order.preimage.terms.inputs)
    start = OrderStart(case.request.order_id, case.request.cvm_id, root)
    try:
        signer = recover_signer(typed_digest(case.order.domain, start), case.signed.start_signature)
    except WireError as error:
        return str(error), "the CVM's start signature"
    return _unless_equal(signer, case.attested.keys.signer)


def _evidence(case: _Case) -> Difference:
    keys = case.attested.keys
    expected = bind(
        Purpose.RELEASE,
        signer=keys.signer,
        cvm_id=cvm_id(keys),
        operator=case.attested.operator,
        challenge=case.request.challenge,
        gpu_digest=case.attested.verified.gpu_digest,
    )
    return _unless_equal(case.attested.verified.report_data, expected)


def _input(case: _Case) -> Difference:
    index, count = case.request.input_index, len(case.order.preimage.inputs)
    if index >= count:
        return f"input {index}", f"less than {count}"
    return _unless_equal(case.request.manifest_digest, case.content.manifest_digest)


def _engine(case: _Case) -> Difference:
    ordered = case.order.preimage.inputs[0].content_digest
    if case.request.engine_digest != ordered:
        return case.request.engine_digest, f"the ordered {ordered.hex()}"
    return _unless_listed(ordered, case.policy.engines, "engines")


def _config(case: _Case) -> Difference:
    ordered = case.order.preimage.terms.config_digest
    if case.request.config_digest != ordered:
        return case.request.config_digest, f"the ordered {ordered.hex()}"
    return _unless_listed(ordered, case.policy.configs, "configs")


def _result_key(case: _Case) -> Difference:
    return _unless_equal(case.request.result_key_digest, case.order.preimage.terms.result_key_digest)


def _trust_class(case: _Case) -> Difference:
    verdict, policy = case.attested.verified, case.policy
    if verdict.root_set not in policy.trust_classes:
        return verdict.trust_class, " or ".join(sorted(policy.trust_classes))
    if verdict.simulated and not policy.unsafe_accept_simulated:
        return verdict.trust_class, "hardware, or unsafe_accept_simulated in the policy"
    return None


def _tee(case: _Case) -> Difference:
    tee, accepted = case.attested.verified.tee, case.policy.tees
    return None if tee in accepted else (tee.value, " or ".join(sorted(kind.value for kind in accepted)))


def _measurement(case: _Case) -> Difference:
    return _unless_listed(case.attested.verified.measurement, case.policy.measurements, "measurements")


def _tcb(case: _Case) -> Difference:
    status, accepted = case.attested.verified.tcb_status, words_within(case.policy.worst_tcb)
    return None if status in accepted else (status, " or ".join(sorted(accepted)))


def _platform(case: _Case) -> Difference:
    return _unless_listed(case.attested.verified.platform_id_hash, case.policy.platforms, "platforms")


def _client(case: _Case) -> Difference:
    return _unless_listed(case.order.preimage.terms.client, case.policy.clients, "clients")


def _other_inputs(case: _Case) -> Difference:
    # The engine (index 0) is judged by its content digest, in _engine.
    for index, offer in enumerate(case.order.preimage.inputs[1:], start=1):
        if index != case.request.input_index:
            difference = _unless_listed(offer.manifest_digest, case.policy.other_inputs, "other inputs")
            if difference is not None:
                return difference
    return None


def _orders_before(case: _Case) -> Difference:
    before, most = case.request.orders_before, case.policy.orders_before
    return None if before <= most else (f"{before} orders admitted before", f"at most {most}")


def _price(case: _Case) -> Difference:
    due, least = amount_down(case.content.price, 0, 0), case.policy.min_price_due
    return None if due >= least else (f"{due} token units due", f"at least {least}")


def _uses(case: _Case) -> Difference:
    most = case.policy.max_uses
    return None if case.uses < most else (f"{case.uses} orders given the key", f"fewer than {most}")


def _hours(case: _Case) -> Difference:
    if case.policy.hours_utc is None:
        return None
    first, end = case.policy.hours_utc
    hour = case.now % 86_400 // 3600
    inside = first <= hour < end if first < end else hour >= first or hour < end
    return None if inside else (f"hour {hour} UTC", f"from {first} to {end}")


def _seller(case: _Case) -> Difference:
    # The price and its receivers are the owner's only in an offer that the owner listed. Zero is nobody, also
    # where a list has it: a placeholder that was left must not stand for what nobody listed.
    if case.policy.listed_by is not None and not any(case.order.seller):
        return "an offer that nobody listed", f"one of the policy's {len(case.policy.listed_by)} sellers"
    return _unless_listed(case.order.seller, case.policy.listed_by, "sellers")


def _gpu(case: _Case) -> Difference:
    rules, verdict = case.policy.gpu, case.attested.verified
    kinds = [device.kind for device in verdict.devices]
    got = kinds.count("gpu"), kinds.count("nvswitch")
    expected = (0, 0) if rules is None else (rules.count, rules.switches)
    if got != expected or len(kinds) != sum(got):
        return f"{len(kinds)} devices, {got[0]} of them GPUs", f"{expected[0]} GPUs, {expected[1]} switches"
    if rules is None or verdict.gpu_root_set in rules.root_sets:
        return None
    return f"GPU root set {verdict.gpu_root_set}", " or ".join(sorted(rules.root_sets))


def _clock(case: _Case) -> Difference:
    # The time to live of a grant is worth no more than the clock that it runs on.
    clock = clock_of(case.attested.verified, case.policy.secure_tsc)
    if clock is Clock.PROTECTED or case.policy.accept_host_clock:
        return None
    tee = case.attested.verified.tee.value
    return f"clock: {clock} ({tee})", "a clock that is kept from the host, or accept_host_clock in the policy"


def _unless_equal(got: bytes, expected: bytes) -> Difference:
    return None if got == expected else (got, expected)


def _unless_listed(got: bytes, accepted: frozenset[bytes] | None, what: str) -> Difference:
    if accepted is None or got in accepted:
        return None
    return got, f"one of the policy's {len(accepted)} {what}"


def _show(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


_CHECKS: Final[dict[ReleaseStep, Callable[[_Case], Difference]]] = {
    ReleaseStep.POLICY: _policy,
    ReleaseStep.ORDER: _order,
    ReleaseStep.RUNNING: _running,
    ReleaseStep.CVM: _cvm,
    ReleaseStep.REQUEST: _request,
    ReleaseStep.START: _start,
    ReleaseStep.EVIDENCE: _evidence,
    ReleaseStep.INPUT: _input,
    ReleaseStep.ENGINE: _engine,
    ReleaseStep.CONFIG: _config,
    ReleaseStep.RESULT_KEY: _result_key,
    ReleaseStep.TRUST_CLASS: _trust_class,
    ReleaseStep.TEE: _tee,
    ReleaseStep.MEASUREMENT: _measurement,
    ReleaseStep.TCB: _tcb,
    ReleaseStep.PLATFORM: _platform,
    ReleaseStep.CLIENT: _client,
    ReleaseStep.OTHER_INPUTS: _other_inputs,
    ReleaseStep.ORDERS_BEFORE: _orders_before,
    ReleaseStep.PRICE: _price,
    ReleaseStep.USES: _uses,
    ReleaseStep.HOURS: _hours,
    ReleaseStep.SELLER: _seller,
    ReleaseStep.GPU: _gpu,
    ReleaseStep.CLOCK: _clock,
}
