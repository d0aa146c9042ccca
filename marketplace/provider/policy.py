"""What an agent accepts: bounds on what one order may cost it (protocol section 6.1)."""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.wire.orders import OrderPreimage, Windows
from marketplace.domain.lock import round_lock_up
from marketplace.domain.pricing import deposit_required, lock_required

__all__ = ["AgentPolicy"]


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """Bounds of one agent.

    Attributes:
        max_lock: the most stake that one order may lock, in the token's smallest unit. Prices can be dealt
            by one hand to the other, so an order's dues are no measure of its worth.
        max_seconds: the longest order that is taken.
        max_plaintext_bytes: room for plaintext in a CVM. An order needs all of its inputs, and the longest
            one twice, since an archive is there beside its files while it is unpacked. Less than the CVM's
            tmpfs, of which a little is not for files: an order that fits in here must fit in there.
        min_start_s: the least startWithin. A client is paid for a missed start, so it must not be able to
            order one that cannot be met.
        max_proofs: the most proofs that an order may need, one for each half of its grace: the agent pays for
            each transaction, and a client may choose a short grace for a long order.
        max_start_s: the greatest startWithin; CVMs are certified for longer than that.
        min_grace_s: the least grace: how long the chain may hear nothing of a running order before the stake
            pays the inputs' owners. Proofs go out at half of it, so that no step of an order may take longer
            than the other half.
        max_unpaid_s: the longest that CVM and stake may wait for keys beyond setupSeconds, which are all that
            a refusal pays. Client and owner may be one, and a key that never comes costs them nothing else.
        accept_partly_funded: take orders whose deposit pays for less than their maxSeconds. Nobody has to top
            one up, and at the last paid second all that is left is to give it up: proven time is paid, the
            result is lost.
    """

    max_lock: int
    max_seconds: int = 7 * 86_400
    max_plaintext_bytes: int = 1023 << 20
    min_start_s: int = 20
    max_start_s: int = 3600
    min_grace_s: int = 20
    max_unpaid_s: int = 1800
    max_proofs: int = 2000
    accept_partly_funded: bool = False

    def refusal(
        self, preimage: OrderPreimage, plaintext_bytes: int, start_penalty_bps: int, added: int = 0
    ) -> str:
        """Return why an order is not taken, or an empty text.

        Args:
            plaintext_bytes: what it needs in the CVM.
            start_penalty_bps: the share in force, basis points.
            added: what was paid in beside the deposit, less what was taken out, in token units.
        """
        lock = round_lock_up(lock_required(preimage, start_penalty_bps))
        if lock > self.max_lock:
            return f"it would lock {lock} token units, this agent risks at most {self.max_lock}"
        funds, most = preimage.terms.deposit + added, deposit_required(preimage)
        if funds < most and not self.accept_partly_funded:
            return f"it is funded with {funds} token units, its whole time may cost {most}"
        if plaintext_bytes > self.max_plaintext_bytes:
            return (
                f"it needs {plaintext_bytes} bytes for plaintext, a CVM here has {self.max_plaintext_bytes}"
            )
        return self._windows(preimage.terms.windows)

    def _windows(self, windows: Windows) -> str:
        if windows.max_seconds > self.max_seconds:
            return f"it may run {windows.max_seconds} s, this agent takes at most {self.max_seconds}"
        if not self.min_start_s <= windows.start_within <= self.max_start_s:
            return (
                f"it must start within {windows.start_within} s, "
                f"this agent takes {self.min_start_s} to {self.max_start_s}"
            )
        if windows.grace < max(self.min_grace_s, 1):
            return f"it leaves {windows.grace} s to report, this agent needs at least {self.min_grace_s}"
        proofs = 2 * windows.max_seconds // windows.grace
        if proofs > self.max_proofs:
            return f"it needs a proof on chain {proofs} times, this agent sends {self.max_proofs}"
        if windows.keys_within > windows.max_seconds:
            # A missing key is nobody's fault for keysWithin only: after maxSeconds it would be ours.
            return (
                f"keys may come for {windows.keys_within} s of an order of {windows.max_seconds} s, "
                "expected no longer than the order"
            )
        if windows.keys_within - windows.setup_seconds > self.max_unpaid_s:
            return (
                f"keys may come for {windows.keys_within} s and {windows.setup_seconds} s of them are paid, "
                f"this agent waits {self.max_unpaid_s} s unpaid"
            )
        return ""
