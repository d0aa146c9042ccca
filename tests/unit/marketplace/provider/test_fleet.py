"""CVMs are launched, certified, found again and ended; none is lost, none is killed for being asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.errors import MarketError, UnreachableError
from marketplace.provider.cvm import CvmClient
from marketplace.provider.fleet import Fleet, Launched
from marketplace.provider.services import ServiceRefusedError
from tests.fakes.provider_world import NOW, ProviderWorld


@pytest.fixture
def fleet(world: ProviderWorld) -> Fleet:
    return world.fleet()


def test_prepares_a_cvm_that_is_certified_and_registered(world: ProviderWorld, fleet: Fleet) -> None:
    cvm_id = fleet.prepare()
    row = fleet.ready(NOW + 100)
    assert row is not None
    assert (row.cvm_id, row.registered, row.order_id) == (cvm_id, True, None)
    assert world.chain.cvm_usable(cvm_id, NOW)
    assert world.journal.fact(row.socket.encode(), "certified") is not None
    assert [purpose for purpose, _ in world.journal.transactions(cvm_id)] == ["register"]


def test_is_found_again_after_a_restart(world: ProviderWorld, fleet: Fleet) -> None:
    cvm_id = fleet.prepare()
    row = world.fleet().ready(NOW)
    assert row is not None
    assert row.cvm_id == cvm_id


def test_one_that_died_leaves_the_fleet_and_its_folder_goes(world: ProviderWorld, fleet: Fleet) -> None:
    fleet.prepare()
    (cvm,) = world.platform.running()
    cvm.end()
    assert fleet.ready(NOW) is None
    assert fleet.rows() == []
    assert not cvm.path.parent.exists()


def test_one_whose_certificate_ends_leaves_the_fleet(world: ProviderWorld, fleet: Fleet) -> None:
    fleet.prepare()
    world.chain.time += world.services.certified_s
    assert fleet.ready(world.chain.time) is None
    assert world.platform.running() == []


def test_one_whose_certificate_ends_too_soon_is_renewed_without_a_quote(
    world: ProviderWorld, fleet: Fleet
) -> None:
    cvm_id = fleet.prepare()
    (row,) = fleet.rows()
    before = json.loads(world.journal.fact(row.socket.encode(), "certified") or "")
    world.chain.time += world.services.certified_s - 10
    until = world.chain.time + 100
    assert fleet.ready(until) is None
    renewed = fleet.renew(until)
    assert renewed is not None and renewed.cvm_id == cvm_id
    assert fleet.ready(until) is not None
    after = json.loads(world.journal.fact(row.socket.encode(), "certified") or "")
    assert [one["bundle"] for one in after] == [one["bundle"] for one in before]
    assert all(
        new["certificate"]["expires_at"] > old["certificate"]["expires_at"]
        for new, old in zip(after, before, strict=True)
    )
    assert len(world.services.renewals) == len(before) == 2
    assert len(world.platform.running()) == 1


@pytest.mark.parametrize("bad", ["silent", "refusing"])
def test_what_too_few_certifiers_renew_stays_and_another_is_made(
    world: ProviderWorld, fleet: Fleet, bad: str
) -> None:
    fleet.prepare()
    world.chain.time += world.services.certified_s - 10
    getattr(world.services, bad).add("http://certifier-2")
    assert fleet.renew(world.chain.time + 100) is None
    assert any("not renewed" in text for _, text in world.said)
    assert len(world.platform.running()) == 1
    assert fleet.ready(world.chain.time) is not None


def test_nothing_waits_and_nothing_is_renewed(world: ProviderWorld, fleet: Fleet) -> None:
    assert fleet.renew(NOW + 100) is None
    assert world.services.renewals == []


def test_one_that_holds_an_order_is_not_offered_to_another(world: ProviderWorld, fleet: Fleet) -> None:
    fleet.prepare()
    (cvm,) = world.platform.running()
    from tests.fakes.sealed_order import engine_and_data

    cvm.driver.admit(engine_and_data())
    assert fleet.ready(NOW) is None
    assert not cvm.running


@pytest.mark.parametrize("dies_after", ["intend", "launch", "launched"])
def test_a_launch_that_a_crash_cut_off_is_finished(
    world: ProviderWorld, fleet: Fleet, dies_after: str
) -> None:
    world.journal.intend("cut")
    if dies_after != "intend":
        found = world.platform.launch("cut")
        if dies_after == "launched":
            world.journal.launched("cut", str(found.socket), found.pid)
    fleet.prepare()
    assert len(world.platform.running()) == 1
    row = fleet.ready(NOW)
    assert row is not None
    assert (row.name == "cut") is (dies_after != "intend")


def test_one_that_never_boots_is_ended(world: ProviderWorld) -> None:
    deaf = world.fleet(boot_timeout_s=0.1)
    launch = world.platform.launch

    def launch_deaf(name: str) -> Launched:
        launched = launch(name)
        world.platform.cvms[launched.pid]._server.close()
        return launched

    world.platform.launch = launch_deaf  # type: ignore[method-assign]
    with pytest.raises(MarketError, match="did not answer within"):
        deaf.prepare()
    assert world.platform.running() == []
    assert deaf.rows() == []


def test_one_that_a_certifier_refuses_is_ended(world: ProviderWorld, fleet: Fleet) -> None:
    """It may be of an older runtime; kept, it would be offered again and again."""
    world.services.refusing.add("http://certifier-2")
    with pytest.raises(ServiceRefusedError, match=r"release\.policy"):
        fleet.prepare()
    assert world.platform.running() == []
    world.services.refusing.clear()
    fleet.prepare()
    assert fleet.ready(NOW) is not None


def test_asks_as_many_certifiers_as_the_chain_wants(world: ProviderWorld) -> None:
    asked: list[str] = []
    challenge = world.services.certifier_challenge

    def noted(url: str, operator: str) -> bytes:
        asked.append(url)
        return challenge(url, operator)

    world.services.certifier_challenge = noted  # type: ignore[method-assign]
    world.chain.threshold = 1
    world.fleet().prepare()
    assert asked == ["http://certifier-1"]
    world.services.silent.add("http://certifier-1")
    world.fleet().prepare()
    assert asked[1:] == ["http://certifier-1", "http://certifier-2"]
    world.services.silent.clear()
    world.services.refusing.add("http://certifier-1")
    world.fleet().prepare()
    assert len(world.platform.running()) == 3


def test_too_few_certifiers_are_named(world: ProviderWorld) -> None:
    world.chain.threshold = 3
    with pytest.raises(MarketError, match="got 2 certifiers, expected 3"):
        world.fleet().prepare()


def test_a_refusal_says_more_than_silence(world: ProviderWorld, fleet: Fleet) -> None:
    world.services.silent.add("http://certifier-1")
    world.services.refusing.add("http://certifier-2")
    with pytest.raises(ServiceRefusedError):
        fleet.prepare()
    assert world.platform.running() == []


def test_one_whose_certifier_is_silent_waits_for_it(world: ProviderWorld, fleet: Fleet) -> None:
    world.services.silent.add("http://certifier-2")
    for _ in range(3):
        with pytest.raises(UnreachableError):
            fleet.prepare()
    assert len(world.platform.running()) == 1
    world.services.silent.clear()
    fleet.prepare()
    assert len(world.platform.running()) == 1


def test_retiring_without_the_platform_is_said_while_the_cvm_lives(
    world: ProviderWorld, fleet: Fleet
) -> None:
    fleet.prepare()
    (row,) = fleet.rows()
    world.platform.gone = True
    with pytest.raises(MarketError, match="the platform is not there"):
        fleet.retire(row)
    assert fleet.rows() == [row]
    world.platform.cvms[row.pid].end()
    fleet.retire(row)
    assert fleet.rows() == []


def test_a_connection_asks_nothing(world: ProviderWorld, fleet: Fleet) -> None:
    """A wiped CVM ends once it told its status, and its last statement with it."""
    fleet.prepare()
    (row,) = fleet.rows()
    asked = world.platform.cvms[row.pid].driver.session
    before = asked.state
    client = fleet.client(row)
    assert isinstance(client, CvmClient)
    client.close()
    assert asked.state is before
    assert fleet.client(replace(row, socket=str(Path("/nowhere/cvm.sock")))) is None
