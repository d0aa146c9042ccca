"""Keys of simulated platforms that are dear to make: RSA-4096, once for a test run."""

from __future__ import annotations

import functools
from pathlib import Path

from enclave_runtime.attestation.simulated.snp import SimulatedAmd

__all__ = ["put_amd_keys"]


@functools.cache
def _amd_keys() -> bytes:
    return SimulatedAmd.create().to_state()


def put_amd_keys(state: Path) -> None:
    """Put a simulated AMD's keys where a platform with this state directory looks for them."""
    private = state / "private"
    private.mkdir(parents=True, mode=0o700, exist_ok=True)
    (private / "amd.json").write_bytes(_amd_keys())
