"""One market per test, on ape's own local chain, which ape rolls back in between."""

from __future__ import annotations

from typing import Any

import pytest
from stage import Market, build


@pytest.fixture
def market(project: Any, accounts: Any, chain: Any) -> Market:
    """Return a market where a client may order."""
    return build(project, accounts, chain)
