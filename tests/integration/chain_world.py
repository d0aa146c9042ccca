"""A market on a local chain for integration tests: funded wallets, offers, a CVM that only signs."""

from __future__ import annotations

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
from marketplace.chain.anyone import Anyone
from marketplace.chain.authors import Authors
from marketplace.chain.claims import Claims, Collected
from marketplace.chain.clients import Clients
from marketplace.chain.deploy import MarketPlan, deploy_all
from marketplace.chain.deployments import Deployment
from marketplace.chain.devchain import DevChain
from marketplace.chain.governors import Governors
from marketplace.chain.providers import Operators, Providers
from marketplace.chain.reader import Reader
from marketplace.chain.signer import Signer
from marketplace.chain.tokens import Token
from marketplace.chain.writer import Sender, Writer
from marketplace.domain.draft import OrderDraft, draft_order
from marketplace.domain.offer import ListedOffer, compute_terms, content_terms, sole_payee
from marketplace.domain.order import runtime_policy
from marketplace.domain.pricing import Params

__all__ = ["MEASUREMENT", "PARAMS", "ROOT_SET", "SignedCvm", "World"]

ROOT_SET = "dev:" + "5a" * 32
MEASUREMENT = keccak256(b"runtime")
TREASURY = b"\xfe" * 20
PARAMS = Params(fee_bps=250, start_penalty_bps=1000, min_grace=60, treasury=TREASURY)
PEOPLE = ("admin", "treasurer", "owner_a", "owner_b", "author", "provider", "operator", "client", "passer_by")


def key_of(name: str) -> Signer:
    """Return a fixed test key by name."""
    return Signer.from_key(keccak256(b"cloister test key " + name.encode()))


@dataclass
class SignedCvm:
    """A CVM's `signer` and the ids that follow from it; stands for a runtime that signs what it should."""

    signer: Signer
    keys: CvmKeys
    cvm_id: bytes

    @classmethod
    def named(cls, name: str) -> SignedCvm:
        """Return a CVM with fixed keys."""
        signer = key_of("cvm " + name)
        digests = [keccak256(f"{name} {part}".encode()) for part in ("hpke", "statement", "tls")]
        keys = CvmKeys(signer.address, *digests)
        return cls(signer, keys, cvm_id(keys))


