"""Which kinds of TEE a trust anchor certifies (docs/protocol.md section 4.4)."""

from __future__ import annotations

from typing import Final

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.roots import AMD, CCA_PREFIX, INTEL, NITRO

__all__ = ["kinds_of"]

_KINDS: Final = {
    INTEL: frozenset({TeeKind.TDX, TeeKind.SGX}),
    **{root_set: frozenset({TeeKind.SEV_SNP}) for root_set in AMD.values()},
    NITRO: frozenset({TeeKind.NITRO}),
}


def kinds_of(root_set: str) -> frozenset[TeeKind]:
    """Return the kinds of TEE whose evidence can end in this root set; a development root may play any."""
    if root_set.startswith(CCA_PREFIX):
        return frozenset({TeeKind.CCA})
    return _KINDS.get(root_set, frozenset(TeeKind))
