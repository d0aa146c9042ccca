"""What a verifier will ask for: ids of manifests at NVIDIA's RIM service, and certificates to ask OCSP about.

Whoever fetches collateral reads it from evidence that nobody has verified yet: an id is a name to look up, no
statement. Reads layouts only; needs no XML.
"""

from __future__ import annotations

from enclave_runtime.attestation.nvidia.evidence import DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.facts import Facts, read_facts
from enclave_runtime.attestation.nvidia.identity import BLACKWELL, Identity, identify
from enclave_runtime.attestation.nvidia.spdm import parse_report

__all__ = ["manifest_ids", "status_pairs"]

_SWITCH_BOARD = "5612_0002_890"
"""Of the one NVSwitch (LS10), whose reports do not name it."""


def manifest_ids(evidence: GpuEvidence) -> tuple[str, ...]:
    """Return the ids of the manifests that `evidence` is to be held against, each once, sorted.

    Raises:
        WireError: a report or chain that does not parse.
    """
    found: set[str] = set()
    for device in evidence.devices:
        facts = read_facts(parse_report(device.report, device.kind), device.kind)
        found.update(_ids(facts, identify(device.chain)))
    return tuple(sorted(found))


def status_pairs(chain: tuple[bytes, ...], *, leaf: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Return (certificate, issuer), DER, for each certificate of a chain that OCSP is to be asked about.

    Args:
        chain: leaf first, root last.
        leaf: True for a manifest's signer; False for a device, whose leaf is the boot ROM's word.
    """
    first = 0 if leaf else 1
    return tuple(zip(chain[first:-1], chain[first + 1 :], strict=True))


def _ids(facts: Facts, identity: Identity) -> tuple[str, ...]:
    firmware = facts.vbios.replace(".", "")
    if identity.kind is DeviceKind.NVSWITCH:
        return (f"NV_SWITCH_BIOS_{_SWITCH_BOARD}_{firmware}",)
    driver = "NV_GPU_CC_DRIVER" if identity.architecture == BLACKWELL else "NV_GPU_DRIVER"
    return (
        f"{driver}_{identity.chip}_{facts.driver}",
        f"NV_GPU_VBIOS_{facts.board.upper()}_{firmware}",
    )
