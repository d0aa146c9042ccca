"""The trusted loader's session: one CVM, one order, from the first message to `wiped` (protocol section 7).

Sans-I/O: `handle` takes a message and the time and gives effects, then an answer. It opens nothing and never
sleeps. The tables are in `states`; what a message does is in `opening`, `closing` and `wipe`. A message that
did something once is answered the same ever after.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from types import MappingProxyType
from typing import Any, Final, Never, TypeAlias

from enclave_runtime.loader import answers, closing, effects, messages, opening
from enclave_runtime.loader.admission import admit
from enclave_runtime.loader.answers import FinalRefusal, Memory, message_key, succeeded
from enclave_runtime.loader.core import Core
from enclave_runtime.loader.effects import Answer, EngineEnd, Steps
from enclave_runtime.loader.grants import NANOSECONDS
from enclave_runtime.loader.intake import HostFaultError
from enclave_runtime.loader.keys import CvmKeyring
from enclave_runtime.loader.messages import Message, parse_message
from enclave_runtime.loader.order import OrderRun
from enclave_runtime.loader.report import clip
from enclave_runtime.loader.states import OPERATIONS, Event, NotNowError, State, check_operation
from enclave_runtime.loader.trust import PlatformFacts, TrustNotes
from enclave_runtime.loader.wipe import wipe
from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.cvm import Possession, cvm_registry_domain
from enclave_runtime.wire.errors import EnclaveError, RefusedError, WireError
from enclave_runtime.wire.orders import Outcome, Phase
from enclave_runtime.wire.report_data import Purpose

__all__ = ["Session"]

_Handler: TypeAlias = Callable[[Core, Any, memoryview, int], "Steps[Answer] | Answer"]

_ONCE: Final = frozenset(
    {"admit", "grant", "check", "run", "stop", "report", "refuse", "host_failure", "wipe", "abandon"}
)
_REPEATED: Final = frozenset({"evidence", "possess", "key_request", "checkpoint"})
"""Answers remembered too, but not without bound: the host can ask for as many as it likes."""


class Session:
    """Decides; `host` carries out. Not for several threads at once, except `status`."""

    def __init__(self, facts: PlatformFacts, *, plaintext_bytes: int, entropy: Entropy, now_ns: int) -> None:
        """Let the CVM's keys be born.

        Args:
            plaintext_bytes: room for plaintext, in bytes.
            now_ns: the monotonic clock; every later time is counted from here.
        """
        self._core = Core(facts, entropy, plaintext_bytes, CvmKeyring(entropy), TrustNotes(facts))
        self._born_ns = now_ns
        self._once = Memory()
        self._repeated = Memory()

    @property
    def state(self) -> State:
        """Return where the session stands."""
        return self._core.state

    def handle(self, header: JsonObject, body: memoryview, now_ns: int) -> Steps[Answer]:
        """Take one message; give effects and return the answer. Raises nothing but programming errors.

        Args:
            header: canonical, already parsed.
            body: valid until the answer is there.
            now_ns: the monotonic clock.
        """
        try:
            operation, message = parse_message(header)
            return (yield from self._answer(operation, message, header, body, now_ns - self._born_ns))
        except WireError as error:
            return answers.bad_request(error, "a message of docs/cvm-socket.md")
        except RefusedError as refusal:
            return answers.refused(self._note(refusal))
        except NotNowError as error:
            return answers.not_now(error)
        except HostFaultError as error:
            return answers.host_fault(error)
        except OSError as error:
            words = f"errno {error.errno}"
            return answers.host_fault(HostFaultError("io", words, "files and platform that work"))
        except EnclaveError as error:
            return answers.host_fault(HostFaultError("internal", type(error).__name__, "no error"))

    def engine_ended(self, end: EngineEnd, now_ns: int) -> Steps[None]:
        """Take the engine's end; call once for each `StartEngine`."""
        yield from closing.engine_ended(self._core, end, now_ns - self._born_ns)

    def tick(self, now_ns: int) -> Steps[None]:
        """Let time pass; call a few times a second while an engine runs."""
        yield from closing.tick(self._core, now_ns - self._born_ns)

    def _answer(
        self, operation: str, message: Message, header: JsonObject, body: memoryview, now_ns: int
    ) -> Steps[Answer]:
        memory = self._once if operation in _ONCE else self._repeated if operation in _REPEATED else None
        key = message_key(header, body) if memory is not None else b""
        before = memory.get(key) if memory is not None else _fed(self._core, message)
        if before is not None:
            return before
        if self._core.state not in OPERATIONS[operation]:
            _out_of_place(self._core, operation, message)
        done = _HANDLERS[operation](self._core, message, body, now_ns)
        answer = (yield from done) if isinstance(done, Generator) else done
        return memory.keep(key, answer) if memory is not None else answer

    def _note(self, refusal: RefusedError) -> FinalRefusal | RefusedError:
        """Remember a refusal for `status`; return it as final where it ended the order."""
        core = self._core
        if core.refusal is not None:
            core.last_refusal = core.refusal
            same = (refusal.step, refusal.got, refusal.expected)
            if same == (core.refusal.step, core.refusal.got, core.refusal.expected):
                return core.refusal
        else:
            core.last_refusal = FinalRefusal(refusal.step, refusal.got, refusal.expected, None)
        return refusal


def _fed(core: Core, message: Message) -> Answer | None:
    """Return the answer to ciphertext for an input that was proven before: it is not needed again."""
    if core.run is None or not isinstance(message, messages.Begin | messages.Feed | messages.FeedDone):
        return None
    intake = core.run.intakes.get(message.input_index)
    return succeeded(opening.progress_of(intake)) if intake is not None and intake.done else None


