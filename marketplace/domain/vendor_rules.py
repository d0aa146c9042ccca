"""Vendors' rules in settings and policies: [intel], [snp] and [gpu] tables (docs/protocol.md section 4.3).

A table names members of `IntelRules`, `SnpRules` or `GpuRules`; what is left out stays at its default, which
is the strict side. Unknown members are refused, so that a misspelt one is never a weaker rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from enclave_runtime.attestation.intel_rules import IntelRules
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import MAX_GPUS, MAX_SWITCHES, GpuRules, UnsafeAcceptSimulated
from enclave_runtime.attestation.snp_rules import SnpFloor, SnpFloors, SnpRules, SnpTcb
from enclave_runtime.wire.codec import bytes_from_hex
from enclave_runtime.wire.errors import WireError
from marketplace.errors import BadInputError

__all__ = ["read_gpu", "read_intel", "read_snp", "read_truth", "read_whole"]

Read = Callable[[str, object], Any]
_MAX_ENTRIES: Final = 4096
_LEVEL: Final = 255


def read_intel(name: str, value: object) -> IntelRules:
    """Return the rules of an [intel] table.

    Raises:
        BadInputError: names the member, what it is and what it must be.
    """
    return IntelRules(**_members(name, value, _INTEL))


def read_snp(name: str, value: object) -> SnpRules:
    """Return the rules of an [snp] table; `floors` and `floors_edition` replace AMD's table of this release.

    Raises:
        BadInputError: as `read_intel`.
    """
    members = _members(name, value, _SNP)
    floors, edition = members.pop("floors", None), members.pop("floors_edition", None)
    if (floors is None) is not (edition is None):
        raise BadInputError(f"{name}.floors", "one of floors and floors_edition", "both, or neither")
    if floors is not None:
        members["floors"] = frozenset({SnpFloors(edition, frozenset(floors))})
    return SnpRules(**members)


def read_gpu(name: str, value: object) -> GpuRules:
    """Return the rules of a [gpu] table. `unsafe_accept_simulated = true` believes its one "dev:" root set.

    Raises:
        BadInputError: as `read_intel`; a SIMULATED root set without the loud word.
    """
    members = _members(name, value, _GPU)
    loud = members.pop("unsafe_accept_simulated", False)
    for needed in ("count", "root_sets"):
        if needed not in members:
            raise BadInputError(f"{name}.{needed}", "nothing", "a value")
    simulated = sorted(item for item in members["root_sets"] if GpuRoots.parse(item).simulated)
    if len(simulated) > 1 or bool(simulated) is not loud:
        raise BadInputError(
            f"{name}.root_sets",
            f"SIMULATED root sets {simulated} with unsafe_accept_simulated = {str(loud).lower()}",
            "at most one, and the loud word beside it",
            hint="a simulated GPU protects nothing from its operator; accept it for development only",
        )
    if simulated:
        members["simulated"] = UnsafeAcceptSimulated(simulated[0])
    return GpuRules(**members)


def read_whole(least: int, most: int) -> Read:
    """Return a reader of whole numbers, which may be written as decimal strings."""

    def read(name: str, value: object) -> int:
        number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        if type(number) is not int or not least <= number <= most:
            raise BadInputError(name, repr(value)[:60], f"a whole number from {least} to {most}")
        return number

    return read


def read_truth(name: str, value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise BadInputError(name, repr(value)[:60], "true or false")
    return value


def _members(name: str, value: object, readers: Mapping[str, Read]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInputError(name, repr(value)[:60], "a table")
    unknown = sorted(set(value) - set(readers))
    if unknown:
        raise BadInputError(f"{name} keys", f"unknown {unknown}", f"only {sorted(readers)}")
    return {member: readers[member](f"{name}.{member}", given) for member, given in value.items()}


def _list(name: str, value: object, most: int = _MAX_ENTRIES) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise BadInputError(name, repr(value)[:60], f"a list of at most {most}")
    return value


def _hexes(size: int) -> Read:
    def read(name: str, value: object) -> frozenset[bytes]:
        try:
            return frozenset(bytes_from_hex(str(item).lower(), size) for item in _list(name, value))
        except WireError as error:
            raise BadInputError(name, str(error), f"0x-hex of {size} bytes") from error

    return read


def _words(*known: str) -> Read:
    def read(name: str, value: object) -> frozenset[str]:
        words = _list(name, value)
        if not all(isinstance(word, str) and word in known for word in words):
            raise BadInputError(name, repr(value)[:60], f"some of {', '.join(known)}")
        return frozenset(words)

    return read


def _gpu_roots(name: str, value: object) -> frozenset[str]:
    try:
        return frozenset(GpuRoots.parse(str(item)).id for item in _list(name, value))
    except WireError as error:
        raise BadInputError(name, str(error), "ids of GPU root sets") from error


def _version(name: str, value: object) -> tuple[int, ...]:
    return tuple(read_whole(0, 1 << 31)(name, part) for part in _list(name, value, 8))


def _firmware(name: str, value: object) -> frozenset[tuple[str, tuple[int, ...]]]:
    if not isinstance(value, dict):
        raise BadInputError(name, repr(value)[:60], "a table of chips, such as {GH100 = [150, 0, 148]}")
    return frozenset((str(chip)[:32], _version(f"{name}.{chip}", version)) for chip, version in value.items())


def _floors(name: str, value: object) -> list[SnpFloor]:
    return [_floor(f"{name}[{place}]", item) for place, item in enumerate(_list(name, value, 256))]


def _floor(name: str, value: object) -> SnpFloor:
    levels = {field.name: read_whole(0, _LEVEL) for field in dataclasses.fields(SnpTcb)}
    readers = {**levels, "product": _text, "advisory": _text, "part": _version}
    members = _members(name, value, readers)
    tcb = SnpTcb(**{level: members.pop(level) for level in levels if level in members})
    part = members.pop("part", None)
    if "product" not in members or (part is not None and len(part) != 2):
        raise BadInputError(name, repr(value)[:60], "product, patch levels, and part as [model, stepping]")
    return SnpFloor(tcb=tcb, part=part, **members)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > 64:
        raise BadInputError(name, repr(value)[:60], "a short text")
    return value


def _or_any(read: Read) -> Read:
    return lambda name, value: None if value == "any" else read(name, value)


_INTEL: Final[dict[str, Read]] = {
    "max_collateral_age_s": read_whole(60, 1 << 32),
    "rejected_fmspcs": _hexes(6),
    "require_smt_off": read_truth,
    "mr_seams": _or_any(_hexes(48)),
    "extra_sgx_attributes": read_whole(0, (1 << 63) - 1),
}
_SNP: Final[dict[str, Read]] = {
    **{
        field.name: read_truth
        for field in dataclasses.fields(SnpRules)
        if field.name.startswith(("accept_", "require_", "unsafe_"))
    },
    "max_crl_age_s": read_whole(60, 1 << 32),
    "max_vmpl": read_whole(0, 3),
    "required_mitigations": read_whole(0, (1 << 63) - 1),
    "floors": _floors,
    "floors_edition": read_whole(200_001, 999_912),
}
_GPU: Final[dict[str, Read]] = {
    "count": read_whole(1, MAX_GPUS),
    "root_sets": _gpu_roots,
    "switches": read_whole(0, MAX_SWITCHES),
    "architectures": _words("HOPPER", "BLACKWELL"),
    "modes": _words("spt", "mpt", "ppcie"),
    "min_driver": _version,
    "min_firmware": _firmware,
    "ocsp_required": read_truth,
    "rim_dates_at_signing": read_truth,
    "devices": _or_any(_hexes(32)),
    "unsafe_accept_simulated": read_truth,
}
