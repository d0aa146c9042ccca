"""Product lines: which processors they are, and what their eight TCB bytes mean."""

from __future__ import annotations

import functools

from enclave_runtime.attestation.sev_snp.layout import FAMILY_ZEN5, SnpReport
from enclave_runtime.attestation.snp_rules import SnpTcb
from enclave_runtime.wire.errors import WireError

__all__ = ["GENOA", "MILAN", "TURIN", "decode_tcb", "encode_tcb", "line_of", "part_of", "product_of"]

MILAN, GENOA, TURIN = "Milan", "Genoa", "Turin"

_OF_GENOA = ("Bergamo", "Siena")
_FAMILY_ZEN34 = 0x19
# Families and models as AMD's KDS specification (57230) assigns them; Genoa has Bergamo and Siena in it.
_LINES = (
    (_FAMILY_ZEN34, range(0x10), MILAN),
    (_FAMILY_ZEN34, range(0x10, 0x20), GENOA),
    (_FAMILY_ZEN34, range(0xA0, 0xB0), GENOA),
    (FAMILY_ZEN5, range(0x12), TURIN),
)


def product_of(report: SnpReport) -> str | None:
    """Return the product line that signed `report` by its CPUID, or None in version 2, which has none.

    Raises:
        WireError: a processor of no known line.
    """
    if report.version < 3:
        return None
    family, model, _ = report.cpuid
    for known, models, product in _LINES:
        if family == known and model in models:
            return product
    raise WireError(f"snp: got CPU family {family:#x}, model {model:#x}, expected Milan, Genoa or Turin")


def line_of(product_name: str) -> str:
    """Return the product line of a name in a certificate, such as "Milan-B0": the line's own root signed it.

    Bergamo and Siena are of Genoa's line. An unknown name is a line of its own, which agrees with no other.
    """
    name = product_name.partition("-")[0]
    return GENOA if name in _OF_GENOA else name


def part_of(report: SnpReport) -> tuple[int, int] | None:
    """Return model and stepping, or None in version 2."""
    return None if report.version < 3 else (report.cpuid[1], report.cpuid[2])


@functools.lru_cache(maxsize=256)  # the four of one report are mostly one, and a fleet has few
def decode_tcb(raw: bytes, product: str) -> SnpTcb:
    """Return the patch levels in the 8 bytes of a TCB version."""
    if product == TURIN:
        return SnpTcb(fmc=raw[0], bl=raw[1], tee=raw[2], snp=raw[3], ucode=raw[7])
    return SnpTcb(bl=raw[0], tee=raw[1], snp=raw[6], ucode=raw[7])


def encode_tcb(tcb: SnpTcb, product: str) -> bytes:
    """Return the 8 bytes of a TCB version."""
    if product == TURIN:
        return bytes([tcb.fmc, tcb.bl, tcb.tee, tcb.snp, 0, 0, 0, tcb.ucode])
    return bytes([tcb.bl, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.ucode])