def _out_of_place(core: Core, operation: str, message: Message) -> Never:
    """Say why a message can do nothing new in this state.

    Raises:
        RefusedError: the order was refused, or the step was done with something else.
        NotNowError: the step comes later.
    """
    if isinstance(message, messages.Admit) and core.run is not None:
        # The checks first: what differs has a better name than "another order".
        other = admit(message, plaintext_bytes=core.plaintext_bytes)
        raise RefusedError("one-order", hex_of(other.order_id), hex_of(core.run.order.order_id))
    if core.refusal is not None:
        raise RefusedError(core.refusal.step, core.refusal.got, core.refusal.expected)
    if operation in ("report", "host_failure") and core.run is not None and core.run.notary.terminal:
        outcome = Outcome(core.run.notary.terminal.summary.outcome).name
        raise RefusedError("one-report", "another report", f"the one that was signed: {outcome}")
    check_operation(operation, core.state)
    raise AssertionError("unreachable: the table says that the operation is out of place")


def _status(core: Core, message: messages.Status, body: memoryview, now_ns: int) -> Steps[Answer]:
    state = core.state  # before the files are counted: whoever is told SEALED is told what SEALED left
    files: int = yield effects.CountPlaintext()
    published: int = yield effects.CountPublished()
    run, refusal = core.run, core.refusal or core.last_refusal
    terminal = None if run is None else run.notary.terminal
    return succeeded(
        {
            "state": state.value,
            "order_id": None if run is None else hex_of(run.order.order_id),
            "cvm_id": hex_of(core.keyring.cvm_id),
            "phase": (Phase.NONE if run is None else run.notary.phase).name,
            "sequence": 0 if run is None else run.notary.sequence,
            "stop_reason": None if run is None else run.stop_reason,
            "grants_last": {} if run is None else run.grants_last(now_ns),
            "shares": {} if run is None else run.shares(now_ns),
            "have": {} if run is None else run.have(),
            "missing_keys": [] if run is None else list(run.missing_keys),
            "open_inputs": [] if run is None else list(run.open_inputs),
            "outcome": None if terminal is None else Outcome(terminal.summary.outcome).name,
            "refusal": None if refusal is None else _refusal_json(refusal, final=core.refusal is not None),
            "clock": core.facts.clock,
            "seconds_since_start": now_ns // NANOSECONDS,
            "order_seconds": None if run is None else run.seconds(now_ns),
            "plaintext_files": files,
            "published": published,
            "progress": _progress(run, now_ns),
        }
    )


def _progress(run: OrderRun | None, now_ns: int) -> JsonObject:
    started = None if run is None else run.engine_started_ns
    end = None if run is None else run.end
    if end is not None:
        return {"engine_ms": end.milliseconds, "engine_reason": end.reason}
    return {"engine_ms": None if started is None else (now_ns - started) // 1_000_000, "engine_reason": None}


def _refusal_json(refusal: FinalRefusal, *, final: bool) -> JsonObject:
    return {
        "step": refusal.step,
        "got": clip(refusal.got),
        "expected": clip(refusal.expected),
        "final": final,
        "input_index": refusal.input_index,
    }


def _identify(core: Core, message: messages.Identify, body: memoryview, now_ns: int) -> Answer:
    public, facts = core.keyring.public, core.facts
    return succeeded(
        {
            "public": public.to_json(),
            "cvm_id": hex_of(core.keyring.cvm_id),
            "tee": facts.tee.value,
            "simulated": facts.simulated,
        }
    )


def _evidence(core: Core, message: messages.Evidence, body: memoryview, now_ns: int) -> Steps[Answer]:
    if message.purpose is Purpose.RELEASE:
        raise RefusedError("purpose", message.purpose.value, "key_request, which binds it to an order")
    if message.purpose is Purpose.SERVE:
        raise RefusedError("purpose", message.purpose.value, "certify or connect: no service runs here")
    made = yield from opening.bundle(core, message.purpose, message.operator, message.challenge)
    return succeeded({"bundle": made})


def _possess(core: Core, message: messages.Possess, body: memoryview, now_ns: int) -> Answer:
    domain = cvm_registry_domain(message.chain_id, message.registry)
    possession = Possession(core.keyring.cvm_id, message.operator, message.registry, message.challenge)
    return succeeded({"signature": hex_of(core.keyring.sign(domain, possession))})


def _admit(core: Core, message: messages.Admit, body: memoryview, now_ns: int) -> Answer:
    order = admit(message, plaintext_bytes=core.plaintext_bytes)
    run = OrderRun(order, core.keyring, now_ns)
    core.move(Event.ADMIT)
    core.run = run
    return succeeded(
        {
            "order_id": hex_of(order.order_id),
            "start_signature": hex_of(run.start_signature),
            "inputs_root": hex_of(order.inputs_root),
        }
    )


_HANDLERS: Final[Mapping[str, _Handler]] = MappingProxyType(
    {
        "status": _status,
        "identify": _identify,
        "evidence": _evidence,
        "possess": _possess,
        "admit": _admit,
        "key_request": opening.key_request,
        "grant": opening.grant,
        "begin": opening.begin,
        "feed": opening.feed,
        "feed_done": opening.feed_done,
        "check": opening.check,
        "checkpoint": closing.checkpoint,
        "run": closing.run_engine,
        "stop": closing.stop,
        "result": closing.result,
        "published": closing.published,
        "published_stored": closing.published_stored,
        "report": closing.report,
        "refuse": closing.refuse,
        "host_failure": closing.host_failure,
        "wipe": wipe,
        "abandon": wipe,
    }
)
