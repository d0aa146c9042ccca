"""The theft: an owner lists a dearer version while the client reads the cost, and the client pays that.

The cost was shown, the client agreed to that deposit, and the order was drawn up anew, at whatever was listed
by then, with the deposit that this required.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from marketplace.cli import placing
from marketplace.sdk import client
from marketplace.sdk.ordering import OrderRequest

SHOWN = 1_000


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[OrderRequest]:
    """Play the market, and remember what is placed."""
    placed: list[OrderRequest] = []

    def place(session: Any, request: OrderRequest, *, entropy: Any) -> Any:
        placed.append(request)
        return SimpleNamespace(order_id=bytes(32), tx="0x", gas=1, deposit=request.deposit)

    quoted = SimpleNamespace(token=bytes(20), deposit=SHOWN)
    monkeypatch.setattr(client, "quote", lambda session, request: quoted)
    monkeypatch.setattr(client, "place", place)
    monkeypatch.setattr(placing, "quote_lines", lambda quoted, info: [])
    monkeypatch.setattr(placing, "quote_json", lambda quoted, info: {})
    return placed


@pytest.mark.parametrize(("wanted", "agreed"), [(None, SHOWN), (5_000, 5_000)])
def test_no_more_is_deposited_than_was_agreed_to(
    asked: list[OrderRequest], wanted: int | None, agreed: int
) -> None:
    info = SimpleNamespace(decimals=6, symbol="T")
    token = SimpleNamespace(info=lambda: info)
    session: Any = SimpleNamespace(token=lambda _: token, profile=SimpleNamespace(simulated=False))
    placing.place_order(session, OrderRequest(1, (2,), b"{}", 60, deposit=wanted), yes=True, as_json=True)
    assert [request.deposit for request in asked] == [agreed]
