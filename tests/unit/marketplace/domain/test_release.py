"""decide: one refusal per condition, by its step, and a grant when all hold (protocol section 5.2)."""

import dataclasses
from collections.abc import Callable

import pytest

from enclave_runtime.attestation.model import TeeKind, VerifiedDevice, VerifiedEvidence
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.wire.cvm import TcbStatus, cvm_id
from enclave_runtime.wire.grant import GrantConditions, SignedKeyRequest
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.offers import OfferKind, Price, terms_hash
from enclave_runtime.wire.orders import InputRef, OrderPreimage, Phase, order_book_domain, order_id
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.domain.draft import OrderDraft, draft_order
from marketplace.domain.offer import ListedOffer, compute_terms, content_terms, sole_payee
from marketplace.domain.order import runtime_policy
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import Params
from marketplace.domain.release import Attested, OrderFacts, OrderView, Refusal, ReleaseStep, decide
from marketplace.domain.release_policy import ReleasePolicy
from tests.fakes.cvm import FakeCvm

TOKEN, OWNER, CLIENT, OPERATOR = b"\x70" * 20, b"\x0a" * 20, b"\x0c" * 20, b"\x0e" * 20
DOMAIN = order_book_domain(31337, b"\x0b" * 20)
CHALLENGE, MEASUREMENT, PLATFORM = b"\x55" * 32, b"\x07" * 32, b"\x08" * 32
NOON = 1_800_000_000 // 86_400 * 86_400 + 12 * 3600


def content(kind: OfferKind, mark: int, price: Price) -> ListedOffer:
    terms = content_terms(
        kind,
        token=TOKEN,
        price=price,
        payees=sole_payee(OWNER),
        manifest_digest=bytes([mark]) * 32,
        content_digest=bytes([mark + 1]) * 32,
        grant_key=b"\x03" * 20,
    )
    return ListedOffer(mark, 1, OWNER, True, terms, "", 1, 1)


def order() -> OrderPreimage:
    compute = compute_terms(token=TOKEN, price=Price(per_hour=1), payees=sole_payee(OWNER))
    inputs = (
        content(OfferKind.ENGINE, 0x20, Price()),
        content(OfferKind.DATASET, 0x30, Price(5, 3600, 10)),
        content(OfferKind.DATASET, 0x40, Price()),
    )
    policy = runtime_policy(frozenset({"intel"}), frozenset({TeeKind.TDX.wire}), frozenset({MEASUREMENT}))
    draft = OrderDraft(
        client=CLIENT,
        compute=ListedOffer(1, 1, OWNER, True, compute, "", 1, 1),
        inputs=inputs,
        config_digest=b"\x04" * 32,
        result_key_digest=b"\x05" * 32,
        policy=policy,
        max_seconds=60,
        salt=b"\x06" * 32,
    )
    return draft_order(draft, Params(0, 0, 1, OWNER), now=NOON)


ORDER = order()
ORDER_ID = order_id(DOMAIN, ORDER.terms)
CVM, OTHER_CVM = FakeCvm(), FakeCvm()
POLICY = ReleasePolicy(
    trust_classes=frozenset({"intel"}),
    tees=frozenset({TeeKind.TDX}),
    worst_tcb=TcbStatus.UP_TO_DATE,
    measurements=frozenset({MEASUREMENT}),
    platforms=frozenset({PLATFORM}),
    engines=frozenset({ORDER.inputs[0].content_digest}),
    configs=frozenset({ORDER.terms.config_digest}),
    clients=frozenset({CLIENT}),
    other_inputs=frozenset({ORDER.inputs[2].manifest_digest}),
    listed_by=frozenset({OWNER}),
    min_price_due=15,
    max_uses=2,
    hours_utc=(8, 18),
)
RUNNING = OrderView(OrderState.RUNNING, Phase.SETUP, CVM.cvm_id)
FACTS = OrderFacts(DOMAIN, ORDER_ID, ORDER, RUNNING, RUNNING, OWNER)


def verdict(**changed: object) -> VerifiedEvidence:
    honest = VerifiedEvidence(
        tee=TeeKind.TDX,
        root_set="intel",
        simulated=False,
        measurement=MEASUREMENT,
        report_data=CVM.keys.report_data(Purpose.RELEASE, operator=OPERATOR, challenge=CHALLENGE),
        tcb_status="UpToDate",
        advisory_ids=(),
        tcb_eval_number=17,
        platform_id_hash=PLATFORM,
        canonical_id=b"\x01" * 32,
        collateral_expires_at=NOON + 9,
    )
    return dataclasses.replace(honest, **changed)  # type: ignore[arg-type]


