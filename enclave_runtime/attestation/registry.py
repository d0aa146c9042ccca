"""Which verifier judges which TEE: the whole table (docs/protocol.md section 4.3).

Verifiers load when first asked for: they run outside the CVM and may need the vendor's library.
"""

from __future__ import annotations

from collections.abc import Callable

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.model import TeeKind, Verifier

__all__ = ["VERIFIERS", "verifier_for"]


def _tdx() -> Verifier:
    from enclave_runtime.attestation.tdx.verify import TdxVerifier

    return TdxVerifier()


def _sgx() -> Verifier:
    from enclave_runtime.attestation.sgx.verify import SgxVerifier

    return SgxVerifier()


def _snp() -> Verifier:
    from enclave_runtime.attestation.sev_snp.verify import SnpVerifier

    return SnpVerifier()


def _nitro() -> Verifier:
    from enclave_runtime.attestation.nitro.verify import NitroVerifier

    return NitroVerifier()


def _cca() -> Verifier:
    from enclave_runtime.attestation.cca.verify import CcaVerifier

    return CcaVerifier()


VERIFIERS: dict[TeeKind, Callable[[], Verifier]] = {
    TeeKind.TDX: _tdx,
    TeeKind.SGX: _sgx,
    TeeKind.SEV_SNP: _snp,
    TeeKind.NITRO: _nitro,
    TeeKind.CCA: _cca,
}


def verifier_for(tee: TeeKind) -> Verifier:
    """Return the verifier for `tee`.

    Raises:
        AttestationError: step (0), no rules for this kind of TEE.
    """
    make = VERIFIERS.get(tee)
    if make is None:
        names = ", ".join(kind.value for kind in VERIFIERS)
        raise AttestationError(Step.PARSE, f"evidence of a {tee.value} TEE", f"one of: {names}")
    return make()
