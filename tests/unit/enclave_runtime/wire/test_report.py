"""Predicates go round, and a reader accepts only what a builder writes."""

import copy
import dataclasses
from typing import Any

import pytest

from enclave_runtime.wire.canonical import dump, parse_object
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.offers import OfferKind, Price
from enclave_runtime.wire.orders import Outcome
from enclave_runtime.wire.report import (
    MONOTONIC,
    InputLine,
    IntegrityReport,
    Moment,
    OrderReport,
    Refusal,
    ResultLine,
    Trust,
    Wiped,
)

ENGINE = InputLine(2**60, 1, OfferKind.ENGINE, b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
DATA = InputLine(7, 2, OfferKind.DATASET, b"\x04" * 32, b"\x05" * 32, b"\x06" * 32)
TRUST = Trust("tdx", True, b"\x07" * 32, "host", (b"\x08" * 32,))
ORDER: dict[str, Any] = {
    "order_id": b"\x0a" * 32,
    "order_book": b"\x0b" * 20,
    "chain_id": 2**80,
    "cvm_id": b"\x0c" * 32,
}
INPUTS: dict[str, Any] = {"inputs": (ENGINE, DATA), "inputs_root": b"\x0d" * 32}

INTEGRITY = IntegrityReport(
    **ORDER,
    **INPUTS,
    engine_digest=ENGINE.content_digest,
    config_digest=b"\x0e" * 32,
    result_key_digest=b"\x0f" * 32,
    runtime_policy_digest=b"\x10" * 32,
    trust=TRUST,
    checked_at=Moment(MONOTONIC, 12),
)
REPORT = OrderReport(
    **ORDER,
    **INPUTS,
    engine_digest=ENGINE.content_digest,
    config_digest=b"\x0e" * 32,
    integrity_digest=b"\x11" * 32,
    result=ResultLine(b"\x12" * 32, b"\x13" * 32, b"\x15" * 32, "blake3", 1 << 20, 4000, 4096, "file:result"),
    outcome=Outcome.COMPLETED,
    exit_code=0,
    reason="ok",
    seconds=5,
    units=2**63,
    prices=(Price(per_hour=2**100), Price(1), Price()),
    trust=TRUST,
    started_at=Moment(MONOTONIC, 1),
    ended_at=Moment(MONOTONIC, 6),
)
REFUSAL = Refusal(
    **ORDER,
    **INPUTS,
    step="content-digest",
    got="ab",
    expected="cd",
    attributable_input=1,
    seconds=3,
    trust=TRUST,
    refused_at=Moment(MONOTONIC, 4),
)
WIPED = Wiped(
    b"\x0a" * 32, b"\x0c" * 32, b"\x14" * 32, b"\x15" * 32, 0, ("content keys",), Moment(MONOTONIC, 9)
)
FREE_TEXT = {"reason", "step", "got", "expected"}
ALL: list[Any] = [INTEGRITY, REPORT, REFUSAL, WIPED]


@pytest.mark.parametrize("predicate", ALL, ids=lambda p: type(p).__name__)
def test_goes_round_through_canonical_bytes(predicate: Any) -> None:
    data = dump(predicate.to_statement())
    assert type(predicate).from_statement(parse_object(data)) == predicate


@pytest.mark.parametrize("predicate", ALL, ids=lambda p: type(p).__name__)
def test_refuses_every_member_that_is_missing_unknown_or_of_another_type(predicate: Any) -> None:
    statement = predicate.to_statement()
    for name in statement["predicate"]:
        bads: list[Any] = [{}, 1.5, -1, [1]] + ["0xZZ"] * (name not in FREE_TEXT)
        for bad in bads:
            altered = copy.deepcopy(statement)
            altered["predicate"][name] = bad
            with pytest.raises(WireError):
                type(predicate).from_statement(altered)
        altered = copy.deepcopy(statement)
        del altered["predicate"][name]
        with pytest.raises(WireError):
            type(predicate).from_statement(altered)
    altered = copy.deepcopy(statement)
    altered["predicate"]["extra"] = 1
    with pytest.raises(WireError):
        type(predicate).from_statement(altered)


@pytest.mark.parametrize("predicate", ALL, ids=lambda p: type(p).__name__)
def test_refuses_another_predicate_type_or_subject(predicate: Any) -> None:
    statement = predicate.to_statement()
    others = [other for other in ALL if type(other) is not type(predicate)]
    for other in others:
        with pytest.raises(WireError):
            type(predicate).from_statement(other.to_statement())
    altered = copy.deepcopy(statement)
    altered["subject"][0]["digest"]["sha256"] = "00" * 32
    with pytest.raises(WireError):
        type(predicate).from_statement(altered)


def test_subject_of_a_report_is_its_ciphertext_and_of_a_refusal_the_input_at_fault() -> None:
    assert REPORT.subjects() == [("result", b"\x13" * 32)]
    assert dataclasses.replace(REPORT, result=None).subjects()[0] == ("input/0", ENGINE.content_digest)
    assert REFUSAL.subjects() == [("input/1", DATA.content_digest)]
    assert len(dataclasses.replace(REFUSAL, attributable_input=None).subjects()) == 2
    assert dataclasses.replace(WIPED, terminal_digest=None).subjects() == [("statement-key", b"\x14" * 32)]


def test_refuses_a_refusal_that_names_no_input_of_its_own() -> None:
    with pytest.raises(WireError, match="expected one of 2"):
        dataclasses.replace(REFUSAL, attributable_input=2).to_statement()


def test_spelling_is_the_one_of_the_seam() -> None:
    predicate = REPORT.to_statement()["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["outcome"] == "COMPLETED"
    assert predicate["units"] == str(2**63)
    assert predicate["inputs"][0]["kind"] == "ENGINE"  # type: ignore[index,call-overload]
    assert predicate["prices"][0]["per_hour"] == str(2**100)  # type: ignore[index,call-overload]


def test_builders_refuse_what_no_reader_takes() -> None:
    with pytest.raises(WireError):
        dataclasses.replace(REFUSAL, got="x" * 2000).to_statement()
    with pytest.raises(WireError):
        dataclasses.replace(REPORT, seconds=-1).to_statement()
    with pytest.raises(WireError):
        dataclasses.replace(REPORT, order_id=b"short").to_statement()
