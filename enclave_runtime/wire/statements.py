"""The statements a CVM signs: integrity report, order report, refusal, wiped (sections 7 and 8).

Each is an in-toto Statement v1 with a predicate type of our own. All numbers beyond 2**53 and all
amounts are decimal strings; all digests are 0x-hex.
"""

from __future__ import annotations

from enum import StrEnum

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError

__all__ = ["STATEMENT_TYPE", "PredicateType", "predicate_of", "statement"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


class PredicateType(StrEnum):
    """Predicate types, versioned."""

    INTEGRITY = "urn:cloister:integrity-report:v1"
    ORDER_REPORT = "urn:cloister:order-report:v1"
    REFUSAL = "urn:cloister:refusal:v1"
    WIPED = "urn:cloister:wiped:v1"


def statement(kind: PredicateType, subjects: list[tuple[str, bytes]], predicate: JsonObject) -> JsonObject:
    """Return an in-toto Statement.

    Args:
        kind: which predicate it carries.
        subjects: (name, 32-byte digest) of what the statement is about; at least one.
        predicate: the statement's own members.
    """
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.hex()}} for name, digest in subjects],
        "predicateType": kind.value,
        "predicate": predicate,
    }


def predicate_of(value: JsonObject, kind: PredicateType) -> JsonObject:
    """Return the predicate of a statement of `kind`.

    Raises:
        WireError: another statement type or predicate type.
    """
    predicate = value.get("predicate")
    if value.get("_type") != STATEMENT_TYPE or value.get("predicateType") != kind.value:
        got = str(value.get("predicateType"))[:80]
        raise WireError(f"statement: got predicate type {got}, expected {kind.value}")
    if not isinstance(predicate, dict):
        raise WireError("statement: got no predicate object")
    return predicate
