"""The owner's own view of the chain: several nodes, believed only where they agree (docs/protocol.md 5.2).

A lie of one node then costs pay, never secrecy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.grant import KeyRequest
from enclave_runtime.wire.orders import OrderPreimage
from marketplace.domain.order_state import OrderState
from marketplace.domain.release import OrderFacts, OrderView, ReleaseStep
from marketplace.errors import BadInputError

__all__ = ["ChainView", "agreed_facts", "agreed_operator"]


class ChainView(Protocol):
    """What one node says. Every method raises ChainError when the node gives no usable answer."""

    def final(self, order_id: bytes) -> OrderView:
        """Return the order in the newest finalized block (on a development chain: at the head)."""
        ...

    def head(self, order_id: bytes) -> OrderView:
        """Return the order at the newest block."""
        ...

    def operator(self, cvm_id: bytes) -> bytes | None:
        """Return the operator of this CVM, 20 bytes; None if it is not registered, or was revoked."""
        ...

    def seller(self, offer: int) -> bytes:
        """Return who listed an offer, 20 bytes; zero where nobody did."""
        ...

    def now(self) -> int:
        """Return the time of the newest block, Unix seconds."""
        ...


def agreed_facts(
    views: Sequence[ChainView], domain: Domain, request: KeyRequest, preimage: OrderPreimage
) -> OrderFacts:
    """Return what all of `views` say of an order, and of the offer of its input that is asked for.

    Raises:
        RefusedError: step `release.02.running`, `release.03.cvm` or `release.22.seller`: they differ, and in
            what.
        BadInputError: there is no view.
    """
    order_id = request.order_id
    final = _agreed([view.final(order_id) for view in views], "in a finalized block")
    head = _agreed([view.head(order_id) for view in views], "at the head")
    refs = preimage.terms.inputs
    # An input that the order has not is refused by `decide`, by its own name.
    seller = (
        _agreed_seller(views, refs[request.input_index].offer) if request.input_index < len(refs) else b""
    )
    return OrderFacts(domain, order_id, preimage, final, head, seller)


def agreed_operator(views: Sequence[ChainView], cvm_id: bytes) -> bytes:
    """Return who registered a CVM, as all of `views` say.

    Raises:
        RefusedError: step `release.03.cvm`: unknown, or the views differ.
    """
    answers = {view.operator(cvm_id) for view in views}
    (first, *others) = answers
    if first is None or others:
        got = "operators that differ between the owner's nodes" if others else f"CVM 0x{cvm_id.hex()}"
        raise RefusedError(ReleaseStep.CVM.value, got, "a registered CVM, not revoked, with one operator")
    return first


def _agreed_seller(views: Sequence[ChainView], offer: int) -> bytes:
    first, *others = {view.seller(offer) for view in views}
    if others:
        got = f"sellers of offer {offer} that differ between the owner's nodes"
        raise RefusedError(ReleaseStep.SELLER.value, got, "one seller from all")
    return first


def _agreed(views: list[OrderView], where: str) -> OrderView:
    if not views:
        raise BadInputError("chain views", "none", "at least one")
    states = sorted({view.state for view in views})
    if len(states) > 1:
        # Lag and lies look alike; a node that lags will agree later, so asking again is right.
        names = " and ".join(state.name for state in states)
        raise RefusedError(
            ReleaseStep.RUNNING.value,
            f"{names} {where}, as nodes differ",
            f"{OrderState.RUNNING.name} from all",
        )
    if len({view.cvm_id for view in views}) > 1:
        raise RefusedError(
            ReleaseStep.CVM.value, f"CVMs that differ between nodes {where}", "one CVM from all"
        )
    return views[0]
