"""Whoever deploys may die between any two transactions, or with one on its way: the next run ends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from enclave_runtime.wire.cvm import TcbStatus, TeeKind
from enclave_runtime.wire.hashes import keccak256
from marketplace.chain.deploy import SignerChain, deploy_all, deployment_of
from marketplace.chain.deploy_addresses import CREATE2_FACTORY
from marketplace.chain.deploy_plan import MarketPlan, addresses, steps
from marketplace.chain.deploy_rehearsal import rehearse
from marketplace.chain.deploy_run import carry_out, check_code, code_hashes, cost_of, has_factory, todo
from marketplace.chain.deploy_steps import Step
from marketplace.chain.devchain import DevChain
from marketplace.chain.signer import Signer
from marketplace.domain.pricing import Params
from marketplace.errors import BadInputError, WaitTimeoutError

pytestmark = [pytest.mark.contracts, pytest.mark.integration]

SIGNER = Signer.from_key(keccak256(b"cloister test key deployer"))
PLAN = MarketPlan(
    Params(250, 1000, 600, b"\xfe" * 20),
    (b"\x01" * 20, b"\x02" * 20),
    2,
    measurements=((b"\xab" * 32, TeeKind.TDX, "1.0"),),
    trust_classes=(("dev:" + "5a" * 32, TcbStatus.UP_TO_DATE),),
    holders={"admin": b"\x03" * 20, "revoker": b"\x04" * 20},
    delays=True,
)


class DeathError(Exception):
    """The process is gone."""


class Mortal(SignerChain):
    """Dies at the `lives`-th transaction: before it is sent, or after, with nobody to hear of it."""

    def __init__(self, chain: DevChain, lives: int, *, sends: bool) -> None:
        super().__init__(chain.rpc, chain.chain_id, SIGNER)
        self._lives, self._sends = lives, sends

    def send(self, step: Step, gas: int) -> int:
        self._lives -= 1
        if self._lives >= 0:
            return super().send(step, gas)
        if self._sends:
            super().send(step, gas)
        raise DeathError


@pytest.fixture(scope="module")
def chain() -> Iterator[DevChain]:
    with DevChain.start() as running:
        running.fund(SIGNER.address)
        yield running


@pytest.fixture
def fresh(chain: DevChain) -> Iterator[DevChain]:
    snapshot = chain.snapshot()
    yield chain
    chain.revert(snapshot)


def planned(chain: DevChain) -> tuple[SignerChain, tuple[Step, ...]]:
    account = SignerChain(chain.rpc, chain.chain_id, SIGNER)
    return account, steps(PLAN, SIGNER.address, chain.chain_id, factory=has_factory(account))


@pytest.mark.parametrize("sends", [False, True])
def test_dying_at_any_transaction_leaves_a_market_that_can_be_ended(chain: DevChain, sends: bool) -> None:
    account, whole = planned(chain)
    snapshot = chain.snapshot()
    carry_out(account, whole)
    wanted = deployment_of(account, PLAN, chain.chain_id, 0)
    for lives in range(len(whole)):
        chain.revert(snapshot)
        snapshot = chain.snapshot()
        with pytest.raises(DeathError):
            carry_out(Mortal(chain, lives, sends=sends), whole)
        done = carry_out(account, whole)
        assert len(done.sent) == len(whole) - lives - sends, "nothing is sent twice"
        assert deployment_of(account, PLAN, chain.chain_id, 0) == wanted
    chain.revert(snapshot)


def test_a_second_run_sends_nothing(fresh: DevChain) -> None:
    first = deploy_all(fresh.rpc, SIGNER, PLAN)
    account, whole = planned(fresh)
    assert todo(account, whole) == [False] * len(whole)
    said: list[str] = []
    assert carry_out(account, whole, report=said.append).sent == ()
    assert all(line.startswith("there already: ") for line in said) and len(said) == len(whole)
    assert deploy_all(fresh.rpc, SIGNER, PLAN).built == first.built


def test_what_is_on_its_way_is_waited_for(fresh: DevChain, monkeypatch: pytest.MonkeyPatch) -> None:
    account, whole = planned(fresh)
    fresh.rpc.call("evm_setAutomine", False)
    try:
        transaction = account._sender._prepare(whole[0].to, whole[0].data, 0, "")
        raw = transaction.signed(SIGNER.sign_digest)
        fresh.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        monkeypatch.setattr("marketplace.chain.deploy_run._SETTLE_WITHIN_S", 0.2)
        with pytest.raises(WaitTimeoutError, match="1 transactions of 0x"):
            carry_out(account, whole)
    finally:
        fresh.mine()
        fresh.rpc.call("evm_setAutomine", True)
    said: list[str] = []
    carry_out(account, whole, report=said.append)
    assert said[0] == f"there already: {whole[0].words}"


def test_the_rehearsal_knows_cost_and_code_to_the_byte(fresh: DevChain) -> None:
    account, whole = planned(fresh)
    at = addresses(PLAN, SIGNER.address)
    rehearsal = rehearse(whole, at, SIGNER.address, fresh.chain_id)
    cost = cost_of(account, whole, rehearsal.gas)
    assert cost.steps == len(whole) and cost.data == cost.value == 0
    done = carry_out(account, whole, rehearsal.gas)
    assert abs(done.gas - cost.gas) <= cost.gas // 1000
    found = code_hashes(account, at)
    assert found == rehearsal.code
    nine = MarketPlan(PLAN.params, PLAN.certifiers, 2, unbonding_s=9)
    other = rehearse(
        steps(nine, SIGNER.address, 31337, factory=True),
        at,
        SIGNER.address,
        fresh.chain_id,
    )  # fmt: skip
    with pytest.raises(BadInputError, match="code of ProviderRegistry"):
        check_code(found, other.code)
    assert cost_of(account, whole, rehearsal.gas).steps == 0


def test_a_chain_without_the_create2_factory_gets_one() -> None:
    with DevChain.start(extra=("--disable-default-create2-deployer",)) as bare:
        bare.fund(SIGNER.address)
        account, whole = planned(bare)
        assert whole[1].creates == CREATE2_FACTORY
        with pytest.raises(DeathError):
            carry_out(Mortal(bare, 1, sends=False), whole)
        done = carry_out(account, whole)
        assert done.sent[0] == "create the CREATE2 factory" and has_factory(account)
        assert deployment_of(account, PLAN, bare.chain_id, 0).built == rebuilt()


def rebuilt() -> Any:
    """Return what the same plan makes on another chain of the same id."""
    with DevChain.start() as other:
        other.fund(SIGNER.address)
        return deploy_all(other.rpc, SIGNER, PLAN).built


def test_a_step_too_large_for_a_block_is_said_before_anything_is_sent() -> None:
    with DevChain.start(extra=("--gas-limit", "3000000")) as small:
        small.fund(SIGNER.address)
        account, whole = planned(small)
        rehearsal = rehearse(whole, addresses(PLAN, SIGNER.address), SIGNER.address, small.chain_id)
        with pytest.raises(BadInputError, match="at most 3000000, a block's"):
            cost_of(account, whole, rehearsal.gas)


def test_a_transaction_without_its_effect_is_an_error(fresh: DevChain) -> None:
    account, whole = planned(fresh)

    class Liar(SignerChain):
        def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
            return ["0x" if method == "eth_getCode" else answer for (method, _), answer in
                    zip(calls, super().batch(calls), strict=True)]  # fmt: skip

    with pytest.raises(BadInputError, match="without its effect"):
        carry_out(Liar(fresh.rpc, fresh.chain_id, SIGNER), whole)
    assert todo(account, whole)[0] is False
