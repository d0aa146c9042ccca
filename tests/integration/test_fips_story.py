"""The honest story under the FIPS profile: SHA-256 content is ordered, trained on, opened and verified.

A market of its own, whose owners' profiles say `algorithm = "sha256"`; the engine is the example's.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.sealed.tree import Algorithm
from enclave_runtime.wire.offers import OfferKind
from marketplace.demo.processes import Processes
from marketplace.demo.scenario import EXAMPLE
from marketplace.domain.order_state import OrderState
from marketplace.sdk import auditor, author, results
from marketplace.sdk import market as offers_of
from tests.integration.market_kit import Market, start_market

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def fips() -> Iterator[Market]:
    folder = Path(tempfile.mkdtemp(prefix="fips-", dir="/tmp"))  # its sockets' paths must be short
    try:
        with Processes(folder / "logs") as processes:
            made = start_market(folder, processes, algorithm=Algorithm.SHA256)
            try:
                yield made
            finally:
                made.world.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_sha256_content_is_ordered_trained_on_and_verified(fips: Market) -> None:
    story, ledger = fips.story, fips.ledger()
    offers = story.publish()
    agent = fips.start_agent()
    placed = story.place(story.request(offers))
    story.follow(placed.order_id)
    fips.wait_done(placed.order_id)
    assert fips.stop_agent(agent) == 0
    assert fips.record(placed.order_id).state is OrderState.COMPLETED
    # What came of it is under the same profile: the client's tools may be held to it too.
    centre = fips.world.homes["centre"].session
    assert results.sealed_result(centre, placed.order_id).line.algorithm == Algorithm.SHA256.value
    metrics = json.loads((story.open_result(placed.order_id) / "output" / "metrics.json").read_bytes())
    assert metrics["accuracy"] >= 0.95
    # An auditor who read the engine's source compares it under the manifest's own hash.
    session = fips.world.homes["hospital-a"].session
    verdict = auditor.verify(session, placed.order_id, {0: EXAMPLE / "engine"})
    assert verdict.passed, [line for line in verdict.lines if not line.passed]
    assert fips.money_problems(ledger, [placed.order_id]) == []


def test_whoever_compares_a_sha256_engine_reads_the_same(fips: Market) -> None:
    session = fips.world.homes["hospital-a"].session
    listed = session.reader.get_offer(fips.engine)
    assert offers_of.manifest_of(session, listed).sealed.algorithm is Algorithm.SHA256
    source = fips.world.folder / "quick"
    assert author.own_digest(session, source, fips.engine) == listed.terms.content_digest
    assert author.digest(source, OfferKind.ENGINE) != listed.terms.content_digest
