"""What the simulated Intel vendor says and its platform does, the bad news too: each field orders one thing.

The defaults are the good world. A test orders a bad one in two lines: collateral and quote of `World(...)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["GOOD_WORLD", "Form", "World"]


class Form(StrEnum):
    """Quotes that the vendor makes."""

    SGX_V3 = "sgx-v3"
    TDX_V4 = "tdx-v4"
    TDX_V5_10 = "tdx-v5-1.0"
    TDX_V5_15 = "tdx-v5-1.5"

    @property
    def version(self) -> int:
        """Return the quote version."""
        return int(self.value[5])

    @property
    def sgx(self) -> bool:
        """Return whether the quote is an enclave's."""
        return self is Form.SGX_V3


@dataclass(frozen=True, slots=True)
class World:
    """Orders to the vendor; statements, lists and certificates are those of its collateral and of its quotes.

    Attributes:
        tcb_status: the platform's TCB status, one of Intel's words.
        eval_number: TCB evaluation data number of the collateral.
        expired: every statement and list of the collateral is over.
        pck_revoked: the platform's PCK certificate is on the PCK issuer's list.
        qe_status, module_status: of the quoting enclave and of the TDX module.
        qe_eval_number: of the QE identity, where it differs.
        advisories: for the platform's level; None: one invented advisory unless it is up to date.
        statements_expired, statements_future: TCB info and QE identity are over, or not valid yet.
        crls_expired, crls_future: so are the revocation lists.
        issued_days_ago: age of everything in the collateral.
        ca_revoked, signer_revoked: the PCK issuer, or the signer of TCB info, is on the root's list.
        pck_expired, pck_future, ca_expired, ca_future, signer_expired, signer_future: dates of certificates.
        fmspc, pce_id: that the TCB info is about, where it is not this platform.
        other_tee: TCB info and QE identity of the other TEE.
        unreachable: the TCB info has no level that the platform reaches.
        unsigned: TCB info and QE identity are signed by a key that nobody certified.
        debug: of the TD or enclave.
        sept_ve: the host may inject exceptions: SEPT_VE_DISABLE is off.
        service_td: a service TD is bound (form `TDX_V5_15`).
        alien_module: the TDX module is signed by somebody else.
        alien_qe, qe_debug, old_qe: a quoting enclave of another signer, in debug mode, older than any level.
        unbound_key: the QE report binds another attestation key.
        crowded_qe: the QE report says more than its key's digest.
        smt: the platform runs two threads per core.
        no_intermediate: the quote's chain lacks the PCK issuer.
        encrypted_ppid: certification data of type 3, which only Intel's service can resolve.
        cpu_svn: of the enclave's report, where it differs from the quoting enclave's.
    """

    tcb_status: str = "UpToDate"
    eval_number: int = 20
    expired: bool = False
    pck_revoked: bool = False
    qe_status: str = "UpToDate"
    module_status: str = "UpToDate"
    qe_eval_number: int | None = None
    advisories: tuple[str, ...] | None = None
    statements_expired: bool = False
    statements_future: bool = False
    crls_expired: bool = False
    crls_future: bool = False
    issued_days_ago: int = 0
    ca_revoked: bool = False
    signer_revoked: bool = False
    pck_expired: bool = False
    pck_future: bool = False
    ca_expired: bool = False
    ca_future: bool = False
    signer_expired: bool = False
    signer_future: bool = False
    fmspc: bytes | None = None
    pce_id: bytes | None = None
    other_tee: bool = False
    unreachable: bool = False
    unsigned: bool = False
    debug: bool = False
    sept_ve: bool = False
    service_td: bool = False
    alien_module: bool = False
    alien_qe: bool = False
    qe_debug: bool = False
    old_qe: bool = False
    unbound_key: bool = False
    crowded_qe: bool = False
    smt: bool = False
    no_intermediate: bool = False
    encrypted_ppid: bool = False
    cpu_svn: bytes | None = None


GOOD_WORLD = World()
