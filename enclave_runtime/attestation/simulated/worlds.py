"""Makes the machine that a platform plays: keys from its state directory, news as ordered (protocol 4.4)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.simulated.gpus import Gpus
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor, World
from enclave_runtime.attestation.simulated.machine import KINDS, Machine, SnpMachine, TdxMachine
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.attestation.simulated.snp import SimulatedAmd, SnpWorld, Validity
from enclave_runtime.attestation.snp_rules import SnpTcb
from enclave_runtime.wire.errors import WireError

__all__ = ["STATUSES", "BadNews", "open_gpus", "open_machine", "write_whole"]

STATUSES = (
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
)
"""Words that a platform's TCB status can be ordered by; AMD's has no other than the first and "OutOfDate"."""

_OLD = SnpTcb(bl=1, snp=1, ucode=1)


@dataclass(frozen=True, slots=True)
class BadNews:
    """What is wrong with a platform; the defaults are the good world.

    Attributes:
        tcb_status: one of `STATUSES`.
        expired: statements whose dates are over.
        revoked: the platform's key is on the revocation list.
        debug: CVMs start with the debug bit set.
    """

    tcb_status: str = STATUSES[0]
    expired: bool = False
    revoked: bool = False
    debug: bool = False


def open_machine(tee: TeeKind, private: Path, bad: BadNews) -> Machine:
    """Return the machine, with its vendor's keys from `private`, where they are made at first.

    Args:
        tee: kind of TEE to play.
        private: directory for keys, which only this user can read.
        bad: what is wrong with it.
    Raises:
        WireError: a TEE that nobody plays, a TCB status that its vendor has no word for, or a damaged file.
    """
    if tee is TeeKind.TDX:
        path = private / "vendor.json"
        intel = SimulatedVendor.from_state(path.read_bytes()) if path.exists() else SimulatedVendor.create()
        write_whole(path, intel.to_state(), 0o600)
        return TdxMachine(intel, World(bad.tcb_status, expired=bad.expired, pck_revoked=bad.revoked))
    if tee is not TeeKind.SEV_SNP:
        raise WireError(
            f"simulated platform: got {tee.value}, expected one of {[kind.value for kind in KINDS]}"
        )
    path = private / "amd.json"
    amd = SimulatedAmd.from_state(path.read_bytes()) if path.exists() else SimulatedAmd.create()
    write_whole(path, amd.to_state(), 0o600)
    return SnpMachine(amd, _snp_world(bad))


def open_gpus(count: int, private: Path) -> Gpus:
    """Return `count` GPUs (1 to 8), with their vendor's keys from `private`, where they are made at first.

    Raises:
        WireError: another count, or a damaged file.
    """
    path, world = private / "nvidia.json", GpuWorld(gpus=count)
    known = path.exists()
    vendor = SimulatedNvidia.from_state(path.read_bytes()) if known else SimulatedNvidia.create()
    gpus = Gpus(vendor, world)
    gpus.collateral(0)  # every device's keys are made before they are kept
    write_whole(path, vendor.to_state(), 0o600)
    return gpus


def _snp_world(bad: BadNews) -> SnpWorld:
    if bad.tcb_status not in ("UpToDate", "OutOfDate"):
        raise WireError(f"simulated AMD: got TCB status {bad.tcb_status}, expected UpToDate or OutOfDate")
    return SnpWorld(
        tcb=None if bad.tcb_status == "UpToDate" else _OLD,
        validity=Validity.EXPIRED if bad.expired else Validity.GOOD,
        vek_revoked=bad.revoked,
        debug=bad.debug,
    )


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Write all or nothing, never readable by more than `mode` says."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    temporary.replace(path)
