"""What every handler of a session works on: state, keys, the order, and how an order is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Never

from enclave_runtime.loader import effects
from enclave_runtime.loader.answers import FinalRefusal
from enclave_runtime.loader.effects import Steps
from enclave_runtime.loader.grants import NANOSECONDS
from enclave_runtime.loader.keys import CvmKeyring
from enclave_runtime.loader.order import OrderRun
from enclave_runtime.loader.states import Event, NotNowError, State, advance
from enclave_runtime.loader.trust import PlatformFacts, TrustNotes
from enclave_runtime.sealed.buffers import Entropy
from enclave_runtime.wire.errors import RefusedError

__all__ = ["Core"]


@dataclass(slots=True)
class Core:
    """One session's memory.

    Attributes:
        facts: of the platform.
        entropy: for the result's key and salts.
        plaintext_bytes: room for plaintext, in bytes.
        refusal: the check that ended the order.
        last_refusal: of an order or of a message, for whoever asks why nothing moves.
    """

    facts: PlatformFacts
    entropy: Entropy
    plaintext_bytes: int
    keyring: CvmKeyring
    notes: TrustNotes
    state: State = State.AWAIT_ORDER
    run: OrderRun | None = None
    refusal: FinalRefusal | None = None
    last_refusal: FinalRefusal | None = None
    erased: list[str] = field(default_factory=list)

    def order(self) -> OrderRun:
        """Return the admitted order.

        Raises:
            NotNowError: there is none.
        """
        if self.run is None:
            raise NotNowError("order", "none", "an admitted one")
        return self.run

    def move(self, event: Event) -> None:
        """Go where `event` leads."""
        self.state = advance(self.state, event)

    def check_input(self, index: int) -> None:
        """Refuse an input that the order has not.

        Raises:
            RefusedError: step `input-index`.
        """
        count = len(self.order().order.inputs)
        if index >= count:
            raise RefusedError("input-index", index, f"0 to {count - 1}")

    def erase_order(self, *, keep_result: bool = False) -> Steps[int]:
        """Erase the order's secrets and remove its files; give the number of files that are left."""
        if self.run is not None and not keep_result:
            self.run.erase()
        left: int = yield effects.RemoveAll(keep_result)
        return left

    def erase_then_move(self, event: Event, *, keep_result: bool = False) -> Steps[None]:
        """Erase the order, then go where `event` leads: a status asks without waiting for its turn.

        A removal that fails holds up no move: `wipe` removes and counts again before it signs.
        """
        try:
            yield from self.erase_order(keep_result=keep_result)
        finally:
            self.move(event)

    def refuse_order(self, refusal: RefusedError, index: int | None, now_ns: int) -> Steps[Never]:
        """End the order with a signed refusal; nothing decrypted stays behind.

        Args:
            index: the input whose owner's object is at fault, or None for nobody's.
        Raises:
            RefusedError: always; `refusal` itself.
            NotNowError: the state has no way to a refusal.
        """
        advance(self.state, Event.REFUSE)
        run = self.order()
        seconds = run.seconds(now_ns)
        run.notary.sign_refusal(refusal, index, self.notes.trust(), seconds, now_ns // NANOSECONDS)
        self.refusal = FinalRefusal(refusal.step, refusal.got, refusal.expected, index)
        yield from self.erase_then_move(Event.REFUSE)
        raise refusal
