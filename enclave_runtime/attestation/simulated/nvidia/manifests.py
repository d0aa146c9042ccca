"""Signed manifests of the simulated vendor: SWID tags, written in canonical form from the start.

Canonical form (C14N 1.1) by hand, so that a verifier that canonicalises is held against a second reading.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.attestation.simulated.nvidia.certs import raw_signature

__all__ = ["signed_manifest"]

_SWID = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
_HASH = "http://www.w3.org/2001/04/xmlenc#sha384"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_RIM = "https://trustedcomputinggroup.org/resource/tcg-reference-integrity-manifest-rim-information-model/"
_C14N = "http://www.w3.org/2006/12/xml-c14n11"
_MORE = "http://www.w3.org/2001/04/xmldsig-more"


def signed_manifest(
    product: str,
    version: str,
    values: Mapping[int, bytes],
    blocks: int,
    key: ec.EllipticCurvePrivateKey,
    chain: tuple[bytes, ...],
) -> bytes:
    """Return a manifest that says `values` (index to 48 bytes) of `version`, signed with `key`.

    Args:
        product: the chip.
        version: of the driver or firmware.
        values: active measurements; all others below `blocks` are listed as inactive zeros.
        blocks: how many measurements the device has.
        key: of the first certificate in `chain`.
        chain: certificates, DER, leaf first.
    """
    rows = "".join(_resource(index, values.get(index)) for index in range(blocks))
    meta = (
        f'<ns0:Meta xmlns:ns1="{_RIM}" PayloadType="direct" colloquialVersion="{version}" edition="GPU"'
        f' product="{product}" revision="r1" ns1:BindingSpec="RIMIM" ns1:BindingSpecVersion="1.01"'
        f' ns1:FirmwareManufacturer="DEV SIMULATED" ns1:FirmwareManufacturerId="5703"'
        f' ns1:PlatformManufacturerId="5703" ns1:PlatformManufacturerStr="DEV SIMULATED"'
        f' ns1:PlatformModel="{product}"></ns0:Meta>'
    )
    scope = f'xmlns="{_SWID}" xmlns:ns0="{_SWID}" xmlns:ns2="{_HASH}"'
    tag = hashlib.sha384(f"{product} {version}".encode()).hexdigest()
    head = (
        f'<SoftwareIdentity {scope} corpus="false" name="{product}" patch="false" supplemental="false"'
        f' tagId="{tag}" tagVersion="0" version="1.0">'
    )
    entity = '<ns0:Entity name="DEV SIMULATED - NOT NVIDIA" role="softwareCreator tagCreator"></ns0:Entity>'
    body = f"{head}\n    {entity}\n    {meta}\n    <ns0:Payload>{rows}\n    </ns0:Payload>\n"
    end = "</SoftwareIdentity>"
    digest = base64.b64encode(hashlib.sha384((body + end).encode()).digest()).decode()
    # SignedInfo stands alone when it is signed: the namespaces in scope are written on it.
    signed = _signed_info(
        digest, f' xmlns="{_SWID}" xmlns:ds="{_DS}" xmlns:ns0="{_SWID}" xmlns:ns2="{_HASH}"'
    )
    value = base64.b64encode(raw_signature(key, signed.encode())).decode()
    certs = "".join(f"<ds:X509Certificate>{_base64_lines(der)}</ds:X509Certificate>" for der in chain)
    signature = (
        f'<ds:Signature xmlns:ds="{_DS}">{_signed_info(digest, "")}'
        f"<ds:SignatureValue>{value}</ds:SignatureValue>"
        f"<ds:KeyInfo><ds:X509Data>{certs}</ds:X509Data></ds:KeyInfo></ds:Signature>"
    )
    return (body + signature + end).encode()


def _resource(index: int, value: bytes | None) -> str:
    return (
        f'\n        <ns0:Resource active="{value is not None}" alternatives="1" index="{index}"'
        f' name="Measurement_{index}" size="48" type="Measurement" ns2:Hash0="{(value or bytes(48)).hex()}">'
        f"</ns0:Resource>"
    )


def _signed_info(digest: str, scope: str) -> str:
    transforms = "".join(
        f'<ds:Transform Algorithm="{name}"></ds:Transform>' for name in (f"{_DS}enveloped-signature", _C14N)
    )
    return (
        f"<ds:SignedInfo{scope}>"
        f'<ds:CanonicalizationMethod Algorithm="{_C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{_MORE}#ecdsa-sha384"></ds:SignatureMethod>'
        f'<ds:Reference URI=""><ds:Transforms>{transforms}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="{_MORE}#sha384"></ds:DigestMethod>'
        f"<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )


def _base64_lines(der: bytes) -> str:
    text = base64.b64encode(der).decode()
    return "".join(text[at : at + 64] + "\n" for at in range(0, len(text), 64))
