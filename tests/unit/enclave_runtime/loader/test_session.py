"""What a session does with an order, message by message (section 7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from enclave_runtime.loader.effects import InputFaultError
from enclave_runtime.sealed.header import HEADER_BYTES, ciphertext_digest
from enclave_runtime.sealed.tree import Algorithm, LeafList, leaf
from enclave_runtime.wire.codec import bytes_from_hex, from_json, hex_of
from enclave_runtime.wire.dsse import Envelope
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.identity import CvmPublic
from enclave_runtime.wire.offers import OfferKind
from enclave_runtime.wire.orders import NO_INPUT, TERMINAL_SEQUENCE, Outcome, Phase, ReportSummary
from enclave_runtime.wire.report import IntegrityReport, OrderReport, Refusal, Wiped, result_key_info
from enclave_runtime.wire.scalars import ZERO32
from enclave_runtime.wire.signatures import recover_signer
from tests.fakes.sealed_order import SealedInput, SealedOrder, engine_and_data, offer_of, seal_input
from tests.fakes.session import SECOND, SessionDriver, sealed_info


@pytest.fixture(scope="module")
def order() -> SealedOrder:
    return engine_and_data()


@pytest.fixture
def cvm() -> SessionDriver:
    return SessionDriver()


def signed(cvm: SessionDriver, answer: dict[str, Any], order: SealedOrder) -> Any:
    """Return predicate and summary of an answer whose signatures verify and whose digests agree."""
    public = CvmPublic.from_json(cvm.ok("identify")["public"])
    envelope = Envelope.from_bytes(answer["statement"].encode())
    assert envelope.verify(public.statement_spki)
    value = envelope.statement()
    kinds = (IntegrityReport, OrderReport, Refusal, Wiped)
    kind: Any = next(kind for kind in kinds if kind.kind.value == value["predicateType"])
    if "summary" not in answer:
        return kind.from_statement(value), None
    summary = from_json(ReportSummary, answer["summary"])
    signer = recover_signer(typed_digest(order.domain, summary), bytes_from_hex(answer["signature"]))
    assert signer == public.signer
    assert summary.statement_digest == envelope.digest
    named = public.cvm_id if summary.sequence == TERMINAL_SEQUENCE else ZERO32
    assert (summary.order_id, summary.cvm_id) == (order.order_id, named), "checkpoints name no CVM again"
    return kind.from_statement(value), summary


class TestWholeWay:
    def test_from_admit_to_wiped(self, cvm: SessionDriver, order: SealedOrder) -> None:
        integrity, summary = signed(cvm, cvm.to_checked(order), order)
        assert summary.inputs_root == ZERO32
        assert (summary.phase, summary.sequence, summary.outcome) == (Phase.ENGINE, 1, Outcome.NONE)
        assert (summary.attributable_input, summary.result_digest) == (NO_INPUT, ZERO32)
        assert integrity.engine_digest == order.inputs[0].terms.content_digest
        assert cvm.unpacked == tuple(item.manifest.sealed.plaintext_bytes for item in order.inputs)
        cvm.ok("run")
        assert cvm.task is not None
        assert cvm.task.entry_point == ("python", "main.py")
        assert cvm.task.config == order.config
        assert cvm.task.algorithm is Algorithm.BLAKE3
        cvm.sleep(5)
        key = bytes(cvm.task.content_key) + cvm.task.digest_salt
        cvm.end()
        answer, body = cvm.say("result", offset=3)
        assert (answer["total"], body) == (sealed_info().ciphertext_bytes, cvm.result[3:])
        said = cvm.ok("report", location="blob:1", stored=True)
        report, summary = signed(cvm, said, order)
        assert (summary.sequence, summary.outcome) == (TERMINAL_SEQUENCE, Outcome.COMPLETED)
        assert summary.result_digest == report.result.ciphertext_digest == sealed_info().ciphertext_digest
        assert (summary.seconds_used, report.seconds, report.exit_code) == (5, 5, 0)
        assert [price.fixed_price for price in report.prices] == [0, 5, 5, 5]
        info = result_key_info(order.order_id, summary.cvm_id, summary.result_digest)
        assert order.result_key.open(bytes_from_hex(said["key_envelope"]), info) == key
        wiped, _ = signed(cvm, cvm.ok("wipe"), order)
        assert (wiped.order_id, wiped.plaintext_files) == (order.order_id, 0)
        assert wiped.terminal_digest == summary.statement_digest
        assert "content keys" in wiped.erased

    def test_nothing_of_a_key_is_left_after_the_wipe(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_running(order)
        run = cvm.session._core.order()
        assert cvm.task is not None
        assert all(key.key._buffer is None for key in run.keys.values())
        held = [cvm.task.content_key, run.result_key.view()]
        cvm.end()
        cvm.ok("report", location="", stored=True)
        cvm.ok("wipe")
        assert not any(any(data) for data in held)
        keyring = cvm.session._core.keyring
        assert (keyring._signer, keyring._tls, keyring._hpke, keyring._statement) == (None,) * 4

    def test_content_key_is_erased_once_the_stream_was_begun(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.admit(order)
        cvm.open_keys(order)
        key = cvm.session._core.order().keys[1].key
        held = key.view()
        cvm.ok("begin", order.inputs[1].head, input_index=1)
        assert not any(held)


class TestSecondOrder:
    def test_another_order_is_refused(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        second = replace(order, changed={"salt": b"\x02" * 32})
        error = cvm.error("admit", **second.admit())
        assert error["step"] == "one-order"
        assert (error["got"], error["expected"]) == (hex_of(second.order_id), hex_of(order.order_id))
        assert cvm.ok("status")["order_id"] == hex_of(order.order_id)

    def test_the_same_order_with_another_config_is_refused_for_the_config(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.admit(order)
        cvm.open_keys(order)
        members = order.admit() | {"config": hex_of(b'{"threads":8}')}
        assert cvm.step("admit", **members) == "config-digest"
        assert cvm.state == "OPENED"

    def test_a_refused_admission_leaves_the_cvm_free(self, cvm: SessionDriver, order: SealedOrder) -> None:
        assert cvm.step("admit", **(order.admit() | {"order_id": hex_of(b"\x01" * 32)})) == "order-id"
        assert cvm.ok("status")["refusal"]["step"] == "order-id"
        cvm.admit(order)


class TestIntake:
    @pytest.fixture
    def opened(self, cvm: SessionDriver, order: SealedOrder) -> SessionDriver:
        cvm.admit(order)
        cvm.open_keys(order)
        cvm.ok("begin", order.inputs[1].head, input_index=1)
        return cvm

    def test_flipped_bit_is_the_host_s_fault_and_can_be_fetched_again(
        self, opened: SessionDriver, order: SealedOrder
    ) -> None:
        good = order.inputs[1].segments[2]
        bad = bytes([good[0] ^ 1]) + good[1:]
        error = opened.error("feed", bad, input_index=1, segment=2)
        assert (error["kind"], error["step"], error["segment"]) == ("host", "ciphertext-digest", 2)
        opened.ok("feed", good, input_index=1, segment=2)

    def test_reordered_and_truncated_segments_are_the_host_s_fault(
        self, opened: SessionDriver, order: SealedOrder
    ) -> None:
        segments = order.inputs[1].segments
        for wrong in (segments[3], segments[2][:-1], b"", segments[-1]):
            error = opened.error("feed", wrong, input_index=1, segment=2)
            assert (error["kind"], error["step"]) == ("host", "ciphertext-digest")
        assert opened.step("feed", segments[0], input_index=1, segment=len(segments)) == "ciphertext-digest"
        assert opened.state == "OPENED"

    def test_wrong_header_or_index_is_the_host_s_fault(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.open_keys(order)
        head = order.inputs[1].head
        for wrong in (b"", head[:-1], head[:20] + b"\x00" + head[21:], order.inputs[2].head):
            error = cvm.error("begin", wrong, input_index=1)
            assert (error["kind"], error["step"], error["segment"]) == ("host", "ciphertext-digest", None)
        cvm.ok("begin", head, input_index=1)

    def test_segments_come_in_any_order_and_any_number_of_times(
        self, opened: SessionDriver, order: SealedOrder
    ) -> None:
        segments = order.inputs[1].segments
        for _ in range(2):
            for number in reversed(range(len(segments))):
                opened.ok("feed", segments[number], input_index=1, segment=number)
        done = opened.ok("feed_done", input_index=1)
        assert done["received"] == done["total"] == len(segments)
        assert opened.ok("feed", b"junk", input_index=1, segment=0) == done
        assert opened.ok("feed_done", input_index=1) == done

    def test_done_before_the_last_segment_is_not_now(self, opened: SessionDriver, order: SealedOrder) -> None:
        opened.ok("feed", order.inputs[1].segments[0], input_index=1, segment=0)
        error = opened.error("feed_done", input_index=1)
        assert (error["kind"], error["got"]) == ("not-now", "1 segments")
        assert opened.error("check")["kind"] == "not-now"

    def test_nothing_is_fed_before_its_grant(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.ask(0)
        assert cvm.error("begin", order.inputs[0].head, input_index=0)["kind"] == "not-now"
        assert cvm.error("feed", b"", input_index=0, segment=0)["kind"] == "not-now"


def sealed_wrongly(good: SealedInput, how: str) -> SealedInput:
    """Return an input whose owner sealed it so that it contradicts itself, under a true ciphertext digest."""
    bad = seal_input(OfferKind.DATASET, {"numbers.txt": b"1 2 3 5"})
    sealed, stream = bad.manifest.sealed, bad.stream
    if how == "content-digest":
        sealed = replace(sealed, content_digest=good.manifest.sealed.content_digest)
    elif how == "sealed.key":
        sealed = replace(sealed, key_commitment=b"\x01" * 32)
    else:
        stream = altered(bad, [bytes(len(bad.segments[0])), *bad.segments[1:]])
        leaves = LeafList(sealed.algorithm, sealed.segment_bytes, sealed.plaintext_bytes)
        leaves.load(stream[sealed.layout.index_offset :])
        sealed = replace(sealed, ciphertext_digest=ciphertext_digest(stream[:HEADER_BYTES], leaves))
    manifest = replace(bad.manifest, sealed=sealed)
    return replace(bad, manifest=manifest, terms=offer_of(manifest), stream=stream)


def altered(item: SealedInput, segments: list[bytes]) -> bytes:
    """Return the stream with other segments and an index that fits them."""
    index = b"".join(leaf(item.manifest.sealed.algorithm, segment) for segment in segments)
    return item.stream[:HEADER_BYTES] + b"".join(segments) + index


class TestOwnersFault:
    @pytest.mark.parametrize("how", ["content-digest", "sealed.key", "sealed.segment"])
    def test_ends_the_order_with_a_signed_refusal_that_names_the_input(
        self, cvm: SessionDriver, order: SealedOrder, how: str
    ) -> None:
        bad = replace(order, inputs=(*order.inputs[:2], sealed_wrongly(order.inputs[2], how)))
        cvm.admit(bad)
        cvm.open_keys(bad)
        item = bad.inputs[2]
        feeds = [("feed", s, {"input_index": 2, "segment": n}) for n, s in enumerate(item.segments)]
        done = ("feed_done", b"", {"input_index": 2})
        said: list[Any] = [("begin", item.head, {"input_index": 2}), *feeds, done]
        answers = [cvm.say(op, body, **members)[0] for op, body, members in said]
        error: Any = next(answer["error"] for answer in answers if answer["ok"] is False)
        assert (error["kind"], error["step"]) == ("refused", how)
        assert (error["final"], error["input_index"]) == (True, 2)
        assert cvm.removed == [False]
        refusal, summary = signed(cvm, cvm.ok("refuse", reason=how), bad)
        assert (refusal.step, refusal.attributable_input) == (how, 2)
        assert (refusal.got, refusal.expected) == (error["got"], error["expected"])
        assert (summary.phase, summary.outcome) == (Phase.SETUP, Outcome.REFUSED)
        assert (summary.sequence, summary.attributable_input) == (TERMINAL_SEQUENCE, 2)
        for later in ("check", "run"):
            assert cvm.error(later) == error
        assert cvm.error("feed", b"", input_index=1, segment=0) == error

    def test_archive_that_cannot_be_unpacked_ends_the_order(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.admit(order)
        cvm.open_keys(order)
        cvm.load(order)
        cvm.unpack_fault = InputFaultError(1, RefusedError("archive.link", "a link (entry 2)", "inside"))
        error = cvm.error("check")
        assert (error["step"], error["final"], error["input_index"]) == ("archive.link", True, 1)
        refusal, _ = signed(cvm, cvm.ok("refuse", reason="x"), order)
        assert refusal.attributable_input == 1

    def test_full_scratch_is_the_host_s_fault(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.open_keys(order)
        cvm.load(order)
        cvm.unpack_fault = OSError(28, "no space")
        error = cvm.error("check")
        assert (error["kind"], error["step"], error["got"]) == ("host", "io", "errno 28")
        cvm.unpack_fault = None
        cvm.ok("check")


class TestCheckpoint:
    def test_is_signed_from_admission_to_the_report(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        sequence = 0

        def prove(phase: Phase) -> None:
            nonlocal sequence
            cvm.sleep(3)
            sequence += 1
            summary = checkpoint(cvm, order, sequence)
            assert (summary.phase, summary.sequence) == (phase, sequence)
            assert summary.seconds_used == cvm.ok("status")["order_seconds"]
            assert cvm.ok("status")["sequence"] == sequence

        prove(Phase.SETUP)
        cvm.ask(0)
        prove(Phase.SETUP)
        cvm.open_keys(order)
        prove(Phase.SETUP)
        cvm.load(order)
        _, summary = signed(cvm, cvm.ok("check"), order)
        sequence += 1
        assert summary.sequence == sequence
        prove(Phase.ENGINE)
        cvm.ok("run")
        prove(Phase.ENGINE)
        cvm.end()
        prove(Phase.ENGINE)
        _, summary = signed(cvm, cvm.ok("report", location="", stored=True), order)
        assert summary.sequence == TERMINAL_SEQUENCE
        assert cvm.error("checkpoint", sequence=sequence + 1)["kind"] == "not-now"

    def test_asked_again_is_the_same_in_every_later_state(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.admit(order)
        first = cvm.ok("checkpoint", sequence=1)
        cvm.sleep(5)
        assert cvm.ok("checkpoint", sequence=1) == first
        cvm.ok("checkpoint", sequence=2)
        cvm.sleep(order.windows.keys_within)
        cvm.ok("refuse", reason="keys-missing")
        assert cvm.ok("checkpoint", sequence=1) == first

    def test_is_refused_under_any_other_sequence(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_checked(order)
        for sequence in (0, 1, 3, 1 << 40):
            error = cvm.error("checkpoint", sequence=sequence)
            assert (error["kind"], error["step"], error["final"]) == ("refused", "sequence", False)
        checkpoint(cvm, order, 2)

    def test_forgotten_answers_are_not_signed_again(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.ok("checkpoint", sequence=1)
        for number in range(300):
            cvm.ok("checkpoint", sequence=number + 2)
        assert cvm.step("checkpoint", sequence=1) == "sequence"


def checkpoint(cvm: SessionDriver, order: SealedOrder, sequence: int) -> ReportSummary:
    """Return a checkpoint that the CVM's signer signed."""
    answer = cvm.ok("checkpoint", sequence=sequence)
    assert "statement" not in answer
    summary = from_json(ReportSummary, answer["summary"])
    signer = recover_signer(typed_digest(order.domain, summary), bytes_from_hex(answer["signature"]))
    assert hex_of(signer) == cvm.ok("identify")["public"]["signer"]
    assert (summary.outcome, summary.attributable_input) == (Outcome.NONE, NO_INPUT)
    assert {summary.inputs_root, summary.result_digest, summary.statement_digest} == {ZERO32}
    return summary


