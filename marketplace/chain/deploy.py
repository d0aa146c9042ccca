"""Puts a market on a chain, and compares one with its deployment file (protocol 4.5 and 6, docs/adr/0016)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.orders import ComputeRef, Holdback, InputRef, OrderTerms, Windows, order_id
from enclave_runtime.wire.scalars import ZERO32
from marketplace.chain.deploy_addresses import deployer_address
from marketplace.chain.deploy_plan import MarketPlan, addresses, checks, steps
from marketplace.chain.deploy_roles import ROLES
from marketplace.chain.deploy_run import Chain, carry_out, code_hashes, failed, has_factory
from marketplace.chain.deploy_steps import Step
from marketplace.chain.deployments import Built, Deployment
from marketplace.chain.reader import Reader
from marketplace.chain.rpc import Rpc, hex_data, hex_int
from marketplace.chain.signer import Signer
from marketplace.chain.writer import Sender
from marketplace.domain.tight import encode_order
from marketplace.errors import BadInputError, RpcError, WaitTimeoutError

__all__ = ["ROLES", "MarketPlan", "SignerChain", "check_deployment", "deploy_all", "deployment_of"]

_MINED_WITHIN_S: Final = 60.0


class SignerChain:
    """One key on one node; a `deploy_run.Chain`."""

    def __init__(self, rpc: Rpc, chain_id: int, signer: Signer) -> None:
        """Take a connection and a key."""
        self._rpc = rpc
        self._sender = Sender(rpc, chain_id, signer)
        self.sender = signer.address

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Return a result or an `RpcError` for each call."""
        return self._rpc.batch_raw(calls)

    def send(self, step: Step, gas: int) -> int:
        """Send a step and wait for it; the sender estimates gas by itself."""
        if not step.raw:
            return self._sender.send(step.to, step.data, call=step.words, value=step.value).gas_used
        return send_raw(self, step)


def send_raw(chain: Chain, step: Step) -> int:
    """Send a transaction that is signed already, wait for it, return the gas that it used.

    Raises:
        ChainError: refused, or not mined in time.
    """
    (name,) = chain.batch([("eth_sendRawTransaction", (hex_of(step.raw),))])
    if isinstance(name, RpcError):
        raise name
    until = time.monotonic() + _MINED_WITHIN_S
    while time.monotonic() < until:
        (receipt,) = chain.batch([("eth_getTransactionReceipt", (name,))])
        if isinstance(receipt, dict) and receipt.get("blockNumber"):
            return hex_int(receipt["gasUsed"])
        time.sleep(0.05)
    raise WaitTimeoutError(f"{step.words}: not mined after {_MINED_WITHIN_S} s")


def deploy_all(
    rpc: Rpc, signer: Signer, plan: MarketPlan, *, report: Callable[[str], None] = lambda line: None
) -> Deployment:
    """Return the deployment of a whole market, roles and reference values included; what is there stays.

    Args:
        signer: pays, and is the AccessManager's administrator until the plan's takes over.
        report: told each step in words.
    Raises:
        BadInputError: the plan does not suit the chain.
        ChainError: refused, or no usable answer.
    """
    chain_id, block = (hex_int(item) for item in rpc.batch([("eth_chainId", ()), ("eth_blockNumber", ())]))
    chain = SignerChain(rpc, chain_id, signer)
    todo = steps(plan, signer.address, chain_id, factory=has_factory(chain))
    carry_out(chain, todo, report=report)
    return deployment_of(chain, plan, chain_id, block)


def deployment_of(chain: Chain, plan: MarketPlan, chain_id: int, block: int) -> Deployment:
    """Return the deployment file of a plan that was carried out by the chain's account.

    Raises:
        BadInputError: a contract is missing, or did not store what its constructor was told.
    """
    at = addresses(plan, chain.sender)
    wrong = failed(chain, checks(plan, at))
    if wrong:
        raise BadInputError("deployment", f"that not: {wrong[0]}", f"all of {len(wrong)} to hold")
    code = code_hashes(chain, at | {"Deployer": deployer_address()})
    return Deployment(
        chain_id=chain_id,
        block=block,
        authority=at["Authority"],
        offer_registry=at["OfferRegistry"],
        provider_registry=at["ProviderRegistry"],
        cvm_registry=at["CvmRegistry"],
        reference_values=at["ReferenceValues"],
        certifier_quorum=at["CertifierQuorum"],
        order_book=at["OrderBook"],
        lease_book=at["LeaseBook"],
        token=plan.token or at["TestToken"],
        built=Built(
            plan.market, chain.sender, tuple((name, at[name], code[name]) for name in at if name in code)
        ),
    )


def check_deployment(reader: Reader) -> None:
    """Refuse a deployment file whose contracts are not there, not ours, or not wired to each other.

    Raises:
        BadInputError: names what was got and expected.
        ChainError: no usable answer, or an answer that is not the contract's.
    """
    node, deployment = reader.node, reader.deployment
    node.check_chain()
    sample = _sample_terms(deployment)
    registries = ("OfferRegistry", "ProviderRegistry", "CvmRegistry", "LeaseBook")
    authority, believed, digest, params, *books = node.views(
        [
            ("OrderBook", "AUTHORITY", ()),
            ("CvmRegistry", "isVerifier", (deployment.certifier_quorum,)),
            ("OrderBook", "orderId", (encode_order(sample),)),
            ("OrderBook", "paramsVersion", ()),
            *((name, "ORDER_BOOK", ()) for name in registries),
        ]
    )
    expected = order_id(deployment.order_domain, sample)
    wired = [
        (f"{name}'s OrderBook", hex_of(book), hex_of(deployment.order_book))
        for name, book in zip(registries, books, strict=True)
    ]
    found: list[tuple[str, Any, Any]] = [
        *wired,
        ("OrderBook's authority", hex_of(authority), hex_of(deployment.authority)),
        ("CvmRegistry believes the quorum", believed, True),
        ("order id of sample terms", hex_of(digest), hex_of(expected)),
        ("current params version is set", params > 0, True),
        *_code_checks(reader),
    ]
    for name, got, wanted in found:
        if got != wanted:
            raise BadInputError(
                name, got, wanted, hint="take the deployment file from whoever runs the market"
            )


def _code_checks(reader: Reader) -> list[tuple[str, Any, Any]]:
    """Compare the code on chain with what the file says was deployed."""
    built = reader.deployment.built
    if built is None:
        return []
    calls = [("eth_getCode", (hex_of(address), "latest")) for _, address, _ in built.code]
    answers = reader.node.rpc.batch(calls)
    return [
        (f"code of {name}", hex_of(keccak256(hex_data(answer))), hex_of(digest))
        for (name, _, digest), answer in zip(built.code, answers, strict=True)
    ]


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
