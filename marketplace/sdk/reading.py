"""One order's events and public bundle, for client and auditor; hints are followed, never believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.orders import ReportSummary
from marketplace.chain.hints import last_location
from marketplace.errors import MarketError, NotFoundError
from marketplace.sdk.bundle import MAX_BUNDLE_BYTES, OrderBundle

if TYPE_CHECKING:
    from marketplace.sdk.profile import Session

__all__ = ["Reported", "last_location", "read_bundle", "terminal_event"]


@dataclass(frozen=True, slots=True)
class Reported:
    """What OrderReported said: the CVM's summary, and where the agent put the bundle."""

    summary: ReportSummary
    location: str
    time: int


def terminal_event(session: Session, order: bytes) -> Reported:
    """Return the event by which a CVM's last word ended an order.

    Raises:
        NotFoundError: there is none: it has not ended, or ended without a report.
    """
    from marketplace.chain.reports import terminal_in

    reader = session.reader
    events = reader.history(order)
    for event in reversed(events):
        if event.name == "OrderReported":
            cvm_id, terms = reader.cvm_id_at(event.members["cvm"]), reader.placed(order).terms
            summary = terminal_in(event.members, cvm_id, terms)
            return Reported(summary, last_location(events), event.time)
    raise NotFoundError(f"order {hex_of(order)}: no CVM reported on it", hint="see `cloister order why`")


def read_bundle(session: Session, order: bytes, location: str) -> OrderBundle:
    """Return the public bundle of an order from where an event says it lies.

    Raises:
        MarketError: no location, or the store does not have it.
        WireError: it is no bundle.
        RefusedError: step `bundle.order`: it is another order's.
    """
    from marketplace.storage.base import read_blob

    if not location:
        raise MarketError(f"order {hex_of(order)}: its events name no bundle", hint="ask the provider for it")
    bundle = OrderBundle.from_bytes(read_blob(session.store, location, limit=MAX_BUNDLE_BYTES))
    if bundle.order_id != order:
        raise RefusedError("bundle.order", hex_of(bundle.order_id), hex_of(order))
    return bundle
