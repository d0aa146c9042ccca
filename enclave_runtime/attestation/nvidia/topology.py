"""All devices of one CVM together: how many, all different, and wired to each other and to nobody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from enclave_runtime.attestation.nvidia.evidence import DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.facts import Facts
from enclave_runtime.attestation.nvidia.identity import Identity
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.rules import GpuRules

__all__ = ["Judged", "check_count", "check_together"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A device that passed every check of its own."""

    identity: Identity
    facts: Facts


def check_count(evidence: GpuEvidence, rules: GpuRules) -> None:
    """Refuse a device missing or surplus.

    Raises:
        DeviceError: other numbers than the rules have.
    """
    count = Counter(device.kind for device in evidence.devices)
    got = (count[DeviceKind.GPU], count[DeviceKind.NVSWITCH])
    if got != (rules.count, rules.switches):
        raise DeviceError(
            Check.SET,
            f"{got[0]} GPUs and {got[1]} NVSwitches",
            f"exactly {rules.count} and {rules.switches}",
        )


def check_together(devices: Sequence[Judged], rules: GpuRules) -> None:
    """Refuse one chip twice, GPUs of different set-ups, and links that lead to switches nobody attested.

    Raises:
        DeviceError: as said.
    """
    for name, values in (
        ("identity", [item.identity.device_id for item in devices]),
        ("boot ROM key", [item.identity.rom_key for item in devices]),
    ):
        if len(set(values)) != len(values):
            raise DeviceError(Check.SET, f"two devices of one {name}", "each device once")
    gpus = [item for item in devices if item.identity.kind is DeviceKind.GPU]
    setups = {(item.identity.architecture, item.facts.driver, item.facts.mode) for item in gpus}
    if len(setups) != 1:
        raise DeviceError(Check.SET, f"GPUs of set-ups {sorted(setups)}", "one architecture, driver and mode")
    if rules.switches:
        _check_links(gpus, [item for item in devices if item.identity.kind is DeviceKind.NVSWITCH])
    elif gpus[0].facts.mode == "ppcie":
        raise DeviceError(
            Check.TOPOLOGY,
            "mode ppcie, whose links are in the clear, without switches",
            "attested NVSwitches",
        )


def _check_links(gpus: Sequence[Judged], switches: Sequence[Judged]) -> None:
    attested = frozenset[bytes]().union(*(item.facts.switches for item in switches))
    if len(attested) != len(switches):
        raise DeviceError(Check.TOPOLOGY, f"{len(attested)} ids of {len(switches)} switches", "one each")
    for place, gpu in enumerate(gpus):
        if gpu.facts.switches != attested:
            words = sorted(item.hex() for item in gpu.facts.switches)
            raise DeviceError(
                Check.TOPOLOGY,
                f"GPU {place} linked to switches {words}",
                f"the attested {sorted(item.hex() for item in attested)}",
            )
    views = {item.facts.gpus for item in switches}
    if len(views) != 1 or len(next(iter(views))) != len(gpus):
        sizes = sorted(len(view) for view in views)
        raise DeviceError(
            Check.TOPOLOGY,
            f"switches that see {sizes} GPUs in {len(views)} ways",
            f"the same {len(gpus)} GPUs",
        )
