"""Rating a platform's patch levels, and its switches: step (4) of docs/protocol.md section 4.3."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.sev_snp.layout import GuestPolicy, PlatformInfo, SnpReport
from enclave_runtime.attestation.sev_snp.products import MILAN, decode_tcb, part_of
from enclave_runtime.attestation.sev_snp.vek import Vek
from enclave_runtime.attestation.snp_rules import UNRATED, SnpFloor, SnpFloors, SnpRules, SnpTcb

__all__ = ["Rating", "check_levels", "check_switches", "rate"]

_UP_TO_DATE, _OUT_OF_DATE = "UpToDate", "OutOfDate"
_WORST_LAST = (_UP_TO_DATE, _OUT_OF_DATE, UNRATED)


@dataclass(frozen=True, slots=True)
class Rating:
    """What the floors say of a platform.

    Attributes:
        status: "UpToDate", "OutOfDate", or "Unrated" where a table has no floor about it.
        advisories: bulletins whose levels it does not reach.
        edition: the lowest edition of the tables.
    """

    status: str
    advisories: tuple[str, ...]
    edition: int


@dataclass(frozen=True, slots=True)
class Levels:
    """The four TCB versions of a report, and the two firmware versions as (major, minor, build)."""

    reported: SnpTcb
    current: SnpTcb
    committed: SnpTcb
    launch: SnpTcb
    current_version: tuple[int, int, int]
    committed_version: tuple[int, int, int]

    @classmethod
    def of(cls, report: SnpReport, product: str) -> Levels:
        """Return the levels in a report of a product line."""
        raw = (report.reported_tcb, report.current_tcb, report.committed_tcb, report.launch_tcb)
        reported, current, committed, launch = (decode_tcb(tcb, product) for tcb in raw)
        now, kept = report.current_version, report.committed_version
        versions = (now[2], now[1], now[0]), (kept[2], kept[1], kept[0])
        return cls(reported, current, committed, launch, *versions)


def check_levels(report: SnpReport, vek: Vek, product: str, rules: SnpRules) -> Levels:
    """Return the levels of a report that its key is for and that make sense together.

    The key is one per set of levels, so the reported ones are proven; the others are the firmware's word.
    What is committed can never be rolled back; what is above it still can.

    Raises:
        AttestationError: step (4).
    """
    if product == MILAN and not rules.accept_milan:
        raise AttestationError(
            Step.TCB,
            "Milan, whose report keys software can extract",
            "Genoa or newer, or rules that accept it",
        )
    levels = Levels.of(report, product)
    if levels.reported != vek.tcb:
        raise AttestationError(Step.TCB, f"reported TCB {levels.reported}", f"{vek.tcb}, as the key is for")
    for name, tcb in (
        ("reported", levels.reported),
        ("committed", levels.committed),
        ("launch", levels.launch),
    ):
        if not levels.current.reaches(tcb):
            raise AttestationError(Step.TCB, f"{name} TCB {tcb}", f"at most the current {levels.current}")
    if levels.committed_version > levels.current_version:
        raise AttestationError(
            Step.TCB, f"committed firmware {levels.committed_version}", f"at most {levels.current_version}"
        )
    return levels


def rate(report: SnpReport, levels: Levels, product: str, rules: SnpRules) -> Rating:
    """Return what the tables of `rules` say, the worst word of all of them.

    Reported, committed and launch levels must each reach a floor: a guest that started on a hole may have
    been taken through it, and what is not committed can be rolled back.
    """
    part = part_of(report)
    words, missed = [], set()
    for table in rules.floors:
        status, below = _rate_one(table, levels, product, part)
        words.append(status)
        missed |= below
    edition = min(table.edition for table in rules.floors)
    return Rating(max(words, key=_WORST_LAST.index), tuple(sorted(missed)), edition)


def _rate_one(
    table: SnpFloors, levels: Levels, product: str, part: tuple[int, int] | None
) -> tuple[str, set[str]]:
    floors = _floors_about(table, product, part)
    below = [
        floor
        for floor in floors
        if not all(tcb.reaches(floor.tcb) for tcb in (levels.reported, levels.committed, levels.launch))
    ]
    if not floors:
        return UNRATED, set()
    return (_OUT_OF_DATE if below else _UP_TO_DATE), {floor.advisory for floor in below if floor.advisory}


@functools.lru_cache(maxsize=64)  # a service holds one table, and sees few kinds of machines
def _floors_about(table: SnpFloors, product: str, part: tuple[int, int] | None) -> tuple[SnpFloor, ...]:
    return table.about(product, part)


def check_switches(report: SnpReport, rules: SnpRules) -> None:
    """Refuse a machine or a guest whose switches are not as the rules want them.

    Raises:
        AttestationError: step (4).
    """
    guest, machine = report.guest, report.platform
    swaps_off = guest(GuestPolicy.PAGE_SWAP_DISABLED)
    hidden = guest(GuestPolicy.CIPHERTEXT_HIDING) and machine(PlatformInfo.CIPHERTEXT_HIDING)
    rapl_off = guest(GuestPolicy.RAPL_DISABLED) and machine(PlatformInfo.RAPL_DISABLED)
    may_have_sibling, has_sibling = guest(GuestPolicy.SMT_ALLOWED), machine(PlatformInfo.SMT)
    missing = rules.required_mitigations & ~(report.launch_mitigations & report.current_mitigations)
    aliases_checked = machine(PlatformInfo.ALIAS_CHECK_COMPLETE)
    wanted = (
        ("ALIAS_CHECK_COMPLETE", aliases_checked or not rules.require_alias_check),
        (
            "PAGE_SWAP_DISABLE or ciphertext hiding",
            swaps_off or hidden or not rules.require_closed_page_oracle,
        ),
        ("PAGE_SWAP_DISABLE", swaps_off or not rules.require_page_swap_disabled),
        ("CIPHERTEXT_HIDING, by guest and platform", hidden or not rules.require_ciphertext_hiding),
        ("RAPL_DIS, by guest and platform", rapl_off or not rules.require_rapl_disabled),
        ("SMT off, by guest and platform", not (may_have_sibling and rules.require_smt_off)),
        ("SMT off, as the guest's policy has it", may_have_sibling or not has_sibling),
        ("no memory behind CXL", rules.accept_cxl or not guest(GuestPolicy.CXL_ALLOWED)),
        ("the required mitigations", not missing),
    )
    for words, holds in wanted:
        if not holds:
            got = f"guest policy {report.policy:#x}, platform {report.platform_info:#x}"
            raise AttestationError(Step.TCB, got, words)
