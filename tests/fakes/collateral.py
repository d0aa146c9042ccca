"""Collateral with one part of one vendor spoiled."""

from __future__ import annotations

from dataclasses import replace

from enclave_runtime.attestation.collateral import Collateral

__all__ = ["intel_with"]


def intel_with(collateral: Collateral, **changes: object) -> Collateral:
    """Return the collateral with these members of Intel's part replaced."""
    return replace(collateral, intel=replace(collateral.need("intel"), **changes))  # type: ignore[arg-type]
