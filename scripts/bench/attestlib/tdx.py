"""Intel TDX: see `intel`."""

from __future__ import annotations

from attestlib import intel
from attestlib.result import VendorResult
from enclave_runtime.attestation.model import TeeKind

__all__ = ["run"]


def run() -> VendorResult:
    """Return the row."""
    return intel.measure(TeeKind.TDX, "intel/near-mpc/quote.json")
