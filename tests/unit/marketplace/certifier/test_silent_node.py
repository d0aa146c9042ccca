"""What a certifier does without its chain node: it takes its word back and says so, and gives none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography import x509

from enclave_runtime.wire.codec import hex_of
from marketplace.certifier.app import create_app
from marketplace.certifier.core import Certifier
from marketplace.certifier.revocation import check_list
from marketplace.errors import UnreachableError
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog
from tests.fakes.asgi import AppClient
from tests.fakes.cvm import OPERATOR
from tests.unit.marketplace.certifier.conftest import DOMAIN, NOW, World

CVM = b"\xab" * 32


def silent() -> int:
    raise UnreachableError("http://node: timed out")


@pytest.fixture
def alone(world: World) -> Iterator[tuple[Certifier, AppClient]]:
    """The same certifier, its node silent."""
    certifier = replace(world.certifier, clock=silent)
    log, rate = ServiceLog("certifier", world.log), RateLimit(lambda: 0.0, per_minute=0)
    yield certifier, AppClient(create_app(certifier, trust_classes=[], log=log, rate=rate))


def test_it_revokes_and_serves_both_lists(world: World, alone: tuple[Certifier, AppClient]) -> None:
    certifier, client = alone
    world.wall[0] = NOW + 50
    assert certifier.revoke(CVM, "its key was found") is not None
    answer = client.get("/v1/revocations")
    assert answer.status_code == 200, answer.text
    (entry,) = check_list(answer.json(), domain=DOMAIN, certifier=certifier.address, now=NOW + 50, least=1)
    assert (entry.cvm_id, entry.at) == (CVM, NOW + 50)
    crl = x509.load_der_x509_crl(client.get("/v1/crl").content)
    assert crl.last_update_utc == datetime.fromtimestamp(NOW + 50, UTC)


def test_it_says_what_holds_its_keys(alone: tuple[Certifier, AppClient]) -> None:
    _, client = alone
    assert client.get("/v1/attestation").json()["at"] == NOW
    asked = client.post("/v1/attestation", json={"challenge": "0x" + "11" * 32})
    assert asked.status_code == 200 and asked.json()["in_cvm"] is False


def test_it_certifies_nothing(alone: tuple[Certifier, AppClient]) -> None:
    _, client = alone
    assert client.post("/v1/challenge", json={"operator": hex_of(OPERATOR)}).status_code >= 500


def test_a_node_that_froze_dates_no_list_back(world: World) -> None:
    """Readers drop a list that is over: one that a frozen node dates would be over as soon as it is made."""
    world.wall[0] = NOW + 10 * 86_400
    listed = world.client.get("/v1/revocations").json()
    assert listed["issued_at"] == world.wall[0] < listed["next_update"]
    world.chain_time[0] = world.wall[0] + 7
    assert world.client.get("/v1/revocations").json()["issued_at"] == world.wall[0] + 7
