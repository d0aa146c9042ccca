"""Reference integrity manifests: what a driver or a firmware should measure, signed by NVIDIA (SWID tags).

A manifest does not say of itself whether it is a driver's or a firmware's: its version does, which has
another form for each. Verified manifests stay in a bounded cache by their bytes; dates are judged each time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from lxml import etree

from enclave_runtime.attestation.nvidia.chain import Chain
from enclave_runtime.attestation.nvidia.facts import version_key
from enclave_runtime.attestation.nvidia.xmlsig import verified_xml
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_INDEX", "Rim", "verified_rim"]

MAX_INDEX = 63
_MAX_ALTERNATIVES = 64
_SWID = "{http://standards.iso.org/iso/19770/-2/2015/schema.xsd}"
_HASH = "{http://www.w3.org/2001/04/xmlenc#sha384}Hash"
_ACTIVE = {"True": True, "False": False}


@dataclass(frozen=True, slots=True)
class Rim:
    """One manifest whose signature holds.

    Attributes:
        product: the chip, such as "GH100".
        version: of the driver or firmware that it is about, such as "550.90.07" or "96.00.9F.00.01".
        measurements: accepted values, 48 bytes each, by index from 0; only the active ones.
        chain: of the signer, whose root is believed only where it is pinned.
    """

    product: str
    version: str
    measurements: Mapping[int, frozenset[bytes]] = field(repr=False)
    chain: Chain


@lru_cache(maxsize=32)
def verified_rim(data: bytes) -> Rim:
    """Return the manifest in `data`, its signature verified with the certificates that it brings.

    Raises:
        WireError: not signed XML as `xmlsig` takes it, or not a manifest in each of its parts.
    """
    signed = verified_xml(data)
    root = signed.root
    if root.tag != f"{_SWID}SoftwareIdentity":
        raise WireError(f"rim: got document {str(root.tag)[:80]!r}, expected a SWID tag")
    meta, payload = _one(root, "Meta"), _one(root, "Payload")
    version, product = (str(meta.get(name, "")).strip() for name in ("colloquialVersion", "product"))
    version_key(version)
    if not 0 < len(product) <= 16:
        raise WireError(f"rim: got product {product[:32]!r}, expected the name of a chip")
    measurements = dict(_active(payload))
    if not measurements:
        raise WireError("rim: got no active measurement, expected at least one")
    return Rim(product, version, measurements, signed.chain)


def _one(root: etree._Element, name: str) -> etree._Element:
    found = list(root.iter(_SWID + name))
    if len(found) != 1 or found[0].getparent() is not root:
        raise WireError(f"rim: got {len(found)} {name} elements, expected one below the root")
    return found[0]


def _active(payload: etree._Element) -> Iterator[tuple[int, frozenset[bytes]]]:
    seen = set()
    for item in payload:
        if item.tag != f"{_SWID}Resource" or item.get("type") != "Measurement" or len(item):
            raise WireError("rim: got a payload with something else than measurements")
        index, count = _number(item, "index"), _number(item, "alternatives")
        active = _ACTIVE.get(item.get("active", ""))
        if active is None or index > MAX_INDEX or index in seen or not 1 <= count <= _MAX_ALTERNATIVES:
            raise WireError(f"rim: got measurement {index} twice, out of range, or neither active nor not")
        seen.add(index)
        values = _values(item, count)
        if active:
            yield index, values


def _values(item: etree._Element, count: int) -> frozenset[bytes]:
    hashes = {str(name): value for name, value in item.attrib.items() if str(name).startswith(_HASH)}
    if item.get("size") != "48" or hashes.keys() != {f"{_HASH}{number}" for number in range(count)}:
        raise WireError(f"rim: got {len(hashes)} values of size {item.get('size')!r}, expected {count} of 48")
    try:
        values = frozenset(bytes.fromhex(value) for value in hashes.values())
    except ValueError as error:
        raise WireError("rim: got a measurement that is not hex") from error
    if any(len(value) != 48 for value in values):
        raise WireError("rim: got a measurement of another length than 48 bytes")
    return values


def _number(item: etree._Element, name: str) -> int:
    text = item.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 3):
        raise WireError(f"rim: got {text[:16]!r} for {name}, expected a small number")
    return int(text)
