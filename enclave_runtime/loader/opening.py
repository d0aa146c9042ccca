"""Handlers from the first key request to the IntegrityReport (docs/protocol.md section 7(3) to 7(6))."""

from __future__ import annotations

from dataclasses import replace

from enclave_runtime.attestation.bundle import EvidenceBundle
from enclave_runtime.attestation.model import Evidence
from enclave_runtime.loader import effects
from enclave_runtime.loader.answers import succeeded
from enclave_runtime.loader.core import Core
from enclave_runtime.loader.effects import Answer, InputFaultError, Steps
from enclave_runtime.loader.grants import NANOSECONDS
from enclave_runtime.loader.intake import Intake
from enclave_runtime.loader.messages import Begin, Check, Feed, FeedDone, GrantMessage, KeyRequestMessage
from enclave_runtime.loader.order import OrderRun
from enclave_runtime.loader.states import Event, NotNowError, State
from enclave_runtime.wire.canonical import JsonObject, parse_object
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.report_data import Purpose, gpu_nonce

__all__ = ["begin", "bundle", "check", "feed", "feed_done", "grant", "key_request", "progress_of"]


def bundle(core: Core, purpose: Purpose, operator: bytes, challenge: bytes) -> Steps[JsonObject]:
    """Make fresh evidence and return its bundle as JSON.

    Devices first: the quote binds what they answered (section 4.1).
    """
    keys = core.keyring.public
    gpu: bytes | None = yield effects.Devices(gpu_nonce(keys.cvm_id, challenge))
    data = keys.report_data(purpose, operator=operator, challenge=challenge, gpu=gpu)
    quoted: Evidence = yield effects.Quote(data)
    evidence = replace(quoted, gpu=gpu)
    if purpose is Purpose.CERTIFY:
        core.notes.note(evidence)
    return parse_object(EvidenceBundle(evidence, keys, operator, purpose, challenge).to_bytes())


def key_request(core: Core, message: KeyRequestMessage, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Sign a request for one input's key, with evidence over the same challenge."""
    core.check_input(message.input_index)
    run = core.order()
    evidence = yield from bundle(core, Purpose.RELEASE, run.order.operator, message.challenge)
    signed = run.desk.ask(message.input_index, message.challenge, now_ns)
    if core.state is State.ADMITTED:
        core.move(Event.ASK)
    return succeeded({"request": signed.to_json(), "bundle": evidence})


def grant(core: Core, message: GrantMessage, body: memoryview, now_ns: int) -> Answer:
    """Open a grant whose every condition holds; the last opens the order. A second one renews the first.

    Of a key in shares, each grant brings one; the key is there with the last that is needed.
    """
    index = message.input_index
    core.check_input(index)
    run = core.order()
    if index in run.keys:
        run.keys[index] = run.desk.renew(index, run.keys[index], bytes(body), now_ns)
        return succeeded({"missing": list(run.missing_keys)})
    key = run.desk.open(index, bytes(body), now_ns)
    if key is not None:
        run.keys[index] = key
    if not run.missing_keys:
        run.opened_ns = now_ns
        core.keyring.erase_hpke()
        core.move(Event.OPEN)
    return succeeded({"missing": list(run.missing_keys)})


def begin(core: Core, message: Begin, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Take header and index of one input's stream."""
    index = message.input_index
    core.check_input(index)
    run = core.order()
    if index not in run.keys:
        raise NotNowError("begin", f"no grant for input {index}", "a grant first")
    _check_in_force(run, [index], now_ns)
    if index not in run.intakes:
        item, key = run.order.inputs[index], run.keys[index]
        info = item.manifest.sealed
        sink = yield effects.OpenSink(index)
        run.intakes[index] = Intake(info, item.terms.content_digest, key.key.view(), key.salt, sink)
    try:
        run.intakes[index].begin(body)
    except RefusedError as refusal:
        yield from core.refuse_order(refusal, index, now_ns)
    run.keys[index].key.erase()
    return succeeded(progress_of(run.intakes[index]))


def feed(core: Core, message: Feed, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Decrypt, authenticate and hash one segment."""
    intake = _begun(core, message.input_index)
    try:
        intake.feed(message.segment, body)
    except RefusedError as refusal:
        yield from core.refuse_order(refusal, message.input_index, now_ns)
    return succeeded(progress_of(intake))


def feed_done(core: Core, message: FeedDone, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Compare one input's content digest."""
    intake = _begun(core, message.input_index)
    if intake.received < intake.total:
        raise NotNowError("feed_done", f"{intake.received} segments", f"{intake.total} segments")
    try:
        intake.finish()
    except RefusedError as refusal:
        yield from core.refuse_order(refusal, message.input_index, now_ns)
    return succeeded(progress_of(intake))


def check(core: Core, message: Check, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Unpack what was proven and sign the IntegrityReport: the last step before anything runs."""
    run = core.order()
    if run.open_inputs:
        raise NotNowError("check", f"inputs {run.open_inputs} still open", "every content digest compared")
    _check_in_force(run, list(run.keys), now_ns)
    try:
        yield effects.Unpack(tuple(item.manifest.sealed.plaintext_bytes for item in run.order.inputs))
    except InputFaultError as fault:
        yield from core.refuse_order(fault.refusal, fault.input_index, now_ns)
    seconds = run.seconds(now_ns)
    signed = run.notary.sign_integrity(core.notes.trust(), seconds, now_ns // NANOSECONDS)
    core.move(Event.CHECK)
    return succeeded(signed.to_json())


def progress_of(intake: Intake) -> JsonObject:
    """Return how many segments are in, and of how many."""
    return {"received": intake.received, "total": intake.total}


def _check_in_force(run: OrderRun, indices: list[int], now_ns: int) -> None:
    """Refuse to go on under a grant whose time is over; the host can then ask for a refusal."""
    if expired := [index for index in run.expired_keys(now_ns) if index in indices]:
        raise RefusedError("grant-expired", f"grants of inputs {expired} that ran out", "grants in force")


def _begun(core: Core, index: int) -> Intake:
    core.check_input(index)
    intake = core.order().intakes.get(index)
    if intake is None or not intake.begun:
        raise NotNowError("feed", f"no header and index of input {index}", "begin first")
    return intake
