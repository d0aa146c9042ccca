"""What a relying party accepts of SEV-SNP beside the common rules (docs/protocol.md section 4.3).

AMD publishes no machine-readable TCB levels: it names, in bulletins, the patch levels that close a hole. A
`SnpFloors` table holds such levels as data; a platform is rated by it, and its verdict carries the table's
edition in place of the evaluation number of Intel's collateral. A platform that no table covers is `UNRATED`,
which no default policy accepts. Rules compose with `&` into rules that accept only what both accept.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from enclave_runtime.wire.errors import WireError

__all__ = ["AMD_FLOORS", "UNRATED", "SnpFloor", "SnpFloors", "SnpRules", "SnpTcb"]

UNRATED = "Unrated"
"""The TCB status of a platform of which a floor table says nothing."""

_MAX_SPL = 255
_MAX_VMPL = 3


@dataclass(frozen=True, slots=True)
class SnpTcb:
    """Patch levels of one platform, 0 to 255 each: boot loader, PSP OS, SNP firmware, microcode, FMC (Turin).

    Levels are compared one by one: of two platforms it can be that neither is at least the other.
    """

    bl: int = 0
    tee: int = 0
    snp: int = 0
    ucode: int = 0
    fmc: int = 0

    def __post_init__(self) -> None:
        levels = (self.bl, self.tee, self.snp, self.ucode, self.fmc)
        if min(levels) < 0 or max(levels) > _MAX_SPL:
            raise WireError(f"snp tcb: got levels {levels}, expected 0 to {_MAX_SPL} each")

    def reaches(self, floor: SnpTcb) -> bool:
        """Return whether each level is at least that of `floor`."""
        return (
            self.bl >= floor.bl
            and self.tee >= floor.tee
            and self.snp >= floor.snp
            and self.ucode >= floor.ucode
            and self.fmc >= floor.fmc
        )

    def __str__(self) -> str:
        return f"bl {self.bl}, tee {self.tee}, snp {self.snp}, ucode {self.ucode}, fmc {self.fmc}"


@dataclass(frozen=True, slots=True)
class SnpFloor:
    """The least patch levels that close what one bulletin is about.

    Attributes:
        product: product line, "Milan", "Genoa" or "Turin".
        tcb: least levels; 0 where the bulletin says nothing.
        part: CPU model and stepping, for levels that differ within a product line (microcode does), or None
            for the whole line. Reports of version 2 name no part and are rated by whole lines only.
        advisory: the bulletin.
    """

    product: str
    tcb: SnpTcb
    part: tuple[int, int] | None = None
    advisory: str = ""


@dataclass(frozen=True, slots=True)
class SnpFloors:
    """One table of floors: a platform is up to date where it reaches each one that is about it.

    Attributes:
        edition: year and month of the newest bulletin considered, such as 202601; grows with each revision.
        floors: the table; an empty one rates nothing.
    """

    edition: int
    floors: frozenset[SnpFloor] = frozenset()

    def about(self, product: str, part: tuple[int, int] | None) -> tuple[SnpFloor, ...]:
        """Return the floors about a platform, sorted by advisory."""
        found = (f for f in self.floors if f.product == product and f.part in (None, part))
        return tuple(sorted(found, key=lambda floor: floor.advisory))


_GENOA_B1, _GENOA_X, _TURIN_C1 = (0x11, 1), (0x11, 2), (0x02, 1)

# Levels as two public verification policies independently quote them from AMD's bulletins; AMD's own pages:
# https://www.amd.com/en/resources/product-security/bulletin/amd-sb-3019.html (EntrySign, CVE-2024-56161),
# amd-sb-3020.html (RMPocalypse, CVE-2025-0033) and amd-sb-3027.html (StackWarp, CVE-2025-29943). Bulletins
# are amended (3034 lost its levels in September 2026): read them again before raising, and bring your own
# table for parts that are missing here (Bergamo, Siena, Milan, dense Turin), which stay unrated.
AMD_FLOORS = SnpFloors(
    202601,
    frozenset(
        {
            SnpFloor("Genoa", SnpTcb(snp=0x17, ucode=0x54), _GENOA_B1, "AMD-SB-3019"),
            SnpFloor("Genoa", SnpTcb(snp=0x1B), _GENOA_B1, "AMD-SB-3020"),
            SnpFloor("Genoa", SnpTcb(snp=0x1B), _GENOA_X, "AMD-SB-3020"),
            SnpFloor("Turin", SnpTcb(snp=0x04), _TURIN_C1, "AMD-SB-3020"),
            SnpFloor("Genoa", SnpTcb(ucode=0x56), _GENOA_B1, "AMD-SB-3027"),
            SnpFloor("Genoa", SnpTcb(ucode=0x51), _GENOA_X, "AMD-SB-3027"),
            SnpFloor("Turin", SnpTcb(ucode=0x51), _TURIN_C1, "AMD-SB-3027"),
        }
    ),
)
"""Floors known to this release."""


@dataclass(frozen=True, slots=True)
class SnpRules:
    """What is accepted; the defaults are the strictest that real machines can meet. Debug and migration
    agents are refused always and have no setting.

    Attributes:
        floors: tables that each must rate the platform; the worst word and the lowest edition count.
        accept_milan: take Milan, whose root of all report keys can be read out by software: any Milan report,
            at any patch level, may be a forgery (docs/threat-model.md, "SEV-SNP").
        accept_vlek: take keys that a cloud loads into its chips: they name the cloud and no machine.
        accept_masked_chip: take reports that hide the chip's id; never where platforms are listed.
        accept_cxl: take guests whose memory may lie behind CXL.
        max_crl_age_s: how long ago, in seconds, a revocation list may have been issued, or None for as long
            as it says; whoever brings collateral can bring the oldest list that still holds.
        max_vmpl: least privileged level whose reports count, 0 to 3.
        require_alias_check: the firmware looked for aliased memory (BadRAM).
        require_closed_page_oracle: the host cannot swap pages to compare ciphertext (Heracles): swaps are
            disabled by the guest's policy, or ciphertext is hidden.
        require_page_swap_disabled: the former, strictly.
        require_ciphertext_hiding: the latter, strictly, by policy and by platform.
        require_smt_off: no sibling thread, by policy and by platform (StackWarp and its kind).
        require_rapl_disabled: no power readings for the host, by policy and by platform.
        required_mitigations: bits that must be set in both mitigation vectors; versions below 5 have none.
        unsafe_accept_without_crl: take collateral that says it has no revocation list (`NO_CRL` of
            `sev_snp.chain`): a revoked key then passes. For evidence of the past, never for keys.
    Raises:
        WireError: no table, or a level outside 0 to 3.
    """

    floors: frozenset[SnpFloors] = frozenset({AMD_FLOORS})
    accept_milan: bool = False
    accept_vlek: bool = False
    accept_masked_chip: bool = False
    accept_cxl: bool = False
    max_crl_age_s: int | None = None
    max_vmpl: int = 0
    require_alias_check: bool = True
    require_closed_page_oracle: bool = True
    require_page_swap_disabled: bool = False
    require_ciphertext_hiding: bool = False
    require_smt_off: bool = False
    require_rapl_disabled: bool = False
    required_mitigations: int = 0
    unsafe_accept_without_crl: bool = False

    def __post_init__(self) -> None:
        if not self.floors:
            raise WireError("snp rules: got no table of floors, expected one (an empty table rates nothing)")
        if not 0 <= self.max_vmpl <= _MAX_VMPL:
            raise WireError(f"snp rules: got max_vmpl {self.max_vmpl}, expected 0 to {_MAX_VMPL}")

    def __and__(self, other: SnpRules) -> SnpRules:
        """Return the rules that accept what both accept; composing never widens."""
        ages = [age for age in (self.max_crl_age_s, other.max_crl_age_s) if age is not None]
        values: dict[str, bool] = {}
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            if field.name.startswith("require_"):
                values[field.name] = mine or theirs
            elif field.name.startswith(("accept_", "unsafe_")):
                values[field.name] = mine and theirs
        return SnpRules(
            floors=self.floors | other.floors,
            max_crl_age_s=min(ages) if ages else None,
            max_vmpl=min(self.max_vmpl, other.max_vmpl),
            required_mitigations=self.required_mitigations | other.required_mitigations,
            **values,
        )
