"""Devices are asked where the CVM has some; what they raise reaches the handler that asked."""

from __future__ import annotations

import pytest

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.host.effects import Surroundings
from enclave_runtime.loader import effects
from enclave_runtime.loader.effects import Steps
from enclave_runtime.wire.errors import EnclaveError

NONCE = b"\x07" * 32


class Cpu:
    """An `Attester` that answers with its question."""

    tee = TeeKind.SEV_SNP

    def evidence(self, report_data: bytes) -> Evidence:
        return Evidence(self.tee, report_data)


class Gpu:
    """A `DeviceAttester` that answers, or fails."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[bytes] = []
        self.failure = failure

    def evidence(self, nonce: bytes) -> bytes:
        self.asked.append(nonce)
        if self.failure is not None:
            raise self.failure
        return b"gpu" + nonce


def handler() -> Steps[tuple[bytes | None, Evidence]]:
    gpu = yield effects.Devices(NONCE)
    return gpu, (yield effects.Quote(b"\x01" * 64))


def test_devices_answer_before_the_quote():
    gpu = Gpu()
    surroundings = Surroundings(Cpu(), None, None, gpu)  # type: ignore[arg-type]
    assert surroundings.drive(handler()) == (b"gpu" + NONCE, Evidence(TeeKind.SEV_SNP, b"\x01" * 64))
    assert gpu.asked == [NONCE]


def test_a_cvm_without_devices_says_none():
    assert Surroundings(Cpu(), None, None).drive(handler())[0] is None  # type: ignore[arg-type]


@pytest.mark.parametrize("failure", [EnclaveError("no"), OSError("gone")])
def test_a_device_that_fails_leaves_no_evidence_without_it(failure):
    with pytest.raises(type(failure)):
        Surroundings(Cpu(), None, None, Gpu(failure)).drive(handler())  # type: ignore[arg-type]
