"""The market that gas is measured on: everybody has traded once, so that no account is new to anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from enclave_runtime.wire.cvm import (
    CvmCertificate,
    CvmKeys,
    Possession,
    TcbStatus,
    TeeKind,
    cvm_id,
    root_set_hash,
)
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.offers import OfferKind, Payee, Price
from enclave_runtime.wire.orders import (
    NO_INPUT,
    TERMINAL_SEQUENCE,
    OrderPreimage,
    OrderStart,
    Outcome,
    Phase,
    ReportSummary,
    RuntimePolicy,
    inputs_root,
    order_id,
)
from enclave_runtime.wire.scalars import ZERO32
from marketplace.chain.artifacts import contract
from marketplace.chain.authors import Authors
from marketplace.chain.deploy import MarketPlan, SignerChain, deployment_of
from marketplace.chain.deploy_addresses import contract_salt
from marketplace.chain.deploy_plan import addresses, steps
from marketplace.chain.deploy_run import carry_out, has_factory
from marketplace.chain.providers import Operators, Providers
from marketplace.chain.reader import Reader
from marketplace.chain.reports import compact, numbers_of, report_of
from marketplace.chain.signer import Signer
from marketplace.chain.tokens import Token
from marketplace.chain.writer import Sender, Writer
from marketplace.domain.draft import OrderDraft, draft_order
from marketplace.domain.lease import LeaseTerms, terms_bytes
from marketplace.domain.leasing import Leasing
from marketplace.domain.offer import ListedOffer, compute_terms, content_terms, sole_payee
from marketplace.domain.order import runtime_policy
from marketplace.domain.pricing import Params
from marketplace.domain.tight import (
    encode_claim,
    encode_heads,
    encode_order,
    encode_payees,
    encode_policy,
    payees_hash,
)
from scripts.bench.gaslib.stage import Call, Stage

__all__ = ["CVMS", "LOCATION", "UNIT", "USED_S", "Cvm", "Market", "build"]

PEOPLE = (
    "admin", "treasury", "provider", "operator", "engine_owner", "owner_a", "owner_b", "co_a", "co_b",
    "client", "passer_by",
)  # fmt: skip
CVMS = 9
"""One that ends orders, and eight for a batch of checkpoints."""
LOCATION = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
"""Where an order's packet or bundle lies, as clients and providers write it."""
UNIT = 10**6
ALL = (1 << 256) - 1
ROOT_SET = "dev:" + "5a" * 32
MEASUREMENT = keccak256(b"runtime")
_PAST_ORDERS = 2
"""Orders that `build` placed."""
PERIOD_S = 30 * 86_400
MAX_SECONDS = 3600
USED_S = 600


def key_of(name: str) -> Signer:
    """Return a fixed key by name."""
    return Signer.from_key(keccak256(b"cloister gas bench " + name.encode()))


@dataclass(frozen=True, slots=True)
class Cvm:
    """A registered CVM that only signs."""

    signer: Signer
    cvm_id: bytes
    number: int


