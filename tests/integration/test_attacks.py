"""Every bad actor of the demo against one market: refused, money to the last unit, nothing decrypted left.

The same functions as `scripts/demo --attack NAME`. Each test gets a bench of its own in a shared market.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.demo.attacking import run_attack
from marketplace.demo.attacks.engines import ENGINES
from marketplace.demo.attacks.table import ATTACKS
from marketplace.demo.console import Console
from marketplace.demo.processes import Processes
from marketplace.demo.story import Published3, Story
from marketplace.demo.world import World

pytestmark = pytest.mark.integration

# Who must have said no. An attack that is stopped by somebody else than the design says is a finding too.
REFUSED_BY = {
    "wrong-engine": "CVM: content-digest",
    "swapped-dataset": "CVM: content-digest",
    "flipped-bit": "CVM: ciphertext-digest",
    "truncated": "CVM: ciphertext-digest",
    "reordered": "CVM: ciphertext-digest",
    "changed-config": "CVM: config-digest",
    "grant-other-order": "CVM: grant-order",
    "grant-other-cvm": "CVM: grant-cvm",
    "grant-other-result-key": "CVM: grant-result-key",
    "replayed-quote": "service: challenge",
    "unknown-measurement": "service: evidence.7.measurement",
    "debug-cvm": "service: evidence.5.debug",
    "stale-tcb": "service: evidence.4.tcb",
    "expired-certificate": "contract: OrderBook_CvmExpires",
    "report-other-order": "contract: OrderBook_NotSigned",
    "second-report": "contract: OrderBook_WrongState",
    "forged-report": "contract: OrderBook_NotSigned",
    "provider-never-accepts": "contract: cancel",
    "provider-never-starts": "contract: expire",
    "grant-withheld": "CVM: keys-missing",
    "silent-host": "contract: expire",
    "provider-dies-running": "contract: expire",
    "host-lies": "CVM: order-id",
    "engine-phones-home": "sandbox: phones_home",
    "engine-reads-outside": "sandbox: reads_outside",
    "simulated-as-real": "contract: OrderBook_PolicyRefuses",
}


@pytest.fixture(scope="module")
def market() -> Iterator[tuple[Story, Published3]]:
    """A market whose honest steps are done up to the first order."""
    folder = Path(tempfile.mkdtemp(prefix="cloister-", dir="/tmp"))  # socket paths must be short
    with Processes(folder / "logs") as processes:
        world = World.start(folder, processes, more_engines=ENGINES)
        try:
            story = Story(world, Console(json_on_stdout=True))
            offers = story.publish()
            story.register_provider()
            yield story, offers
        finally:
            world.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_table_is_complete() -> None:
    assert set(ATTACKS) == set(REFUSED_BY)


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(name: str, market: tuple[Story, Published3]) -> None:
    story, offers = market
    result = run_attack(name, story, offers, Console(json_on_stdout=True))
    assert result.refused, result.got
    assert result.step == REFUSED_BY[name]
    assert result.got and result.expected
    assert result.plaintext_left == 0
    assert result.problems == ()
