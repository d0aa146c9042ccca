"""What a market shall look like, and the steps that make it: pure, the same on every chain (docs/adr/0016).

Contracts and their arguments are a table. All addresses are known beforehand, so contracts may name each
other in any direction. Open faucets and SIMULATED trust classes go to development chains alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from enclave_runtime.wire.codec import hex_of, to_abi
from enclave_runtime.wire.cvm import TcbStatus, TeeKind, root_set_hash
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.artifacts import contract
from marketplace.chain.deploy_addresses import (
    CREATE2_FACTORY,
    FACTORY_COST_WEI,
    FACTORY_SIGNER,
    FACTORY_TRANSACTION,
    contract_salt,
    created_address,
    deployer_address,
    deployer_creation,
)
from marketplace.chain.deploy_roles import ROLES, role_steps
from marketplace.chain.deploy_steps import Answers, HasBalance, HasCode, Step, asks
from marketplace.chain.devchain import DEV_CHAIN_IDS
from marketplace.chain.governors import release_hash
from marketplace.domain.pricing import Params
from marketplace.errors import BadInputError

__all__ = ["MOCKS", "MarketPlan", "addresses", "checks", "steps"]

Addresses: TypeAlias = Mapping[str, bytes]
"""Where each contract stands, by its name."""
MOCKS: Final = frozenset({"TestToken", "FixedVerifier"})
"""Contracts that stand for something real, and so stay on development chains."""
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
        trust_classes: (root set id, worst TCB level) that each of them is accepted with.
        p256_keys: P-256 points (x, y) whose verdicts prove a fact as well; none deploys no such verifier.
        holders: who holds each role of `ROLES`; the deployer holds those that are not named.
        delays: whether roles wait as roles.json says; None means everywhere but on development chains.
        market: name of the market: another name, other addresses.
    """

    params: Params
    certifiers: tuple[bytes, ...]
    threshold: int
    token: bytes | None = None
    unbonding_s: int = 7 * 86_400
    measurements: tuple[tuple[bytes, TeeKind, str], ...] = ()
    trust_classes: tuple[tuple[str, TcbStatus], ...] = ()
    p256_keys: tuple[tuple[bytes, bytes], ...] = ()
    holders: dict[str, bytes] = field(default_factory=dict)
    delays: bool | None = None
    market: str = "main"

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
        if not self.market or not self.market.isascii() or "/" in self.market:
            raise BadInputError("market", repr(self.market[:40]), "ASCII without slashes")
        if chain_id in DEV_CHAIN_IDS:
            return
        mocks = sorted(MOCKS.intersection(name for name, _ in _table(self)))
        if mocks:
            expected = f"an ERC-20's address: chain {chain_id} is no development chain"
            raise BadInputError("token", f"none, which deploys {mocks[0]}", expected)
        simulated = [name for name, _ in self.trust_classes if name.startswith(_DEV_PREFIX)]
        if simulated:
            raise BadInputError("trust class", f"the SIMULATED {simulated[0]}", "one of a hardware vendor")

    def holder(self, role: str, deployer: bytes) -> bytes:
        """Return who holds a role."""
        return self.holders.get(role, deployer)

    def delay_of(self, role: str, chain_id: int) -> int:
        """Return how long calls by a role's holder wait, seconds."""
        wait = chain_id not in DEV_CHAIN_IDS if self.delays is None else self.delays
        return ROLES[role].delay_s if wait else 0


_Arguments: TypeAlias = Callable[[MarketPlan, bytes, Addresses], tuple[Any, ...]]


def _market(at: Addresses) -> tuple[bytes, ...]:
    names = ("Authority", "OfferRegistry", "ProviderRegistry", "CvmRegistry", "ReferenceValues", "LeaseBook")
    return tuple(at[name] for name in names)


def _verifiers(plan: MarketPlan, at: Addresses) -> list[bytes]:
    return [at["CertifierQuorum"], *([at["P256Verdict"]] if plan.p256_keys else [])]


_PARTS: Final = ("OrderBookEntries", "OrderBookEndings", "OrderBookAccounts")
_CONTRACTS: Final[tuple[tuple[str, _Arguments], ...]] = (
    ("TestToken", lambda plan, admin, at: ("Test Dollar", "TUSD", 6)),
    ("Authority", lambda plan, admin, at: (admin,)),
    ("ReferenceValues", lambda plan, admin, at: (at["Authority"], at["CvmRegistry"])),
    (
        "CertifierQuorum",
        lambda plan, admin, at: (at["Authority"], sorted(set(plan.certifiers)), plan.threshold),
    ),
    ("P256Verdict", lambda plan, admin, at: (at["Authority"],)),
    (
        "CvmRegistry",
        lambda plan, admin, at: (
            at["Authority"],
            at["OrderBook"],
            at["ReferenceValues"],
            _verifiers(plan, at),
        ),
    ),
    ("OfferRegistry", lambda plan, admin, at: (at["OrderBook"],)),
    ("ProviderRegistry", lambda plan, admin, at: (at["OfferRegistry"], at["OrderBook"], plan.unbonding_s)),
    (
        "LeaseBook",
        lambda plan, admin, at: (
            at["OfferRegistry"],
            at["OrderBook"],
            at["Authority"],
            plan.params.fee_bps,
            plan.params.treasury,
        ),
    ),
    # Parts of one contract, which runs their code on its own storage (docs/adr/0017).
    *((part, lambda plan, admin, at: (at["OrderBook"], _market(at))) for part in _PARTS),
    # Last: its constructor asks all others whether they were told its address.
    (
        "OrderBook",
        lambda plan, admin, at: ([at[part] for part in _PARTS], _market(at), to_abi(plan.params)),
    ),
)


