"""Attacks on certifier and key broker, as processes: replays, swaps, cuts, mixtures (protocol 4.5 and 5)."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from coincurve import PrivateKey

from enclave_runtime.attestation.errors import Step
from enclave_runtime.sealed.threshold import deal
from enclave_runtime.sealed.wrap import open_with
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.cvm import CvmCertificate, Possession
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.grant import Grant, GrantConditions, sign_grant
from enclave_runtime.wire.orders import OrderPreimage, order_id
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.share_grant import ShareConditions, ShareGrant, sign_share_grant
from enclave_runtime.wire.signatures import address_of, recover_signer, secp256k1_sign
from marketplace.certifier.__main__ import main as certifier_main
from marketplace.certifier.config import load_config as load_certifier
from marketplace.certifier.core import STEP_RENEWAL
from marketplace.certifier.wiring import build_app as certifier_app
from marketplace.chain.certificates import claim_of, quorum_evidence
from marketplace.domain.release import ReleaseStep
from marketplace.keybroker.__main__ import main
from marketplace.keybroker.config import load_config
from marketplace.keybroker.core import BrokerStep
from marketplace.keybroker.shares import ShareFile
from marketplace.keybroker.wiring import build_app as broker_app
from marketplace.service.audit import read_log
from marketplace.service.logs import ServiceLog
from tests.fakes.asgi import AppClient
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.json_rpc_node import DEPLOYMENT, RpcNode
from tests.fakes.order_world import DOMAIN, named, order_preimage
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.integration.services_kit import (
    CONTENT_KEY,
    SALT,
    BrokerHome,
    Service,
    certifier_home,
    private,
    serving,
)

pytestmark = pytest.mark.integration

Home = Callable[..., BrokerHome]
MANIFEST = named("dataset A manifest")


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture
def nodes() -> Iterator[list[RpcNode]]:
    found = [RpcNode(), RpcNode()]
    yield found
    for node in found:
        node.close()


@pytest.fixture
def home(tmp_path: Path, tdx: SimulatedTdx, nodes: list[RpcNode]) -> Home:
    def build(name: str = "owner", **options: Any) -> BrokerHome:
        return BrokerHome(tmp_path / name, tdx, nodes, PrivateKey(), **options).write()

    return build


@pytest.fixture
def certifiers(tmp_path: Path, tdx: SimulatedTdx, nodes: list[RpcNode]) -> list[tuple[Path, PrivateKey]]:
    """Settings of two certifiers that share no key."""
    keys = [PrivateKey(), PrivateKey()]
    return [
        (certifier_home(tmp_path / f"certifier-{n}", tdx, nodes[0].url, key), key)
        for n, key in enumerate(keys)
    ]


@dataclass
class Here:
    """A whole service with its files and settings, in this process: two seconds less than one of its own."""

    http: AppClient

    def post(self, path: str, body: object) -> httpx.Response:
        return self.http.post(path, json=body)


@contextmanager
def here(module: str, config: Path) -> Iterator[Any]:
    """Serve `module` under the settings at `config` as its command line does, but for the socket."""
    log = ServiceLog(module, io.StringIO())
    if module == "certifier":
        app, close = certifier_app(load_certifier(config), log)
    else:
        app, close = broker_app(load_config(config), log)
    try:
        yield Here(AppClient(app))
    finally:
        close()


def refusal(service: Service, path: str, body: object) -> dict[str, str]:
    answer = service.post(path, body)
    assert answer.status_code == 403, answer.text
    found: dict[str, str] = answer.json()["refusal"]
    return found


def challenge_of(service: Service) -> bytes:
    answer = service.post("/v1/challenge", {"operator": hex_of(OPERATOR)})
    return bytes_from_hex(answer.json()["challenge"], 32)


def certify_body(tdx: SimulatedTdx, cvm: FakeCvm, challenge: bytes, **lies: Any) -> dict[str, object]:
    bundle = tdx.bundle(cvm, challenge, **lies)
    return {"bundle": json.loads(bundle.to_bytes()), "operator": hex_of(OPERATOR)}


def certified(service: Service, tdx: SimulatedTdx, cvm: FakeCvm) -> None:
    answer = service.post("/v1/certify", certify_body(tdx, cvm, challenge_of(service)))
    assert answer.status_code == 200, answer.text


# ------------------------------------------------------------------------------------------- replays
def test_a_challenge_serves_once_and_one_certifier_only(
    certifiers: list[tuple[Path, PrivateKey]], tdx: SimulatedTdx
) -> None:
    (first, first_key), (second, second_key) = certifiers
    cvm = FakeCvm()
    with here("certifier", first) as one, here("certifier", second) as two:
        challenge = challenge_of(one)
        body = certify_body(tdx, cvm, challenge)
        assert refusal(two, "/v1/certify", body)["step"] == "challenge"  # another certifier's
        mine = one.post("/v1/certify", body)
        assert mine.status_code == 200, mine.text
        assert refusal(one, "/v1/certify", body)["step"] == "challenge"  # used up
        theirs = two.post("/v1/certify", certify_body(tdx, cvm, challenge_of(two))).json()
    # M of N: different keys and challenges, one claim, and each counts once.
    pairs = [
        (from_json(CvmCertificate, answer["certificate"]), bytes_from_hex(answer["signature"], 65))
        for answer in (mine.json(), theirs)
    ]
    domain = DEPLOYMENT.certificate_domain
    assert claim_of(pairs[0][0]) == claim_of(pairs[1][0])
    signers = {recover_signer(typed_digest(domain, item), signature) for item, signature in pairs}
    assert signers == {address_of(first_key), address_of(second_key)}
    assert len(quorum_evidence(domain, pairs)) == 266 + 2 * 138
    assert mine.json()["x509"] != theirs["x509"]


def test_a_key_request_serves_once_and_one_broker_only(home: Home) -> None:
    first, second = home("a"), home("b")
    second.grant_key = first.grant_key
    private(second.folder / "grant.key", first.grant_key.secret.hex())
    with here("keybroker", first.config) as one, here("keybroker", second.config) as two:
        cvm, preimage = first.order()
        body = first.body(one, cvm, preimage)
        assert refusal(two, "/v1/release", body)["step"] == "challenge"
        granted = one.post("/v1/release", body).json()["grant"]
        assert one.post("/v1/release", body).json()["grant"] == granted  # the same, byte for byte
        # The challenge was answered: another request over it is refused.
        challenge = bytes_from_hex(body["challenge"], 32)
        body["request"] = cvm.request(DOMAIN, preimage, 1, challenge, orders_before=1).to_json()
        assert refusal(one, "/v1/release", body)["step"] == "challenge"


@pytest.mark.parametrize("purpose", [Purpose.RELEASE, Purpose.CONNECT, Purpose.SERVE])
def test_evidence_for_another_purpose_certifies_nothing(
    certifiers: list[tuple[Path, PrivateKey]], tdx: SimulatedTdx, purpose: Purpose
) -> None:
    with here("certifier", certifiers[0][0]) as service:
        body: Any = certify_body(tdx, FakeCvm(), challenge_of(service), purpose=purpose)
        assert refusal(service, "/v1/certify", body)["step"] == Step.REPORT_DATA
        body["bundle"]["purpose"] = Purpose.CERTIFY.value  # the bundle's word for it changes nothing
        assert refusal(service, "/v1/certify", body)["step"] == Step.REPORT_DATA


@pytest.mark.parametrize("purpose", [Purpose.CERTIFY, Purpose.CONNECT, Purpose.SERVE])
def test_evidence_for_another_purpose_releases_nothing(home: Home, purpose: Purpose) -> None:
    owner = home()
    with here("keybroker", owner.config) as service:
        cvm, preimage = owner.order()
        body: Any = owner.body(service, cvm, preimage)
        challenge = bytes_from_hex(body["challenge"], 32)
        body["bundle"] = json.loads(owner.tdx.bundle(cvm, challenge, purpose=purpose).to_bytes())
        assert refusal(service, "/v1/release", body)["step"] == Step.REPORT_DATA


def test_a_possession_from_the_chain_s_calldata_renews_nothing(
    certifiers: list[tuple[Path, PrivateKey]], tdx: SimulatedTdx
) -> None:
    """Registration publishes a possession; its challenge is the operator's own, and not a certifier's."""
    cvm, registry = FakeCvm(), DEPLOYMENT.possession_domain
    with here("certifier", certifiers[0][0]) as service:
        certified(service, tdx, cvm)
        published = os.urandom(32)
        claim = Possession(cvm.cvm_id, OPERATOR, registry.verifying_contract, published)
        signature = secp256k1_sign(cvm.signer, typed_digest(registry, claim))
        body = {"cvm_id": hex_of(cvm.cvm_id), "possession": hex_of(signature)}
        replayed = {**body, "challenge": hex_of(published)}
        assert refusal(service, "/v1/renew", replayed)["step"] == "challenge"
        dressed = {**body, "challenge": hex_of(challenge_of(service))}
        assert refusal(service, "/v1/renew", dressed)["step"] == "certificate.possession"
        # Nothing is gained within the same second, whoever asks.
        fresh = challenge_of(service)
        claim = Possession(cvm.cvm_id, OPERATOR, registry.verifying_contract, fresh)
        honest = hex_of(secp256k1_sign(cvm.signer, typed_digest(registry, claim)))
        body = {"cvm_id": hex_of(cvm.cvm_id), "challenge": hex_of(fresh), "possession": honest}
        assert refusal(service, "/v1/renew", body)["step"] == STEP_RENEWAL


# ------------------------------------------------------------------------------------------- swapped policy
def test_a_policy_swapped_under_a_running_broker_changes_nothing_and_starts_none(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = home()
    policy = owner.folder / "policy.toml"
    lax = policy.read_text().replace(f'engines = ["{hex_of(owner.engine)}"]', "engines = []")
    lax = lax.replace("engines = []", f'engines = ["{hex_of(owner.engine)}"]').replace(
        "max_uses = 5", "max_uses = 900"
    )
    lax = lax.replace(f'clients = ["{hex_of(owner.client)}"]', 'clients = "any"')
    strict = policy.read_text().replace(hex_of(owner.client), "0x" + "77" * 20)
    policy.write_text(strict)
    owner.activate()
    with serving("keybroker", owner.config) as service:
        body = owner.body(service, *owner.order())
        assert refusal(service, "/v1/release", body)["step"] == ReleaseStep.CLIENT
        policy.write_text(lax)  # the attacker's
        body = owner.body(service, *owner.order(salt=2))
        assert refusal(service, "/v1/release", body)["step"] == ReleaseStep.CLIENT
    done = subprocess.run(
        [sys.executable, "-m", "marketplace.keybroker", "--config", str(owner.config), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2 and "activate" in done.stderr
    # Only after its owner saw the words, which shout.
    assert main(["activate", "--config", str(owner.config), "--yes"]) == 0
    assert "WEAK: ANY client may order" in capsys.readouterr().out
    with serving("keybroker", owner.config, run="b") as service:
        assert service.post("/v1/release", owner.body(service, *owner.order(salt=3))).status_code == 200
    events = [entry["event"] for entry in read_log(owner.folder / "state" / "audit.log")]
    assert events.count("policy activated") == 3


def test_other_contracts_swapped_in_start_no_broker(home: Home) -> None:
    owner = home()
    place = owner.folder / "deployment.json"
    place.write_text(place.read_text().replace(hex_of(DEPLOYMENT.order_book)[2:], "77" * 20))
    assert main(["run", "--config", str(owner.config), "--port", "0"]) == 2


def test_a_stricter_policy_ends_the_laxer_one_in_the_running_broker(home: Home) -> None:
    owner = home()
    policy = owner.folder / "policy.toml"
    with here("keybroker", owner.config) as service:
        assert service.post("/v1/release", owner.body(service, *owner.order())).status_code == 200
        policy.write_text(policy.read_text().replace("max_uses = 5", "max_uses = 1"))
        owner.activate()
        body = owner.body(service, *owner.order(salt=2))
        assert refusal(service, "/v1/release", body)["step"] == BrokerStep.POLICY


# ------------------------------------------------------------------------------------------- audit log
def test_a_line_taken_out_is_named_and_a_cut_end_is_told_from_the_published_head(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = home()
    log = owner.folder / "state" / "audit.log"
    with here("keybroker", owner.config) as service:
        for salt in (1, 2, 3):
            assert (
                service.post("/v1/release", owner.body(service, *owner.order(salt=salt))).status_code == 200
            )
        published = service.http.get("/v1/audit").json()
    command = ["verify-log", "--config", str(owner.config)]
    head = ["--head", f"{published['entries']}:{published['head']}"]
    assert main([*command, *head]) == 0
    lines = log.read_bytes().splitlines(keepends=True)
    assert len(lines) == 4
    log.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert main(command) == 2
    assert "line 3" in capsys.readouterr().err  # the first that does not follow
    log.write_bytes(b"".join(lines[:3]))
    assert main(command) == 0  # a cut end shows only against a head that somebody kept
    assert main([*command, *head]) == 2
    assert "line 4" in capsys.readouterr().err
    forged = lines[2].replace(b'"event":"granted"', b'"event":"refused"')
    log.write_bytes(b"".join([*lines[:2], forged, lines[3]]))
    assert main(command) == 2
    assert "line 4" in capsys.readouterr().err  # the one after it commits to what it was


def test_a_certifier_s_log_written_anew_is_told_from_the_published_head(
    certifiers: list[tuple[Path, PrivateKey]], tdx: SimulatedTdx, capsys: pytest.CaptureFixture[str]
) -> None:
    config = certifiers[0][0]
    log = config.parent / "state" / "audit.log"
    with here("certifier", config) as service:
        assert (
            service.post("/v1/certify", certify_body(tdx, FakeCvm(), challenge_of(service))).status_code
            == 200
        )
        published = service.http.get("/v1/audit").json()
        log.unlink()  # and a new history, valid in itself
        assert (
            service.post("/v1/certify", certify_body(tdx, FakeCvm(), challenge_of(service))).status_code
            == 200
        )
    command = ["verify-log", "--config", str(config)]
    assert certifier_main(command) == 0
    head = f"{published['entries']}:{published['head']}"
    assert certifier_main([*command, "--head", head]) == 2
    assert "line 1" in capsys.readouterr().err
    assert certifier_main([*command, "--head", "1:0x00"]) == 2


def test_revocation_beside_the_running_certifier_is_obeyed_and_published(
    certifiers: list[tuple[Path, PrivateKey]], tdx: SimulatedTdx
) -> None:
    config, cvm = certifiers[0][0], FakeCvm()
    with serving("certifier", config) as service:
        certified(service, tdx, cvm)
        arguments = ["revoke", hex_of(cvm.cvm_id), "--reason", "sold for parts", "--config", str(config)]
        assert certifier_main(arguments) == 0
        body = certify_body(tdx, cvm, challenge_of(service))
        assert refusal(service, "/v1/certify", body)["step"] == "certificate.revoked"
        (listed,) = service.http.get("/v1/revocations").json()["revocations"]
        assert listed["cvm_id"] == hex_of(cvm.cvm_id) and listed["reason"] == "sold for parts"
        statement = service.http.get("/v1/attestation").json()
        assert statement["in_cvm"] is False and "not in a CVM" in statement["statement"]


# ------------------------------------------------------------------------------------------- shares
def shared(home: Home, nodes: list[RpcNode]) -> tuple[list[BrokerHome], bytes]:
    """Return three houses of which two must agree, each with its share, and the group's address."""
    houses = [home(f"house-{number}") for number in (1, 2, 3)]
    holders = tuple((f"http://{n}.test", address_of(house.grant_key)) for n, house in enumerate(houses))
    threshold, shares = deal(CONTENT_KEY + SALT, 2, holders, os.urandom)
    for number, (house, share) in enumerate(zip(houses, shares, strict=True), start=1):
        file = ShareFile(MANIFEST, threshold, number, bytes(share))
        path = private(house.folder / "share.json", file.to_bytes().decode())
        assert main(["take-share", str(path), "--config", str(house.config)]) == 0
        path.unlink()
    return houses, threshold.address()


