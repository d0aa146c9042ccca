"""A certifier's own attestation as a reader judges it: who is meant and what is believed is the reader's."""

from __future__ import annotations

from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError, WireError
from marketplace.certifier.app import create_app
from marketplace.errors import UnreachableError
from marketplace.sdk.attested import Attested, Meant, ask, judge
from marketplace.sdk.verdict import TrustAnchor
from marketplace.service.attesting import NOT_IN_A_CVM
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog
from tests.fakes.asgi import AppClient
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.unit.marketplace.certifier.conftest import DOMAIN, NOW, World

CHALLENGE = b"\x2c" * 32


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


def answer_of(world: World, tdx: SimulatedTdx | None = None) -> JsonObject:
    def attest(report_data: bytes) -> Evidence:
        assert tdx is not None
        quote = tdx.vendor.quote(tdx.measured.body(report_data))
        return Evidence(TeeKind.TDX, quote, tdx.measured.event_log)

    app = create_app(
        world.certifier,
        trust_classes=["intel"],
        log=ServiceLog("certifier", world.log),
        rate=RateLimit(lambda: 0.0, per_minute=0),
        attest=None if tdx is None else attest,
    )
    body = AppClient(app).post("/v1/attestation", json={"challenge": hex_of(CHALLENGE)}).json()
    assert isinstance(body, dict)
    return body


def verdict(world: World, tdx: SimulatedTdx, body: JsonObject, **changes: Any) -> Attested:
    own = world.certifier.address
    meant = Meant(DOMAIN.chain_id, DOMAIN.verifying_contract, lambda shown: shown == own)
    policy = AppraisalPolicy(
        root_sets=frozenset({tdx.root_set}),
        measurements=frozenset({changes.pop("measurement", tdx.measurement)}),
        simulated=UnsafeAcceptSimulated(tdx.root_set),
    )
    anchor = TrustAnchor(tdx.vendor.roots, policy, tdx.collateral(NOW))
    challenge = changes.pop("challenge", CHALLENGE)
    return judge(body, replace(meant, **changes), challenge, lambda _: anchor, now=NOW)


def test_what_it_showed_and_whose_it_is(world: World, tdx: SimulatedTdx) -> None:
    found = verdict(world, tdx, answer_of(world, tdx))
    assert found.verified is not None and found.verified.measurement == tdx.measurement
    assert (found.identity.name, found.identity.address) == ("first", world.certifier.address)
    without = verdict(world, tdx, answer_of(world))
    assert without.verified is None and without.statement == NOT_IN_A_CVM


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 1},
        {"contract": b"\x01" * 20},
        {"is_known": lambda _: False},
        {"challenge": b"\x2d" * 32},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_certifier_or_another_time_is_refused(
    world: World,
    tdx: SimulatedTdx,
    change: dict[str, Any],
) -> None:
    for body in (answer_of(world), answer_of(world, tdx)):
        with pytest.raises(RefusedError, match="service"):
            verdict(world, tdx, body, **change)


def test_an_image_that_the_reader_does_not_accept_is_refused(world: World, tdx: SimulatedTdx) -> None:
    with pytest.raises(AttestationError, match="measurement"):
        verdict(world, tdx, answer_of(world, tdx), measurement=b"\x01" * 32)


def test_words_that_its_key_did_not_sign_are_refused(world: World, tdx: SimulatedTdx) -> None:
    body = answer_of(world)
    service = body["service"]
    assert isinstance(service, dict)
    lies: list[dict[str, Any]] = [
        {"statement": "in the safest place there is"},
        {"service": service | {"name": "a better one"}},
        {"service": service | {"x509_root_sha256": "0x" + "01" * 32}},
    ]
    for lie in lies:
        with pytest.raises(RefusedError):
            verdict(world, tdx, {**body, **lie})
    broken: list[dict[str, Any]] = [{"service": None}, {"service": {}}, {"signature": "0x00"}]
    for members in broken:
        with pytest.raises(WireError):
            verdict(world, tdx, {**body, **members})


@pytest.fixture
def server() -> Any:
    """A server that answers whatever the test says."""

    class Handler(BaseHTTPRequestHandler):
        status, body = 200, b"{}"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(type(self).status)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()
            self.wfile.write(type(self).body)

        def log_message(self, *_: object) -> None:
            return

    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield Handler, f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join(10)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"[]"),
        (200, b"not JSON"),
        (200, b"[" * 100_000),
        (302, b"{}"),
        (500, b"{}"),
        (200, b" " * (3 << 20)),
    ],
    ids=["list", "text", "deep", "redirect", "failure", "large"],
)
def test_answers_that_are_no_attestation_are_told_from_refusals(
    server: Any, status: int, body: bytes
) -> None:
    handler, url = server
    handler.status, handler.body = 200, b'{"a": 1}'
    assert ask(url, CHALLENGE) == {"a": 1}
    handler.status, handler.body = status, body
    with pytest.raises(UnreachableError, match="expected an attestation"):
        ask(url, CHALLENGE)


def test_nobody_there() -> None:
    with pytest.raises(UnreachableError, match="ConnectError"):
        ask("http://127.0.0.1:9", CHALLENGE)