def _table(plan: MarketPlan) -> Iterator[tuple[str, _Arguments]]:
    left_out = set()
    if plan.token is not None:
        left_out.add("TestToken")
    if not plan.p256_keys:
        left_out.add("P256Verdict")
    return ((name, arguments) for name, arguments in _CONTRACTS if name not in left_out)


def addresses(plan: MarketPlan, deployer: bytes) -> dict[str, bytes]:
    """Return where each contract of the plan will stand when `deployer` deploys it."""
    return {name: created_address(deployer, contract_salt(plan.market, name)) for name, _ in _table(plan)}


def steps(plan: MarketPlan, deployer: bytes, chain_id: int, *, factory: bool) -> tuple[Step, ...]:
    """Return everything to do, in order.

    Args:
        deployer: pays, and is the AccessManager's administrator until the last step.
        factory: whether the chain has the CREATE2 factory.
    Raises:
        BadInputError: the plan must not reach this chain.
    """
    plan.check(chain_id)
    at = addresses(plan, deployer)
    found: list[Step] = [] if factory else _factory_steps()
    found.append(
        Step(
            "create Deployer", (HasCode(deployer_address()),), CREATE2_FACTORY, deployer_creation(),
            creates=deployer_address(),
        )
    )  # fmt: skip
    for name, arguments in _table(plan):
        code = contract(name).creation(*arguments(plan, deployer, at))
        data = contract("Deployer").functions["deploy"].call(contract_salt(plan.market, name), code)
        made = HasCode(at[name])
        found.append(Step(f"create {name}", (made,), deployer_address(), data, creates=at[name]))
    return (*found, *_values(plan, at), *role_steps(_people(plan, deployer, chain_id), deployer, at))


def checks(plan: MarketPlan, at: Addresses) -> tuple[Answers, ...]:
    """Return what must be true of a market that is whole and that no step says: what constructors stored."""
    quorum, cvms = at["CertifierQuorum"], at["CvmRegistry"]
    found = [asks("CertifierQuorum", quorum, "threshold", answer=plan.threshold)]
    found.append(asks("CertifierQuorum", quorum, "certifierCount", answer=len(set(plan.certifiers))))
    found += [
        asks("CertifierQuorum", quorum, "isCertifier", account, answer=1) for account in plan.certifiers
    ]
    found += [asks("CvmRegistry", cvms, "isVerifier", item, answer=1) for item in _verifiers(plan, at)]
    return tuple(found)


def _factory_steps() -> list[Step]:
    return [
        Step(
            "give the CREATE2 factory's signer its gas",
            (HasBalance(FACTORY_SIGNER, FACTORY_COST_WEI),),
            FACTORY_SIGNER,
            value=FACTORY_COST_WEI,
        ),
        Step(
            "create the CREATE2 factory",
            (HasCode(CREATE2_FACTORY),),
            raw=FACTORY_TRANSACTION,
            creates=CREATE2_FACTORY,
        ),
    ]


def _values(plan: MarketPlan, at: Addresses) -> Iterator[Step]:
    references = at["ReferenceValues"]
    functions = contract("ReferenceValues").functions
    for measurement, tee, release in plan.measurements:
        for root_set, worst in plan.trust_classes:
            roots = root_set_hash(root_set)
            data = functions["acceptProfile"].call(
                measurement, roots, int(tee), int(worst), release_hash(release)
            )
            asked = (measurement, roots, int(tee), int(worst))
            known = asks("ReferenceValues", references, "isAccepted", *asked, answer=1)
            loud = "SIMULATED " if root_set.startswith(_DEV_PREFIX) else ""
            words = f"accept {hex_of(measurement)} ({release}) under {loud}{root_set} down to {worst.name}"
            yield Step(words, (known,), references, data)
    for x, y in plan.p256_keys:
        key = asks("P256Verdict", at["P256Verdict"], "isKey", keccak256(x + y), answer=1)
        data = contract("P256Verdict").functions["addKey"].call(x, y)
        yield Step(f"believe the P-256 key {hex_of(x)}", (key,), at["P256Verdict"], data)


def _people(plan: MarketPlan, deployer: bytes, chain_id: int) -> dict[str, tuple[bytes, int]]:
    return {role: (plan.holder(role, deployer), plan.delay_of(role, chain_id)) for role in ROLES}
