"""The certifier as a process: SIMULATED quotes through the real verifier, certificates at chain time."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from coincurve import PrivateKey

from enclave_runtime.attestation.errors import Step
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of
from enclave_runtime.wire.cvm import CvmCertificate, root_set_hash
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.report_data import Purpose
from enclave_runtime.wire.signatures import address_of, recover_signer
from marketplace.certifier.__main__ import main
from marketplace.service.audit import verify_log
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.json_rpc_node import DEPLOYMENT, RpcNode
from tests.fakes.order_world import NOW
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.integration.services_kit import Service, certifier_home, serving

pytestmark = pytest.mark.integration

KEY = PrivateKey()


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


@pytest.fixture(scope="module")
def node() -> Iterator[RpcNode]:
    made = RpcNode()
    yield made
    made.close()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tdx: SimulatedTdx, node: RpcNode) -> Path:
    return certifier_home(tmp_path_factory.mktemp("services") / "certifier", tdx, node.url, KEY)


@pytest.fixture(scope="module")
def service(config: Path) -> Iterator[Service]:
    with serving("certifier", config) as running:
        yield running


def challenge(service: Service) -> bytes:
    answer = service.post("/v1/challenge", {"operator": hex_of(OPERATOR)})
    return bytes_from_hex(answer.json()["challenge"], 32)


def certify(service: Service, bundle: object) -> tuple[int, dict[str, object]]:
    body = {"bundle": json.loads(bundle.to_bytes()), "operator": hex_of(OPERATOR)}  # type: ignore[attr-defined]
    answer = service.post("/v1/certify", body)
    return answer.status_code, answer.json()


def test_certifies_a_simulated_cvm_and_says_simulated(service: Service, tdx: SimulatedTdx) -> None:
    cvm = FakeCvm()
    status, answer = certify(service, tdx.bundle(cvm, challenge(service)))
    assert status == 200, answer
    certificate = from_json(CvmCertificate, answer["certificate"])
    assert certificate.cvm_id == cvm.cvm_id and certificate.measurement == tdx.measurement
    assert certificate.root_set == root_set_hash(tdx.root_set)
    assert (certificate.issued_at, certificate.expires_at) == (NOW, NOW + 3600)
    signature = bytes_from_hex(answer["signature"], 65)
    assert recover_signer(typed_digest(DEPLOYMENT.certificate_domain, certificate), signature) == address_of(
        KEY
    )
    assert service.http.get("/healthz").json()["simulated"] is True
    assert "SIMULATED" in service.log.read_text()


def test_refuses_a_replayed_quote_and_a_quote_for_another_purpose(
    service: Service, tdx: SimulatedTdx
) -> None:
    bundle = tdx.bundle(FakeCvm(), challenge(service))
    assert certify(service, bundle)[0] == 200
    assert certify(service, bundle)[1]["refusal"]["step"] == "challenge"  # type: ignore[index]
    old = replace(bundle, challenge=challenge(service))
    assert certify(service, old)[1]["refusal"]["step"] == Step.REPORT_DATA  # type: ignore[index]
    other = tdx.bundle(FakeCvm(), challenge(service), purpose=Purpose.RELEASE)
    assert certify(service, other)[1]["refusal"]["step"] == Step.REPORT_DATA  # type: ignore[index]


def test_refuses_another_simulated_root(service: Service) -> None:
    status, answer = certify(service, SimulatedTdx().bundle(FakeCvm(), challenge(service)))
    assert status == 403 and answer["refusal"]["step"] == Step.CHAIN  # type: ignore[index]


def test_goes_by_chain_time(service: Service, tdx: SimulatedTdx, node: RpcNode) -> None:
    bundle = tdx.bundle(FakeCvm(), challenge(service))
    node.time = NOW + 400 * 86_400  # warped beyond the collateral that the settings' file holds
    try:
        status, answer = certify(service, bundle)
    finally:
        node.time = NOW
    assert status == 403, answer
    assert certify(service, bundle)[0] == 200


def test_answers_what_is_not_http_and_goes_on(service: Service) -> None:
    address = ("127.0.0.1", int(service.port_file.read_text()))
    for junk in (
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"POST /v1/certify HTTP/1.1\r\ncontent-length: x\r\n\r\n",
    ):
        with socket.create_connection(address, timeout=60) as connection:
            connection.sendall(junk + b"\r\n\r\n")
            connection.recv(1000)
    big = service.http.post("/v1/certify", content=b"x" * ((1 << 20) + 1))
    assert big.status_code == 413
    assert service.http.get("/healthz").status_code == 200
    assert "Traceback" not in service.log.read_text()


def test_stops_gracefully_and_leaves_a_log_that_verifies(
    config: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    head = service.http.get("/v1/audit").json()
    assert service.stop() == 0
    assert not service.port_file.exists()
    state = config.parent / "state"
    assert hex_of(verify_log(state / "audit.log").digest) == head["head"]
    assert main(["verify-log", "--config", str(config)]) == 0
    assert head["head"] in capsys.readouterr().out
    assert KEY.secret.hex() not in service.log.read_text() + (state / "audit.log").read_text()
    assert state.stat().st_mode & 0o077 == 0


def test_refuses_to_start_on_another_chain_and_starts_without_a_node(
    tmp_path: Path, tdx: SimulatedTdx, capsys: pytest.CaptureFixture[str]
) -> None:
    node = RpcNode(chain_id=56)
    config = certifier_home(tmp_path / "certifier", tdx, node.url, KEY)
    assert main(["--config", str(config)]) == 2
    assert "chain id of the node: got 56" in capsys.readouterr().err
    node.close()
    with serving("certifier", config) as running:
        assert running.post("/v1/challenge", {"operator": hex_of(OPERATOR)}).status_code == 503
        assert "node does not answer" in running.log.read_text()
