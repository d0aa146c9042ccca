"""The one shape of signed XML that NVIDIA writes: enveloped signature, C14N 1.1, SHA-384, ECDSA on P-384.

Anything else is refused before it is interpreted: document types, entities and references of any kind,
comments, processing instructions, `xml:` attributes, a second signature, a signature that is not the root's
last child, a reference to a part. What is left leaves nothing to wrap: the digest covers the whole document
but the signature itself. Without `xml:` attributes inclusive C14N 1.0, which libxml2 has, is C14N 1.1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from lxml import etree

from enclave_runtime.attestation.nvidia.chain import Chain, p384_key, raw_signature_holds, verified_chain
from enclave_runtime.wire.errors import WireError

__all__ = ["MAX_XML_BYTES", "SignedXml", "verified_xml"]

MAX_XML_BYTES = 1 << 17
"""Real documents are 20 to 25 kB."""

_MAX_ELEMENTS = 512
_MAX_CERTS = 6
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_C14N_11 = "http://www.w3.org/2006/12/xml-c14n11"
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_SHA384 = "http://www.w3.org/2001/04/xmldsig-more#sha384"
_ECDSA_SHA384 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384"
_XML = "{http://www.w3.org/XML/1998/namespace}"

_DECLARATION = re.compile(
    rb"<\?xml version=(['\"])1\.0\1( encoding=(['\"])(UTF|utf)-8\3)?( standalone=(['\"])(yes|no)\6)?\?>\s*"
)
_FORBIDDEN = re.compile(rb"<[!?]|&|\r|[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True, slots=True)
class _Shape:
    """An element that must be exactly this, but for white space and text."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: tuple[_Shape, ...] = ()


_TRANSFORMS = tuple(_Shape("Transform", {"Algorithm": name}) for name in (_ENVELOPED, _C14N_11))
_REFERENCE = (
    _Shape("Transforms", {}, _TRANSFORMS),
    _Shape("DigestMethod", {"Algorithm": _SHA384}),
    _Shape("DigestValue"),
)
_METHODS = (
    _Shape("CanonicalizationMethod", {"Algorithm": _C14N_11}),
    _Shape("SignatureMethod", {"Algorithm": _ECDSA_SHA384}),
)
_SIGNED_INFO = _Shape("SignedInfo", {}, (*_METHODS, _Shape("Reference", {"URI": ""}, _REFERENCE)))


@dataclass(frozen=True, slots=True)
class SignedXml:
    """A document whose signature holds.

    Attributes:
        root: the document without its signature: exactly what was signed.
        chain: of the signer, whose root is believed only where it is pinned.
    """

    root: etree._Element = field(repr=False)
    chain: Chain


def verified_xml(data: bytes) -> SignedXml:
    """Return the document in `data`, its signature verified with the certificates that it brings.

    Raises:
        WireError: oversize, malformed, of another shape, or not what was signed.
    """
    root = _parse(data)
    signature = _only_signature(root)
    info, value, key_info = signature
    _check_shape(info, _SIGNED_INFO)
    chain = verified_chain(_certificates(key_info))
    if not raw_signature_holds(p384_key(chain.leaf), _decode(value), _canonical(info)):
        raise WireError("signed XML: got a signature that its first certificate's key did not make")
    digest = _decode(info.find(f"{_DS}Reference/{_DS}DigestValue"))
    _detach(signature)
    if not hmac.compare_digest(hashlib.sha384(_canonical(root)).digest(), digest):
        raise WireError("signed XML: got content of another digest than the signed one")
    return SignedXml(root, chain)


def _parse(data: bytes) -> etree._Element:
    if len(data) > MAX_XML_BYTES:
        raise WireError(f"signed XML: got {len(data)} bytes, expected at most {MAX_XML_BYTES}")
    declaration = _DECLARATION.match(data)
    text = data[declaration.end() :] if declaration else data
    found = _FORBIDDEN.search(text)
    if found:
        raise WireError(f"signed XML: got {found[0]!r}, expected elements, attributes and plain text only")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        encoding="utf-8",
    )
    try:
        text.decode("utf-8")
        root = etree.fromstring(text, parser)
    except (ValueError, etree.LxmlError) as error:
        raise WireError("signed XML: got bytes that do not parse") from error
    elements = list(root.iter())
    if len(elements) > _MAX_ELEMENTS:
        raise WireError(f"signed XML: got {len(elements)} elements, expected at most {_MAX_ELEMENTS}")
    if any(str(name).startswith(_XML) for element in elements for name in element.attrib):
        raise WireError("signed XML: got an xml: attribute, expected none")
    return root


def _canonical(element: etree._Element) -> bytes:
    try:
        return bytes(etree.tostring(element, method="c14n", exclusive=False))
    except etree.LxmlError as error:  # of namespaces that are no absolute URI, for one
        raise WireError("signed XML: got a document without a canonical form") from error


def _only_signature(root: etree._Element) -> etree._Element:
    found = list(root.iter(f"{_DS}Signature"))
    if len(found) != 1 or len(root) == 0 or root[-1] is not found[0]:
        raise WireError(f"signed XML: got {len(found)} signatures, expected one, the root's last child")
    signature = found[0]
    names = [_DS + name for name in ("SignedInfo", "SignatureValue", "KeyInfo")]
    if [child.tag for child in signature] != names or signature.attrib:
        raise WireError("signed XML: got a signature of another shape")
    return signature


def _check_shape(element: etree._Element, shape: _Shape) -> None:
    same = element.tag == _DS + shape.name and dict(element.attrib) == shape.attributes
    if not same or len(element) != len(shape.children):
        raise WireError(
            f"signed XML: got a signature that differs from the one accepted shape at {shape.name}"
        )
    for child, expected in zip(element, shape.children, strict=True):
        _check_shape(child, expected)


def _certificates(key_info: etree._Element) -> tuple[bytes, ...]:
    data = list(key_info)
    if len(data) != 1 or data[0].tag != f"{_DS}X509Data" or not 2 <= len(data[0]) <= _MAX_CERTS:
        raise WireError(
            f"signed XML: got key information of another shape than 2 to {_MAX_CERTS} certificates"
        )
    if any(item.tag != f"{_DS}X509Certificate" for item in data[0]):
        raise WireError("signed XML: got something else than certificates in the key information")
    return tuple(_decode(item) for item in data[0])


def _decode(element: etree._Element | None) -> bytes:
    """Return the base64 content of an element that holds nothing else."""
    text = None if element is None or len(element) else element.text
    if text is None or len(text) > 1 << 13:
        raise WireError("signed XML: got no short base64 text where there must be one")
    joined = "".join(text.split())
    try:
        data = base64.b64decode(joined, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError("signed XML: got something else than base64") from error
    if base64.b64encode(data).decode() != joined:
        raise WireError("signed XML: got base64 with bits that mean nothing")
    return data


def _detach(signature: etree._Element) -> None:
    """Take the signature out of the document and leave the white space behind it where it was."""
    parent, before = signature.getparent(), signature.getprevious()
    tail = signature.tail or ""
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    parent.remove(signature)
