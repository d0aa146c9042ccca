"""What a simulated AMD platform is like, the bad news too: each field orders one thing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from enclave_runtime.attestation.sev_snp.layout import GuestPolicy, PlatformInfo
from enclave_runtime.attestation.snp_rules import SnpTcb

__all__ = ["GOOD_WORLD", "PARTS", "TCBS", "Crl", "SnpWorld", "Validity"]

PARTS = {"Milan": (0x19, 0x01, 1), "Genoa": (0x19, 0x11, 1), "Turin": (0x1A, 0x02, 1)}
"""Product line -> CPU family, model and stepping of the simulated chip."""

TCBS = {
    "Milan": SnpTcb(bl=4, snp=0x1B, ucode=0xDE),
    "Genoa": SnpTcb(bl=10, snp=0x1B, ucode=0x56),
    "Turin": SnpTcb(fmc=1, bl=1, tee=1, snp=4, ucode=0x51),
}
"""Product line -> patch levels that reach every known floor."""


class Crl(StrEnum):
    """What is wrong with the revocation list."""

    GOOD = "good"
    ABSENT = "absent"
    EXPIRED = "expired"
    FUTURE = "future"
    FORGED = "forged"
    GARBLED = "garbled"


class Validity(StrEnum):
    """What is wrong with the endorsement key's dates."""

    GOOD = "good"
    EXPIRED = "expired"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class SnpWorld:
    """The defaults are the good world, which the default rules accept.

    Attributes:
        version: of the report: 2, 3 or 5.
        vlek: the report is signed by a cloud's key, which an ASVK certified.
        vlek_under_ask: ...and which the issuer of VCEKs certified instead.
        debug, migration_agent, cxl, smt, page_swap_disabled, rapl_disabled: bits of the guest's policy (the
            last also of the platform).
        ciphertext_hiding: by the guest's policy and by the platform.
        alias_check: the platform's ALIAS_CHECK_COMPLETE.
        smt_on: sibling threads run, whatever the guest's policy says.
        vmpl: privilege level that asked for the report.
        masked_chip: the host hides the chip's id.
        tcb: the platform's levels, or None for `TCBS`.
        certified, current, committed, launch: levels that differ from `tcb`.
        current_firmware, committed_firmware: build, minor, major.
        mitigations: both mitigation vectors (version 5).
        cpuid: family, model, stepping, or None for `PARTS`.
        certified_product: product name in the endorsement key's certificate, or None for the vendor's.
        certified_chip: chip id in the certificate, or None for the vendor's.
        collateral_product: product line of the collateral, or None for the vendor's.
        validity: of the endorsement key's certificate.
        ask_forged, vek_forged: the certificate is signed by another key than its issuer's.
        report_forged: the report is signed by another key than the certified one.
        crl: what the revocation list is like.
        ark_revoked, ask_revoked, vek_revoked: who is on it.
        patches: (offset, bytes) put into the report before it is signed: reserved bits and other curiosities.
    """

    version: int = 3
    vlek: bool = False
    vlek_under_ask: bool = False
    debug: bool = False
    migration_agent: bool = False
    cxl: bool = False
    smt: bool = True
    page_swap_disabled: bool = True
    rapl_disabled: bool = False
    ciphertext_hiding: bool = False
    alias_check: bool = True
    smt_on: bool = True
    vmpl: int = 0
    masked_chip: bool = False
    tcb: SnpTcb | None = None
    certified: SnpTcb | None = None
    current: SnpTcb | None = None
    committed: SnpTcb | None = None
    launch: SnpTcb | None = None
    current_firmware: tuple[int, int, int] = (49, 55, 1)
    committed_firmware: tuple[int, int, int] = (49, 55, 1)
    mitigations: int = 0
    cpuid: tuple[int, int, int] | None = None
    certified_product: str | None = None
    certified_chip: bytes | None = None
    collateral_product: str | None = None
    validity: Validity = Validity.GOOD
    ask_forged: bool = False
    vek_forged: bool = False
    report_forged: bool = False
    crl: Crl = Crl.GOOD
    ark_revoked: bool = False
    ask_revoked: bool = False
    vek_revoked: bool = False
    patches: tuple[tuple[int, bytes], ...] = ()

    @property
    def guest_policy(self) -> int:
        """Return the guest's policy; part of the measurement."""
        bits = (
            (True, GuestPolicy.MUST_BE_ONE),
            (self.smt, GuestPolicy.SMT_ALLOWED),
            (self.migration_agent, GuestPolicy.MIGRATION_AGENT),
            (self.debug, GuestPolicy.DEBUG),
            (self.cxl, GuestPolicy.CXL_ALLOWED),
            (self.rapl_disabled, GuestPolicy.RAPL_DISABLED),
            (self.ciphertext_hiding, GuestPolicy.CIPHERTEXT_HIDING),
            (self.page_swap_disabled, GuestPolicy.PAGE_SWAP_DISABLED),
        )
        return sum(bit.value for wanted, bit in bits if wanted)

    @property
    def platform_info(self) -> int:
        """Return what the firmware says about the machine."""
        bits = (
            (self.smt_on, PlatformInfo.SMT),
            (True, PlatformInfo.ECC),
            (self.rapl_disabled, PlatformInfo.RAPL_DISABLED),
            (self.ciphertext_hiding, PlatformInfo.CIPHERTEXT_HIDING),
            (self.alias_check, PlatformInfo.ALIAS_CHECK_COMPLETE),
        )
        return sum(bit.value for wanted, bit in bits if wanted)


GOOD_WORLD = SnpWorld()
