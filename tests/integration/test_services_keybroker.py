"""Key brokers as processes: their own nodes, keystores and SIMULATED evidence; killed, restarted, by hand."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from coincurve import PrivateKey

from enclave_runtime.attestation.errors import Step
from enclave_runtime.sealed.wrap import open_with
from enclave_runtime.wire.grant import Grant
from enclave_runtime.wire.orders import order_id
from enclave_runtime.wire.signatures import address_of
from marketplace.domain.order_state import OrderState
from marketplace.domain.release import ReleaseStep
from marketplace.keybroker.__main__ import main
from marketplace.service.audit import read_log, verify_log
from tests.fakes.json_rpc_node import RpcNode
from tests.fakes.order_world import DOMAIN, NOW
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.integration.services_kit import (
    CONTENT_KEY,
    PASSPHRASE,
    SALT,
    BrokerHome,
    Service,
    private,
    serving,
)

pytestmark = pytest.mark.integration

Home = Callable[..., BrokerHome]


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture
def nodes() -> Iterator[list[RpcNode]]:
    made = [RpcNode(), RpcNode()]
    yield made
    for node in made:
        node.close()


@pytest.fixture
def home(tmp_path: Path, tdx: SimulatedTdx, nodes: list[RpcNode]) -> Home:
    def build(name: str = "owner-a", **options: object) -> BrokerHome:
        return BrokerHome(tmp_path / name, tdx, nodes, PrivateKey(), **options).write()  # type: ignore[arg-type]

    return build


def refusal(service: Service, body: object) -> dict[str, str]:
    answer = service.post("/v1/release", body)
    assert answer.status_code == 403, answer.text
    found: dict[str, str] = answer.json()["refusal"]
    return found


def grant_text(service: Service, body: object) -> str:
    answer = service.post("/v1/release", body)
    assert answer.status_code == 200, answer.text
    text: str = answer.json()["grant"]
    return text


def test_releases_to_a_running_order_once_and_the_cvm_opens_it(home: Home) -> None:
    owner = home()
    with serving("keybroker", owner.config) as service:
        cvm, preimage = owner.order()
        body = owner.body(service, cvm, preimage)
        text = grant_text(service, body)
        grant = Grant.from_bytes(text.encode())
        assert grant.grant_key() == address_of(owner.grant_key)
        assert open_with(cvm.hpke, grant.sealed_key, grant.conditions.to_bytes()) == CONTENT_KEY + SALT
        with ThreadPoolExecutor(8) as pool:
            again = list(pool.map(lambda _: grant_text(service, body), range(16)))
        assert set(again) == {text}
        command_line = Path(f"/proc/{service.process.pid}/cmdline").read_bytes()
        environment = Path(f"/proc/{service.process.pid}/environ").read_bytes()
        assert service.stop() == 0
    state = owner.folder / "state"
    assert [entry["event"] for entry in read_log(state / "audit.log")] == ["policy activated", "granted"]
    kept = b"".join(path.read_bytes() for path in state.iterdir())
    seen = kept + service.log.read_bytes() + command_line + environment + text.encode()
    for secret in (CONTENT_KEY, SALT, owner.grant_key.secret):
        assert secret not in seen and secret.hex().encode() not in seen
    assert PASSPHRASE.encode() not in seen


def test_a_broker_killed_at_any_time_gives_the_same_grant_and_counts_one_use(home: Home) -> None:
    owner = home(max_uses=1)
    with serving("keybroker", owner.config) as service:
        cvm, preimage = owner.order()
        body = owner.body(service, cvm, preimage)
        text = grant_text(service, body)
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    with serving("keybroker", owner.config, run="b") as service:
        assert grant_text(service, body) == text
        late = owner.body(service, *owner.order(salt=2))
        assert refusal(service, late)["step"] == ReleaseStep.USES
    verify_log(owner.folder / "state" / "audit.log")


def test_no_key_leaves_when_one_node_differs_or_the_order_is_not_final(
    home: Home, nodes: list[RpcNode]
) -> None:
    owner = home()
    with serving("keybroker", owner.config) as service:
        cvm, preimage = owner.order()
        body, order = owner.body(service, cvm, preimage), order_id(DOMAIN, preimage.terms)
        running = nodes[1].orders.pop(order)
        assert refusal(service, body)["step"] == ReleaseStep.RUNNING
        nodes[1].orders[order] = running
        for node in nodes:
            node.final = {}
        assert refusal(service, body)["got"] == "NONE in a finalized block"
        for node in nodes:
            node.final = None
            node.orders[order] = (cvm.cvm_id, OrderState.EXPIRED)
        assert refusal(service, body)["step"] == ReleaseStep.RUNNING
        for node in nodes:
            node.orders[order] = running
            node.revoked = {cvm.cvm_id}
        assert refusal(service, body)["step"] == ReleaseStep.CVM
        for node in nodes:
            node.revoked = set()
        grant_text(service, body)


def test_goes_by_the_newest_chain_time_of_its_nodes(home: Home, nodes: list[RpcNode]) -> None:
    owner = home()
    with serving("keybroker", owner.config) as service:
        body = owner.body(service, *owner.order())
        nodes[1].time = NOW + 400 * 86_400
        assert refusal(service, body)["step"].startswith("evidence.")
        nodes[1].time = NOW
        grant_text(service, body)


def test_evidence_under_another_root_is_refused(home: Home) -> None:
    owner = home()
    with serving("keybroker", owner.config) as service:
        cvm, preimage = owner.order()
        owner.tdx = SimulatedTdx()
        assert refusal(service, owner.body(service, cvm, preimage))["step"] == Step.CHAIN


def test_owner_approves_by_hand_beside_the_running_service(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = home(approve="hand")
    config = ["--config", str(owner.config)]
    with serving("keybroker", owner.config) as service:
        cvm, preimage = owner.order()
        answer = service.post("/v1/release", owner.body(service, cvm, preimage))
        assert answer.status_code == 202
        pending = answer.json()["pending"]
        assert main(["pending", *config]) == 0
        assert pending in capsys.readouterr().out
        assert main(["approve", *config, pending]) == 0
        grant_text(service, owner.body(service, cvm, preimage))  # the agent asks again, with a new request
        other = owner.body(service, *owner.order(salt=2))
        assert main(["deny", *config, service.post("/v1/release", other).json()["pending"]]) == 0
        assert refusal(service, other)["step"] == "broker.approval"
    events = [entry["event"] for entry in read_log(owner.folder / "state" / "audit.log")]
    assert events == ["policy activated", "approved by hand", "granted", "denied by hand", "refused"]


def test_two_owners_run_two_brokers(home: Home) -> None:
    first, second = home("owner-a"), home("owner-b")
    with serving("keybroker", first.config) as one, serving("keybroker", second.config) as two:
        for owner, service in ((first, one), (second, two)):
            grant = Grant.from_bytes(grant_text(service, owner.body(service, *owner.order())).encode())
            assert grant.grant_key() == address_of(owner.grant_key)
        body = second.body(two, *first.order(salt=3))  # first's offer, asked of second's broker
        assert refusal(two, body)["step"] == "broker.grant-key"


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("policy.toml", "unsafe_accept_simulated = true\n", "", "SIMULATED"),
        ("policy.toml", "max_uses", "max_usages", "unknown"),
        ("broker.toml", "rpcs = ", "confirmed = 'head'\nrpc = ", "rpcs"),
        ("keystore.pass", PASSPHRASE, "another passphrase", "does not open"),
    ],
)
def test_refuses_to_start_with_bad_settings_and_repeats_no_secret(
    home: Home, capsys: pytest.CaptureFixture[str], file: str, old: str, new: str, words: str
) -> None:
    owner = home()
    path = owner.folder / file
    private(path, path.read_text().replace(old, new))
    assert main(["--config", str(owner.config)]) == 2
    said = capsys.readouterr().err
    assert words in said and "passphrase that no log" not in said and "another passphrase" not in said


def test_refuses_to_start_when_others_can_read_a_secret(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("grant.key", "keystore.pass", "keystore.json"):
        owner = home(name.replace(".", "-"))
        (owner.folder / name).chmod(0o644)
        assert main(["--config", str(owner.config)]) == 2
        assert "chmod 600" in capsys.readouterr().err
