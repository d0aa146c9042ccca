"""What differs between simulated CPUs: how a launch is measured, quoted and vouched for (protocol 4.4).

All of them measure the same bytes (`measure`); each puts them into its own registers and signs with its own
vendor's keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.roots import RootSet
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor, World
from enclave_runtime.attestation.simulated.measure import Measured
from enclave_runtime.attestation.simulated.snp import SimulatedAmd, SnpWorld
from enclave_runtime.attestation.simulated.snp.measure import registers_of
from enclave_runtime.wire.errors import WireError

__all__ = ["KINDS", "Machine", "Quoted", "SnpMachine", "TdxMachine", "measurement_of"]

_World = TypeVar("_World")
_Orders = TypeVar("_Orders", contravariant=True)

KINDS = (TeeKind.TDX, TeeKind.SEV_SNP)
"""TEEs that a simulated platform can play."""


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote as the hardware gives it, and the log where it keeps one."""

    quote: bytes
    event_log: bytes | None


class Machine(Protocol):
    """One simulated CPU with its vendor."""

    tee: TeeKind

    @property
    def root_der(self) -> bytes:
        """Return the vendor's root certificate, DER."""
        ...

    @property
    def roots(self) -> RootSet:
        """Return the root set to put into settings: "dev:<digest>"."""
        ...

    def measurement(self, measured: Measured) -> bytes:
        """Return the measurement of a launch, 32 bytes."""
        ...

    def registers(self, measured: Measured) -> dict[str, str]:
        """Return the launch registers in hex, by name."""
        ...

    def quote(self, measured: Measured, report_data: bytes) -> Quoted:
        """Return a quote over `report_data` (64 bytes) of a CVM launched as `measured`."""
        ...

    def collateral(self, now: int) -> Collateral:
        """Return the vendor's statements around Unix time `now`, in seconds."""
        ...


class _Vendor(Protocol[_Orders]):
    @property
    def root_der(self) -> bytes: ...

    @property
    def roots(self) -> RootSet: ...

    def collateral(self, now: int, world: _Orders) -> Collateral: ...


class _Vouched:
    """What every machine has from its vendor; `world` orders what that one says."""

    def __init__(self, vendor: _Vendor[_World], world: _World) -> None:
        self.root_der, self.roots = vendor.root_der, vendor.roots
        self._say: Callable[[int], Collateral] = lambda now: vendor.collateral(now, world)

    def collateral(self, now: int) -> Collateral:
        """Return the vendor's statements around Unix time `now`, in seconds."""
        return self._say(now)


class TdxMachine(_Vouched):
    """A simulated Intel platform: runtime in MRTD, the rest in RTMRs, explained by an event log."""

    tee = TeeKind.TDX

    def __init__(self, vendor: SimulatedVendor, world: World) -> None:
        super().__init__(vendor, world)
        self._vendor = vendor

    def measurement(self, measured: Measured) -> bytes:
        """Return the measurement of a launch, 32 bytes."""
        return measured.registers.measurement()

    def registers(self, measured: Measured) -> dict[str, str]:
        """Return the launch registers in hex, by name."""
        return measured.registers.to_json()

    def quote(self, measured: Measured, report_data: bytes) -> Quoted:
        """Return a quote, version 4, and its event log; see `Machine`."""
        return Quoted(self._vendor.quote(measured.body(report_data)), measured.event_log)


class SnpMachine(_Vouched):
    """A simulated AMD platform: everything in MEASUREMENT, since nothing is measured after launch."""

    tee = TeeKind.SEV_SNP

    def __init__(self, vendor: SimulatedAmd, world: SnpWorld) -> None:
        super().__init__(vendor, world)
        self._vendor, self._world = vendor, world

    def measurement(self, measured: Measured) -> bytes:
        """Return the measurement of a launch, 32 bytes."""
        return registers_of(measured, self._world).digest()

    def registers(self, measured: Measured) -> dict[str, str]:
        """Return the launch registers in hex, by name."""
        return registers_of(measured, self._world).to_json()

    def quote(self, measured: Measured, report_data: bytes) -> Quoted:
        """Return a report, and no log; see `Machine`."""
        registers = registers_of(measured, self._world)
        return Quoted(self._vendor.report(report_data, registers, self._world), None)


def measurement_of(tee: TeeKind, measured: Measured) -> bytes:
    """Return the measurement that a good simulated platform of this kind gives to a launch, 32 bytes.

    Raises:
        WireError: no simulated platform plays this TEE.
    """
    if tee is TeeKind.TDX:
        return measured.registers.measurement()
    if tee is TeeKind.SEV_SNP:
        return registers_of(measured).digest()
    raise WireError(f"simulated platform: got {tee.value}, expected one of {[kind.value for kind in KINDS]}")
