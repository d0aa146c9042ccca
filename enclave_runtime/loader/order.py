"""One admitted order as the session holds it: its clocks, keys and inputs (protocol sections 5.1 and 6.1).

All times are nanoseconds on the CVM's monotonic clock; all windows are the order's own, counted from the
moment of admission, which is before the chain's: the loader is never later than the contract.
"""

from __future__ import annotations

from typing import Final

from enclave_runtime.loader.admission import AdmittedOrder
from enclave_runtime.loader.effects import EngineEnd
from enclave_runtime.loader.grants import NANOSECONDS, ContentKey, GrantDesk
from enclave_runtime.loader.intake import Intake
from enclave_runtime.loader.keys import CvmKeyring, Secret
from enclave_runtime.loader.report import Notary
from enclave_runtime.wire.canonical import Json
from enclave_runtime.wire.orders import OrderStart

__all__ = ["LAPSED", "OrderRun"]

LAPSED: Final = "grant-expired"
"""A grant ran out unrenewed."""


class OrderRun:
    """Everything that came in and went out for one order."""

    def __init__(self, order: AdmittedOrder, keyring: CvmKeyring, now_ns: int) -> None:
        """Sign the start."""
        start = OrderStart(order.order_id, keyring.cvm_id, order.inputs_root)
        self.order = order
        self.start_signature = keyring.sign(order.domain, start)
        self.desk = GrantDesk(order, keyring, self.start_signature)
        self.notary = Notary(order, keyring, now_ns // NANOSECONDS)
        self.keys: dict[int, ContentKey] = {}
        self.intakes: dict[int, Intake] = {}
        self.admitted_ns = now_ns
        self.opened_ns: int | None = None
        self.engine_started_ns: int | None = None
        self.stop_reason: str | None = None
        self.end: EngineEnd | None = None
        self.lapsed = False
        self.result_key: Secret | None = None
        self.result_salt = b""

    def seconds(self, now_ns: int) -> int:
        """Return the metered seconds since admission, rounded down."""
        return (now_ns - self.admitted_ns) // NANOSECONDS

    @property
    def missing_keys(self) -> list[int]:
        """Return the inputs without a key."""
        return [item.index for item in self.order.inputs if item.index not in self.keys]

    def expired_keys(self, now_ns: int) -> list[int]:
        """Return the inputs whose grant has run out."""
        return [index for index, key in sorted(self.keys.items()) if now_ns >= key.expires_ns]

    @property
    def open_inputs(self) -> list[int]:
        """Return the inputs whose content digest was not compared yet."""
        every = (item.index for item in self.order.inputs)
        return [index for index in every if index not in self.intakes or not self.intakes[index].done]

    def keys_late(self, now_ns: int) -> bool:
        """Return whether keysWithin is over."""
        return now_ns >= self.admitted_ns + self.order.preimage.terms.windows.keys_within * NANOSECONDS

    def load_late(self, now_ns: int) -> bool:
        """Return whether loadWithin, counted from the last grant, is over."""
        window_ns = self.order.preimage.terms.windows.load_within * NANOSECONDS
        return self.opened_ns is not None and now_ns >= self.opened_ns + window_ns

    @property
    def end_ns(self) -> int:
        """Return when maxSeconds are over."""
        return self.admitted_ns + self.order.preimage.terms.windows.max_seconds * NANOSECONDS

    def deadline(self) -> tuple[int, str]:
        """Return when the engine must end at the latest, and the word for why."""
        limits = [(self.end_ns, "max-seconds")]
        limits += [(key.expires_ns, LAPSED) for key in self.keys.values()]
        return min(limits)

    def outlived_a_grant(self, engine_ms: int) -> bool:
        """Return whether an engine that ran so long ran beyond a grant, as where `tick` came late."""
        assert self.engine_started_ns is not None
        return bool(self.expired_keys(self.engine_started_ns + engine_ms * 1_000_000))

    def grants_last(self, now_ns: int) -> dict[str, Json]:
        """Return the whole seconds until each input's grant is over, by its index."""
        keys = sorted(dict(self.keys).items())
        return {str(index): max(0, key.expires_ns - now_ns) // NANOSECONDS for index, key in keys}

    def shares(self, now_ns: int) -> dict[str, Json]:
        """Return the shares in force of each input whose key is in shares, by its index."""
        return {str(index): [*numbers] for index, numbers in self.desk.shares(now_ns).items()}

    def have(self) -> dict[str, Json]:
        """Return [segments received, segments in all] of each input, by its index."""
        totals = {item.index: item.manifest.sealed.layout.segments for item in self.order.inputs}
        intakes = dict(self.intakes)
        return {
            str(index): [intakes[index].received if index in intakes else 0, total]
            for index, total in totals.items()
        }

    def erase(self) -> list[str]:
        """Overwrite and forget every secret of the order; return the kinds that there were."""
        erased = []
        self.desk.erase()
        for intake in self.intakes.values():
            intake.close()
        if self.keys:
            erased.append("content keys")
        for key in self.keys.values():
            key.key.erase()
        if self.result_key is not None:
            self.result_key.erase()
            erased.append("result key")
        return erased
