"""What a CVM signed, as calldata and events carry it: numbers in one word, compact signatures (protocol 8).

The signed struct is `ReportSummary`. The contract knows its order id and its inputs root, so neither travels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.orders import (
    NO_INPUT,
    OrderTerms,
    Outcome,
    ReportSummary,
    inputs_root,
)
from enclave_runtime.wire.scalars import ZERO32

__all__ = ["checkpoint_in", "compact", "event_number", "numbers_of", "report_of", "terminal_in"]

_MEMBERS: Final = (
    ("phase", 0, 8),
    ("outcome", 8, 8),
    ("attributable_input", 16, 8),
    ("sequence", 24, 32),
    ("seconds_used", 56, 32),
    ("units_used", 88, 64),
)
"""Member, lowest bit and width in the word of numbers."""
_EVENT_BIT: Final = 240


def compact(signature: bytes) -> tuple[bytes, bytes]:
    """Return r and vs of a 65-byte signature r || s || v: parity in the top bit of s (EIP-2098).

    Raises:
        WireError: another form, or s in the upper half.
    """
    if len(signature) != 65 or signature[64] not in (27, 28) or signature[32] >> 7:
        raise WireError("signature: got another form than 65 bytes r || s || v with a low s")
    vs = int.from_bytes(signature[32:64], "big") | (signature[64] - 27) << 255
    return signature[:32], vs.to_bytes(32, "big")


def numbers_of(summary: ReportSummary) -> int:
    """Return the numbers of a summary in one word."""
    return sum(getattr(summary, name) << bit for name, bit, _ in _MEMBERS)


def event_number(numbers: int) -> int:
    """Return an event's number among those of its order, from a word that carries it."""
    return numbers >> _EVENT_BIT


def report_of(summary: ReportSummary, signature: bytes) -> tuple[object, ...]:
    """Return a terminal summary as the struct `Report`.

    Raises:
        WireError: a malformed signature.
    """
    r, vs = compact(signature)
    digests = summary.cvm_id, summary.result_digest, summary.statement_digest
    return (*digests, numbers_of(summary), r, vs)


def terminal_in(members: Mapping[str, Any], cvm_id: bytes, terms: OrderTerms) -> ReportSummary:
    """Return the terminal summary that the CVM signed, from the members of OrderReported.

    Args:
        cvm_id: of the order's CVM, 32 bytes.
        terms: of the order: a terminal summary names its inputs.
    """
    digests = members["resultDigest"], members["statementDigest"]
    return _summary(members, cvm_id, inputs_root(terms.inputs), *digests)


def checkpoint_in(members: Mapping[str, Any], statement_digest: bytes) -> ReportSummary:
    """Return the summary that the CVM signed, from the members of OrderCheckpointed.

    A checkpoint names neither CVM nor inputs: the key that signs says which CVM, the order id which inputs.

    Args:
        statement_digest: of OrderIntegrity where the checkpoint entered ENGINE; zero otherwise.
    """
    summary = _summary(members, ZERO32, ZERO32, ZERO32, statement_digest)
    if (summary.outcome, summary.attributable_input) != (Outcome.NONE, NO_INPUT):
        raise WireError("checkpoint: a node sent numbers that no checkpoint has")
    return summary


def _summary(
    members: Mapping[str, Any], cvm_id: bytes, root: bytes, result: bytes, statement: bytes
) -> ReportSummary:
    numbers = members["numbers"]
    values = {name: numbers >> bit & (1 << width) - 1 for name, bit, width in _MEMBERS}
    return ReportSummary(
        order_id=members["id"],
        cvm_id=cvm_id,
        inputs_root=root,
        result_digest=result,
        statement_digest=statement,
        **values,
    )
