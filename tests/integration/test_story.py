"""The honest story with the real engine: two hospitals' rows, one model, and anybody can check it.

The provider's agent, the CVM, certifiers and brokers are processes; the engine is the example's, with torch.
"""

from __future__ import annotations

import functools
import json
import operator
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.wire.canonical import dump
from marketplace.demo.outside import run_outside, same_bits
from marketplace.demo.plaintext import count_plaintext, markers_of
from marketplace.demo.scenario import EXAMPLE, ROOT
from marketplace.domain.order_state import OrderState
from marketplace.sdk import auditor
from marketplace.sdk.export import verify_export
from marketplace.sdk.profile import Profile
from marketplace.sdk.settings import Trust
from tests.integration.market_kit import Market

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Told:
    """One order of the example, told to its end."""

    market: Market
    order: bytes
    result: Path
    paid: list[tuple[str, int]]
    problems: list[str]
    export: Path

    @property
    def trust(self) -> Trust:
        """What hospital A believes."""
        return Profile.load(self.market.world.homes["hospital-a"].path).trust


@pytest.fixture(scope="module")
def told(market: Market) -> Iterator[Told]:
    story, ledger = market.story, market.ledger()
    offers = story.publish()
    agent = market.start_agent()
    placed = story.place(story.request(offers))
    story.follow(placed.order_id)
    market.wait_done(placed.order_id)
    assert market.stop_agent(agent) == 0
    export = market.world.folder / "export.json"
    auditor.export(market.world.homes["hospital-a"].session, placed.order_id, export)
    result = story.open_result(placed.order_id)
    assert story.receipt(placed.order_id) and not story.receipt(placed.order_id), "given once"
    paid = [(story.title(one.account), one.amount) for one in story.collect(placed.order_id).paid]
    problems = market.money_problems(ledger, [placed.order_id])
    yield Told(market, placed.order_id, result, paid, problems, export)
    story.agent = None


def test_the_model_is_good_and_has_the_bits_of_the_same_engine_outside(told: Told) -> None:
    metrics = json.loads((told.result / "output" / "metrics.json").read_bytes())
    assert metrics["accuracy"] >= 0.95
    assert metrics["roc_auc"] >= 0.98
    outside = run_outside(told.market.story.dataset_folders(), told.market.world.folder / "outside")
    assert same_bits(told.result / "output", outside.output) == []


def test_everybody_is_paid_to_the_last_unit(told: Told) -> None:
    assert told.market.record(told.order).state is OrderState.COMPLETED
    assert told.problems == []
    terms = told.market.story.reader().placed(told.order).terms
    assert sum(amount for _, amount in told.paid) == terms.deposit
    assert {who for who, _ in told.paid} == {
        "hospital A",
        "hospital B",
        "research centre",
        "provider",
        "treasury",
    }


def test_no_row_lies_anywhere_but_with_its_owner(told: Told) -> None:
    world = told.market.world
    assert count_plaintext(world.folder, markers_of(told.market.story.data)) == 0


def test_ten_lines_hold_live_against_what_an_owner_has_itself(told: Told) -> None:
    session = told.market.world.homes["hospital-a"].session
    own = {0: EXAMPLE / "engine", 1: told.market.story.dataset_folders()[0]}
    verdict = auditor.verify(session, told.order, own)
    assert [line.number for line in verdict.lines] == list(range(1, 11))
    assert verdict.passed, verdict.lines
    assert verdict.simulated
    assert "2 compared with our own copies" in verdict.lines[7].detail


_OFFLINE = """
import json, socket, sys
from pathlib import Path
from marketplace.sdk.export import verify_export
from marketplace.sdk.profile import Profile
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[3])), 2)
    raise SystemExit("the network is on")
except OSError:
    pass
verdict = verify_export(Path(sys.argv[1]), Profile.load(Path(sys.argv[2])).trust)
print(json.dumps([[line.number, line.passed, line.detail] for line in verdict.lines]))
"""


def test_ten_lines_hold_from_the_export_with_the_network_off(told: Told) -> None:
    world = told.market.world
    inside = ["bwrap", "--dev-bind", "/", "/", "--unshare-net", "--die-with-parent"]
    arguments = [str(told.export), str(world.homes["hospital-a"].path), str(world.chain.port)]
    done = subprocess.run(
        [*inside, "--", sys.executable, "-c", _OFFLINE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = json.loads(done.stdout)
    assert [number for number, _, _ in lines] == list(range(1, 11))
    assert all(passed for _, passed, _ in lines), lines
    assert "by the exporter's word" in lines[0][2]
    assert "SIMULATED" in lines[5][2]


# One value in one place -> the numbered line that must be the first to fail.
ALTERED = {
    "chain.state": 1,
    "chain.terms.deposit": 1,
    "bundle.order_id": 1,
    "bundle.preimage.inputs.1.price.fixed_price": 2,
    "bundle.packet.config": 2,
    "bundle.packet.policy.worst_tcb": 2,
    "chain.cvm.signer": 3,
    "bundle.start_signature": 3,
    "bundle.integrity.statement.signatures.0.sig": 3,
    "bundle.report.summary.result_digest": 3,
    "bundle.certified.0.bundle.keys.hpke": 3,
    "chain.terminal.seconds_used": 4,
    "chain.checkpoint.statement_digest": 5,
    "bundle.certified.0.bundle.quote": 6,
    "bundle.certified.1.certificate.platform_id": 6,
    "bundle.certified.0.signature": 6,
    "collateral.intel.tcb_info": 6,
    "collateral.intel.tcb_info_signature": 6,
    "chain.threshold": 6,
    "chain.cvm.measurement": 7,
    "bundle.manifests.2.sealed.content_digest": 8,
    "bundle.manifests.1.locations.0": 8,
    "result_digest": 9,
    "bundle.wiped.signatures.0.sig": 10,
}


@pytest.mark.parametrize("where", ALTERED)
def test_one_altered_value_fails_its_numbered_line(told: Told, tmp_path: Path, where: str) -> None:
    value = json.loads(told.export.read_bytes())
    *path, last = (int(part) if part.isdigit() else part for part in where.split("."))
    inner = functools.reduce(operator.getitem, path, value)
    inner[last] = _altered(inner[last])
    (tmp_path / "altered.json").write_bytes(dump(value))
    verdict = verify_export(tmp_path / "altered.json", told.trust)
    failed = [line.number for line in verdict.lines if not line.passed]
    assert failed[:1] == [ALTERED[where]], verdict.lines
    assert not verdict.passed


def _altered(value: Any) -> Any:
    """Return another value of the same form."""
    if isinstance(value, int):
        return value + 1
    if value.isdigit():
        return str(int(value) + 1)
    if len(value) < 20:
        return f"{value}X"
    middle = len(value) // 2
    return value[:middle] + ("1" if value[middle] != "1" else "2") + value[middle + 1 :]
