"""What a CVM signed at one point of an order, as the journal and the order's public bundle keep it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from enclave_runtime.wire.canonical import JsonObject, dump, parse_object
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of, to_json
from enclave_runtime.wire.orders import ReportSummary

__all__ = ["Parting", "signed_summary"]


def signed_summary(answer: JsonObject) -> tuple[ReportSummary, bytes]:
    """Return the summary in a CVM's answer and the CVM's signature over it.

    Raises:
        WireError: malformed members.
        KeyError: an answer that carries none.
    """
    return from_json(ReportSummary, answer["summary"]), bytes_from_hex(answer["signature"], 65)


@dataclass(frozen=True, slots=True)
class Parting:
    """A statement in its envelope as canonical JSON, the summary for the chain, and its signature."""

    statement: str
    summary: ReportSummary
    signature: bytes

    @classmethod
    def of(cls, answer: JsonObject) -> Parting:
        """Return what a CVM's answer carries.

        Raises:
            WireError: malformed members.
            KeyError: not an answer that carries a signed statement.
        """
        return cls(str(answer["statement"]), *signed_summary(answer))

    def to_text(self) -> str:
        """Return canonical JSON."""
        value = {"statement": json.loads(self.statement), "summary": to_json(self.summary)}
        return dump({**value, "signature": hex_of(self.signature)}).decode()

    @classmethod
    def from_text(cls, text: str) -> Parting:
        """Return what `to_text` wrote."""
        value = parse_object(text.encode())
        return cls(dump(value["statement"]).decode(), *signed_summary(value))
