"""What a report says in its opaque data: versions, mode, firmware and topology, each in one reading only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from enclave_runtime.attestation.nvidia.evidence import DeviceKind
from enclave_runtime.attestation.nvidia.spdm import Field, Report
from enclave_runtime.wire.errors import WireError

__all__ = ["NVDEC_OFF", "NVDEC_ON", "Facts", "read_facts", "version_key"]

NVDEC_ON, NVDEC_OFF = 0xAA, 0x55
_ON, _OFF = b"\xaa", b"\x55"
_MODES = {0: "spt", 1: "mpt", 2: "ppcie"}
_PDI_BYTES = 8
_WORD = re.compile(r"[0-9A-Za-z]{1,16}")
_DRIVER = re.compile(r"[0-9]{3,4}\.[0-9]{2,3}(\.[0-9]{2,3})?")
_VBIOS = re.compile(r"[0-9A-F]{2}(\.[0-9A-F]{2}){4}")


@dataclass(frozen=True, slots=True)
class Facts:
    """The judged part of a report's opaque data.

    Attributes:
        driver: version of the driver inside the CVM, such as "550.90.07"; "" on a switch, which has none.
        vbios: version of the device's firmware, such as "96.00.9F.00.01".
        board: project, project SKU and chip SKU, such as "1010_0200_882"; "" on a switch.
        mode: "spt" (one GPU), "mpt" (GPUs with protected links), "ppcie" (links in the clear).
        chip: name of the chip, such as "GB100", or "" where the report is of before there was such a field.
        nvdec: status byte of video decoder 0, or None where the report has none.
        fwid: digest of the firmware that answers, 48 bytes, or None where the report has none.
        switches: device ids of the switches that the links of a GPU lead to, or a switch's own.
        gpus: device ids of the GPUs that the ports of a switch lead to.
    """

    driver: str
    vbios: str
    board: str
    mode: str
    chip: str
    nvdec: int | None
    fwid: bytes | None
    switches: frozenset[bytes]
    gpus: frozenset[bytes]


def read_facts(report: Report, kind: DeviceKind) -> Facts:
    """Return the facts of a report.

    Raises:
        WireError: a field is missing, mistyped, or contradicts another.
    """
    gpu = kind is DeviceKind.GPU
    fwid = report.opaque.get(Field.FWID)
    if fwid is not None and len(fwid) != 48:
        raise WireError(f"gpu report: got a firmware id of {len(fwid)} bytes, expected 48")
    board = (Field.PROJECT, Field.PROJECT_SKU, Field.CHIP_SKU)
    return Facts(
        driver=_matching(_DRIVER, _text(report, Field.DRIVER_VERSION)) if gpu else "",
        vbios=_matching(_VBIOS, _gpu_vbios(report) if gpu else _text(report, Field.VBIOS_VERSION)),
        board="_".join(_matching(_WORD, _text(report, field)) for field in board) if gpu else "",
        mode=_mode(report) if gpu else "",
        chip=_text(report, Field.CHIP_INFO) if Field.CHIP_INFO in report.opaque else "",
        nvdec=_byte(report, Field.NVDEC0_STATUS),
        fwid=fwid,
        switches=_linked_switches(report) if gpu else frozenset({_own_id(report)}),
        gpus=frozenset() if gpu else _linked_gpus(report),
    )


def version_key(version: str) -> tuple[int, ...]:
    """Return a driver or VBIOS version as numbers that order as the versions do.

    Raises:
        WireError: neither kind of version.
    """
    if _VBIOS.fullmatch(version):
        return tuple(int(part, 16) for part in version.split("."))
    return tuple(int(part) for part in _matching(_DRIVER, version).split("."))


def _gpu_vbios(report: Report) -> str:
    raw = _field(report, Field.VBIOS_VERSION)
    if len(raw) != 8 or any(raw[5:]):
        raise WireError(f"gpu report: got VBIOS version {raw.hex()}, expected 5 bytes and 3 zeros")
    return ".".join(f"{byte:02X}" for byte in (*raw[3::-1], raw[4]))


def _mode(report: Report) -> str:
    """Return the mode from the feature flag, or from the older PCIe status; both must agree."""
    flag, status = report.opaque.get(Field.FEATURE_FLAG), report.opaque.get(Field.PROTECTED_PCIE_STATUS)
    if status not in (None, _ON, _OFF) or (flag is not None and len(flag) != 2):
        raise WireError("gpu report: got a mode in another shape, expected one status byte and a u16 flag")
    if flag is None and status is None:
        raise WireError("gpu report: got neither feature flag nor protected PCIe status")
    old = {_ON: "ppcie", _OFF: "spt", None: ""}[status]
    if flag is None:
        return old
    mode = _MODES.get(int.from_bytes(flag, "little"))
    if mode is None or (status is not None and (old == "ppcie") != (mode == "ppcie")):
        raise WireError(f"gpu report: got feature flag {flag.hex()} beside PCIe status {old!r}")
    return mode


def _linked_switches(report: Report) -> frozenset[bytes]:
    """Return the switches that a GPU's links lead to; a GPU writes their ids in reverse byte order."""
    raw = report.opaque.get(Field.SWITCH_PDI, b"")
    if len(raw) % _PDI_BYTES:
        raise WireError(
            f"gpu report: got {len(raw)} bytes of switch ids, expected a multiple of {_PDI_BYTES}"
        )
    return frozenset(pdi[::-1] for pdi in _split(raw) if any(pdi))  # zeros stand for a link that is off


def _own_id(report: Report) -> bytes:
    raw = _field(report, Field.SWITCH_PDI)
    if len(raw) != _PDI_BYTES or not any(raw):
        raise WireError(f"gpu report: got a switch id of {len(raw)} bytes, expected {_PDI_BYTES}, not zero")
    return raw


def _linked_gpus(report: Report) -> frozenset[bytes]:
    """Return the GPUs that a switch's ports lead to: eight ids; the map of ports behind them is not read."""
    raw = _field(report, Field.SWITCH_GPU_PDIS)
    if len(raw) < 8 * _PDI_BYTES:
        raise WireError(f"gpu report: got {len(raw)} bytes of GPU ids, expected {8 * _PDI_BYTES} or more")
    return frozenset(pdi for pdi in _split(raw[: 8 * _PDI_BYTES]) if any(pdi))


def _split(raw: bytes) -> list[bytes]:
    return [raw[at : at + _PDI_BYTES] for at in range(0, len(raw), _PDI_BYTES)]


def _byte(report: Report, field: Field) -> int | None:
    raw = report.opaque.get(field)
    if raw is None:
        return None
    if not raw or any(raw[1:]):
        raise WireError(f"gpu report: got {raw[:8].hex()} for field {field.name}, expected one byte")
    return raw[0]


def _field(report: Report, field: Field) -> bytes:
    try:
        return report.opaque[field]
    except KeyError:
        raise WireError(f"gpu report: got no {field.name}") from None


def _text(report: Report, field: Field) -> str:
    raw = _field(report, field)
    text = raw.rstrip(b"\x00")
    if len(raw) > 64 or not text.isascii():
        raise WireError(f"gpu report: got no short ASCII text for {field.name}")
    return text.decode("ascii")


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise WireError(f"gpu report: got {text[:32]!r}, expected text of the form {pattern.pattern}")
    return text
