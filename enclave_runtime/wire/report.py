"""The predicates of what a CVM states: integrity, order report, refusal, wiped (protocol sections 7 and 8).

The loader builds them, auditors parse them: one class each, `to_statement` and a strict `from_statement`.
`seconds` count on the CVM's monotonic clock; no wall clock is believed inside (section 5.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Self, TypeAlias

from enclave_runtime.wire.canonical import JsonObject, dump
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferKind, Price
from enclave_runtime.wire.orders import Outcome
from enclave_runtime.wire.records import Big, Hex20, Hex32, Items, Long, Text, dump_record, load_record
from enclave_runtime.wire.statements import PredicateType, predicate_of, statement

__all__ = [
    "MAX_EVIDENCE_IDS",
    "MAX_INPUTS",
    "MAX_TEXT_BYTES",
    "MONOTONIC",
    "InputLine",
    "IntegrityReport",
    "Moment",
    "OrderReport",
    "Refusal",
    "ResultLine",
    "Trust",
    "Wiped",
    "result_key_info",
]

MAX_INPUTS: Final = 16
MAX_EVIDENCE_IDS: Final = 16
MAX_TEXT_BYTES: Final = 1024
"""Greatest length of a free text in a statement, such as what a check got."""
MONOTONIC: Final = "cvm-monotonic"
"""The one source of time in a statement: seconds since the CVM's loader began."""

_Words: TypeAlias = Annotated[str, Text(MAX_TEXT_BYTES)]
_Name: TypeAlias = Annotated[str, Text(64)]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time and where it comes from."""

    source: _Name
    seconds: int


@dataclass(frozen=True, slots=True)
class InputLine:
    """One input: what the order pinned, and what it leads to."""

    offer: Long
    version: int
    kind: OfferKind
    terms_hash: Hex32
    manifest_digest: Hex32
    content_digest: Hex32


@dataclass(frozen=True, slots=True)
class Trust:
    """What the CVM says of itself; verifiers take their own view from its evidence.

    Attributes:
        tee: kind of TEE, as in the evidence bundle.
        simulated: True where the platform is software: every reader says SIMULATED.
        measurement: as the CVM read it from its own quote; None where it cannot.
        clock: "host" where the host could stretch the monotonic clock, else "protected".
        evidence_ids: canonical ids of the quotes made to be certified, oldest first.
    """

    tee: _Name
    simulated: bool
    measurement: Hex32 | None
    clock: _Name
    evidence_ids: Annotated[tuple[Hex32, ...], Items(MAX_EVIDENCE_IDS)]


@dataclass(frozen=True, slots=True)
class ResultLine:
    """The sealed result: with the key from the envelope, all that its receiver needs to open and check it.

    Attributes:
        content_digest: salted digest of the result archive.
        ciphertext_digest: digest of the sealed stream; the summary's `result_digest`.
        key_commitment: only one key opens the stream.
        algorithm: hash of its segments, by the name that `sealed.tree.Algorithm` gives it.
        segment_bytes: of plaintext in a segment.
        plaintext_bytes: length of the archive.
        size: bytes of the sealed stream.
        location: where it lies; the host's word, kept for convenience.
    """

    content_digest: Hex32
    ciphertext_digest: Hex32
    key_commitment: Hex32
    algorithm: _Name
    segment_bytes: int
    plaintext_bytes: int
    size: int
    location: _Words


def result_key_info(order_id: bytes, cvm_id: bytes, result_digest: bytes) -> bytes:
    """Return the HPKE `info` under which a result's key (32 bytes) and salt (32) are sealed to the client.

    Args:
        result_digest: ciphertext digest of the sealed result, as in the summary and the statement.
    """
    names = {"order_id": order_id, "cvm_id": cvm_id, "result_digest": result_digest}
    return dump({"purpose": "result-key/v1", **{name: hex_of(value) for name, value in names.items()}})


class _Predicate:
    """What the predicates share: their place in a statement."""

    __slots__ = ()
    kind: ClassVar[PredicateType]

    def subjects(self) -> list[tuple[str, bytes]]:
        """Return (name, SHA-256 digest) of what the statement is about."""
        raise NotImplementedError

    def to_statement(self) -> JsonObject:
        """Return the in-toto Statement that carries this predicate."""
        return statement(self.kind, self.subjects(), dump_record(self))

    @classmethod
    def from_statement(cls, value: JsonObject) -> Self:
        """Return the predicate in `value`.

        Raises:
            WireError: another statement or predicate type, other members, or subjects that differ from it.
        """
        loaded = load_record(cls, predicate_of(value, cls.kind))
        if loaded.to_statement() != value:
            raise WireError("statement: got members or subjects that its predicate does not give")
        return loaded


def _input_subjects(inputs: tuple[InputLine, ...]) -> list[tuple[str, bytes]]:
    return [(f"input/{index}", line.content_digest) for index, line in enumerate(inputs)]


@dataclass(frozen=True, slots=True)
class IntegrityReport(_Predicate):
    """Every digest was compared, and nothing has run yet (section 7(6))."""

    kind: ClassVar[PredicateType] = PredicateType.INTEGRITY

    order_id: Hex32
    order_book: Hex20
    chain_id: Annotated[int, Big(256)]
    cvm_id: Hex32
    inputs: Annotated[tuple[InputLine, ...], Items(MAX_INPUTS)]
    inputs_root: Hex32
    engine_digest: Hex32
    config_digest: Hex32
    result_key_digest: Hex32
    runtime_policy_digest: Hex32
    trust: Trust
    checked_at: Moment

    def subjects(self) -> list[tuple[str, bytes]]:
        """Return the content digest of every input."""
        return _input_subjects(self.inputs)


@dataclass(frozen=True, slots=True)
class OrderReport(_Predicate):
    """What became of an order (section 8). Exactly one is ever signed for it.

    Attributes:
        result: None where no result leaves the CVM (outcome HOST, or nothing ran).
        exit_code: of the engine; None where it did not end by itself.
        reason: why the engine, or the order, ended.
        seconds: metered, as in the summary.
        prices: of the compute offer, then of each input.
        integrity_digest: statement digest of the IntegrityReport; None where none was signed.
        started_at: when the order was admitted.
    """

    kind: ClassVar[PredicateType] = PredicateType.ORDER_REPORT

    order_id: Hex32
    order_book: Hex20
    chain_id: Annotated[int, Big(256)]
    cvm_id: Hex32
    inputs: Annotated[tuple[InputLine, ...], Items(MAX_INPUTS)]
    inputs_root: Hex32
    engine_digest: Hex32
    config_digest: Hex32
    integrity_digest: Hex32 | None
    result: ResultLine | None
    outcome: Outcome
    exit_code: int | None
    reason: _Words
    seconds: int
    units: Long
    prices: Annotated[tuple[Price, ...], Items(MAX_INPUTS + 1)]
    trust: Trust
    started_at: Moment
    ended_at: Moment

    def subjects(self) -> list[tuple[str, bytes]]:
        """Return the result's ciphertext digest, or the inputs where there is no result."""
        if self.result is None:
            return _input_subjects(self.inputs)
        return [("result", self.result.ciphertext_digest)]


