"""Launch registers and the one number that stands for them (docs/protocol.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from enclave_runtime.attestation.dcap.layout import EnclaveBody, TdBody
from enclave_runtime.wire.hashes import tagged

__all__ = ["SgxRegisters", "TdxRegisters"]


@dataclass(frozen=True, slots=True)
class TdxRegisters:
    """What was started: build-time digest, boot registers 0 to 2, and the configuration given at launch.

    RTMR3 is left out on purpose: the running guest extends it, so that it names no launch.
    """

    mrtd: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    td_attributes: bytes
    xfam: bytes

    @classmethod
    def of(cls, body: TdBody) -> TdxRegisters:
        """Return the launch registers in a TD report."""
        return cls(*_values_tdx(body))

    def measurement(self) -> bytes:
        """Return the tagged digest over the TEE kind and every launch register, 32 bytes."""
        return tagged("measurement/v1", b"tdx", *_values_tdx(self))

    def to_json(self) -> dict[str, str]:
        """Return the registers in hex, by name."""
        return {name: getattr(self, name).hex() for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class SgxRegisters:
    """What was started as an enclave: its pages, who signed it as which product at which patch level, and the
    configuration given at launch. Another security version is another reference value.
    """

    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: bytes
    isv_svn: bytes
    isv_ext_prod_id: bytes
    isv_family_id: bytes
    config_id: bytes
    config_svn: bytes
    attributes: bytes
    misc_select: bytes

    @classmethod
    def of(cls, body: EnclaveBody) -> SgxRegisters:
        """Return the launch registers in an enclave's report."""
        return cls(*_values_sgx(body))

    def measurement(self) -> bytes:
        """Return the tagged digest over the TEE kind and every launch register, 32 bytes."""
        return tagged("measurement/v1", b"sgx", *_values_sgx(self))

    def to_json(self) -> dict[str, str]:
        """Return the registers in hex, by name."""
        return {name: getattr(self, name).hex() for name in self.__slots__}


_values_tdx, _values_sgx = attrgetter(*TdxRegisters.__slots__), attrgetter(*SgxRegisters.__slots__)
