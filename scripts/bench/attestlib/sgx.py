"""Intel SGX: see `intel`."""

from __future__ import annotations

from attestlib import intel
from attestlib.result import VendorResult
from enclave_runtime.attestation.model import TeeKind

__all__ = ["run"]


def run() -> VendorResult:
    """Return the row."""
    return intel.measure(TeeKind.SGX, "intel/dcap-qvl/sgx_quote")