class Market:
    """Everybody and everything, and the calls that lead an order along its life."""

    def __init__(self, stage: Stage, creation: Mapping[str, bytes], name: str) -> None:
        """Deploy, list, stake and certify; use `build`."""
        self.stage = stage
        self.keys = {name: key_of(name) for name in PEOPLE}
        self.who = {name: signer.address for name, signer in self.keys.items()}
        for account in self.who.values():
            stage.chain.fund(account)
            stage.chain.impersonate(account)
        self.params = Params(250, 1000, 60, self.who["treasury"])
        self._deploy(creation, name)
        self.token = Token(stage.chain.rpc, stage.chain.chain_id, self.deployment.token)
        self.policy: RuntimePolicy = runtime_policy(
            frozenset({ROOT_SET}), frozenset({TeeKind.TDX}), frozenset({MEASUREMENT})
        )
        self.compute, self.inputs = self._list()
        self._open_desk()
        self.cvms = [self._register(f"cvm {number}") for number in range(CVMS)]
        for name in PEOPLE:
            self.token.mint(self._sender(name), self.who[name], 10**12 * UNIT)
            for book in ("OrderBook", "LeaseBook"):
                self.token.approve(self._sender(name), stage.at[book], ALL)
        self._salts = 0

    # ------------------------------------------------------------------------------------------- setting up
    def _deploy(self, creation: Mapping[str, bytes], name: str) -> None:
        chain = self.stage.chain
        account = SignerChain(chain.rpc, chain.chain_id, self.keys["admin"])
        plan = MarketPlan(
            params=self.params,
            certifiers=(self.who["passer_by"],),
            threshold=1,
            measurements=((MEASUREMENT, TeeKind.TDX, "bench"),),
            trust_classes=((ROOT_SET, TcbStatus.UP_TO_DATE),),
            market=name,
        )
        planned = steps(plan, account.sender, chain.chain_id, factory=has_factory(account))
        at = addresses(plan, account.sender)
        for part, code in creation.items():
            shipped = contract(part).bytecode
            deploy = contract("Deployer").functions["deploy"]
            planned = tuple(
                replace(
                    step,
                    data=deploy.call(
                        contract_salt(plan.market, part),
                        code + deploy.arguments(step.data[4:])["initCode"][len(shipped) :],
                    ),
                )
                if step.creates == at[part]
                else step
                for step in planned
            )
        carry_out(account, planned)
        self.stage.at |= at
        self.deployment = deployment_of(account, plan, chain.chain_id, 0)
        self.reader = Reader(chain.rpc, self.deployment)

    def _sender(self, name: str) -> Sender:
        return Sender(self.stage.chain.rpc, self.stage.chain.chain_id, self.keys[name])

    def _writer(self, name: str) -> Writer:
        return Writer(self.reader.node, self.keys[name])

    def _list(self) -> tuple[ListedOffer, list[ListedOffer]]:
        """List compute, an engine and two datasets of two payees each: six payees."""
        compute = compute_terms(
            token=self.deployment.token,
            price=Price(fixed_price=UNIT, per_hour=2 * UNIT, min_seconds=60),
            payees=sole_payee(self.who["provider"]),
        )
        listed = Authors(self.reader, self._writer("provider")).list_offer(compute, "")
        inputs = [self._content("engine_owner", OfferKind.ENGINE, sole_payee(self.who["engine_owner"]))]
        for name in ("a", "b"):
            pair = (Payee(self.who[f"owner_{name}"], 7000), Payee(self.who[f"co_{name}"], 3000))
            inputs.append(self._content(f"owner_{name}", OfferKind.DATASET, pair))
        return listed, inputs

    def _content(self, owner: str, kind: OfferKind, payees: tuple[Payee, ...]) -> ListedOffer:
        terms = content_terms(
            kind=kind,
            token=self.deployment.token,
            price=Price(fixed_price=3 * UNIT, per_hour=UNIT, min_seconds=60),
            payees=payees,
            manifest_digest=keccak256(b"manifest " + owner.encode()),
            content_digest=keccak256(b"content " + owner.encode()),
            grant_key=key_of(f"grant key {owner}").address,
        )
        return Authors(self.reader, self._writer(owner)).list_offer(terms, LOCATION)

    def _open_desk(self) -> None:
        providers, token = Providers(self.reader, self._writer("provider")), self.deployment.token
        self.token.mint(self._sender("provider"), self.who["provider"], 10**9 * UNIT)
        offer = self.compute.offer
        providers.open_desk(offer, token, self.who["operator"], self.who["provider"], 100)
        providers.ensure_stake(offer, token, 10**6 * UNIT)

    def _register(self, name: str) -> Cvm:
        signer, operator = key_of(name), self.who["operator"]
        keys = CvmKeys(signer.address, *(keccak256(f"{name} {part}".encode()) for part in ("h", "s", "t")))
        identity, now, challenge = cvm_id(keys), self.reader.now(), keccak256(b"challenge")
        certificate = CvmCertificate(
            cvm_id=identity,
            signer=keys.signer,
            hpke=keys.hpke,
            statement=keys.statement,
            tls=keys.tls,
            operator=operator,
            measurement=MEASUREMENT,
            tee=int(TeeKind.TDX),
            root_set=root_set_hash(ROOT_SET),
            tcb_status=int(TcbStatus.UP_TO_DATE),
            platform_id=keccak256(b"platform " + name.encode()),
            gpu_digest=ZERO32,
            evidence_id=keccak256(b"evidence"),
            challenge=challenge,
            issued_at=now,
            expires_at=now + 7 * 86_400,
        )
        word = self.keys["passer_by"].sign_typed(self.deployment.certificate_domain, certificate)
        proof = Possession(identity, operator, self.deployment.cvm_registry, challenge)
        possession = signer.sign_typed(self.deployment.possession_domain, proof)
        operators = Operators(self.reader, self._writer("operator"))
        operators.register_cvm(keys, operator, challenge, possession, [(certificate, word)])
        return Cvm(signer, identity, self.reader.cvm_index(identity))

    # ------------------------------------------------------------------------------------------- orders
    def order(self) -> OrderPreimage:
        """Return an order over all four offers that was never placed."""
        self._salts += 1
        draft = OrderDraft(
            client=self.who["client"],
            compute=self.compute,
            inputs=self.inputs,
            config_digest=keccak256(b"config"),
            result_key_digest=keccak256(b"result key"),
            policy=self.policy,
            max_seconds=MAX_SECONDS,
            salt=keccak256(b"salt %d" % self._salts),
        )
        return draft_order(draft, self.params, now=self.stage.now())

    def forget(self) -> None:
        """Draw the same salts again: the chain was put back, and a figure shall depend on no other."""
        self._salts = _PAST_ORDERS

    def id_of(self, order: OrderPreimage) -> bytes:
        """Return an order's id."""
        return order_id(self.deployment.order_domain, order.terms)

    def place(self, order: OrderPreimage) -> Call:
        """Let the client place an order, from an allowance."""
        return self._book("client", "place", encode_order(order.terms), LOCATION)

    def accept(self, order: OrderPreimage, cvm: Cvm) -> Call:
        """Let the operator accept."""
        heads = encode_heads(order)
        return self._book(
            "operator", "accept", encode_order(order.terms), heads, encode_policy(self.policy), cvm.number
        )

    def start(self, order: OrderPreimage, cvm: Cvm) -> Call:
        """Submit the CVM's start."""
        start = OrderStart(self.id_of(order), cvm.cvm_id, inputs_root(order.terms.inputs))
        signature = cvm.signer.sign_typed(self.deployment.order_domain, start)
        return self._book("operator", "start", *members(start), *compact(signature))

    def checkpoint(self, order: OrderPreimage, cvm: Cvm, seconds: int, sequence: int) -> bytes:
        """Return the calldata of a checkpoint; the first enters ENGINE."""
        summary, signature = self._say(order, cvm, Outcome.NONE, seconds, sequence)
        said, signed = (summary.order_id, numbers_of(summary)), compact(signature)
        if summary.statement_digest == ZERO32:
            return self.stage.encode("OrderBook", "checkpoint", *said, *signed)
        return self.stage.encode("OrderBook", "enterEngine", *said, summary.statement_digest, *signed)

    def complete(self, order: OrderPreimage, cvm: Cvm, *, signed: bool = True) -> Call:
        """Submit the CVM's last word."""
        summary, signature = self._say(order, cvm, Outcome.COMPLETED, USED_S, TERMINAL_SEQUENCE)
        report = report_of(summary, signature)
        if not signed:
            report = (*report[:-2], ZERO32, ZERO32)
        return self._book("operator", "complete", encode_order(order.terms), report, LOCATION)

    def claim_data(self, order: OrderPreimage, k: int) -> bytes:
        """Return the calldata of a claim for the payees of offer `k`, 0 being compute."""
        terms = (order.compute, *order.inputs)[k]
        return self.stage.encode("OrderBook", "claim", encode_order(order.terms), encode_claim(k, terms))

    def claim_rest_data(self, order: OrderPreimage) -> bytes:
        """Return the calldata of a claim of refund and fees."""
        return self.stage.encode("OrderBook", "claimRest", encode_order(order.terms), encode_heads(order))

    def withdraw_data(self, account: str) -> bytes:
        """Return the calldata that sends an account its credit."""
        return self.stage.encode("OrderBook", "withdraw", self.deployment.token, self.who[account])

    def claim(self, order: OrderPreimage, k: int) -> Call:
        """Let somebody claim for the payees of offer `k`."""
        return self._send("passer_by", self.claim_data(order, k))

    def claim_rest(self, order: OrderPreimage) -> Call:
        """Let somebody claim refund and fees."""
        return self._send("passer_by", self.claim_rest_data(order))

    def withdraw(self, account: str, sender: str) -> Call:
        """Let somebody send an account its credit."""
        return self._send(sender, self.withdraw_data(account))

    def running(self, order: OrderPreimage, cvm: Cvm) -> None:
        """Take an order from nothing to RUNNING in ENGINE, with one checkpoint behind it."""
        self.place(order)
        self.accept(order, cvm)
        self.start(order, cvm)
        self.stage.warp(USED_S)
        self._send("operator", self.checkpoint(order, cvm, 60, 1))

    def _send(self, sender: str, data: bytes) -> Call:
        return self.stage.send(self.who[sender], self.stage.at["OrderBook"], data)

    def _book(self, sender: str, function: str, *arguments: object) -> Call:
        return self.stage.call(self.who[sender], "OrderBook", function, *arguments)

    def _say(
        self, order: OrderPreimage, cvm: Cvm, outcome: Outcome, seconds: int, sequence: int
    ) -> tuple[ReportSummary, bytes]:
        ends, enters = outcome is not Outcome.NONE, sequence == 1
        summary = ReportSummary(
            order_id=self.id_of(order),
            cvm_id=cvm.cvm_id if ends else ZERO32,
            phase=int(Phase.ENGINE),
            sequence=sequence,
            outcome=int(outcome),
            attributable_input=NO_INPUT,
            inputs_root=inputs_root(order.terms.inputs) if ends else ZERO32,
            result_digest=keccak256(b"result") if ends else ZERO32,
            statement_digest=keccak256(b"statement") if ends or enters else ZERO32,
            seconds_used=seconds,
            units_used=0,
        )
        return summary, cvm.signer.sign_typed(self.deployment.order_domain, summary)

    # ------------------------------------------------------------------------------------------- leases
    def lease_terms(self) -> LeaseTerms:
        """Return terms for leases of the engine."""
        engine = self.inputs[0]
        return LeaseTerms(
            offer=engine.offer,
            version=engine.version,
            terms_hash=engine.terms_hash,
            token=self.deployment.token,
            price_per_period=50 * UNIT,
            period_seconds=PERIOD_S,
            max_periods=12,
            places=4,
            notice_seconds=86_400,
            min_seconds=86_400,
            max_fee_bps=500,
            payees_hash=payees_hash(engine.terms.payees),
            salt=keccak256(b"lease terms"),
        )

    def open_lease_terms(self) -> None:
        """Sell leases of the engine."""
        arguments = (terms_bytes(self.lease_terms()), encode_payees(self.inputs[0].terms.payees))
        self.stage.call(self.who["engine_owner"], "LeaseBook", "openTerms", *arguments)

    def lease(self, salt: int) -> Call:
        """Let the client lease the engine for one period, from an allowance."""
        leasing = Leasing(self.lease_terms(), self.who["client"], self.who["client"], salt)
        return self.stage.call(self.who["client"], "LeaseBook", "lease", leasing.to_bytes(), 1)


def members(start: OrderStart) -> tuple[bytes, bytes, bytes]:
    """Return a start's members in the order of the call."""
    return start.order_id, start.cvm_id, start.inputs_root


def build(stage: Stage, creation: Mapping[str, bytes] | None = None, *, market: str = "main") -> Market:
    """Deploy a market, and let everybody trade in it once.

    Args:
        creation: creation code that stands for the shipped one, by contract, for comparisons.
        market: name; two on one chain have two.
    """
    made = Market(stage, creation or {}, market)
    stage.warp(10)
    past, cvm = made.order(), made.cvms[0]
    made.running(past, cvm)
    made.complete(past, cvm)
    made.claim_rest(past)
    for k in range(4):
        made.claim(past, k)
    for account in PEOPLE:
        if stage.view("OrderBook", "creditOf", made.deployment.token, made.who[account]):
            made.withdraw(account, "admin")
    # Others' orders and leases go on: neither escrow nor locked stake nor a book's balance is zero.
    made.running(made.order(), cvm)
    made.open_lease_terms()
    made.lease(0)
    return made
