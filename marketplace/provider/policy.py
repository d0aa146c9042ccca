"""What an agent accepts: bounds on what one order may cost it (protocol section 6.3)."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.wire.orders import OrderPreimage
from marketplace.domain.pricing import lock_required

__all__ = ["AgentPolicy"]


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """Bounds of one agent.

    Attributes:
        max_lock: the most stake that one order may lock, in the token's smallest unit. Prices can be dealt
            by one hand to the other, so an order's dues are no measure of its worth.
        max_seconds: the longest order that is taken.
        max_input_bytes: the most plaintext that one order may bring.
    """

    max_lock: int
    max_seconds: int = 7 * 86_400
    max_input_bytes: int = 1 << 40

    def refusal(self, preimage: OrderPreimage, plaintext_bytes: int, start_penalty_bps: int) -> str:
        """Return why an order is not taken, or an empty text."""
        lock = lock_required(preimage, start_penalty_bps)
        if lock > self.max_lock:
            return f"it would lock {lock} token units, this agent risks at most {self.max_lock}"
        seconds = preimage.terms.windows.max_seconds
        if seconds > self.max_seconds:
            return f"it may run {seconds} s, this agent takes at most {self.max_seconds}"
        if plaintext_bytes > self.max_input_bytes:
            return f"it brings {plaintext_bytes} bytes, this agent takes at most {self.max_input_bytes}"
        return ""
