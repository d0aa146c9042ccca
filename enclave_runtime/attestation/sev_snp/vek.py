"""What AMD certifies about an endorsement key: the chip, or the cloud, and the patch levels it is for.

Extensions under 1.3.6.1.4.1.3704.1 as in "VCEK Certificate and KDS Interface Specification" (57230). A
versioned key exists once per chip (VCEK) or cloud (VLEK) and set of patch levels: its certificate names both.
"""

from __future__ import annotations

from dataclasses import dataclass

from enclave_runtime.attestation.sev_snp import der
from enclave_runtime.attestation.sev_snp.certificates import Certificate
from enclave_runtime.attestation.sev_snp.layout import CHIP_ID_BYTES, KEY_VCEK, KEY_VLEK
from enclave_runtime.attestation.sev_snp.products import TURIN, line_of
from enclave_runtime.attestation.snp_rules import SnpTcb
from enclave_runtime.wire.errors import WireError

__all__ = ["AMD_ARC", "COMMON_NAMES", "Vek", "encode_extensions", "parse_vek"]

AMD_ARC = "1.3.6.1.4.1.3704.1."
COMMON_NAMES = {KEY_VCEK: "SEV-VCEK", KEY_VLEK: "SEV-VLEK"}

_STRUCT_VERSION, _PRODUCT, _HWID, _CSP_ID = "1", "2", "4", "5"
_LEVELS = {"bl": "3.1", "tee": "3.2", "snp": "3.3", "ucode": "3.8"}
_FMC = "3.9"
_SPARE = ("3.4", "3.5", "3.6", "3.7")
_WRITTEN = ("3.1", "3.2", *_SPARE, "3.3", "3.8")
_WRITTEN_TURIN = (_FMC, "3.1", "3.2", "3.3", *_SPARE[1:], "3.8")
"""The order in which AMD writes patch levels, spare ones as zero."""
_HWID_BYTES_TURIN = 8
_MAX_TEXT = 120


@dataclass(frozen=True, slots=True)
class Vek:
    """One endorsement key's facts.

    Attributes:
        key: `KEY_VCEK` or `KEY_VLEK`.
        product_name: AMD's name, such as "Milan-B0", "Genoa" or "Turin".
        tcb: the patch levels that the key is for.
        hwid: the chip's id, 64 bytes (Turin: 8), of a VCEK; empty of a VLEK.
        csp_id: the cloud of a VLEK; empty of a VCEK.
    """

    key: int
    product_name: str
    tcb: SnpTcb
    hwid: bytes = b""
    csp_id: str = ""

    @property
    def product(self) -> str:
        """Return the product line: the name without its stepping."""
        return line_of(self.product_name)

    @property
    def chip_id(self) -> bytes:
        """Return the chip's id as reports have it, 64 bytes, or nothing of a VLEK."""
        return self.hwid and self.hwid.ljust(CHIP_ID_BYTES, b"\x00")


def parse_vek(certificate: Certificate) -> Vek:
    """Return the facts in a VCEK's or VLEK's certificate.

    Raises:
        WireError: another subject, or AMD's extensions missing, surplus or badly written.
    """
    keys = [key for key, name in COMMON_NAMES.items() if name == certificate.common_name]
    if not keys:
        got = certificate.common_name[:40]
        raise WireError(f"vek: got a certificate for {got!r}, expected {list(COMMON_NAMES.values())}")
    strange = sorted(name for name, extension in certificate.extensions.items() if extension.critical)
    if strange:
        raise WireError(f"vek: got critical extensions {strange}, expected none")
    product_name = _text(certificate, _PRODUCT)
    turin = line_of(product_name) == TURIN
    if _level(certificate, _STRUCT_VERSION) != int(turin):
        raise WireError(f"vek: got another structure version, expected {int(turin)} for {product_name}")
    if any(_level(certificate, name) for name in _SPARE if AMD_ARC + name in certificate.extensions):
        raise WireError("vek: got a spare patch level, expected zero")
    levels = {field: _level(certificate, name) for field, name in _LEVELS.items()}
    tcb = SnpTcb(**levels, fmc=_level(certificate, _FMC) if turin else 0)
    if keys[0] == KEY_VLEK:
        return Vek(KEY_VLEK, product_name, tcb, csp_id=_text(certificate, _CSP_ID))
    return Vek(KEY_VCEK, product_name, tcb, hwid=_hwid(certificate, turin))


def encode_extensions(vek: Vek) -> dict[str, bytes]:
    """Return AMD's extensions for `vek`, {identifier: value}, in AMD's order."""
    turin = vek.product == TURIN
    levels = {name: getattr(vek.tcb, field) for field, name in (*_LEVELS.items(), ("fmc", _FMC))}
    values = {
        _STRUCT_VERSION: _integer(int(turin)),
        _PRODUCT: _ia5(vek.product_name),
        **{name: _integer(levels.get(name, 0)) for name in (_WRITTEN_TURIN if turin else _WRITTEN)},
    }
    if vek.key == KEY_VCEK:
        values[_HWID] = vek.hwid
    else:
        values[_CSP_ID] = _ia5(vek.csp_id)
    return {AMD_ARC + name: content for name, content in values.items()}


def _value(certificate: Certificate, name: str) -> bytes:
    extension = certificate.extensions.get(AMD_ARC + name)
    if extension is None:
        raise WireError(f"vek: got no extension {name}, expected one")
    return extension.value


def _level(certificate: Certificate, name: str) -> int:
    return der.small_integer(der.value(_value(certificate, name), der.INTEGER))


def _text(certificate: Certificate, name: str) -> str:
    content = der.value(_value(certificate, name), der.IA5_STRING).content
    if (
        not 0 < len(content) <= _MAX_TEXT
        or not content.isascii()
        or not content.decode("ascii").isprintable()
    ):
        raise WireError(f"vek: got extension {name} that is no short text in printable ASCII")
    return content.decode("ascii")


def _hwid(certificate: Certificate, turin: bool) -> bytes:
    """Return the chip's id, which AMD writes raw, where its specification says OCTET STRING."""
    found, size = _value(certificate, _HWID), _HWID_BYTES_TURIN if turin else CHIP_ID_BYTES
    if len(found) == size + 2:
        found = der.value(found, der.OCTET_STRING).content
    if len(found) != size or not any(found):
        raise WireError(f"vek: got a chip id of {len(found)} bytes, expected {size}, not all zero")
    return found


def _integer(number: int) -> bytes:
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes([der.INTEGER, len(content)]) + content


def _ia5(text: str) -> bytes:
    return bytes([der.IA5_STRING, len(text)]) + text.encode("ascii")
