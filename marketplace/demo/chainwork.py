"""The demo's chain: the market deployed, its SIMULATED reference values set, wallets funded."""

from __future__ import annotations

from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.cvm import TcbStatus
from marketplace.chain.deploy import MarketPlan, deploy_all
from marketplace.chain.deployments import Deployment
from marketplace.chain.devchain import DevChain
from marketplace.chain.signer import Signer
from marketplace.chain.tokens import Token
from marketplace.chain.writer import Sender
from marketplace.demo.homes import Home
from marketplace.demo.scenario import FEE_BPS, MIN_GRACE_S, START_PENALTY_BPS, TOKEN
from marketplace.demo.settings import Accept
from marketplace.domain.pricing import Params

__all__ = ["deploy_market"]

_UNBONDING_S = 3600


def deploy_market(
    chain: DevChain, homes: dict[str, Home], accept: Accept, certifiers: list[bytes]
) -> Deployment:
    """Deploy with a throw-away key, give every wallet gas, and tokens to those who need them."""
    deployer = Signer.generate()
    for address in (deployer.address, *(home.address for home in homes.values())):
        chain.fund(address)
    plan = MarketPlan(
        params=Params(FEE_BPS, START_PENALTY_BPS, MIN_GRACE_S, homes["treasury"].address),
        certifiers=tuple(certifiers),
        threshold=len(certifiers),
        unbonding_s=_UNBONDING_S,
        measurements=tuple(
            (bytes_from_hex(text, 32), accept.tee.wire, "demo checkout") for text in accept.measurements
        ),
        trust_classes=((accept.root_set, TcbStatus.UP_TO_DATE),),
    )
    deployment = deploy_all(chain.rpc, deployer, plan)
    token = Token(chain.rpc, chain.chain_id, deployment.token)
    sender = Sender(chain.rpc, chain.chain_id, deployer)
    for home in homes.values():
        if home.party.tokens:
            token.mint(sender, home.address, home.party.tokens * TOKEN)
    return deployment