@dataclasses.dataclass
class Case:
    """The arguments of one decision, honest until a test changes one."""

    request: SignedKeyRequest = dataclasses.field(
        default_factory=lambda: CVM.request(DOMAIN, ORDER, 1, CHALLENGE)
    )
    attested: Attested = dataclasses.field(
        default_factory=lambda: Attested(verdict(), CVM.keys.digests, OPERATOR)
    )
    order: OrderFacts = FACTS
    policy: ReleasePolicy = POLICY
    uses: int = 0
    now: int = NOON

    def decide(self) -> GrantConditions | Refusal:
        return decide(self.request, self.attested, self.order, self.policy, uses=self.uses, now=self.now)

    def lie(self, **members: object) -> None:
        """Let the CVM ask, properly signed, for something else."""
        self.request = CVM.request(DOMAIN, ORDER, 1, CHALLENGE, **members)

    def show(self, **changed: object) -> None:
        """Let the evidence say something else."""
        self.attested = dataclasses.replace(self.attested, verified=verdict(**changed))

    def demand(self, **changed: object) -> None:
        """Let the owner's policy demand something else."""
        self.policy = dataclasses.replace(self.policy, **changed)  # type: ignore[arg-type]

    def chain(self, **changed: object) -> None:
        """Let the owner's nodes say something else."""
        self.order = dataclasses.replace(self.order, **changed)  # type: ignore[arg-type]


def test_grants_exactly_what_was_asked_when_every_condition_holds() -> None:
    case = Case()
    granted = case.decide()
    assert isinstance(granted, GrantConditions), granted
    assert granted.request_digest == case.request.digest
    assert (granted.order_id, granted.cvm_id, granted.input_index) == (ORDER_ID, CVM.cvm_id, 1)
    assert granted.result_key_digest == ORDER.terms.result_key_digest and granted.ttl_s == 86_400


OTHER = b"\x99" * 32
STATE = OrderState
S = ReleaseStep


GPUS = tuple(VerifiedDevice("gpu", bytes([mark]) * 32, "HOPPER", "550", "96") for mark in (1, 2))
SWITCH = (dataclasses.replace(GPUS[0], kind="nvswitch"),)


def _set(name: str, value: object) -> Callable[[Case], None]:
    return lambda case: setattr(case, name, value)


def _view(state: OrderState, cvm: bytes = RUNNING.cvm_id) -> OrderView:
    return OrderView(state, Phase.SETUP, cvm)


def on_snp(case: Case) -> None:
    """Let the CVM be an SEV-SNP guest that the policy accepts but for its clock."""
    case.show(tee=TeeKind.SEV_SNP)
    case.demand(tees=frozenset({TeeKind.SEV_SNP}))


