"""A key leaves for exactly one running order, engine, CVM and request, or not at all (protocol section 5)."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.orders import Phase, order_book_domain, order_id
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.scalars import ZERO32
from enclave_runtime.wire.signatures import address_of
from marketplace.domain.order_state import OrderState
from marketplace.domain.release import OrderView, ReleaseStep
from marketplace.keybroker.core import BrokerStep
from tests.fakes.cvm import DEV_ROOT, FakeCvm
from tests.fakes.order_world import DOMAIN, named, order_preimage
from tests.unit.marketplace.keybroker.conftest import CONTENT_KEY, POLICY, Make, World, opened


def test_grant_answers_this_request_and_opens_for_this_cvm_only(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage)
    grant = world.granted(body)
    asked = cvm.request(DOMAIN, preimage, 1, bytes.fromhex(str(body["challenge"])[2:]))
    conditions = grant.conditions
    assert conditions.request_digest == asked.digest
    assert conditions.order_id == order_id(DOMAIN, preimage.terms)
    assert (conditions.cvm_id, conditions.input_index) == (cvm.cvm_id, 1)
    assert conditions.engine_digest == named("engine content")
    assert conditions.result_key_digest == named("result key")
    assert conditions.ttl_s == POLICY.ttl_s
    assert grant.grant_key() == address_of(world.grant_key)
    assert opened(grant, cvm) == CONTENT_KEY
    with pytest.raises(RefusedError):
        opened(grant, FakeCvm())
    (entry,) = world.entries()
    assert entry["event"] == "granted" and entry["facts"]["order_id"] == hex_of(conditions.order_id)


def test_content_key_is_in_no_answer_log_or_state_file(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage)
    answer = world.release(body).content
    state = b"".join(path.read_bytes() for path in world.audit_path.parent.iterdir())
    seen = answer + world.log.getvalue().encode() + state
    for secret in (CONTENT_KEY[:32], CONTENT_KEY[32:], world.grant_key.secret):
        assert secret not in seen and secret.hex().encode() not in seen


# The challenge.


def test_refuses_a_challenge_that_it_never_made(world: World) -> None:
    assert world.refused(world.body(*world.running(), b"\x01" * 32))["step"] == "challenge"


def test_refuses_an_expired_challenge(world: World) -> None:
    cvm, preimage = world.running()
    challenge = world.challenge()
    world.seconds[0] += 301
    assert "expired" in world.refused(world.body(cvm, preimage, challenge))["got"]


def test_refuses_a_challenge_replayed_in_another_request(world: World) -> None:
    cvm, preimage = world.running()
    challenge = world.challenge()
    world.granted(world.body(cvm, preimage, challenge))
    replay = world.body(cvm, preimage, challenge, orders_before=1)
    assert world.refused(replay) == {
        "step": "challenge",
        "got": "a challenge that was answered before",
        "expected": "a challenge for one use",
    }


def test_refuses_a_body_whose_challenge_is_not_the_requests(world: World) -> None:
    body = world.body(*world.running())
    body["challenge"] = hex_of(world.challenge())
    assert world.release(body).status_code == 400


# The evidence.


def test_refuses_a_quote_made_for_another_purpose(world: World) -> None:
    body = world.body(*world.running(), purpose=Purpose.CERTIFY)
    assert world.refused(body)["step"] == Step.REPORT_DATA.value


def test_refuses_a_replayed_quote_for_an_older_challenge(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage, bundle_challenge=world.challenge())
    assert world.refused(body)["step"] == Step.REPORT_DATA.value


def test_refuses_evidence_for_another_operator_than_the_chain_names(world: World) -> None:
    body = world.body(*world.running(), operator=b"\x0d" * 20)
    assert world.refused(body)["step"] == Step.REPORT_DATA.value


def test_passes_on_what_the_verifier_refuses(world: World) -> None:
    world.appraiser.refusal = AttestationError(Step.DEBUG, "TD_ATTRIBUTES 0x1", "debug off")
    refusal = world.refused(world.body(*world.running()))
    assert refusal == {"step": Step.DEBUG.value, "got": "TD_ATTRIBUTES 0x1", "expected": "debug off"}


@pytest.mark.parametrize(
    ("member", "value", "step"),
    [
        ("root_set", DEV_ROOT, ReleaseStep.TRUST_CLASS),
        ("measurement", named("unknown runtime"), ReleaseStep.MEASUREMENT),
        ("tcb_status", "OutOfDate", ReleaseStep.TCB),
    ],
)
def test_refuses_verdicts_outside_the_policy(
    world: World, member: str, value: object, step: ReleaseStep
) -> None:
    setattr(world.appraiser, member, value)
    assert world.refused(world.body(*world.running()))["step"] == step


def test_refuses_a_simulated_verdict_until_the_policy_says_so_loudly(make: Make) -> None:
    classes = frozenset({DEV_ROOT})
    loudly = {"unsafe_accept_simulated": True, "accept_host_clock": True}
    quiet, loud = make(trust_classes=classes), make(trust_classes=classes, **loudly)
    for world in (quiet, loud):
        world.appraiser.root_set = DEV_ROOT
    refusal = quiet.refused(quiet.body(*quiet.running()))
    assert refusal["step"] == ReleaseStep.TRUST_CLASS and "SIMULATED" in refusal["got"]
    loud.granted(loud.body(*loud.running()))
    assert loud.entries()[-1]["facts"]["trust_class"] == f"SIMULATED ({DEV_ROOT})"
    assert loud.client.get("/healthz").json()["simulated"] is True


def test_refuses_keys_of_another_cvm_in_the_evidence(world: World) -> None:
    cvm, preimage = world.running()
    challenge = world.challenge()
    body = world.body(cvm, preimage, challenge)
    body["bundle"] = world.body(FakeCvm(), preimage, challenge)["bundle"]
    assert world.refused(body)["step"] == ReleaseStep.CVM


def test_refuses_a_request_signed_by_another_statement_key(world: World) -> None:
    cvm, preimage = world.running()
    challenge = world.challenge()
    body, other = world.body(cvm, preimage, challenge), FakeCvm()
    forged = other.request(DOMAIN, preimage, 1, challenge, cvm_id=cvm.cvm_id)
    body["request"] = forged.to_json()
    assert world.refused(body)["step"] == ReleaseStep.REQUEST


# The order.


def test_refuses_a_cvm_that_the_chain_does_not_know(world: World) -> None:
    cvm, preimage = FakeCvm(), order_preimage(world.grant_key)
    assert world.refused(world.body(cvm, preimage))["step"] == ReleaseStep.CVM


def test_refuses_another_cvm_than_the_orders(world: World) -> None:
    _, preimage = world.running()
    stranger = FakeCvm()
    for chain in world.chains:
        chain.operators[stranger.cvm_id] = chain.operators[next(iter(chain.operators))]
    assert world.refused(world.body(stranger, preimage))["step"] == ReleaseStep.CVM


@pytest.mark.parametrize("state", [state for state in OrderState if state is not OrderState.RUNNING])
def test_refuses_an_order_in_any_other_state(world: World, state: OrderState) -> None:
    cvm, preimage = world.running()
    for chain in world.chains:
        for table in (chain.finals, chain.heads):
            table[order_id(DOMAIN, preimage.terms)] = OrderView(state, Phase.NONE, cvm.cvm_id)
    refusal = world.refused(world.body(cvm, preimage))
    assert refusal["step"] == ReleaseStep.RUNNING and state.name in refusal["got"]


def test_refuses_an_order_that_runs_at_the_head_and_is_not_final_yet(world: World) -> None:
    cvm, preimage = world.running()
    for chain in world.chains:
        chain.finals[order_id(DOMAIN, preimage.terms)] = OrderView(
            OrderState.ACCEPTED, Phase.NONE, cvm.cvm_id
        )
    body = world.body(cvm, preimage)
    assert "finalized" in world.refused(body)["got"]
    world.running()
    for chain in world.chains:
        chain.run(order_id(DOMAIN, preimage.terms), cvm.cvm_id, b"\x0a" * 20)
    world.granted(body)  # the same request, once the block is final


def test_refuses_an_order_that_ended_at_the_head(world: World) -> None:
    cvm, preimage = world.running()
    for chain in world.chains:
        chain.heads[order_id(DOMAIN, preimage.terms)] = OrderView(OrderState.STOPPED, Phase.SETUP, cvm.cvm_id)
    assert world.refused(world.body(cvm, preimage))["got"] == "STOPPED at the head"


def test_refuses_when_one_of_two_nodes_says_otherwise(world: World) -> None:
    cvm, preimage = world.running()
    liar = world.chains[1]
    honest = dict(liar.heads)
    liar.heads.clear()
    assert world.refused(world.body(cvm, preimage))["step"] == ReleaseStep.RUNNING
    liar.heads = {key: OrderView(OrderState.RUNNING, Phase.SETUP, named("another CVM")) for key in honest}
    assert world.refused(world.body(cvm, preimage))["step"] == ReleaseStep.CVM
    liar.heads = honest
    liar.operators = {cvm.cvm_id: b"\x0d" * 20}
    assert "differ" in world.refused(world.body(cvm, preimage))["got"]


def test_releases_nothing_while_a_node_is_down(world: World) -> None:
    body = world.body(*world.running())
    world.chains[1].down = True
    assert world.release(body).status_code == 503
    assert world.entries() == []
    world.chains[1].down = False
    world.granted(body)


def test_refuses_another_orders_preimage(world: World) -> None:
    cvm, preimage = world.running()
    body = world.body(cvm, preimage)
    other = world.body(cvm, order_preimage(world.grant_key, salt=2), world.challenge())
    body["order"] = other["order"]
    assert world.refused(body)["step"] == ReleaseStep.ORDER


def test_refuses_another_order_book_or_chain(world: World) -> None:
    cvm, preimage = world.running()
    for domain in (order_book_domain(31337, b"\x66" * 20), order_book_domain(56, b"\x0b" * 20)):
        assert world.refused(world.body(cvm, preimage, domain=domain))["step"] == BrokerStep.DOMAIN


@pytest.mark.parametrize(
    ("member", "step"),
    [
        ("order_id", ReleaseStep.RUNNING),
        ("manifest_digest", ReleaseStep.INPUT),
        ("engine_digest", ReleaseStep.ENGINE),
        ("config_digest", ReleaseStep.CONFIG),
        ("result_key_digest", ReleaseStep.RESULT_KEY),
    ],
)
def test_refuses_a_request_that_differs_from_its_order(world: World, member: str, step: ReleaseStep) -> None:
    cvm, preimage = world.running()
    refusal = world.refused(world.body(cvm, preimage, **{member: named("something else")}))
    assert refusal["step"] in (step, ReleaseStep.ORDER)


def test_refuses_an_input_that_the_order_does_not_have(world: World) -> None:
    assert world.refused(world.body(*world.running(), input_index=3))["step"] == ReleaseStep.INPUT


# The policy.


@pytest.mark.parametrize(
    ("policy", "step"),
    [
        ({"engines": frozenset()}, ReleaseStep.POLICY),
        ({"measurements": frozenset()}, ReleaseStep.POLICY),
        ({"max_uses": 0}, ReleaseStep.POLICY),
        ({"engines": frozenset({named("the engine that was read")})}, ReleaseStep.ENGINE),
        ({"configs": frozenset({named("another config")})}, ReleaseStep.CONFIG),
        ({"clients": frozenset({b"\x01" * 20})}, ReleaseStep.CLIENT),
        ({"other_inputs": frozenset({named("dataset C manifest")})}, ReleaseStep.OTHER_INPUTS),
        ({"other_inputs": frozenset()}, ReleaseStep.OTHER_INPUTS),
        ({"platforms": frozenset({named("another platform")})}, ReleaseStep.PLATFORM),
        ({"min_price_due": 6}, ReleaseStep.PRICE),
        ({"hours_utc": (9, 10)}, ReleaseStep.HOURS),
    ],
)
def test_refuses_what_the_policy_does_not_accept(
    make: Make, policy: dict[str, object], step: ReleaseStep
) -> None:
    world = make(**policy)
    assert world.refused(world.body(*world.running()))["step"] == step


def test_refuses_a_cvm_that_served_orders_before(world: World) -> None:
    assert world.refused(world.body(*world.running(), orders_before=1))["step"] == ReleaseStep.ORDERS_BEFORE


# The broker itself.


def test_refuses_content_whose_key_is_elsewhere_and_grants_that_another_key_signs(world: World) -> None:
    body = world.body(*world.running())
    keys, world.ring.keys = world.ring.keys, {}
    assert world.refused(body)["step"] == BrokerStep.CONTENT
    world.ring.keys = keys
    cvm, preimage = FakeCvm(), order_preimage(PrivateKey())
    for chain in world.chains:
        chain.run(order_id(DOMAIN, preimage.terms), cvm.cvm_id, b"\x0a" * 20)
    assert world.refused(world.body(cvm, preimage))["step"] == BrokerStep.GRANT_KEY


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("request",), {}),
        (("request", "signature"), "0xzz"),
        (("request", "statement_spki"), "0x00"),
        (("request", "request", "input_index"), 256),
        (("request", "request", "order_id"), hex_of(ZERO32[:31])),
        (("bundle",), None),
        (("bundle", "quote"), "0x"),
        (("bundle", "keys", "hpke"), "0xzz"),
        (("order",), []),
        (("order", "domain", "chain_id"), "31337"),
        (("order", "domain", "chain_id"), -1),
        (("order", "preimage", "terms", "deposit"), 1),
        (("order", "preimage", "inputs"), [{}] * 65),
        (("challenge",), 7),
    ],
)
def test_malformed_bodies_are_answered_400(world: World, path: tuple[str, ...], value: object) -> None:
    body = world.body(*world.running())
    place: object = body
    for name in path[:-1]:
        place = place[name]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    answer = world.release(body)
    assert answer.status_code in (400, 403), answer.text
    assert "granted" not in world.events()


def test_oversize_and_malformed_json(world: World) -> None:
    post = world.client.post
    assert post("/v1/release", content=b"{" + b" " * (1 << 20) + b"}").status_code == 413
    assert post("/v1/release", content=b'{"request":').status_code == 400
    assert post("/v1/release", json={}).status_code == 400
