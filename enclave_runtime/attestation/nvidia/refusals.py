"""What a refusal of step (9) says: which device, which check, what was got, what was expected."""

from __future__ import annotations

from enum import StrEnum

from enclave_runtime.attestation.errors import AttestationError, Step

__all__ = ["Check", "DeviceError"]


class Check(StrEnum):
    """The checks of step (9) in their order; names are stable across versions."""

    PARSE = "parse"
    SET = "set"
    CHAIN = "chain"
    REVOCATION = "revocation"
    SIGNATURE = "signature"
    NONCE = "nonce"
    CONFIGURATION = "configuration"
    RIM = "rim"
    MEASUREMENT = "measurement"
    TOPOLOGY = "topology"


class DeviceError(AttestationError):
    """GPU evidence was refused at step (9).

    Attributes:
        check: which part of the step failed.
        device: place of the device in the evidence, from 0, or None where the refusal is of them all.
    """

    def __init__(self, check: Check, got: object, expected: object, device: int | None = None) -> None:
        where = "devices" if device is None else f"device {device}"
        super().__init__(Step.GPU, f"{where}, {check.value}: {got}", expected)
        self.check = check
        self.device = device

    def on(self, device: int) -> DeviceError:
        """Return the same refusal, said of the device at place `device`."""
        got = self.got.partition(": ")[2]
        return DeviceError(self.check, got, self.expected, device)
