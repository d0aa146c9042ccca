"""Who answers: chip, key and firmware of a device, as its certificate chain names them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from enclave_runtime.attestation.nvidia.chain import Chain, p384_key, spki, verified_chain
from enclave_runtime.attestation.nvidia.dice import Firmware, parse_firmware
from enclave_runtime.attestation.nvidia.evidence import DeviceKind
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import tagged

__all__ = ["BLACKWELL", "HOPPER", "LS10", "Identity", "device_id_of", "identify"]

HOPPER, BLACKWELL, LS10 = "HOPPER", "BLACKWELL", "LS10"
"""Architectures: H100 and H200, B200 and its kin, and the NVSwitch of Hopper boards."""

_LEAF_NAME = re.compile(r"(G[HB][0-9]{3}|LS_?10) [A-Z][0-9]{2} (GSP|FSP) FMC LF")
_CERTS = 5
"""Leaf, boot ROM, provisioner, identity authority, root."""
_CHIPS = {
    "GH": (HOPPER, DeviceKind.GPU),
    "GB": (BLACKWELL, DeviceKind.GPU),
    "LS": (LS10, DeviceKind.NVSWITCH),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """One device, its chain proven but for dates and root.

    Attributes:
        chain: leaf first.
        kind: what the leaf says that it is.
        architecture: `HOPPER`, `BLACKWELL` or `LS10`.
        chip: such as "GH100".
        firmware: what the leaf says of the firmware that holds its key.
        key: of the leaf, which signs reports.
        rom_key: SubjectPublicKeyInfo of the leaf's issuer: the boot ROM's key, burnt into one chip.
        device_id: tagged digest of the leaf's serial number, 32 bytes.
    """

    chain: Chain
    kind: DeviceKind
    architecture: str
    chip: str
    firmware: Firmware
    key: ec.EllipticCurvePublicKey = field(repr=False)
    rom_key: bytes = field(repr=False)
    device_id: bytes


@lru_cache(maxsize=64)
def identify(ders: tuple[bytes, ...]) -> Identity:
    """Return whose chain the certificates `ders` (leaf first) are.

    Raises:
        WireError: the chain does not hold, or its leaf is no device's.
    """
    chain = verified_chain(ders)
    if len(chain.certs) != _CERTS:
        raise WireError(f"gpu certificate: got a chain of {len(chain.certs)}, expected {_CERTS}")
    text, rom, provisioner = map(_common_name, chain.certs[:3])
    found = _LEAF_NAME.fullmatch(text)
    if not found:
        raise WireError(f"gpu certificate: got a leaf for {text[:64]!r}, expected a GPU's or NVSwitch's")
    # The authority says so too: under one root there are certificates for products of other kinds.
    if rom != text.replace("FMC LF", "BROM") or f" {found[1]} Provisioner " not in provisioner:
        raise WireError(f"gpu certificate: got a leaf for {text!r} below {rom[:64]!r}, {provisioner[:64]!r}")
    chip = found[1].replace("_", "")
    architecture, kind = _CHIPS[chip[:2]]
    serial = chain.leaf.serial_number
    return Identity(
        chain=chain,
        kind=kind,
        architecture=architecture,
        chip=chip,
        firmware=parse_firmware(chain.leaf),
        key=p384_key(chain.leaf),
        rom_key=spki(chain.certs[1]),
        device_id=device_id_of(serial),
    )


def device_id_of(serial: int) -> bytes:
    """Return the name of the device whose leaf certificate has this serial number (at most 20 bytes)."""
    return tagged("device-id/nvidia/v1", serial.to_bytes(20, "big"))


def _common_name(cert: x509.Certificate) -> str:
    names = cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""
