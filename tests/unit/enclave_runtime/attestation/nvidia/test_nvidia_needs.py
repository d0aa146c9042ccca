"""What is to be fetched for GPU evidence: names by which NVIDIA's services know it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from enclave_runtime.attestation.nvidia.evidence import Device, DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.needs import manifest_ids, status_pairs
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.wire.errors import WireError

VENDOR = SimulatedNvidia.create()


def evidence(world: GpuWorld) -> GpuEvidence:
    return GpuEvidence.from_bytes(VENDOR.evidence(bytes(32), world))


def test_manifests_are_named_as_the_rim_service_names_them():
    assert manifest_ids(evidence(GpuWorld(gpus=2, switches=1, driver="550.90.07"))) == (
        "NV_GPU_DRIVER_GH100_550.90.07",
        "NV_GPU_VBIOS_1010_0200_882_9600BC0002",
        "NV_SWITCH_BIOS_5612_0002_890_96106D0001",
    )
    assert manifest_ids(evidence(GpuWorld(architecture="BLACKWELL", driver="590.48.01"))) == (
        "NV_GPU_CC_DRIVER_GB100_590.48.01",
        "NV_GPU_VBIOS_G525_0220_886_9700E40011",
    )


def test_status_is_asked_of_authorities_and_of_a_manifests_signer():
    chain = (b"leaf", b"rom", b"authority", b"root")
    assert status_pairs(chain, leaf=False) == ((b"rom", b"authority"), (b"authority", b"root"))
    assert status_pairs(chain, leaf=True)[0] == (b"leaf", b"rom")


def test_evidence_that_does_not_parse_names_nothing():
    (device,) = evidence(GpuWorld()).devices
    for bad in (replace(device, report=b"x"), replace(device, chain=(b"x", b"y"))):
        with pytest.raises(WireError):
            manifest_ids(GpuEvidence((bad,)))
    with pytest.raises(WireError):
        manifest_ids(GpuEvidence((Device(DeviceKind.NVSWITCH, device.report, device.chain),)))
