"""A real `python -m enclave_runtime`, started and measured by the simulated platform, from admit to wiped."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.dcap.layout import canonical_id, parse_quote
from enclave_runtime.attestation.simulated.client import CvmState, PlatformClient
from enclave_runtime.wire.canonical import dump
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of
from enclave_runtime.wire.cvm import Possession, cvm_registry_domain
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.orders import TERMINAL_SEQUENCE, OrderStart, Outcome, Phase, ReportSummary
from enclave_runtime.wire.report import IntegrityReport, OrderReport, Refusal, Wiped
from enclave_runtime.wire.signatures import recover_signer
from tests.fakes.cvm_client import CvmClient
from tests.fakes.sealed_order import OPERATOR, SealedOrder, engine_and_data, offer_of, seal_bytes, seal_input
from tests.integration.cvm_kit import LOCK, ROOT, open_result, running_platform, statement_of

pytestmark = pytest.mark.integration

CHALLENGE = b"\x31" * 32


@pytest.fixture(scope="module")
def platform() -> Iterator[PlatformClient]:
    with running_platform() as client:
        yield client


@pytest.fixture
def launched(platform: PlatformClient) -> Iterator[CvmState]:
    with tempfile.TemporaryDirectory(prefix="cvm-") as name:
        state = platform.launch(ROOT, [LOCK], Path(name), plain_mib=256)
        try:
            yield state
        finally:
            platform.kill(state.pid)


@pytest.fixture
def cvm(launched: CvmState) -> Iterator[CvmClient]:
    with CvmClient(launched.socket) as client:
        yield client


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return engine_and_data()


def summary_of(answer: dict[str, Any], order: SealedOrder, public: CvmPublic) -> ReportSummary:
    summary = from_json(ReportSummary, answer["summary"])
    signature = bytes_from_hex(answer["signature"])
    assert recover_signer(typed_digest(order.domain, summary), signature) == public.signer
    return summary


def test_order_from_admit_to_wiped_with_a_new_connection_for_every_step(
    platform: PlatformClient, launched: CvmState, cvm: CvmClient, order: SealedOrder, tmp_path: Path
) -> None:
    # Keys, evidence, possession.
    identity = cvm.ok("identify")
    public = CvmPublic.from_json(identity["public"])
    assert identity["simulated"] is True
    assert bytes_from_hex(identity["cvm_id"]) == public.cvm_id
    asked: dict[str, Any] = {
        "purpose": "certify",
        "operator": hex_of(OPERATOR),
        "challenge": hex_of(CHALLENGE),
    }
    bundle = EvidenceBundle.from_bytes(dump(cvm.ok("evidence", **asked)["bundle"]))
    assert bundle.keys.cvm_id == public.cvm_id
    where: dict[str, Any] = {"registry": hex_of(b"\x66" * 20), "chain_id": "31337"}
    answer = cvm.ok("possess", operator=hex_of(OPERATOR), challenge=hex_of(CHALLENGE), **where)
    possession = Possession(public.cvm_id, OPERATOR, b"\x66" * 20, CHALLENGE)
    digest = typed_digest(cvm_registry_domain(31337, b"\x66" * 20), possession)
    assert recover_signer(digest, bytes_from_hex(answer["signature"])) == public.signer

    # Admission, and again after the agent lost the answer.
    admitted = cvm.ok("admit", **order.admit())
    cvm.reconnect()
    assert cvm.ok("admit", **order.admit()) == admitted
    start = OrderStart(order.order_id, public.cvm_id, bytes_from_hex(admitted["inputs_root"]))
    signed = bytes_from_hex(admitted["start_signature"])
    assert recover_signer(typed_digest(order.domain, start), signed) == public.signer

    # Keys and ciphertext, cut off in the middle of a segment.
    cvm.open_keys(order)
    data = order.inputs[1]
    cvm.ok("begin", data.head, input_index=1)
    cvm.send("feed", data.segments[0], input_index=1, segment=0)
    cvm.reconnect()
    assert cvm.await_state("OPENED")["have"]["1"][1] == len(data.segments)
    cvm.load(order)
    checked = cvm.ok("check")
    cvm.reconnect()
    assert cvm.ok("check") == checked
    statement, integrity_digest = statement_of(checked["statement"], public)
    integrity = IntegrityReport.from_statement(statement)
    assert [line.content_digest for line in integrity.inputs] == [
        i.terms.content_digest for i in order.inputs
    ]
    assert integrity.trust.measurement == launched.measurement
    assert integrity.trust.simulated
    assert integrity.trust.evidence_ids == (canonical_id(parse_quote(bundle.evidence.quote)),)
    summary = summary_of(checked, order, public)
    assert (summary.phase, summary.sequence, summary.outcome) == (Phase.ENGINE, 1, Outcome.NONE)
    assert summary.statement_digest == integrity_digest

    # The engine, and its result.
    assert cvm.ok("run")["state"] == "RUNNING"
    cvm.reconnect()
    status = cvm.await_state("SEALED")
    assert status["plaintext_files"] == 0
    sealed = cvm.fetch_result()
    report_answer = cvm.ok("report", location="file:result", stored=True)
    cvm.reconnect()
    assert cvm.ok("report", location="file:result", stored=True) == report_answer
    statement, digest = statement_of(report_answer["statement"], public)
    report = OrderReport.from_statement(statement)
    summary = summary_of(report_answer, order, public)
    assert report.outcome is Outcome.COMPLETED
    assert report.integrity_digest == integrity_digest
    assert report.result is not None
    assert (summary.sequence, summary.outcome) == (TERMINAL_SEQUENCE, Outcome.COMPLETED)
    assert summary.statement_digest == digest
    assert summary.result_digest == report.result.ciphertext_digest
    open_result(order, public.cvm_id, report, report_answer["key_envelope"], sealed, tmp_path)
    assert (tmp_path / "output" / "sum.txt").read_text() == str(sum(range(3000)))
    assert (tmp_path / "logs" / "engine.txt").read_text() == "read 3000 numbers\n"
    assert json.loads((tmp_path / "result.json").read_text())["outcome"] == "COMPLETED"

    # The end.
    wiped_answer = cvm.ok("wipe")
    cvm.reconnect()
    assert cvm.ok("wipe") == wiped_answer
    wiped = Wiped.from_statement(statement_of(wiped_answer["statement"], public)[0])
    assert (wiped.order_id, wiped.terminal_digest, wiped.plaintext_files) == (order.order_id, digest, 0)
    assert cvm.ok("status")["state"] == "WIPED"
    cvm.close()
    assert await_exit(platform, launched) == 0


def test_engine_of_other_content_is_refused_for_good_and_leaves_nothing(
    cvm: CvmClient, order: SealedOrder
) -> None:
    # One byte of the engine differs; its owner sealed it and lists it under the digest that others checked.
    good = order.inputs[0]
    other = seal_input(OfferKind.ENGINE, {"main.py": b"print('something else')"}, ("python", "main.py"))
    manifest = replace(
        other.manifest,
        sealed=replace(other.manifest.sealed, content_digest=good.terms.content_digest),
    )
    lying = replace(other, manifest=manifest, terms=offer_of(manifest))
    bad = replace(order, inputs=(lying, *order.inputs[1:]))
    public = CvmPublic.from_json(cvm.ok("identify")["public"])
    cvm.open_keys(bad)
    cvm.ok("begin", lying.head, input_index=0)
    for number, segment in enumerate(lying.segments):
        cvm.ok("feed", segment, input_index=0, segment=number)
    error = cvm.error("feed_done", input_index=0)
    assert (error["step"], error["final"], error["input_index"]) == ("content-digest", True, 0)
    assert error["got"] == hex_of(other.terms.content_digest)
    assert error["expected"] == hex_of(good.terms.content_digest)
    status = cvm.ok("status")
    assert (status["state"], status["plaintext_files"], status["outcome"]) == ("REFUSED", 0, "REFUSED")
    assert cvm.error("run")["step"] == "content-digest"
    answer = cvm.ok("refuse", reason="content-digest")
    refusal = Refusal.from_statement(statement_of(answer["statement"], public)[0])
    assert (refusal.step, refusal.attributable_input) == ("content-digest", 0)
    summary = summary_of(answer, bad, public)
    assert (summary.outcome, summary.attributable_input) == (Outcome.REFUSED, 0)
    assert Wiped.from_statement(statement_of(cvm.ok("wipe")["statement"], public)[0]).plaintext_files == 0


def test_archive_that_leaves_its_root_is_refused_before_anything_is_signed(
    cvm: CvmClient, order: SealedOrder
) -> None:
    hostile = seal_bytes(OfferKind.DATASET, escaping_tar())
    bad = replace(order, inputs=(order.inputs[0], hostile))
    cvm.open_keys(bad)
    cvm.load(bad)
    error = cvm.error("check")
    assert error["step"].startswith("archive.")
    assert (error["final"], error["input_index"]) == (True, 1)
    status = cvm.ok("status")
    assert (status["state"], status["phase"], status["plaintext_files"]) == ("REFUSED", "SETUP", 0)


def test_failing_engine_is_reported_with_its_sealed_log(cvm: CvmClient, tmp_path: Path) -> None:
    order = engine_and_data(b'{"fail":true}')
    public = CvmPublic.from_json(cvm.ok("identify")["public"])
    cvm.open_keys(order)
    cvm.load(order)
    cvm.ok("check")
    cvm.ok("run")
    cvm.await_state("SEALED")
    sealed = cvm.fetch_result()
    answer = cvm.ok("report", location="", stored=True)
    report = OrderReport.from_statement(statement_of(answer["statement"], public)[0])
    assert (report.outcome, report.exit_code, report.reason) == (Outcome.FAILED, 7, "exit")
    open_result(order, public.cvm_id, report, answer["key_envelope"], sealed, tmp_path)
    assert b"3000 numbers" in (tmp_path / "logs" / "engine.txt").read_bytes()


def test_engine_is_stopped_at_the_order_s_last_second(cvm: CvmClient) -> None:
    base = engine_and_data(b'{"sleep":60}')
    order = replace(base, windows=replace(base.windows, max_seconds=4))
    public = CvmPublic.from_json(cvm.ok("identify")["public"])
    cvm.open_keys(order)
    cvm.load(order)
    cvm.ok("check")
    cvm.ok("run")
    cvm.await_state("SEALED")
    report = OrderReport.from_statement(
        statement_of(cvm.ok("report", location="", stored=True)["statement"], public)[0]
    )
    assert (report.outcome, report.reason, report.exit_code) == (Outcome.FAILED, "max-seconds", None)
    assert 4 <= report.seconds < 60  # which it would have slept


def test_client_stops_a_running_engine(cvm: CvmClient) -> None:
    order = engine_and_data(b'{"sleep":60}')
    cvm.open_keys(order)
    cvm.load(order)
    cvm.ok("check")
    cvm.ok("run")
    assert cvm.error("stop", stop_signature=order.stop(order.inputs[0].grant_key))["step"] == "stop-signer"
    cvm.ok("stop", stop_signature=order.stop())
    assert cvm.await_state("SEALED")["progress"]["engine_reason"] == "stopped"


def test_abandoned_while_running_leaves_no_engine_and_no_plaintext(cvm: CvmClient) -> None:
    order = engine_and_data(b'{"sleep":60}')
    public = CvmPublic.from_json(cvm.ok("identify")["public"])
    cvm.open_keys(order)
    cvm.load(order)
    cvm.ok("check")
    cvm.ok("run")
    wiped = Wiped.from_statement(statement_of(cvm.ok("abandon")["statement"], public)[0])
    assert (wiped.terminal_digest, wiped.plaintext_files) == (None, 0)
    assert cvm.ok("status")["plaintext_files"] == 0


def await_exit(platform: PlatformClient, launched: CvmState, patience_s: float = 60.0) -> int | None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        (now,) = [state for state in platform.list() if state.pid == launched.pid]
        if not now.running:
            return now.exit_code
        time.sleep(0.05)
    raise AssertionError("the CVM went on after `wiped`")


def escaping_tar() -> bytes:
    """An archive that GNU tar would write, with a name that leaves the root."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("../outside")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    return out.getvalue()
