"""Puts a market on a chain: contracts in order, roles, certifiers, reference values (protocol 4.5 and 6).

ProviderRegistry and OrderBook name each other, so the OrderBook's address is computed before it exists and
checked by its own constructor. Open faucets and SIMULATED trust classes go to development chains alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from enclave_runtime.wire.codec import hex_of, to_abi
from enclave_runtime.wire.cvm import TcbStatus, TeeKind
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.orders import ComputeRef, Holdback, InputRef, OrderTerms, Windows, order_id
from enclave_runtime.wire.scalars import ZERO32
from marketplace.chain.artifacts import contract
from marketplace.chain.deployments import Deployment
from marketplace.chain.devchain import DEV_CHAIN_IDS
from marketplace.chain.governors import Governors
from marketplace.chain.reader import Reader
from marketplace.chain.rpc import Rpc, hex_int
from marketplace.chain.signer import Signer
from marketplace.chain.transactions import rlp
from marketplace.chain.writer import Sender, Writer
from marketplace.domain.pricing import Params
from marketplace.errors import BadInputError

__all__ = ["ROLES", "MarketPlan", "check_deployment", "contract_address", "deploy_all"]

ROLES: Final[dict[str, tuple[int, str, tuple[str, ...]]]] = {
    "revoker": (1, "CvmRegistry", ("revoke",)),
    "curator": (
        2,
        "ReferenceValues",
        ("acceptMeasurement", "removeMeasurement", "acceptTrustClass", "removeTrustClass"),
    ),
    "registrar": (3, "CertifierQuorum", ("addCertifier", "removeCertifier", "setThreshold")),
}
"""Role by name: its number, and the functions that it guards. All else that is restricted is the admin's."""
_DEV_PREFIX: Final = "dev:"


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """What a market shall look like.

    Attributes:
        params: shares of version 1.
        certifiers: addresses whose certificates count.
        threshold: how many of them prove a fact.
        token: an ERC-20 on the chain; None deploys an open faucet, on development chains alone.
        unbonding_s: seconds between asking for stake and getting it.
        measurements: (measurement, TEE, release label) accepted from the start.
        trust_classes: (root set id, worst TCB level) accepted from the start.
        holders: who holds each role of `ROLES`; the deployer holds those that are not named.
        accept_simulated: SIMULATED trust classes outside development chains, said loudly.
    """

    params: Params
    certifiers: tuple[bytes, ...]
    threshold: int
    token: bytes | None = None
    unbonding_s: int = 7 * 86_400
    measurements: tuple[tuple[bytes, TeeKind, str], ...] = ()
    trust_classes: tuple[tuple[str, TcbStatus], ...] = ()
    holders: dict[str, bytes] = field(default_factory=dict)
    accept_simulated: bool = False

    def check(self, chain_id: int) -> None:
        """Refuse a plan that must not reach `chain_id`.

        Raises:
            BadInputError: names the member.
        """
        if not 1 <= self.threshold <= len(set(self.certifiers)):
            raise BadInputError("threshold", self.threshold, f"1 to {len(set(self.certifiers))} certifiers")
        unknown = sorted(set(self.holders) - set(ROLES))
        if unknown:
            raise BadInputError("roles", unknown, sorted(ROLES))
        if chain_id in DEV_CHAIN_IDS:
            return
        if self.token is None:
            raise BadInputError(
                "token", "none", f"an ERC-20's address: chain {chain_id} is no development chain"
            )
        simulated = [name for name, _ in self.trust_classes if name.startswith(_DEV_PREFIX)]
        if simulated and not self.accept_simulated:
            raise BadInputError("trust class", f"the SIMULATED {simulated[0]}", "one of a hardware vendor")


def contract_address(deployer: bytes, nonce: int) -> bytes:
    """Return where the contract that `deployer` creates with `nonce` will stand."""
    return keccak256(rlp([deployer, nonce]))[12:]


