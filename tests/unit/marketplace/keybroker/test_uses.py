"""Uses are counted once, atomically, on the disk before a grant leaves (protocol section 5.2)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from coincurve import PrivateKey

from enclave_runtime.wire.orders import Phase, order_id
from marketplace.domain.order_state import OrderState
from marketplace.domain.release import OrderView, ReleaseStep
from marketplace.keybroker import core
from marketplace.keybroker.core import BrokerStep
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.order_world import DOMAIN, named
from tests.unit.marketplace.keybroker.conftest import Make, World

A = named("dataset A manifest")
NO_ORDER = b"\x00" * 32


def at_once(calls: list[Callable[[], httpx.Response]]) -> list[httpx.Response]:
    """Make all calls from one thread each, released together."""
    barrier, answers = threading.Barrier(len(calls)), []

    def run(call: Callable[[], httpx.Response]) -> None:
        barrier.wait()
        answers.append(call())

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_the_same_request_gets_the_same_bytes_and_one_use(world: World) -> None:
    body = world.body(*world.running())
    first = world.release(body)
    seen = world.appraiser.calls
    assert [world.release(body).content for _ in range(3)] == [first.content] * 3
    assert world.appraiser.calls == seen
    assert world.broker.store.uses(A, but=NO_ORDER) == 1
    assert world.events() == ["granted"]


def test_the_same_request_gets_the_same_bytes_after_a_restart(make: Make, tmp_path: Path) -> None:
    key, state = PrivateKey(), tmp_path / "state"
    before = make(state=state, grant_key=key)
    body = before.body(*before.running())
    first = before.release(body)
    after = make(state=state, grant_key=key, chains=before.chains)
    assert after.release(body).content == first.content
    assert after.events() == ["granted"]
    assert after.broker.store.uses(A, but=NO_ORDER) == 1


def test_a_new_request_of_the_same_cvm_for_the_same_order_is_no_second_use(make: Make) -> None:
    world = make(max_uses=1)
    cvm, preimage = world.running()
    first = world.granted(world.body(cvm, preimage))
    second = world.granted(world.body(cvm, preimage))
    assert first.conditions.request_digest != second.conditions.request_digest
    assert world.broker.store.uses(A, but=NO_ORDER) == 1
    assert world.events() == ["granted", "granted"]


def test_refuses_when_the_uses_are_exhausted(world: World) -> None:
    for salt in (1, 2):
        world.granted(world.body(*world.running(salt=salt)))
    refusal = world.refused(world.body(*world.running(salt=3)))
    assert refusal["step"] == ReleaseStep.USES and refusal["got"].startswith("2 orders")


def test_refuses_to_repeat_a_grant_once_the_order_has_ended(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage)
    world.granted(body)
    for chain in world.chains:
        chain.heads[order_id(DOMAIN, preimage.terms)] = OrderView(OrderState.EXPIRED, Phase.SETUP, cvm.cvm_id)
    refusal = world.refused(body)
    assert refusal == {"step": ReleaseStep.RUNNING, "got": "EXPIRED at the head", "expected": "RUNNING"}


def test_two_orders_at_once_cannot_both_be_the_last_use(make: Make) -> None:
    world = make(max_uses=1)
    bodies = [world.body(*world.running(salt=salt)) for salt in range(1, 7)]
    answers = at_once([lambda body=body: world.release(body) for body in bodies])  # type: ignore[misc]
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 5
    steps = {answer.json()["refusal"]["step"] for answer in answers if answer.status_code == 403}
    assert steps == {ReleaseStep.USES}
    assert world.broker.store.uses(A, but=NO_ORDER) == 1


def test_two_brokers_on_one_state_cannot_both_be_the_last_use(make: Make, tmp_path: Path) -> None:
    key, state = PrivateKey(), tmp_path / "state"
    first = make(state=state, grant_key=key, max_uses=1)
    second = make(state=state, grant_key=key, max_uses=1, chains=first.chains)
    worlds = [
        (world, world.body(*world.running(salt=salt))) for salt, world in enumerate([first, second] * 3)
    ]
    answers = at_once([lambda w=w, b=b: w.release(b) for w, b in worlds])  # type: ignore[misc]
    assert sorted(answer.status_code for answer in answers) == [200] + [403] * 5


def test_one_request_many_times_at_once_gets_one_grant(world: World) -> None:
    body = world.body(*world.running())
    answers = at_once([lambda: world.release(body)] * 8)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert world.events() == ["granted"]
    assert world.broker.store.uses(A, but=NO_ORDER) == 1


def test_nothing_leaves_when_the_audit_log_cannot_be_written(world: World) -> None:
    body = world.body(*world.running())
    world.audit_path.unlink(missing_ok=True)
    world.audit_path.mkdir()
    assert world.release(body).status_code == 500
    world.audit_path.rmdir()
    world.granted(body)
    assert world.events() == ["granted"]
    assert world.broker.store.uses(A, but=NO_ORDER) == 1


def test_a_crash_between_use_and_audit_leaves_a_grant_that_is_audited_when_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = world.body(*world.running())
    monkeypatch.setattr(core.AuditLog, "append", _crash)
    assert world.release(body).status_code == 500
    monkeypatch.undo()
    world.granted(body)
    assert world.events() == ["granted"]


def test_a_failed_seal_records_no_use(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make()
    body = world.body(*world.running())
    monkeypatch.setattr(core, "sign_grant", _crash)
    assert world.release(body).status_code == 500
    monkeypatch.undo()
    assert world.broker.store.uses(A, but=NO_ORDER) == 0
    world.granted(body)


def test_one_use_has_a_bounded_number_of_grants(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_GRANTS_PER_USE", 2)
    cvm, preimage = world.running()
    for _ in range(2):
        world.granted(world.body(cvm, preimage))
    assert world.refused(world.body(cvm, preimage))["step"] == BrokerStep.REPEATS


def test_two_owners_run_two_brokers_that_share_nothing(make: Make) -> None:
    first, second = make(max_uses=1), make(max_uses=1)
    cvm, preimage = first.running()
    body = first.body(cvm, preimage)
    first.granted(body)
    assert second.broker.store.uses(A, but=NO_ORDER) == 0
    for chain in second.chains:
        chain.run(order_id(DOMAIN, preimage.terms), cvm.cvm_id, OPERATOR)
    assert second.refused(body)["step"] == "challenge"


def test_another_cvm_in_the_same_order_is_refused_whatever_was_used(world: World) -> None:
    cvm, preimage = world.running()
    world.granted(world.body(cvm, preimage))
    other = FakeCvm()
    for chain in world.chains:
        chain.operators[other.cvm_id] = OPERATOR
    assert world.refused(world.body(other, preimage))["step"] == ReleaseStep.CVM


def _crash(*_args: object, **_options: object) -> None:
    raise OSError("no space left on device")