LIES: list[tuple[str, ReleaseStep, Callable[[Case], object]]] = [
    ("empty policy", S.POLICY, lambda c: c.demand(measurements=frozenset())),
    ("no uses at all", S.POLICY, lambda c: c.demand(max_uses=0)),
    ("request for another order", S.ORDER, lambda c: c.lie(order_id=OTHER)),
    ("preimage of another order", S.ORDER, lambda c: c.chain(
        preimage=dataclasses.replace(ORDER, terms=dataclasses.replace(ORDER.terms, salt=OTHER)))),
    ("not started in a finalized block", S.RUNNING, lambda c: c.chain(final=_view(STATE.ACCEPTED))),
    ("unknown to the chain", S.RUNNING, lambda c: c.chain(final=_view(STATE.NONE, ZERO32))),
    ("over at the head", S.RUNNING, lambda c: c.chain(head=_view(STATE.EXPIRED))),
    ("chain names another CVM", S.CVM, lambda c: c.chain(final=_view(STATE.RUNNING, OTHER))),
    ("head names another CVM", S.CVM, lambda c: c.chain(head=_view(STATE.RUNNING, OTHER))),
    ("evidence of another CVM", S.CVM, lambda c: setattr(
        c, "attested", dataclasses.replace(c.attested, keys=OTHER_CVM.keys.digests))),
    ("request signed by another key", S.REQUEST, lambda c: setattr(
        c, "request", OTHER_CVM.request(DOMAIN, ORDER, 1, CHALLENGE, cvm_id=CVM.cvm_id))),
    ("request altered after signing", S.REQUEST, lambda c: setattr(
        c, "request", dataclasses.replace(
            c.request, request=dataclasses.replace(c.request.request, orders_before=1)))),
    ("start signature of another signer", S.START, lambda c: setattr(
        c, "request", dataclasses.replace(c.request, start_signature=b"\x01" * 65))),
    ("evidence for another challenge", S.EVIDENCE, lambda c: setattr(
        c, "request", CVM.request(DOMAIN, ORDER, 1, OTHER))),
    ("evidence made for certification", S.EVIDENCE, lambda c: c.show(
        report_data=CVM.keys.report_data(Purpose.CERTIFY, operator=OPERATOR, challenge=CHALLENGE))),
    ("evidence for another operator", S.EVIDENCE, lambda c: setattr(
        c, "attested", dataclasses.replace(c.attested, operator=OWNER))),
    ("no such input", S.INPUT, lambda c: c.lie(input_index=3)),
    ("another manifest", S.INPUT, lambda c: c.lie(manifest_digest=OTHER)),
    ("another engine than ordered", S.ENGINE, lambda c: c.lie(engine_digest=OTHER)),
    ("engine that the owner never read", S.ENGINE, lambda c: c.demand(engines=frozenset({OTHER}))),
    ("another config than ordered", S.CONFIG, lambda c: c.lie(config_digest=OTHER)),
    ("config not accepted", S.CONFIG, lambda c: c.demand(configs=frozenset({OTHER}))),
    ("another result key", S.RESULT_KEY, lambda c: c.lie(result_key_digest=OTHER)),
    ("root not accepted", S.TRUST_CLASS, lambda c: c.show(root_set="amd-genoa")),
    ("simulated as real", S.TRUST_CLASS, lambda c: c.show(simulated=True)),
    ("TEE not accepted", S.TEE, lambda c: c.show(tee=TeeKind.SGX)),
    ("unknown measurement", S.MEASUREMENT, lambda c: c.show(measurement=OTHER)),
    ("stale TCB", S.TCB, lambda c: c.show(tcb_status="OutOfDate")),
    ("TCB word that nobody knows", S.TCB, lambda c: c.show(tcb_status="Splendid")),
    ("platform not listed", S.PLATFORM, lambda c: c.show(platform_id_hash=OTHER)),
    ("listed again by somebody else", S.SELLER, lambda c: c.chain(seller=CLIENT)),
    ("listed by nobody", S.SELLER, lambda c: c.chain(seller=ZERO_ADDRESS)),
    ("client not listed", S.CLIENT, lambda c: c.demand(clients=frozenset({OWNER}))),
    ("hostile neighbour", S.OTHER_INPUTS, lambda c: c.demand(other_inputs=frozenset())),
    ("CVM has served before", S.ORDERS_BEFORE, lambda c: c.lie(orders_before=1)),
    ("price too low", S.PRICE, lambda c: c.demand(min_price_due=16)),
    ("used up", S.USES, _set("uses", 2)),
    ("before hours", S.HOURS, _set("now", NOON - 5 * 3600)),
    ("after hours", S.HOURS, _set("now", NOON + 6 * 3600)),
    ("a GPU that nobody asked for", S.GPU, lambda c: c.show(devices=GPUS[:1], gpu_root_set="nvidia")),
    ("a GPU missing", S.GPU, lambda c: c.demand(gpu=GpuRules(2, frozenset({"nvidia"})))),
    ("a GPU too many", S.GPU, lambda c: (
        c.demand(gpu=GpuRules(1, frozenset({"nvidia"}))), c.show(devices=GPUS, gpu_root_set="nvidia"))),
    ("a switch for a GPU", S.GPU, lambda c: (
        c.demand(gpu=GpuRules(1, frozenset({"nvidia"}))), c.show(devices=SWITCH, gpu_root_set="nvidia"))),
    ("GPUs of another root", S.GPU, lambda c: (
        c.demand(gpu=GpuRules(2, frozenset({"nvidia"}))),
        c.show(devices=GPUS, gpu_root_set="dev:" + "11" * 32))),
    ("a clock that the host holds", S.CLOCK, lambda c: on_snp(c)),
    ("Secure TSC of another measurement", S.CLOCK, lambda c: (
        on_snp(c), c.demand(secure_tsc=frozenset({OTHER})))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "step", "change"), LIES, ids=[lie[0] for lie in LIES])
def test_refuses_by_step(name: str, step: ReleaseStep, change: Callable[[Case], object]) -> None:
    case = Case()
    change(case)
    refused = case.decide()
    assert isinstance(refused, Refusal), name
    assert refused.step is step, refused
    assert refused.got and refused.expected and refused.error().step == step.value
    assert set(refused.to_json()) == {"step", "got", "expected"}


def test_every_step_has_a_lie() -> None:
    assert {step for _, step, _ in LIES} == set(ReleaseStep)


