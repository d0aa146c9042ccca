"""What the simulated GPUs and their vendor are told to do: the good world, or any bad one, in two lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.errors import WireError

__all__ = ["GOOD", "GpuWorld"]

_CHOICES = {
    "architecture": ("HOPPER", "BLACKWELL"),
    "mode": ("spt", "mpt", "ppcie"),
    "rim_missing": ("", "driver", "firmware", "all"),
    "rim": ("good", "expired", "future", "tampered", "impostor", "conflict"),
    "revoked": ("", "identity", "provisioner", "rom", "rim root ca", "rim ca", "rim signer"),
    "ocsp": ("good", "missing", "stale", "future", "unknown", "impostor", "endless"),
    "chain": ("good", "impostor", "short", "swapped", "other kind"),
    "leaf": ("good", "debug", "recovery", "insecure", "other firmware", "other rom", "no extension"),
    "links": ("attested", "strange", "missing", "other gpus"),
}


@dataclass(frozen=True, slots=True)
class GpuWorld:
    """What is ordered; the defaults are the good world. Bad news about a device are about `device` alone.

    Attributes:
        gpus: how many.
        switches: how many NVSwitches stand between them.
        architecture: "HOPPER" (GH100) or "BLACKWELL" (GB100).
        mode: "spt", "mpt" or "ppcie".
        driver: version of the driver.
        firmware: version of the GPUs' VBIOS, or "" for the usual one of the architecture.
        device: place of the device that the bad news are about.
        changed: indices of measurements that differ from the manifests'.
        nvdec: status byte of video decoder 0: 0xAA on, 0x55 off.
        other_machine: the device answers another CVM's nonce, as one in another machine does.
        duplicate: the device answers twice, and one other not at all.
        signature: whether the report's signature is the device's own.
        chain: "impostor": roots of the same names with other keys; "short": without the provisioner;
            "swapped": another device's leaf; "other kind": a switch's chain on a GPU.
        leaf: "debug", "recovery" and "insecure" are flags of Blackwell's extension; on Hopper they show in
            the measurements alone, and so they do here.
        links: to which switches the device says that it is linked; "other gpus": what the first switch sees.
        rim_missing: which manifest nobody has.
        rim: "expired" and "future" are about the signer's certificate; "tampered": a value changed after
            signing; "impostor": another root; "conflict": both manifests measure one index.
        revoked: which certificate OCSP calls revoked.
        ocsp: what OCSP says of all others; "endless" gives no next update.
    """

    gpus: int = 1
    switches: int = 0
    architecture: str = "HOPPER"
    mode: str = "spt"
    driver: str = "570.172.08"
    firmware: str = ""
    device: int = 0
    changed: frozenset[int] = frozenset()
    nvdec: int = 0x55
    other_machine: bool = False
    duplicate: bool = False
    signature: bool = True
    chain: str = "good"
    leaf: str = "good"
    links: str = "attested"
    rim_missing: str = ""
    rim: str = "good"
    revoked: str = ""
    ocsp: str = "good"

    def __post_init__(self) -> None:
        if not 1 <= self.gpus <= 8 or not 0 <= self.switches <= 4 or not 0 <= self.nvdec <= 0xFF:
            raise WireError(
                "gpu world: got numbers that no machine has, expected up to 8 GPUs and 4 switches"
            )
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise WireError(f"gpu world: got {name} {getattr(self, name)!r}, expected one of {choices}")

    @property
    def chip(self) -> str:
        """Return the GPUs' chip."""
        return "GH100" if self.architecture == "HOPPER" else "GB100"

    @property
    def vbios(self) -> str:
        """Return the GPUs' firmware version."""
        return self.firmware or ("96.00.BC.00.02" if self.architecture == "HOPPER" else "97.00.E4.00.11")

    @property
    def switch_bios(self) -> str:
        """Return the switches' firmware version."""
        return "96.10.6D.00.01"

    def about(self, place: int) -> bool:
        """Return whether the bad news are about the device at `place`."""
        return place == self.device


GOOD: Final = GpuWorld()
"""One GPU, and nothing wrong anywhere."""
