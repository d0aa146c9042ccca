"""Handlers of checkpoints, and from the engine's start to the last signature (section 7(7) to 7(9))."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from enclave_runtime.loader import effects
from enclave_runtime.loader.answers import succeeded
from enclave_runtime.loader.core import Core
from enclave_runtime.loader.effects import Answer, EngineEnd, Steps
from enclave_runtime.loader.grants import NANOSECONDS
from enclave_runtime.loader.keys import Secret
from enclave_runtime.loader.messages import (
    CheckpointMessage,
    HostFailure,
    Published,
    PublishedStored,
    Refuse,
    Report,
    Result,
    Run,
    StopMessage,
)
from enclave_runtime.loader.order import LAPSED, OrderRun
from enclave_runtime.loader.report import End, Signed
from enclave_runtime.loader.states import Event, NotNowError, State
from enclave_runtime.sealed.wrap import seal_to
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.eip712 import typed_digest
from enclave_runtime.wire.errors import RefusedError, WireError
from enclave_runtime.wire.orders import Outcome, Stop
from enclave_runtime.wire.report import ResultLine, result_key_info
from enclave_runtime.wire.signatures import recover_signer

__all__ = [
    "checkpoint",
    "engine_ended",
    "host_failure",
    "published",
    "published_stored",
    "refuse",
    "report",
    "result",
    "run_engine",
    "stop",
    "tick",
]

_ENGINE_KIND: Final = "training"
"""What a batch order's engine is: a command that leaves files."""
_HOST_REASONS: Final = frozenset({"sandbox", "seal"})
"""Ends of a run that are the host's fault: nothing of them is paid."""
_WORDS_OF_THE_HOST: Final = ("storage", "device", "stopped", "unfunded")
_KEYS_MISSING: Final = "keys-missing"


def checkpoint(core: Core, message: CheckpointMessage, body: memoryview, now_ns: int) -> Answer:
    """Sign the use so far: it keeps the order alive, and the provider is paid as far as it proves."""
    run = core.order()
    return succeeded(run.notary.sign_checkpoint(message.sequence, run.seconds(now_ns)).to_json())


