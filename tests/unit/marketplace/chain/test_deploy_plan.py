"""The steps of a deployment as values: their order, their addresses, what they refuse (docs/adr/0016)."""

from __future__ import annotations

import dataclasses
import json

import pytest
from eth_account import Account

from enclave_runtime.wire.cvm import TcbStatus, TeeKind
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
)
from marketplace.chain.deploy_plan import MarketPlan, addresses, steps
from marketplace.chain.deploy_roles import ROLES
from marketplace.chain.deploy_steps import HasCode, Step
from marketplace.chain.deployments import Built, Deployment
from marketplace.chain.transactions import rlp
from marketplace.domain.pricing import Params
from marketplace.errors import BadInputError

ADMIN, OTHER, TOKEN = (bytes([n]) * 20 for n in (1, 2, 3))
MEASUREMENT = b"\xab" * 32
SIMULATED = "dev:" + "5a" * 32
OPBNB = 204
PLAN = MarketPlan(Params(250, 1000, 600, b"\xfe" * 20), (b"\x04" * 20, b"\x05" * 20), 2)
REAL = dataclasses.replace(PLAN, token=TOKEN)


def plan(**changes: object) -> MarketPlan:
    return dataclasses.replace(PLAN, **changes)  # type: ignore[arg-type]


def words(found: tuple[Step, ...]) -> list[str]:
    return [step.words for step in found]


def created(found: tuple[Step, ...]) -> list[str]:
    return [step.words.removeprefix("create ") for step in found if step.creates]


def test_the_factory_is_nobodys() -> None:
    assert bytes.fromhex(Account.recover_transaction(FACTORY_TRANSACTION)[2:]) == FACTORY_SIGNER
    assert keccak256(rlp([FACTORY_SIGNER, 0]))[12:] == CREATE2_FACTORY


def test_addresses_depend_on_deployer_market_and_name_alone() -> None:
    here = addresses(PLAN, ADMIN)
    other_inputs = plan(threshold=1, certifiers=(OTHER,), unbonding_s=1, params=Params(1, 1, 1, OTHER))
    assert addresses(other_inputs, ADMIN) == here
    assert set(here.values()).isdisjoint(addresses(PLAN, OTHER).values())
    assert set(here.values()).isdisjoint(addresses(plan(market="second"), ADMIN).values())
    assert len(set(here.values())) == len(here)
    assert here["OrderBook"] == created_address(ADMIN, contract_salt("main", "OrderBook"))


def test_each_contract_is_created_once_and_the_book_last() -> None:
    found = created(steps(PLAN, ADMIN, 31337, factory=True))
    assert found[0] == "Deployer" and found[-1] == "OrderBook"
    assert len(set(found)) == len(found) and {"TestToken", "CertifierQuorum", "LeaseBook"} <= set(found)
    assert "P256Verdict" not in found and "TestToken" not in created(steps(REAL, ADMIN, OPBNB, factory=True))
    keyed = steps(plan(p256_keys=((b"\x06" * 32, b"\x07" * 32),)), ADMIN, 31337, factory=True)
    assert "P256Verdict" in created(keyed) and any("P-256 key" in line for line in words(keyed))


def test_creations_go_through_the_deployer_and_carry_their_arguments() -> None:
    at = addresses(PLAN, ADMIN)
    found = {step.creates: step for step in steps(PLAN, ADMIN, 31337, factory=True)}
    book = found[at["ProviderRegistry"]]
    assert book.to == deployer_address() and book.done == (HasCode(at["ProviderRegistry"]),)
    sent = contract("Deployer").functions["deploy"].arguments(book.data[4:])
    assert sent["salt"] == contract_salt("main", "ProviderRegistry")
    expected = contract("ProviderRegistry").creation(at["OfferRegistry"], at["OrderBook"], PLAN.unbonding_s)
    assert sent["initCode"] == expected
    assert at["OrderBook"] in found[at["CvmRegistry"]].data, "told of the book before it exists"


def test_a_chain_without_the_factory_gets_it_first() -> None:
    found = steps(PLAN, ADMIN, 31337, factory=False)
    assert (found[0].to, found[0].value) == (FACTORY_SIGNER, FACTORY_COST_WEI)
    assert found[1].raw == FACTORY_TRANSACTION and found[2].to == CREATE2_FACTORY
    assert found[2:] == steps(PLAN, ADMIN, 31337, factory=True)