@dataclass(frozen=True, slots=True)
class Refusal(_Predicate):
    """Why an order cannot be served (section 6.2, REFUSED); signed only before the IntegrityReport.

    Attributes:
        step: name of the check that failed.
        attributable_input: index of the input whose owner's object is at fault; None for nobody's.
        seconds: since the order was admitted, as in the summary.
    """

    kind: ClassVar[PredicateType] = PredicateType.REFUSAL

    order_id: Hex32
    order_book: Hex20
    chain_id: Annotated[int, Big(256)]
    cvm_id: Hex32
    inputs: Annotated[tuple[InputLine, ...], Items(MAX_INPUTS)]
    inputs_root: Hex32
    step: _Name
    got: _Words
    expected: _Words
    attributable_input: int | None
    seconds: int
    trust: Trust
    refused_at: Moment

    def subjects(self) -> list[tuple[str, bytes]]:
        """Return the input at fault, or all of them."""
        every = _input_subjects(self.inputs)
        if self.attributable_input is None:
            return every
        if self.attributable_input >= len(every):
            raise WireError(f"refusal: got input {self.attributable_input}, expected one of {len(every)}")
        return [every[self.attributable_input]]


@dataclass(frozen=True, slots=True)
class Wiped(_Predicate):
    """Keys erased, plaintext removed (section 7(10)). The last thing that a CVM signs.

    Attributes:
        order_id: None where no order was ever admitted.
        terminal_digest: statement digest of the report or refusal; None where the order was abandoned.
        statement_key: SHA-256 of the statement key's SubjectPublicKeyInfo.
        plaintext_files: files left in the scratch folder, counted after removal: zero.
        erased: kinds of secrets that were erased, in the runtime's own words.
    """

    kind: ClassVar[PredicateType] = PredicateType.WIPED

    order_id: Hex32 | None
    cvm_id: Hex32
    statement_key: Hex32
    terminal_digest: Hex32 | None
    plaintext_files: int
    erased: Annotated[tuple[_Name, ...], Items(16)]
    wiped_at: Moment

    def subjects(self) -> list[tuple[str, bytes]]:
        """Return the statement that ended the order, or the CVM's statement key."""
        if self.terminal_digest is None:
            return [("statement-key", self.statement_key)]
        return [("terminal-statement", self.terminal_digest)]
