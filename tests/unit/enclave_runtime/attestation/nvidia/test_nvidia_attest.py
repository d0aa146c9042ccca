"""GPUs through NVML: what the driver's library does, good and bad, played behind its own functions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.nvidia.attest import Nvml, NvmlAttester, find_gpus
from enclave_runtime.attestation.nvidia.evidence import GpuEvidence
from enclave_runtime.attestation.nvidia.verify import verify_devices
from enclave_runtime.attestation.rules import GpuRules, UnsafeAcceptSimulated
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.wire.errors import EnclaveError, WireError

NOW = 1_790_000_000
NONCE = bytes(range(32))
VENDOR = SimulatedNvidia.create()
NOT_SUPPORTED, NO_PERMISSION, NOT_LOADED, TIMEOUT, IN_USE, UNKNOWN = 3, 4, 9, 10, 19, 999


@dataclass
class Driver:
    """libnvidia-ml.so: its functions take ctypes pointers and return codes, as the real ones.

    Attributes:
        codes: function -> the codes that it returns before it succeeds; a code alone for always.
        spoil: changes a report before it is handed out.
        chain: changes a chain in PEM.
        intruders: how often somebody else's nonce is answered first.
        plugged: counts of GPUs, one for each call of the count; the last one stays.
    """

    world: GpuWorld = field(default_factory=lambda: GpuWorld(gpus=2))
    codes: dict[str, list[int] | int] = field(default_factory=dict)
    spoil: Callable[[bytes], bytes] = lambda report: report
    chain: Callable[[bytes], bytes] = lambda pem: pem
    intruders: int = 0
    plugged: list[int] = field(default_factory=list)
    without: str = ""
    asked: int = 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("nvml") or name == self.without:
            raise AttributeError(name)
        return lambda *arguments: self._call(name, *arguments)

    def _call(self, name: str, *arguments: Any) -> int:
        codes = self.codes.get(name, 0)
        code = codes if isinstance(codes, int) else (codes.pop(0) if codes else 0)
        if not code:
            getattr(self, f"_{name}")(*arguments)
        return code

    def _nvmlInit_v2(self) -> None:
        return

    def _nvmlDeviceGetCount_v2(self, count: Any) -> None:
        if len(self.plugged) > 1:
            count._obj.value = self.plugged.pop(0)
        else:
            count._obj.value = self.plugged[0] if self.plugged else self.world.gpus

    def _nvmlDeviceGetHandleByIndex_v2(self, place: ctypes.c_uint, handle: Any) -> None:
        handle._obj.value = 0x1000 + place.value

    def _nvmlDeviceGetConfComputeGpuAttestationReport(self, handle: ctypes.c_void_p, asked: Any) -> None:
        assert ctypes.sizeof(asked._obj) == 3 * 4 + 32 + 0x2000 + 0x1000
        self.asked += 1
        nonce = bytes(asked._obj.nonce)
        if self.intruders:
            self.intruders -= 1
            nonce = bytes(32)
        report = self.spoil(VENDOR.answers(nonce, self.world)[(handle.value or 0) - 0x1000][1])
        asked._obj.size = len(report)
        ctypes.memmove(asked._obj.report, report, min(len(report), 0x2000))

    def _nvmlDeviceGetConfComputeGpuCertificate(self, handle: ctypes.c_void_p, asked: Any) -> None:
        assert ctypes.sizeof(asked._obj) == 2 * 4 + 0x1000 + 0x1400
        ders = VENDOR.answers(NONCE, self.world)[(handle.value or 0) - 0x1000][2]
        pem = b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)
        pem = self.chain(pem)
        asked._obj.attestation_size = len(pem)
        ctypes.memmove(asked._obj.attestation_chain, pem, min(len(pem), 0x1400))


def attester(**driver: Any) -> NvmlAttester:
    return NvmlAttester(Nvml(Driver(**driver)))


@pytest.mark.parametrize("count", [1, 2, 8])
def test_what_the_driver_says_of_every_gpu_verifies(count: int) -> None:
    world = GpuWorld(gpus=count)
    evidence = attester(world=world).evidence(NONCE)
    assert len(GpuEvidence.from_bytes(evidence).devices) == count
    verified = verify_devices(
        evidence,
        VENDOR.collateral(NOW, world),
        roots=VENDOR.roots,
        rules=GpuRules(
            root_sets=frozenset({VENDOR.roots.id}),
            count=count,
            simulated=UnsafeAcceptSimulated(VENDOR.roots.id),
        ),
        nonce=NONCE,
        now=NOW,
    )
    assert [device.kind for device in verified] == ["gpu"] * count


REPORT, COUNT = "nvmlDeviceGetConfComputeGpuAttestationReport", "nvmlDeviceGetCount_v2"
CERTIFICATE = "nvmlDeviceGetConfComputeGpuCertificate"


@pytest.mark.parametrize("name", [REPORT, CERTIFICATE, COUNT])
@pytest.mark.parametrize("code", [TIMEOUT, IN_USE])
def test_a_busy_gpu_is_asked_again_and_not_for_ever(name: str, code: int) -> None:
    assert attester(codes={name: [code, code]}).evidence(NONCE)
    with pytest.raises(EnclaveError, match=r"in time|in use"):
        attester(codes={name: code}).evidence(NONCE)


@pytest.mark.parametrize(("code", "words"), [
    (NOT_SUPPORTED, "confidential computing is off"), (NO_PERMISSION, "no right"),
    (UNKNOWN, "NVML error 999"), (15, "gone from the bus"), (16, "reset"),
])  # fmt: skip
@pytest.mark.parametrize("name", [REPORT, CERTIFICATE])
def test_a_gpu_that_cannot_says_why(name: str, code: int, words: str) -> None:
    driver = Driver(codes={name: code})
    with pytest.raises(EnclaveError, match=f"GPU 0: .*{words}"):
        NvmlAttester(Nvml(driver)).evidence(NONCE)
    assert driver.asked <= 1


def test_an_answer_to_somebody_elses_nonce_is_not_taken() -> None:
    assert attester(intruders=2).evidence(NONCE) != b""
    with pytest.raises(EnclaveError, match="other nonces"):
        attester(intruders=99).evidence(NONCE)


@pytest.mark.parametrize("plugged", [[2, 1], [1, 2]])
def test_gpus_that_come_or_go_meanwhile_are_noticed(plugged: list[int]) -> None:
    with pytest.raises(EnclaveError, match="another number"):
        attester(plugged=plugged).evidence(NONCE)


def test_no_gpu_too_many_and_one_twice() -> None:
    for count in (0, 17):
        with pytest.raises(EnclaveError, match=f"got {count} GPUs"):
            attester(plugged=[count]).evidence(NONCE)
    with pytest.raises(EnclaveError, match="under two numbers"):
        attester(world=GpuWorld(gpus=2, duplicate=True)).evidence(NONCE)


@pytest.mark.parametrize("change", [
    lambda data: b"", lambda data: data + bytes(0x2001),
])  # fmt: skip
def test_sizes_beyond_the_buffers_are_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(WireError, match="gpu report: got"):
        attester(spoil=change).evidence(NONCE)
    with pytest.raises(WireError, match="gpu certificates: got"):
        attester(chain=change).evidence(NONCE)


@pytest.mark.parametrize("change", [
    lambda pem: b"x" + pem, lambda pem: pem.replace(b"-----END", b"=-----END", 1), lambda pem: pem[:-40],
    lambda pem: pem + b"x", lambda pem: pem.replace(b"M", b"?", 1),
    lambda pem: pem[: pem.index(b"-----END") + 25],
])  # fmt: skip
def test_certificates_that_are_no_pem_are_refused(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(WireError, match="gpu c"):
        attester(chain=change).evidence(NONCE)
    assert attester(chain=lambda pem: pem + b"\n\x00").evidence(NONCE)


def test_nonces_of_another_length_are_refused() -> None:
    with pytest.raises(WireError, match="31 bytes"):
        attester().evidence(NONCE[:-1])


def test_a_machine_without_driver_or_gpu_has_no_devices() -> None:
    assert find_gpus(Driver()) is not None
    assert find_gpus(Driver(plugged=[0])) is None
    assert find_gpus(Driver(codes={"nvmlInit_v2": NOT_LOADED})) is None
    with pytest.raises(EnclaveError, match="no right"):
        find_gpus(Driver(codes={"nvmlInit_v2": NO_PERMISSION}))
    with pytest.raises(EnclaveError, match="before 535"):
        NvmlAttester(Nvml(Driver(without=REPORT))).evidence(NONCE)