def test_grants_with_exactly_the_gpus_that_the_policy_asks_for() -> None:
    case = Case()
    case.demand(gpu=GpuRules(2, frozenset({"nvidia"}), switches=1))
    case.show(devices=(*GPUS, *SWITCH), gpu_root_set="nvidia")
    assert isinstance(case.decide(), GrantConditions)


def test_a_clock_is_protected_by_the_kind_of_tee_or_by_a_measurement_that_the_owner_names() -> None:
    case = Case()
    assert isinstance(case.decide(), GrantConditions)  # TDX
    on_snp(case)
    case.demand(secure_tsc=frozenset({MEASUREMENT}))
    assert isinstance(case.decide(), GrantConditions)
    case.show(tee=TeeKind.CCA)  # nothing is known of its counter, whatever is named
    case.demand(tees=frozenset({TeeKind.CCA}))
    refused = case.decide()
    assert isinstance(refused, Refusal) and refused.step is S.CLOCK and "clock: host (cca)" in refused.got
    case.demand(accept_host_clock=True)
    assert isinstance(case.decide(), GrantConditions)


def test_hours_from_the_end_of_a_day_to_its_beginning_are_none() -> None:
    case = Case()
    case.demand(hours_utc=(24, 0))  # `keybroker explain` says so
    for hour in range(24):
        case.now = NOON // 86_400 * 86_400 + hour * 3600
        refused = case.decide()
        assert isinstance(refused, Refusal) and refused.step is S.HOURS


def test_a_placeholder_in_the_list_of_sellers_does_not_stand_for_nobody() -> None:
    case = Case()
    case.chain(seller=ZERO_ADDRESS)
    case.demand(listed_by=frozenset({OWNER, ZERO_ADDRESS}))
    refused = case.decide()
    assert isinstance(refused, Refusal) and refused.step is S.SELLER and "nobody" in refused.got
    case.demand(listed_by=None)
    assert isinstance(case.decide(), GrantConditions)


def test_hours_may_run_over_midnight() -> None:
    case = Case(now=NOON)
    case.demand(hours_utc=(22, 6))
    assert isinstance(case.decide(), Refusal)
    for hour in (23, 5):
        case.now = NOON // 86_400 * 86_400 + hour * 3600
        assert isinstance(case.decide(), GrantConditions)


def test_engine_owner_judges_datasets_as_other_inputs() -> None:
    case = Case(request=CVM.request(DOMAIN, ORDER, 0, CHALLENGE))
    case.demand(min_price_due=0)
    refused = case.decide()
    assert isinstance(refused, Refusal) and refused.step is S.OTHER_INPUTS
    case.demand(other_inputs=frozenset(offer.manifest_digest for offer in ORDER.inputs[1:]))
    assert isinstance(case.decide(), GrantConditions)


def test_simulated_passes_only_with_its_class_and_the_loud_word() -> None:
    dev = "dev:" + "11" * 32
    case = Case()
    case.show(root_set=dev, simulated=True)
    case.demand(trust_classes=frozenset({dev}))
    refused = case.decide()
    assert isinstance(refused, Refusal) and "SIMULATED" in refused.got
    case.demand(unsafe_accept_simulated=True)
    refused = case.decide()
    assert isinstance(refused, Refusal) and refused.step is S.CLOCK  # software's clock is its host's
    case.demand(accept_host_clock=True)
    assert isinstance(case.decide(), GrantConditions)


def test_start_signature_must_name_these_inputs() -> None:
    inputs = ORDER.terms.inputs
    other = (*inputs[:2], InputRef(9, 1, terms_hash(ORDER.inputs[2]), ZERO32))
    foreign = dataclasses.replace(ORDER, terms=dataclasses.replace(ORDER.terms, inputs=other))
    signed = CVM.request(DOMAIN, foreign, 1, CHALLENGE, order_id=ORDER_ID)
    refused = Case(request=signed).decide()
    assert isinstance(refused, Refusal) and refused.step is S.START


def test_a_broken_statement_key_is_refused_not_crashed_on() -> None:
    case = Case()
    case.request = dataclasses.replace(case.request, statement_spki=b"\x30\x00")
    digests = dataclasses.replace(CVM.keys.digests, statement=sha256(b"\x30\x00"))
    forged = cvm_id(digests)  # the whole chain agrees on it, so that the parser is reached
    view = _view(STATE.RUNNING, forged)
    case.request = dataclasses.replace(
        case.request, request=dataclasses.replace(case.request.request, cvm_id=forged)
    )
    case.attested = dataclasses.replace(case.attested, keys=digests)
    case.chain(final=view, head=view)
    refused = case.decide()
    assert isinstance(refused, Refusal) and refused.step is S.REQUEST