class World:
    """A deployed market with everybody in it."""

    def __init__(self, chain: DevChain) -> None:
        """Deploy on a running local chain, and fund everybody."""
        self.chain = chain
        self.keys = {name: key_of(name) for name in PEOPLE}
        self.certifiers = [key_of(f"certifier {n}") for n in range(3)]
        for signer in self.keys.values():
            chain.fund(signer.address)
        plan = MarketPlan(
            params=PARAMS,
            certifiers=tuple(item.address for item in self.certifiers),
            threshold=2,
            unbonding_s=3600,
            measurements=((MEASUREMENT, TeeKind.TDX, "test"),),
            trust_classes=((ROOT_SET, TcbStatus.UP_TO_DATE),),
        )
        self.deployment: Deployment = deploy_all(chain.rpc, self.keys["admin"], plan)
        self.reader = Reader(chain.rpc, self.deployment)
        self.token = Token(chain.rpc, chain.chain_id, self.deployment.token)
        for name in ("provider", "client"):
            self.token.mint(self._sender(name), self.keys[name].address, 10**12)
        self.authors = {name: Authors(self.reader, self.writer(name)) for name in PEOPLE}
        self.clients = Clients(self.reader, self.writer("client"))
        self.providers = Providers(self.reader, self.writer("provider"))
        self.operators = Operators(self.reader, self.writer("operator"))
        self.anyone = Anyone(self.reader, self.writer("passer_by"))
        self.claims = Claims(self.reader, self.writer("passer_by"))
        self.governors = Governors(self.reader, self.writer("admin"))

    def writer(self, name: str) -> Writer:
        """Return a writer with somebody's key."""
        return Writer(self.reader.node, self.keys[name])

    def balance(self, account: bytes) -> int:
        """Return an account's token balance."""
        return self.token.balance_of(account)

    def offers(self) -> tuple[ListedOffer, list[ListedOffer]]:
        """List compute, an engine and two datasets with prices that round badly; repeatable."""
        address = {name: signer.address for name, signer in self.keys.items()}
        compute = self.authors["provider"].list_offer(
            compute_terms(
                token=self.deployment.token,
                price=Price(fixed_price=101, per_hour=3_600_001, min_seconds=60),
                payees=sole_payee(address["provider"]),
            ),
            "",
        )
        engine = self._content("author", OfferKind.ENGINE, Price(997), sole_payee(address["author"]))
        shares = (Payee(address["owner_a"], 3333), Payee(address["treasurer"], 6667))
        data_a = self._content("owner_a", OfferKind.DATASET, Price(13, 7_200_007, 3), shares)
        data_b = self._content("owner_b", OfferKind.DATASET, Price(), sole_payee(address["owner_b"]))
        return compute, [engine, data_a, data_b]

    def policy(self) -> RuntimePolicy:
        """Return a runtime policy that the test CVMs fit."""
        return runtime_policy(frozenset({ROOT_SET}), frozenset({TeeKind.TDX}), frozenset({MEASUREMENT}))

    def order(self, salt: str, *, max_seconds: int = 600, **changes: object) -> OrderPreimage:
        """Return the preimage of an order over `offers`."""
        compute, inputs = self.offers()
        draft = OrderDraft(
            client=self.keys["client"].address,
            compute=compute,
            inputs=inputs,
            config_digest=keccak256(b"config"),
            result_key_digest=keccak256(b"result key"),
            policy=self.policy(),
            max_seconds=max_seconds,
            salt=keccak256(salt.encode()),
        )
        return draft_order(replace(draft, **changes), PARAMS, now=self.reader.now())  # type: ignore[arg-type]

    def ready_provider(self) -> None:
        """Open the provider's desk and stake plenty; repeatable."""
        (compute, _), token = self.offers(), self.deployment.token
        operator, payee = self.keys["operator"].address, self.keys["provider"].address
        self.providers.open_desk(compute.offer, token, operator, payee, 8)
        self.providers.ensure_stake(compute.offer, token, 10**9)

    def certificates(
        self, cvm: SignedCvm, *, lasts_s: int = 86_400, by: int = 2
    ) -> list[tuple[CvmCertificate, bytes]]:
        """Return the word of `by` certifiers on a CVM."""
        now = self.reader.now()
        signed = []
        for number, certifier in enumerate(self.certifiers[:by]):
            certificate = CvmCertificate(
                cvm_id=cvm.cvm_id,
                signer=cvm.keys.signer,
                hpke=cvm.keys.hpke,
                statement=cvm.keys.statement,
                tls=cvm.keys.tls,
                operator=self.keys["operator"].address,
                measurement=MEASUREMENT,
                tee=int(TeeKind.TDX),
                root_set=root_set_hash(ROOT_SET),
                tcb_status=int(TcbStatus.UP_TO_DATE),
                platform_id=keccak256(b"platform"),
                gpu_digest=ZERO32,
                evidence_id=keccak256(b"evidence"),
                challenge=keccak256(b"challenge %d" % number),
                issued_at=now,
                expires_at=now + lasts_s + number,
            )
            domain = self.deployment.certificate_domain
            signed.append((certificate, certifier.sign_typed(domain, certificate)))
        return signed

    def register(self, cvm: SignedCvm, *, by: int = 2) -> None:
        """Put a CVM on chain with the word of `by` certifiers."""
        operator, challenge = self.keys["operator"].address, keccak256(b"possess")
        proof = Possession(cvm.cvm_id, operator, self.deployment.cvm_registry, challenge)
        possession = cvm.signer.sign_typed(self.deployment.possession_domain, proof)
        self.operators.register_cvm(cvm.keys, operator, challenge, possession, self.certificates(cvm, by=by))

    def id_of(self, preimage: OrderPreimage) -> bytes:
        """Return an order's id."""
        return order_id(self.deployment.order_domain, preimage.terms)

    def accept(self, cvm: SignedCvm, preimage: OrderPreimage) -> None:
        """Accept an order with a registered CVM."""
        self.operators.accept(preimage, self.policy(), self.reader.cvm_index(cvm.cvm_id))

    def start(self, cvm: SignedCvm, preimage: OrderPreimage) -> None:
        """Start an order with what the CVM signs."""
        start = OrderStart(self.id_of(preimage), cvm.cvm_id, inputs_root(preimage.terms.inputs))
        self.operators.start(start, cvm.signer.sign_typed(self.deployment.order_domain, start))

    def summary(
        self,
        cvm: SignedCvm,
        preimage: OrderPreimage,
        outcome: Outcome,
        *,
        seconds: int,
        phase: Phase = Phase.ENGINE,
        at_fault: int = NO_INPUT,
        sequence: int = 1,
        opens: bool = True,
    ) -> tuple[ReportSummary, bytes]:
        """Return a summary and the CVM's signature; `Outcome.NONE` makes a checkpoint.

        Args:
            sequence: of a checkpoint.
            opens: whether a checkpoint is the one that enters ENGINE.
        """
        ends = outcome is not Outcome.NONE
        summary = ReportSummary(
            order_id=self.id_of(preimage),
            cvm_id=cvm.cvm_id if ends else ZERO32,
            phase=int(phase),
            sequence=TERMINAL_SEQUENCE if ends else sequence,
            outcome=int(outcome),
            attributable_input=at_fault,
            inputs_root=inputs_root(preimage.terms.inputs) if ends else ZERO32,
            result_digest=keccak256(b"result") if outcome in (Outcome.COMPLETED, Outcome.FAILED) else ZERO32,
            statement_digest=keccak256(b"statement") if ends or opens else ZERO32,
            seconds_used=seconds,
            units_used=0,
        )
        return summary, cvm.signer.sign_typed(self.deployment.order_domain, summary)

    def running(self, cvm: SignedCvm, preimage: OrderPreimage) -> bytes:
        """Take an order from nothing to RUNNING in SETUP; return its id."""
        self.ready_provider()
        self.register(cvm)
        self.clients.place(preimage, self.policy(), "file:packet")
        self.accept(cvm, preimage)
        self.start(cvm, preimage)
        return self.id_of(preimage)

    def checkpoint(self, cvm: SignedCvm, preimage: OrderPreimage, seconds: int, *, sequence: int = 1) -> None:
        """Prove that every digest was checked, or, with a later sequence, what was used since."""
        checkpoint = self.summary(
            cvm, preimage, Outcome.NONE, seconds=seconds, sequence=sequence, opens=sequence == 1
        )
        self.operators.checkpoint(*checkpoint)

    def complete(self, cvm: SignedCvm, preimage: OrderPreimage, outcome: Outcome, seconds: int) -> None:
        """Report an order's end."""
        phase = Phase.SETUP if outcome is Outcome.HOST else Phase.ENGINE
        summary, signature = self.summary(cvm, preimage, outcome, seconds=seconds, phase=phase)
        self.operators.complete(preimage.terms, summary, signature, "file:bundle")

    def collect(self, preimage: OrderPreimage) -> Collected:
        """Claim everything of an order, and withdraw for everybody."""
        return self.claims.collect([(preimage, self.reader.get_order(self.id_of(preimage)))])

    def _content(self, name: str, kind: OfferKind, price: Price, payees: tuple[Payee, ...]) -> ListedOffer:
        terms = content_terms(
            kind,
            token=self.deployment.token,
            price=price,
            payees=payees,
            manifest_digest=keccak256(f"{name} manifest".encode()),
            content_digest=keccak256(f"{name} content".encode()),
            grant_key=key_of(f"{name} grants").address,
        )
        return self.authors[name].list_offer(terms, f"file:{name}")

    def _sender(self, name: str) -> Sender:
        return Sender(self.chain.rpc, self.chain.chain_id, self.keys[name])