def deploy_all(
    rpc: Rpc, signer: Signer, plan: MarketPlan, *, report: Callable[[str], None] = lambda line: None
) -> Deployment:
    """Return the deployment of a whole market, roles and reference values included.

    Args:
        signer: pays, and becomes the AccessManager's first administrator.
        report: told each step in words.
    Raises:
        BadInputError: the plan does not suit the chain.
        ChainError: refused, or no usable answer.
    """
    chain_id, block = (hex_int(item) for item in rpc.batch([("eth_chainId", ()), ("eth_blockNumber", ())]))
    plan.check(chain_id)
    work = _Work(Sender(rpc, chain_id, signer), report)
    token = plan.token or work.create("TestToken", "Test Dollar", "TUSD", 6)
    authority = work.create("Authority", signer.address)
    offers = work.create("OfferRegistry")
    references = work.create("ReferenceValues", authority)
    quorum = work.create("CertifierQuorum", authority, sorted(set(plan.certifiers)), plan.threshold)
    cvms = work.create("CvmRegistry", authority, [quorum])
    book = contract_address(signer.address, work.nonce() + 1)
    providers = work.create("ProviderRegistry", book, plan.unbonding_s)
    deployed = work.create("OrderBook", authority, offers, providers, cvms, references, to_abi(plan.params))
    if deployed != book:
        raise BadInputError(
            "OrderBook", hex_of(deployed), f"the predicted {hex_of(book)}", hint="deploy again"
        )
    deployment = Deployment(
        chain_id=chain_id,
        block=block,
        authority=authority,
        offer_registry=offers,
        provider_registry=providers,
        cvm_registry=cvms,
        reference_values=references,
        certifier_quorum=quorum,
        order_book=book,
        token=token,
    )
    _set_up(Reader(rpc, deployment), signer, plan, report)
    return deployment


def check_deployment(reader: Reader) -> None:
    """Refuse a deployment file whose contracts are not there, not ours, or not wired to each other.

    Raises:
        BadInputError: names what was got and expected.
        ChainError: no usable answer, or an answer that is not the contract's.
    """
    node, deployment = reader.node, reader.deployment
    node.check_chain()
    sample = _sample_terms(deployment)
    book, authority, believed, digest, params = node.views(
        [
            ("ProviderRegistry", "ORDER_BOOK", ()),
            ("OrderBook", "AUTHORITY", ()),
            ("CvmRegistry", "isVerifier", (deployment.certifier_quorum,)),
            ("OrderBook", "orderId", (to_abi(sample),)),
            ("OrderBook", "paramsVersion", ()),
        ]
    )
    expected = order_id(deployment.order_domain, sample)
    checks: list[tuple[str, Any, Any]] = [
        ("ProviderRegistry's OrderBook", hex_of(book), hex_of(deployment.order_book)),
        ("OrderBook's authority", hex_of(authority), hex_of(deployment.authority)),
        ("CvmRegistry believes the quorum", believed, True),
        ("order id of sample terms", hex_of(digest), hex_of(expected)),
        ("current params version is set", params > 0, True),
    ]
    for name, got, wanted in checks:
        if got != wanted:
            raise BadInputError(
                name, got, wanted, hint="take the deployment file from whoever runs the market"
            )


def _sample_terms(deployment: Deployment) -> OrderTerms:
    return OrderTerms(
        client=deployment.token,
        payer=deployment.token,
        token=deployment.token,
        compute=ComputeRef(1, 1, ZERO32),
        inputs=(InputRef(2, 1, ZERO32, ZERO32),),
        config_digest=ZERO32,
        result_key_digest=ZERO32,
        access_key_digest=ZERO32,
        runtime_policy_digest=ZERO32,
        place_before=0,
        windows=Windows(1, 2, 3, 4, 5, 6, 7),
        max_units=0,
        holdback=Holdback(),
        delivery=0,
        delivery_digest=ZERO32,
        max_fee_bps=0,
        deposit=0,
        salt=ZERO32,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    sender: Sender
    report: Callable[[str], None]

    def create(self, name: str, *arguments: Any) -> bytes:
        receipt = self.sender.send(b"", contract(name).creation(*arguments), call=f"deploy {name}")
        self.report(f"{name} at {hex_of(receipt.created)} ({receipt.gas_used} gas)")
        return receipt.created

    def nonce(self) -> int:
        account = hex_of(self.sender.signer.address)
        return hex_int(self.sender.rpc.call("eth_getTransactionCount", account, "latest"))


def _set_up(reader: Reader, signer: Signer, plan: MarketPlan, report: Callable[[str], None]) -> None:
    writer = Writer(reader.node, signer)
    governors = Governors(reader, writer)
    # Values first: the deployer still holds every role.
    for measurement, tee, release in plan.measurements:
        governors.accept_measurement(measurement, tee, release)
        report(f"measurement {hex_of(measurement)} of release {release}")
    for root_set, worst in plan.trust_classes:
        governors.accept_trust_class(root_set, worst)
        loud = "SIMULATED " if root_set.startswith(_DEV_PREFIX) else ""
        report(f"{loud}trust class {root_set} down to {worst.name}")
    for role, (number, target, functions) in ROLES.items():
        holder = plan.holders.get(role, signer.address)
        selectors = [contract(target).functions[function].selector for function in functions]
        writer.call("Authority", "labelRole", number, role)
        writer.call("Authority", "grantRole", number, holder, 0)
        writer.call("Authority", "setTargetFunctionRole", reader.node.address(target), selectors, number)
        report(f"role {role} held by {hex_of(holder)}")