class TestLapsed:
    @pytest.fixture
    def running(self, cvm: SessionDriver, order: SealedOrder) -> SessionDriver:
        """Runs under grants of 60 s."""
        cvm.admit(order)
        cvm.open_keys(order, ttl_s=60)
        cvm.load(order)
        cvm.ok("check")
        cvm.sleep(10)
        cvm.ok("run")
        return cvm

    def ends_lapsed(self, cvm: SessionDriver, order: SealedOrder) -> None:
        assert cvm.removed == [False]
        answer, body = cvm.say("result", offset=0)
        assert (answer["total"], body) == (0, b"")
        answer = cvm.ok("report", location="blob:1", stored=True)
        report, summary = signed(cvm, answer, order)
        assert (report.outcome, summary.outcome) == (Outcome.LAPSED, Outcome.LAPSED)
        assert (report.reason, report.result, summary.phase) == ("grant-expired", None, Phase.ENGINE)
        assert (answer["key_envelope"], summary.result_digest) == (None, ZERO32)
        assert cvm.session._core.order().result_key._buffer is None
        assert cvm.ok("report", location="blob:1", stored=True) == answer

    def test_engine_is_stopped_and_nothing_of_it_leaves(
        self, running: SessionDriver, order: SealedOrder
    ) -> None:
        assert running.ok("status")["grants_last"] == {"0": 50, "1": 50, "2": 50}
        running.sleep(49.9)
        assert running.stops == 0
        running.sleep(0.1)
        assert (running.stops, running.ok("status")["grants_last"]["1"]) == (1, 0)
        running.end("stopped", None)
        self.ends_lapsed(running, order)

    def test_engine_that_ended_in_time_keeps_its_result(
        self, running: SessionDriver, order: SealedOrder
    ) -> None:
        """Sealing may take beyond the grant; only the engine's own time counts."""
        running.now_ns += 100 * SECOND
        running.end("ok", 0, milliseconds=49_999)
        report, _ = signed(running, running.ok("report", location="", stored=True), order)
        assert report.outcome == Outcome.COMPLETED

    @pytest.mark.parametrize("reason", ["ok", "exit", "memory"])
    def test_engine_that_nobody_told_to_end_in_time_lapsed_all_the_same(
        self, running: SessionDriver, order: SealedOrder, reason: str
    ) -> None:
        """A host that holds up the loader's clock for a moment gains no second."""
        running.now_ns += 100 * SECOND
        running.end(reason, 0, milliseconds=50_000)
        self.ends_lapsed(running, order)

    def test_stopped_by_its_client_before_that_is_no_lapse(
        self, running: SessionDriver, order: SealedOrder
    ) -> None:
        running.sleep(20)
        running.ok("stop", stop_signature=order.stop())
        running.sleep(40)
        running.end("stopped", None, milliseconds=20_000)
        report, _ = signed(running, running.ok("report", location="", stored=True), order)
        assert (report.outcome, report.reason) == (Outcome.FAILED, "stopped")

    def test_renewed_grants_let_it_run_on(self, running: SessionDriver, order: SealedOrder) -> None:
        running.sleep(20)
        for index in range(len(order.inputs)):
            request = running.ask(index, b"	" * 32)
            running.ok("grant", order.grant(request, running.hpke, ttl_s=100), input_index=index)
        assert set(running.ok("status")["grants_last"].values()) == {100}
        running.sleep(99)
        assert running.stops == 0
        running.sleep(1)
        assert running.stops == 1

    def test_one_grant_that_is_not_renewed_ends_it(self, running: SessionDriver, order: SealedOrder) -> None:
        for index in (0, 2):
            request = running.ask(index, b"	" * 32)
            running.ok("grant", order.grant(request, running.hpke, ttl_s=1000), input_index=index)
        running.sleep(50)
        assert running.stops == 1

    def test_before_the_engine_started_it_is_the_hosts_fault(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.admit(order)
        cvm.open_keys(order, ttl_s=60)
        cvm.load(order)
        cvm.ok("check")
        cvm.sleep(60)
        assert cvm.step("run") == "grant-expired"
        assert cvm.ok("host_failure", reason="grant-expired")["outcome"] == "HOST"


class TestKeysMissing:
    def test_is_signed_after_keys_within_and_blames_nobody(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.admit(order)
        cvm.ok("grant", order.grant(cvm.ask(0), cvm.hpke), input_index=0)
        cvm.sleep(order.windows.keys_within)
        answer = cvm.ok("refuse", reason="keys-missing")
        refusal, summary = signed(cvm, answer, order)
        assert (refusal.step, refusal.attributable_input) == ("keys-missing", None)
        assert (summary.attributable_input, summary.outcome) == (NO_INPUT, Outcome.REFUSED)
        assert summary.seconds_used == order.windows.keys_within
        assert cvm.ok("refuse", reason="keys-missing") == answer
        assert cvm.ok("status")["refusal"]["final"] is True

    def test_is_signed_for_brokers_that_never_gave_a_challenge(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.admit(order)
        cvm.sleep(order.windows.keys_within)
        cvm.ok("refuse", reason="keys-missing")
        assert (cvm.state, cvm.removed) == ("REFUSED", [False])

    def test_is_not_signed_early(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.sleep(order.windows.keys_within - 0.001)
        assert cvm.error("refuse", reason="keys-missing")["kind"] == "not-now"
        assert cvm.step("refuse", reason="I do not like it") == "refuse-reason"

    def test_is_not_signed_when_every_key_is_here(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.open_keys(order)
        cvm.sleep(order.windows.keys_within)
        assert cvm.error("refuse", reason="keys-missing")["kind"] == "not-now"

    def test_a_grant_that_ran_out_before_the_check_counts_as_missing(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.admit(order)
        cvm.open_keys(order, ttl_s=10)
        cvm.load(order)
        cvm.sleep(10)
        assert cvm.step("check") == "grant-expired"
        _, summary = signed(cvm, cvm.ok("refuse", reason="keys-missing"), order)
        assert summary.outcome == Outcome.REFUSED


class TestRunning:
    def test_stops_at_max_seconds(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.sleep(100)
        cvm.open_keys(order, ttl_s=100_000)
        cvm.load(order)
        cvm.ok("check")
        cvm.ok("run")
        assert cvm.task is not None
        assert cvm.task.wall_s == order.windows.max_seconds - 100
        cvm.sleep(cvm.task.wall_s - 0.01)
        assert cvm.stops == 0
        cvm.sleep(0.01)
        assert cvm.stops == 1
        cvm.end("stopped", None)
        report, summary = signed(cvm, cvm.ok("report", location="", stored=True), order)
        assert (report.reason, report.outcome) == ("max-seconds", Outcome.FAILED)
        assert summary.seconds_used == order.windows.max_seconds

    def test_stops_when_the_earliest_grant_runs_out(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.open_keys(order, ttl_s=60)
        cvm.load(order)
        cvm.ok("check")
        cvm.ok("run")
        cvm.sleep(60)
        assert cvm.stops == 1
        cvm.end("stopped", None)
        report, _ = signed(cvm, cvm.ok("report", location="", stored=True), order)
        assert report.reason == "grant-expired"

    def test_client_stops_it_and_gets_what_there_is(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_running(order)
        cvm.ok("stop", stop_signature=order.stop())
        assert cvm.ok("status")["stop_reason"] == "stopped"
        cvm.end("stopped", None)
        answer = cvm.ok("report", location="", stored=True)
        report, _ = signed(cvm, answer, order)
        assert (report.outcome, report.reason) == (Outcome.FAILED, "stopped")
        assert answer["key_envelope"] is not None

    def test_does_not_start_after_the_last_second(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.open_keys(order, ttl_s=100_000)
        cvm.load(order)
        cvm.ok("check")
        cvm.sleep(order.windows.max_seconds)
        assert cvm.step("run") == "max-seconds"
        report, _ = signed(cvm, cvm.ok("host_failure", reason="max-seconds"), order)
        assert (report.outcome, report.result) == (Outcome.HOST, None)

    def test_client_stops_it(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_running(order)
        stranger = order.inputs[0].grant_key
        assert cvm.step("stop", stop_signature=order.stop(stranger)) == "stop-signer"
        assert cvm.step("stop", stop_signature="0x00") == "stop-signer"
        assert cvm.stops == 0
        cvm.ok("stop", stop_signature=order.stop())
        cvm.ok("stop", stop_signature=order.stop())
        assert cvm.stops == 1

    def test_client_stops_it_before_it_starts(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_checked(order)
        cvm.ok("stop", stop_signature=order.stop())
        assert cvm.step("run") == "stopped"
        assert cvm.task is None

    def test_plaintext_goes_when_the_engine_ends(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_sealed(order)
        assert cvm.removed == [True]

    def test_late_end_of_an_abandoned_engine_changes_nothing(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.to_running(order)
        cvm.ok("abandon")
        cvm.end()
        assert cvm.state == "WIPED"


class TestReport:
    @pytest.mark.parametrize(
        ("reason", "code", "outcome"),
        [
            ("ok", 0, Outcome.COMPLETED),
            ("exit", 3, Outcome.FAILED),
            ("memory", None, Outcome.FAILED),
            ("config", None, Outcome.FAILED),
            ("sandbox", None, Outcome.HOST),
            ("seal", None, Outcome.HOST),
        ],
    )
    def test_outcome_follows_from_how_the_engine_ended(
        self, cvm: SessionDriver, order: SealedOrder, reason: str, code: int | None, outcome: Outcome
    ) -> None:
        cvm.to_running(order)
        cvm.end(reason, code, sealed=outcome is not Outcome.HOST)
        answer = cvm.ok("report", location="", stored=True)
        report, summary = signed(cvm, answer, order)
        assert (report.outcome, summary.outcome) == (outcome, outcome)
        assert (answer["outcome"], answer["key_envelope"] is None) == (outcome.name, outcome is Outcome.HOST)
        if outcome is Outcome.HOST:
            assert (report.result, summary.result_digest, report.exit_code) == (None, ZERO32, None)

    def test_is_signed_once(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_sealed(order)
        answer = cvm.ok("report", location="here", stored=True)
        assert cvm.ok("report", location="here", stored=True) == answer
        assert cvm.step("report", location="there", stored=True) == "one-report"
        assert cvm.step("host_failure", reason="storage") == "one-report"
        assert cvm.error("refuse", reason="keys-missing")["kind"] == "not-now"
        cvm.ok("wipe")
        assert cvm.ok("report", location="here", stored=True) == answer

    def test_key_stays_inside_until_the_result_is_stored(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.to_sealed(order)
        assert cvm.error("report", location="", stored=False)["kind"] == "not-now"
        assert cvm.step("report", location="\n", stored=True) == "location"
        assert cvm.state == "SEALED"

    def test_no_result_and_no_key_before_the_engine_ended(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.to_running(order)
        assert cvm.error("result", offset=0)["kind"] == "not-now"
        assert cvm.error("report", location="", stored=True)["kind"] == "not-now"

    def test_offset_beyond_the_result_is_refused(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_sealed(order)
        total = sealed_info().ciphertext_bytes
        cvm.ok("result", offset=total)
        assert cvm.step("result", offset=total + 1) == "result-offset"


class TestHostFailure:
    def test_load_window_counts_from_the_last_grant(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        cvm.sleep(200)
        assert cvm.error("host_failure", reason="load-window")["kind"] == "not-now"
        cvm.open_keys(order)
        cvm.sleep(order.windows.load_within - 1)
        assert cvm.error("host_failure", reason="load-window")["kind"] == "not-now"
        cvm.sleep(1)
        answer = cvm.ok("host_failure", reason="load-window")
        report, summary = signed(cvm, answer, order)
        assert (report.outcome, report.integrity_digest, summary.phase) == (Outcome.HOST, None, Phase.SETUP)
        assert answer["key_envelope"] is None
        assert cvm.removed == [False]

    def test_storage_is_the_agent_s_word_and_costs_the_result(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.to_sealed(order)
        answer = cvm.ok("host_failure", reason="storage")
        report, summary = signed(cvm, answer, order)
        assert (report.outcome, summary.phase, report.result) == (Outcome.HOST, Phase.ENGINE, None)
        assert cvm.step("report", location="", stored=True) == "one-report"

    def test_refuses_other_reasons(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.admit(order)
        assert cvm.step("host_failure", reason="bored") == "host-reason"

    @pytest.mark.parametrize("reason", ["storage", "device", "stopped", "unfunded"])
    def test_ends_a_running_engine_and_what_it_left(
        self, cvm: SessionDriver, order: SealedOrder, reason: str
    ) -> None:
        cvm.to_running(order)
        answer = cvm.ok("host_failure", reason=reason)
        report, _ = signed(cvm, answer, order)
        assert (report.outcome, report.reason, answer["key_envelope"]) == (Outcome.HOST, reason, None)
        assert cvm.removed == [False]
        cvm.end()
        assert cvm.state == "REPORTED"
        assert cvm.error("report", location="", stored=True)["step"] == "one-report"

    def test_is_not_signed_while_a_result_is_left(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_sealed(order)
        cvm.remove_fault = OSError(5, "no luck")
        assert cvm.error("host_failure", reason="storage")["kind"] == "host"
        assert cvm.state == "SEALED"
        cvm.remove_fault = None
        assert cvm.ok("host_failure", reason="storage")["outcome"] == "HOST"


class TestWipe:
    def test_is_not_signed_while_files_are_left(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.to_sealed(order)
        cvm.ok("report", location="", stored=True)
        cvm.files_left = 2
        error = cvm.error("wipe")
        assert (error["kind"], error["step"], error["got"]) == ("host", "scratch-empty", "2 files")
        assert cvm.state == "REPORTED"
        cvm.files_left = 0
        answer = cvm.ok("wipe")
        assert cvm.ok("wipe") == answer

    def test_waits_for_the_end_unless_the_order_is_abandoned(
        self, cvm: SessionDriver, order: SealedOrder
    ) -> None:
        cvm.to_checked(order)
        assert cvm.error("wipe")["kind"] == "not-now"
        wiped, _ = signed(cvm, cvm.ok("abandon"), order)
        assert (wiped.order_id, wiped.terminal_digest) == (order.order_id, None)

    def test_works_without_an_order(self, cvm: SessionDriver, order: SealedOrder) -> None:
        wiped, _ = signed(cvm, cvm.ok("abandon"), order)
        assert wiped.order_id is None
        assert cvm.error("admit", **order.admit())["kind"] == "not-now"


class TestEvidence:
    def test_release_evidence_comes_with_a_key_request_only(self, cvm: SessionDriver) -> None:
        where: dict[str, Any] = {"operator": hex_of(b"\x01" * 20), "challenge": hex_of(b"\x02" * 32)}
        assert cvm.step("evidence", purpose="release", **where) == "purpose"
        assert cvm.step("evidence", purpose="serve", **where) == "purpose"
        assert cvm.ok("evidence", purpose="certify", **where)["bundle"]["purpose"] == "certify"
        assert cvm.ok("evidence", purpose="connect", **where)["bundle"]["purpose"] == "connect"

    def test_status_says_what_there_is(self, cvm: SessionDriver, order: SealedOrder) -> None:
        cvm.sleep(3)
        status = cvm.ok("status")
        assert (status["state"], status["phase"], status["order_id"]) == ("AWAIT_ORDER", "NONE", None)
        assert (status["clock"], status["seconds_since_start"], status["plaintext_files"]) == ("host", 3, 0)
        cvm.admit(order)
        cvm.open_keys(order)
        cvm.ok("begin", order.inputs[2].head, input_index=2)
        cvm.ok("feed", order.inputs[2].segments[1], input_index=2, segment=1)
        status = cvm.ok("status")
        assert status["have"]["2"] == [1, len(order.inputs[2].segments)]
        assert (status["missing_keys"], status["open_inputs"]) == ([], [0, 1, 2])
        assert (status["phase"], status["outcome"], status["refusal"]) == ("SETUP", None, None)