def run_engine(core: Core, message: Run, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Let the engine go, until the order's last second at most."""
    run = core.order()
    deadline_ns, why = run.deadline()
    if run.stop_reason is not None:
        raise RefusedError("stopped", "an order that its client stopped", "a running one")
    if now_ns >= deadline_ns:
        raise RefusedError(why, f"second {run.seconds(now_ns)} of the order", "a start before that")
    run.result_key = Secret(core.entropy(32))
    run.result_salt = core.entropy(32)
    yield effects.StartEngine(
        effects.EngineTask(
            kind=_ENGINE_KIND,
            entry_point=run.order.engine.manifest.entry_point,
            config=run.order.config,
            wall_s=(run.end_ns - now_ns) / NANOSECONDS,  # a grant may be renewed: `tick` ends that one
            content_key=run.result_key.view(),
            digest_salt=run.result_salt,
            algorithm=run.order.output_algorithm,
        )
    )
    run.engine_started_ns = now_ns
    core.move(Event.RUN)
    return succeeded({"state": State.RUNNING.value})


def stop(core: Core, message: StopMessage, body: memoryview, now_ns: int) -> Steps[Answer]:
    """End the engine, or keep it from starting, because the client signed so."""
    run = core.order()
    order = run.order
    try:
        signer = recover_signer(typed_digest(order.domain, Stop(order.order_id)), message.stop_signature)
    except WireError as error:
        raise RefusedError("stop-signer", error, "the client's signature") from None
    if signer != order.preimage.terms.client:
        raise RefusedError("stop-signer", hex_of(signer), hex_of(order.preimage.terms.client))
    if run.stop_reason is None and run.end is None:
        run.stop_reason = "stopped"
        if core.state is State.RUNNING:
            yield effects.StopEngine()
    return succeeded({"stopped": True})


def tick(core: Core, now_ns: int) -> Steps[None]:
    """Stop an engine whose time is over: maxSeconds, or the earliest grant."""
    run = core.run
    if core.state is not State.RUNNING or run is None or run.stop_reason is not None:
        return
    deadline_ns, why = run.deadline()
    if now_ns >= deadline_ns:
        run.stop_reason = why
        yield effects.StopEngine()


def engine_ended(core: Core, end: EngineEnd, now_ns: int) -> Steps[None]:
    """Take how the engine ended; its plaintext goes, its sealed result stays for the host to fetch.

    Nothing stays of an engine that still ran when a grant was over, even if nobody told it to end in time.
    """
    run = core.run
    if core.state is not State.RUNNING or run is None:
        return
    told = run.stop_reason
    run.lapsed = told == LAPSED or (told is None and run.outlived_a_grant(end.milliseconds))
    run.end = replace(end, sealed=None) if run.lapsed else end
    yield from core.erase_then_move(Event.SEAL, keep_result=not run.lapsed)


def result(core: Core, message: Result, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Give a piece of the sealed result."""
    sealed = _ended(core.order()).sealed
    if sealed is None:
        return succeeded({"total": 0, "digest": None})
    if message.offset > sealed.ciphertext_bytes:
        raise RefusedError("result-offset", message.offset, f"at most {sealed.ciphertext_bytes}")
    piece: bytes = yield effects.ReadResult(message.offset)
    return succeeded(
        {"total": sealed.ciphertext_bytes, "digest": hex_of(sealed.ciphertext_digest)}, body=piece
    )


def published(core: Core, message: Published, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Give a piece of a checkpoint that the engine published; its key stays here until the report."""
    count: int = yield effects.CountPublished()
    _check_published(message.index, count)
    info, piece = yield effects.ReadPublished(message.index, message.offset)
    return succeeded({"total": info.ciphertext_bytes, "digest": hex_of(info.ciphertext_digest)}, body=piece)


def published_stored(core: Core, message: PublishedStored, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Let the ciphertext of a published checkpoint go: the host has it."""
    count: int = yield effects.CountPublished()
    _check_published(message.index, count)
    yield effects.ReleasePublished(message.index)
    return succeeded({"released": True})


def _check_published(index: int, count: int) -> None:
    if index >= count:
        raise NotNowError("published", f"checkpoint {index}", f"one of the {count} that there are")


def report(core: Core, message: Report, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Sign the one OrderReport; only now the result's key leaves, sealed to the client."""
    run = core.order()
    end = _ended(run)
    if run.lapsed:
        return (yield from _fail(core, Outcome.LAPSED, LAPSED, now_ns))
    if end.sealed is None or end.reason in _HOST_REASONS:
        return (yield from _fail(core, Outcome.HOST, f"{end.reason}: {end.detail}", now_ns))
    if not message.stored:
        raise NotNowError("report", "a result that is not stored", "stored, or host_failure")
    if not all(" " <= sign <= "~" for sign in message.location):
        raise RefusedError("location", "other than printable ASCII", "a URI")
    sealed = end.sealed
    line = ResultLine(
        content_digest=sealed.content_digest,
        ciphertext_digest=sealed.ciphertext_digest,
        key_commitment=sealed.key_commitment,
        algorithm=sealed.algorithm.value,
        segment_bytes=sealed.segment_bytes,
        plaintext_bytes=sealed.plaintext_bytes,
        size=sealed.ciphertext_bytes,
        location=message.location,
    )
    outcome = Outcome.COMPLETED if end.reason == "ok" else Outcome.FAILED
    envelope = _key_envelope(core, run, sealed.ciphertext_digest)
    last = End(outcome, end.exit_code, _why(run, end), line, run.seconds(now_ns), now_ns // NANOSECONDS)
    signed = run.notary.sign_report(last, core.notes.trust())
    core.move(Event.REPORT)
    run.erase()
    return _terminal(signed, outcome, key_envelope=hex_of(envelope))


def refuse(core: Core, message: Refuse, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Give the signed refusal, or sign one because keys did not come in time."""
    run = core.order()
    if core.refusal is None:
        missing = run.missing_keys
        _check_keys_missing(run, message, now_ns)
        lost = missing or run.expired_keys(now_ns)
        words = f"no key in force for inputs {lost}"
        expected = f"every key within {run.order.preimage.terms.windows.keys_within} s"
        try:
            yield from core.refuse_order(RefusedError(_KEYS_MISSING, words, expected), None, now_ns)
        except RefusedError:
            if core.refusal is None:
                raise
    if run.notary.terminal is None:
        raise NotNowError("refuse", "no refusal", "one")
    return _terminal(run.notary.terminal, Outcome.REFUSED)


def host_failure(core: Core, message: HostFailure, body: memoryview, now_ns: int) -> Steps[Answer]:
    """Sign outcome HOST: the agent gives up an order that it cannot finish; a running engine is ended.

    The provider is paid what its checkpoints proved, and no key of a result leaves: its word needs no proof.
    """
    run = core.order()
    over = {
        **dict.fromkeys(_WORDS_OF_THE_HOST, True),
        "load-window": run.load_late(now_ns),
        "max-seconds": now_ns >= run.end_ns,
        LAPSED: bool(run.expired_keys(now_ns)),
    }
    if message.reason not in over:
        raise RefusedError("host-reason", message.reason[:32], f"one of {', '.join(over)}")
    if not over[message.reason]:
        raise NotNowError("host_failure", f"{message.reason} not over", "a window that is over")
    return (yield from _fail(core, Outcome.HOST, message.reason, now_ns))


def _fail(core: Core, outcome: Outcome, reason: str, now_ns: int) -> Steps[Answer]:
    """Sign an end without a result, when nothing of one is left."""
    run = core.order()
    yield from core.erase_order()
    last = End(outcome, None, reason, None, run.seconds(now_ns), now_ns // NANOSECONDS)
    signed = run.notary.sign_report(last, core.notes.trust())
    core.move(Event.FAIL)
    return _terminal(signed, outcome)


def _key_envelope(core: Core, run: OrderRun, digest: bytes) -> bytes:
    """Seal content key and salt of the result to the client."""
    assert run.result_key is not None
    info = result_key_info(run.order.order_id, core.keyring.cvm_id, digest)
    return seal_to(run.order.result_key, bytes(run.result_key.view()) + run.result_salt, info)


def _check_keys_missing(run: OrderRun, message: Refuse, now_ns: int) -> None:
    """Let keys be called missing only after their time is over.

    Whether they were asked for is no condition: an owner whose broker is silent gives no challenge to ask
    with, and a host that wants to can ask and drop the answer.
    """
    if message.reason != _KEYS_MISSING:
        raise RefusedError("refuse-reason", message.reason[:32], _KEYS_MISSING)
    if not run.missing_keys and not run.expired_keys(now_ns):
        raise NotNowError("refuse", "every key is here", "a key missing or run out")
    if run.missing_keys and not run.keys_late(now_ns):
        within = run.order.preimage.terms.windows.keys_within
        raise NotNowError("refuse", f"second {run.seconds(now_ns)}", f"second {within} or later")


def _why(run: OrderRun, end: EngineEnd) -> str:
    """Return the reason that a report gives: who stopped the engine says more than that it stopped."""
    if end.reason == "timeout":  # the sandbox's clock was a moment faster than ours
        return "max-seconds"
    return run.stop_reason or end.reason if end.reason == "stopped" else end.reason


def _ended(run: OrderRun) -> EngineEnd:
    if run.end is None:
        raise NotNowError("result", "an engine that has not ended", "its end")
    return run.end


def _terminal(signed: Signed, outcome: Outcome, key_envelope: str | None = None) -> Answer:
    return succeeded({**signed.to_json(), "outcome": outcome.name, "key_envelope": key_envelope})
