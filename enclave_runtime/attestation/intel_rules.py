"""What a relying party accepts of Intel's platforms beyond what all vendors have in common: data (4.3)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["IntelRules"]


@dataclass(frozen=True, slots=True)
class IntelRules:
    """Floors and lists for TDX and SGX. The defaults refuse nothing that TCB status and debug bits allow.

    Attributes:
        max_collateral_age_s: greatest age of TCB info, QE identity and PCK revocation list, in seconds: keeps
            a cache from freezing the vendor's last good word until it expires. None: until it expires.
        rejected_fmspcs: processors that are refused, 6 bytes each, such as those whose memory bus is tapped
            by cheap interposers.
        require_smt_off: no second thread per core.
        mr_seams: accepted builds of the TDX module, 48 bytes each, or None for every build that the TCB info
            knows; each update of the module changes it.
        extra_sgx_attributes: bits of an enclave's attribute flags accepted beside the harmless ones.
    """

    max_collateral_age_s: int | None = None
    rejected_fmspcs: frozenset[bytes] = frozenset()
    require_smt_off: bool = False
    mr_seams: frozenset[bytes] | None = None
    extra_sgx_attributes: int = 0

    def __and__(self, other: IntelRules) -> IntelRules:
        """Return the rules that accept what both accept."""
        ages = [age for age in (self.max_collateral_age_s, other.max_collateral_age_s) if age is not None]
        builds = [one for one in (self.mr_seams, other.mr_seams) if one is not None]
        return IntelRules(
            max_collateral_age_s=min(ages, default=None),
            rejected_fmspcs=self.rejected_fmspcs | other.rejected_fmspcs,
            require_smt_off=self.require_smt_off or other.require_smt_off,
            mr_seams=frozenset.intersection(*builds) if builds else None,
            extra_sgx_attributes=self.extra_sgx_attributes & other.extra_sgx_attributes,
        )
