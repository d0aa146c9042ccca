"""One market for every integration test that asks for it: starting it takes seconds, an order one more."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace.demo.processes import Processes
from tests.integration.market_kit import Market, start_market


@pytest.fixture(scope="session")
def market() -> Iterator[Market]:
    # A Unix socket's path has 107 bytes at most, so the folder's must be short.
    folder = Path(tempfile.mkdtemp(prefix="market-", dir="/tmp"))
    try:
        with Processes(folder / "logs") as processes:
            made = start_market(folder, processes)
            try:
                yield made
            finally:
                made.world.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
