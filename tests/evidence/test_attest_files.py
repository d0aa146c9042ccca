"""`cloister attest` on real evidence: every row of the record is known, explained, and judged as it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.errors import Cause
from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.roots import RootSet
from marketplace.errors import BadInputError
from marketplace.sdk import attest_advice
from marketplace.sdk.attest_policy import Accepted
from marketplace.sdk.attest_reading import recognise
from marketplace.sdk.attest_words import explain, report_data_of
from marketplace.sdk.attesting import Judged, Outcome, Wanted, judge
from tests.evidence import amd_vectors, cose_vectors, nvidia_vectors, vectors
from tests.fakes.collateral import intel_with

pytestmark = vectors.REQUIRED
_LAST_OF_HARDWARE = 3


def _judged(quote: bytes, collateral: Collateral, root: str, now: int) -> Judged | None:
    """Judge by a policy that says what the evidence says, under a vendor's root; None: no parser takes it."""
    try:
        found = recognise(quote)
    except BadInputError:
        return None
    assert found.tee is not None and explain(found).parts
    first = judge(found, collateral, Accepted(), Wanted(), now=now)
    assert first.verified is None
    made = first.suggestion
    assert made is not None
    rules = Accepted(
        root,
        frozenset({bytes.fromhex(made.measurement[2:])}),
        frozenset({made.tcb if " " not in made.tcb else "Unrated"}),
        snp=amd_vectors.LENIENT,
    )
    own = Wanted(report_data_of(found.tee, quote)) if found.tee is not TeeKind.NITRO else Wanted()
    return judge(found, collateral, rules, own, now=now)


def _reached(verdict: Judged | None) -> int:
    """Return the number of the step that refused, 10 where none did, -1 where nothing was read."""
    if verdict is None:
        return -1
    return next((line.number or 0 for line in verdict.lines if line.outcome is Outcome.REFUSED), 10)


@pytest.mark.parametrize("kind", ["tdx-quote", "sgx-quote"])
def test_real_intel_quotes(kind: str) -> None:
    for result in ("ok", "reject"):
        for parameter in vectors.checks(kind, result):
            item: vectors.Check = parameter.values[0]
            name = item.check["collateral"]
            if vectors.is_padded(item.row):
                assert recognise(vectors.raw_bytes(item.row)).padding
            try:
                quote = vectors.quote_of(item.row)
            except ValueError:
                continue
            now = int(item.check.get("now") or vectors.window(name).first + 1)
            reached = _reached(_judged(quote, vectors.collateral(name), "intel", now))
            assert reached > _LAST_OF_HARDWARE if result == "ok" else reached < 10, item.name


def test_real_amd_reports() -> None:
    for item in amd_vectors.reports():
        root = RootSet.amd(item.collateral.product).id
        reached = _reached(_judged(item.report, Collateral(amd=item.collateral), root, item.row["now"]))
        assert reached > _LAST_OF_HARDWARE if item.expected == "ok" else reached < 10, item.name


def test_real_nitro_documents_and_cca_tokens() -> None:
    for item in cose_vectors.documents():
        verdict = _judged(item.document, Collateral(), "aws-nitro", item.check["now"])
        # Without user_data of our layout step (8) is the end; whatever is no such document ends before.
        reached, ok = _reached(verdict), item.check["result"] == "ok"
        assert reached in ((5,) if item.is_debug else (8,)) if ok else reached < 8, item.name
    for token in cose_vectors.tokens():
        try:
            told = explain(recognise(token.token))
        except BadInputError:
            assert token.expected == "reject", token.name
            continue
        assert told.kind == "cca token" and len(told.parts) == 3


@pytest.mark.parametrize("row", nvidia_vectors.named(nvidia_vectors.report_rows()))
def test_real_device_reports(row: dict[str, Any]) -> None:
    device = nvidia_vectors.device_of(row)
    if row["encoding"] == "hex" and not nvidia_vectors.works(row):  # the one with a byte behind it
        with pytest.raises(BadInputError, match="1 trailing bytes"):
            recognise(device.report)
        return
    told = explain(recognise(device.report))
    assert told.kind == f"report of a {device.kind.value}"
    whole = explain(recognise(nvidia_vectors.evidence_of(device)))
    chain = [name for name in whole.parts[0].facts if name.startswith("certificate")]
    assert len(chain) == len(device.chain) and "SIMULATED" not in str(whole)


# advice

_SET, _OTHER = "qvl-2025-06", "a0625-90c0"
_TDX, _SGX = "intel/dcap-qvl/tdx_quote", "intel/dcap-qvl/sgx_quote"
_Spoil = Callable[[dict[str, Any]], dict[str, Any]]
_ADVISED: list[tuple[Cause, str, _Spoil]] = [
    (Cause.COLLATERAL_NONE, _TDX, lambda _: {"collateral": Collateral()}),
    (Cause.COLLATERAL_OVER, _TDX, lambda _: {"now": vectors.window(_SET).last + 1}),
    (Cause.COLLATERAL_EARLY, _TDX, lambda _: {"now": vectors.window(_SET).first - 1}),
    (
        Cause.COLLATERAL_OLD,
        _TDX,
        lambda good: {"rules": replace(good["rules"], intel=IntelRules(max_collateral_age_s=1))},
    ),
    (
        Cause.COLLATERAL_CHANGED,
        _TDX,
        lambda good: {"collateral": intel_with(good["collateral"], tcb_info_signature=bytes(range(64)))},
    ),
    (
        Cause.COLLATERAL_OTHER_PLATFORM,
        _TDX,
        lambda _: {"collateral": vectors.collateral(_OTHER), "now": vectors.window(_OTHER).first + 1},
    ),
    (Cause.COLLATERAL_OTHER_TEE, _SGX, lambda _: {}),
    (Cause.TCB_STATUS, _TDX, lambda good: {"rules": replace(good["rules"], tcb=frozenset({"Revoked"}))}),
    (
        Cause.PLATFORM,
        _TDX,
        lambda good: {"rules": replace(good["rules"], platforms=frozenset({bytes(32)}))},
    ),
]


@pytest.mark.parametrize(("cause", "name", "spoil"), _ADVISED, ids=[str(case[0]) for case in _ADVISED])
def test_advice_about_real_quotes_follows_the_cause_that_the_verifier_names(
    cause: Cause, name: str, spoil: _Spoil
) -> None:
    (row,) = [row for kind in ("tdx-quote", "sgx-quote") for row in vectors.rows(kind) if row["file"] == name]
    found = recognise(vectors.quote_of(row))
    good: dict[str, Any] = {
        "collateral": vectors.collateral(_SET),
        "rules": Accepted("intel", frozenset({bytes(32)})),
        "now": vectors.window(_SET).first + 1,
    }
    case = good | spoil(good)
    verdict = judge(found, case["collateral"], case["rules"], Wanted(), now=case["now"])
    (refused,) = [line for line in verdict.lines if line.outcome is Outcome.REFUSED]
    assert refused.todo == attest_advice._BY_CAUSE[cause], refused
