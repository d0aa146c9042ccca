"""What the chain says of one order, collected through one node (docs/protocol.md section 8, step 1).

Who could certify, and how many were needed, is read as it was when the order was accepted: a certifier that
was removed later does not unmake what it vouched for in its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.chain.reports import checkpoint_in, terminal_in
from marketplace.sdk.chain_facts import ChainFacts, CvmOnChain

if TYPE_CHECKING:
    from marketplace.chain.reader import OrderEvent, Reader
    from marketplace.sdk.profile import Session

__all__ = ["read_facts"]


def read_facts(session: Session, order: bytes, events: list[OrderEvent]) -> ChainFacts:
    """Return the facts of an order whose events are `events`.

    Raises:
        NotFoundError: no such order.
        ChainError: the node gives no usable answer.
    """
    reader = session.reader
    placed = reader.placed(order)
    record = reader.get_order(order)
    by_name = {event.name: event for event in events}
    accepted, started = by_name.get("OrderAccepted"), by_name.get("OrderStarted")
    checked, reported = _opened(events), by_name.get("OrderReported")
    cvm_id = reader.cvm_id_at(accepted.members["cvm"]) if accepted else ZERO32
    certifiers, threshold = _quorum_at(reader, accepted.block if accepted else reader.node.head())
    return ChainFacts(
        source=f"node {reader.node.rpc.host}, block {reader.node.head()}",
        chain_id=reader.deployment.chain_id,
        order_book=reader.deployment.order_book,
        quorum=reader.deployment.certifier_quorum,
        order_id=order,
        state=record.state.name,
        terms=placed.terms,
        cvm_id=cvm_id,
        cvm=_cvm(reader, cvm_id),
        started_at=started.time if started else None,
        checkpoint_at=checked[0].time if checked else None,
        checkpoint=checkpoint_in(checked[0].members, checked[1]) if checked else None,
        terminal=terminal_in(reported.members, cvm_id, placed.terms) if reported else None,
        certifiers=certifiers,
        threshold=threshold,
    )


def _opened(events: list[OrderEvent]) -> tuple[OrderEvent, bytes] | None:
    """Return the checkpoint by which phase ENGINE was entered, and the digest of its IntegrityReport."""
    said = next((event for event in events if event.name == "OrderIntegrity"), None)
    if said is None:
        return None
    before = [one for one in events if one.name == "OrderCheckpointed" and one.tx_hash == said.tx_hash]
    entered = [one for one in before if (one.block, one.index) < (said.block, said.index)]
    return (entered[-1], said.members["statementDigest"]) if entered else None


def _cvm(reader: Reader, cvm_id: bytes) -> CvmOnChain:
    known = None if cvm_id == ZERO32 else reader.cvm(cvm_id)
    if known is None:
        return CvmOnChain(ZERO_ADDRESS, ZERO_ADDRESS, ZERO32, ZERO32, 0, False, False)
    return CvmOnChain(
        known.signer,
        known.operator,
        known.measurement,
        known.root_set,
        int(known.tcb_status),
        known.revoked,
        reader.is_accepted(known),
    )


def _quorum_at(reader: Reader, block: int) -> tuple[tuple[bytes, ...], int]:
    """Return the certifiers and the threshold at a block, from the quorum's events."""
    from marketplace.chain.artifacts import contract

    quorum = contract("CertifierQuorum")
    topics = [[quorum.events[name].topic for name in ("CertifierAdded", "CertifierRemoved", "ThresholdSet")]]
    certifiers: dict[bytes, None] = {}
    threshold = 0
    for log in reader.node.logs("CertifierQuorum", topics, to_block=block):
        event = quorum.event_of(log.topics[0])
        if event is None:
            continue
        members = event.read(log.topics, log.data)
        if event.name == "CertifierAdded":
            certifiers[members["certifier"]] = None
        elif event.name == "CertifierRemoved":
            certifiers.pop(members["certifier"], None)
        else:
            threshold = members["threshold"]
    return tuple(sorted(certifiers)), threshold