def test_the_plan_is_a_function_of_its_inputs() -> None:
    assert steps(PLAN, ADMIN, 31337, factory=True) == steps(PLAN, ADMIN, 31337, factory=True)
    swapped = plan(certifiers=PLAN.certifiers[::-1])
    assert steps(swapped, ADMIN, 31337, factory=True) == steps(PLAN, ADMIN, 31337, factory=True)


def test_values_come_before_roles_and_the_administrators_own_role_last() -> None:
    full = dataclasses.replace(
        REAL,
        measurements=((MEASUREMENT, TeeKind.TDX, "1.0"),),
        trust_classes=(("intel", TcbStatus.UP_TO_DATE),),
        holders={"admin": OTHER, "curator": OTHER},
    )
    lines = words(steps(full, ADMIN, OPBNB, factory=True))
    assert lines[-1] == "give up the administrator's role" and lines[-2].startswith("role admin for 0x0202")
    accepted = next(n for n, line in enumerate(lines) if line.startswith("accept 0xabab"))
    assert lines.index("create OrderBook") < accepted < min(n for n, x in enumerate(lines) if "for role" in x)
    week = ROLES["admin"].delay_s
    assert f"{week} s delay" in lines[-2] and any("role curator for 0x0202" in line for line in lines)


def test_delays_stay_off_development_chains_unless_asked() -> None:
    assert PLAN.delay_of("curator", 31337) == 0 and PLAN.delay_of("curator", OPBNB) > 0
    assert plan(delays=True).delay_of("curator", 31337) > 0
    assert plan(delays=False).delay_of("curator", OPBNB) == 0
    # An administrator who stays, and waits for nothing, has nothing to grant.
    assert not any("role admin" in line for line in words(steps(PLAN, ADMIN, 31337, factory=True)))
    assert words(steps(REAL, ADMIN, OPBNB, factory=True))[-1].startswith("role admin for 0x0101")


def test_every_restricted_function_of_the_table_exists() -> None:
    for role in ROLES.values():
        for name, signature in role.functions:
            selectors = {entry.selector for entry in contract(name).functions.values()}
            assert keccak256(signature.encode())[:4] in selectors, f"{name}.{signature}"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"threshold": 3}, "threshold"),
        ({"threshold": 0}, "threshold"),
        ({"certifiers": ()}, "threshold"),
        ({"holders": {"king": OTHER}}, "roles"),
        ({"market": ""}, "market"),
        ({"market": "a/b"}, "market"),
    ],
)
def test_plans_that_no_chain_takes(change: dict[str, object], word: str) -> None:
    with pytest.raises(BadInputError, match=word):
        steps(plan(**change), ADMIN, 31337, factory=True)


@pytest.mark.parametrize("chain_id", [1, 56, 97, OPBNB, 5611])
def test_mocks_and_simulated_roots_stay_on_development_chains(chain_id: int) -> None:
    simulated = ((SIMULATED, TcbStatus.UP_TO_DATE),)
    plan(trust_classes=simulated).check(31337)
    with pytest.raises(BadInputError, match="token: got none, which deploys TestToken"):
        steps(PLAN, ADMIN, chain_id, factory=True)
    with pytest.raises(BadInputError, match="SIMULATED dev:5a"):
        steps(dataclasses.replace(REAL, trust_classes=simulated), ADMIN, chain_id, factory=True)
    assert steps(REAL, ADMIN, chain_id, factory=True)


def test_the_file_says_how_it_was_made() -> None:
    built = Built("main", ADMIN, (("OrderBook", OTHER, b"\x09" * 32),))
    members = [bytes([n]) * 20 for n in range(1, 10)]
    deployment = Deployment(5611, 7, *members, built=built)
    text = json.dumps(deployment.to_json())
    assert Deployment.from_json(json.loads(text)) == deployment
    assert Deployment.from_json(dataclasses.replace(deployment, built=None).to_json()).built is None
    for spoiled in (
        {},
        [],
        {"market": "main"},
        built.to_json() | {"code": {"A": {}}},
        built.to_json() | {"more": 1},
    ):
        with pytest.raises(BadInputError, match="built"):
            Deployment.from_json(deployment.to_json() | {"built": spoiled})
