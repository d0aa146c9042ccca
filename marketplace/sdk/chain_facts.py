"""What the chain says of one order, as plain data: read live, or carried in an export (section 8)."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.wire.canonical import Json, JsonObject
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import OrderTerms, ReportSummary

__all__ = ["ChainFacts", "CvmOnChain"]


@dataclass(frozen=True, slots=True)
class CvmOnChain:
    """CvmRegistry's facts of the accepted CVM; `root_set` is the hash that certificates carry."""

    signer: bytes
    operator: bytes
    measurement: bytes
    root_set: bytes
    tcb_status: int
    revoked: bool
    reference: bool
    """Whether ReferenceValues accepts the measurement under this root set."""


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """Events and state of one order.

    Attributes:
        source: where this was read, and at which block, in words.
        state: the order's state, by name.
        terms: as OrderPlaced announced them.
        cvm_id: as OrderAccepted named it.
        started_at, checkpoint_at: block times, Unix seconds; None where it did not happen.
        checkpoint, terminal: summaries as the events carried them.
        certifiers: addresses whose signature CertifierQuorum accepts, and how many it wants.
    """

    source: str
    chain_id: int
    order_book: bytes
    quorum: bytes
    order_id: bytes
    state: str
    terms: OrderTerms
    cvm_id: bytes
    cvm: CvmOnChain
    started_at: int | None
    checkpoint_at: int | None
    checkpoint: ReportSummary | None
    terminal: ReportSummary | None
    certifiers: tuple[bytes, ...]
    threshold: int

    def to_json(self) -> JsonObject:
        """Return the facts as a JSON object."""
        cvm = self.cvm
        return {
            "source": self.source,
            "chain_id": self.chain_id,
            "order_book": hex_of(self.order_book),
            "quorum": hex_of(self.quorum),
            "order_id": hex_of(self.order_id),
            "state": self.state,
            "terms": to_json(self.terms),
            "cvm_id": hex_of(self.cvm_id),
            "cvm": {
                "signer": hex_of(cvm.signer),
                "operator": hex_of(cvm.operator),
                "measurement": hex_of(cvm.measurement),
                "root_set": hex_of(cvm.root_set),
                "tcb_status": cvm.tcb_status,
                "revoked": cvm.revoked,
                "reference": cvm.reference,
            },
            "started_at": self.started_at,
            "checkpoint_at": self.checkpoint_at,
            "checkpoint": None if self.checkpoint is None else to_json(self.checkpoint),
            "terminal": None if self.terminal is None else to_json(self.terminal),
            "certifiers": [hex_of(one) for one in self.certifiers],
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, value: Json) -> ChainFacts:
        """Return the facts that `to_json` wrote.

        Raises:
            WireError: malformed.
        """
        try:
            return _load(value)
        except (KeyError, TypeError, AttributeError) as error:
            raise WireError(f"chain facts: got malformed member {error}") from error


def _load(value: Json) -> ChainFacts:
    if not isinstance(value, dict) or not isinstance(value["cvm"], dict):
        raise WireError("chain facts: got something else than an object")
    cvm, certifiers = value["cvm"], value["certifiers"]
    if not isinstance(certifiers, list):
        raise WireError("chain facts: got no list of certifiers")
    return ChainFacts(
        source=str(value["source"]),
        chain_id=_number(value["chain_id"]),
        order_book=bytes_from_hex(value["order_book"], 20),
        quorum=bytes_from_hex(value["quorum"], 20),
        order_id=bytes_from_hex(value["order_id"], 32),
        state=str(value["state"]),
        terms=from_json(OrderTerms, value["terms"]),
        cvm_id=bytes_from_hex(value["cvm_id"], 32),
        cvm=CvmOnChain(
            signer=bytes_from_hex(cvm["signer"], 20),
            operator=bytes_from_hex(cvm["operator"], 20),
            measurement=bytes_from_hex(cvm["measurement"], 32),
            root_set=bytes_from_hex(cvm["root_set"], 32),
            tcb_status=_number(cvm["tcb_status"]),
            revoked=cvm["revoked"] is True,
            reference=cvm["reference"] is True,
        ),
        started_at=_maybe(value["started_at"]),
        checkpoint_at=_maybe(value["checkpoint_at"]),
        checkpoint=_summary(value["checkpoint"]),
        terminal=_summary(value["terminal"]),
        certifiers=tuple(bytes_from_hex(one, 20) for one in certifiers),
        threshold=_number(value["threshold"]),
    )


def _number(value: Json) -> int:
    if type(value) is not int:
        raise WireError("chain facts: got something else than an integer")
    return value


def _maybe(value: Json) -> int | None:
    return None if value is None else _number(value)


def _summary(value: Json) -> ReportSummary | None:
    return None if value is None else from_json(ReportSummary, value)