def running(nodes: list[RpcNode], group: bytes, salt: int = 1) -> tuple[FakeCvm, OrderPreimage]:
    cvm, preimage = FakeCvm(), order_preimage(group, salt=salt)
    for node in nodes:
        node.run(order_id(DOMAIN, preimage.terms), cvm.cvm_id, OPERATOR)
    return cvm, preimage


def test_a_share_opens_for_its_cvm_and_its_order_alone(home: Home, nodes: list[RpcNode]) -> None:
    houses, group = shared(home, nodes)
    cvm, preimage = running(nodes, group)
    with here("keybroker", houses[0].config) as service:
        body = houses[0].body(service, cvm, preimage)
        grant = ShareGrant.from_bytes(service.post("/v1/release", body).json()["grant"].encode())
        told = grant.conditions
        assert len(open_with(cvm.hpke, grant.sealed_share, told.to_bytes())) == 64
        with pytest.raises(RefusedError):  # another CVM
            open_with(FakeCvm().hpke, grant.sealed_share, told.to_bytes())
        for member in ("order_id", "cvm_id", "request_digest", "result_key_digest"):
            lie = {**to_json(told.grant), member: "0x" + "11" * 32}
            other = ShareConditions(from_json(GrantConditions, lie), told.threshold, told.share)
            with pytest.raises(RefusedError):  # other conditions
                open_with(cvm.hpke, grant.sealed_share, other.to_bytes())
        with pytest.raises(RefusedError):  # as a whole grant's
            open_with(cvm.hpke, grant.sealed_share, told.grant.to_bytes())
        # The house's share is for this content and group: another order that does not run gets nothing.
        idle = order_preimage(group, salt=9)
        body = houses[0].body(service, cvm, idle)
        assert refusal(service, "/v1/release", body)["step"] == ReleaseStep.RUNNING


def test_no_signature_over_a_share_passes_for_one_over_a_key() -> None:
    key, conditions = PrivateKey(), GrantConditions(*[b"\x01" * 32] * 2, 1, *[b"\x01" * 32] * 5, 60)
    share = sign_share_grant(ShareConditions(conditions, b"\x02" * 32, 1), b"sealed", key)
    whole = sign_grant(conditions, b"sealed", key)
    assert Grant(conditions, b"sealed", share.signature).grant_key() != address_of(key)
    assert ShareGrant(share.conditions, b"sealed", whole.signature).grant_key() != address_of(key)
    for data, kind in ((share.to_bytes(), Grant), (whole.to_bytes(), ShareGrant)):
        with pytest.raises(WireError):
            kind.from_bytes(data)
