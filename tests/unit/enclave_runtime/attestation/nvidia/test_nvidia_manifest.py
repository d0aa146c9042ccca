"""Signed XML: whatever could make a reader see another document than the signer signed is refused."""

from __future__ import annotations

import base64
import hashlib

import pytest
from lxml import etree

from enclave_runtime.attestation.nvidia.rim import verified_rim
from enclave_runtime.attestation.nvidia.xmlsig import MAX_XML_BYTES, verified_xml
from enclave_runtime.attestation.simulated.nvidia import certs, manifests, reports
from enclave_runtime.wire.errors import WireError

DS = "http://www.w3.org/2000/09/xmldsig#"
SWID = "http://standards.iso.org/iso/19770/-2/2015/schema.xsd"
HASH = "http://www.w3.org/2001/04/xmlenc#sha384"
ROOT = certs.issue("root", certs.new_key(), None)
SIGNER = certs.issue("signer", certs.new_key(), ROOT, ca=False)
CHAIN = (SIGNER.der, ROOT.der)
VALUES = reports.golden("driver", "GH100", "570.172.08")
GOOD = manifests.signed_manifest("GH100", "570.172.08", VALUES, 64, SIGNER.key, CHAIN)
END = b"</SoftwareIdentity>"
SIGNATURE = GOOD[GOOD.index(b"<ds:Signature ") : -len(END)]


def signed(body: str, **changes: str) -> bytes:
    """Return `body` (a document without a signature) signed, its SignedInfo changed by replacements."""
    root = etree.fromstring(body.encode())
    digest = base64.b64encode(hashlib.sha384(etree.tostring(root, method="c14n")).digest()).decode()
    info = manifests._signed_info(digest, "")
    for old, new in changes.items():
        info = info.replace(REPLACED[old], new)
    certificates = "".join(
        f"<ds:X509Certificate>{base64.b64encode(der).decode()}</ds:X509Certificate>" for der in CHAIN
    )
    text = (
        f'<ds:Signature xmlns:ds="{DS}">{info}<ds:SignatureValue/>'
        f"<ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></ds:Signature>"
    )
    root.append(etree.fromstring(text))
    canonical = etree.tostring(root[-1][0], method="c14n")
    root[-1][1].text = base64.b64encode(certs.raw_signature(SIGNER.key, canonical)).decode()
    return etree.tostring(root, encoding="unicode").encode()


REPLACED = {
    "uri": 'URI=""',
    "digest": "xmldsig-more#sha384",
    "method": "ecdsa-sha384",
    "enveloped": "enveloped-signature",
    "c14n": "2006/12/xml-c14n11",
}


def manifest(rows: str, version: str = "570.172.08", product: str = "GH100", more: str = "") -> str:
    return (
        f'<SoftwareIdentity xmlns="{SWID}" xmlns:s="{HASH}"{more}>'
        f'<Meta colloquialVersion="{version}" product="{product}"/><Payload>{rows}</Payload>'
        "</SoftwareIdentity>"
    )


def row(**changes: object) -> str:
    facts = {"type": "Measurement", "index": 1, "active": "True", "alternatives": 1, "size": 48} | changes
    if "s:Hash0" not in facts:
        facts["s:Hash0"] = "ab" * 48
    return "<Resource " + " ".join(f'{name}="{value}"' for name, value in facts.items() if value != "") + "/>"


def refused(data: bytes) -> str:
    with pytest.raises(WireError) as caught:
        verified_rim(data)
    return str(caught.value)


def test_what_is_written_in_canonical_form_by_hand_is_read_back():
    rim = verified_rim(GOOD)
    assert (rim.product, rim.version) == ("GH100", "570.172.08")
    assert rim.measurements == {index: frozenset({value}) for index, value in VALUES.items()}
    assert rim.chain.ders == CHAIN
    assert verified_rim(b'<?xml version="1.0" encoding="UTF-8"?>\n' + GOOD).version == rim.version
    assert verified_rim(signed(manifest(row()))).measurements == {1: frozenset({b"\xab" * 48})}


@pytest.mark.parametrize(
    "prefix",
    [
        b'<!DOCTYPE x [<!ENTITY a "b">]>',
        b'<!DOCTYPE x SYSTEM "http://localhost/x.dtd">',
        b"<!-- a comment -->",
        b'<?xml-stylesheet href="x"?>',
        b'<?xml version="1.1"?>',
        b'<?xml version="1.0" encoding="UTF-16"?>',
        b'<?xml version="1.0" encoding="UTF-7"?>',
        b"\xef\xbb\xbf<!DOCTYPE x>",
    ],
)
def test_nothing_but_elements_stands_before_the_root(prefix):
    refused(prefix + GOOD)


def test_entities_comments_and_references_are_refused_anywhere():
    for extra in (b"&lt;", b"&#65;", b"&x;", b"<!--x-->", b"<?x y?>", b"<![CDATA[x]]>", b"\r\n", b"\x0c"):
        refused(GOOD.replace(b"<ns0:Payload>", b"<ns0:Payload>" + extra))
        refused(GOOD + extra)
    bomb = b'<!DOCTYPE r [<!ENTITY a "' + b"x" * 1000 + b'"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    refused(bomb + GOOD.replace(b"<ns0:Payload>", b"<ns0:Payload>&b;"))
    refused(GOOD.decode().encode("utf-16"))


def test_documents_without_a_canonical_form_are_refused():
    for old, new in (
        (SWID.encode(), b"relative/"),
        (HASH.encode(), b"#relative"),
        (DS.encode(), b"relative"),
    ):
        refused(GOOD.replace(old, new))
    assert "canonical" in refused(GOOD.replace(b'xmlns:ns1="https:', b'xmlns:ns1="'))


def test_size_depth_and_number_of_elements_are_bounded():
    refused(GOOD + b" " * MAX_XML_BYTES)
    refused(signed(manifest("<Resource/>" * 600)))
    refused(b"<a>" * 5000 + b"</a>" * 5000)


def test_a_second_signature_and_one_elsewhere_are_refused():
    refused(GOOD[: -len(END)] + SIGNATURE + END)
    bare = GOOD.replace(SIGNATURE, b"")
    refused(bare)
    refused(bare.replace(b"<ns0:Payload>", SIGNATURE + b"<ns0:Payload>"))
    refused(bare.replace(b"<ns0:Payload>", b"<ns0:Payload>" + SIGNATURE))


def test_a_signed_document_wrapped_in_another_is_refused():
    evil = signed(manifest(row()))
    inner = GOOD.decode()
    outer = f'<SoftwareIdentity xmlns="{SWID}"><Meta product="GH100" colloquialVersion="570.172.08"/>'
    refused(f"{outer}<Payload/>{inner}</SoftwareIdentity>".encode())
    refused(f"{outer}<Payload/><x>{inner}</x>{SIGNATURE.decode()}</SoftwareIdentity>".encode())
    # The signature of one document under the content of another.
    start = evil.index(b"<ds:Signature")
    refused(evil[:start] + SIGNATURE + END)


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": 'URI="#part"'},
        {"uri": 'URI="http://localhost/"'},
        {"uri": ""},
        {"digest": "xmldsig-more#sha224"},
        {"method": "ecdsa-sha1"},
        {"method": "hmac-sha384"},
        {"enveloped": "base64"},
        {"c14n": "2001/10/xml-exc-c14n#"},
        {"c14n": "TR/2001/REC-xml-c14n-20010315#WithComments"},
    ],
)
def test_signed_information_of_any_other_shape_is_refused(changes):
    assert "shape" in refused(signed(manifest(row()), **changes))


def test_key_information_is_certificates_and_nothing_else():
    data = signed(manifest(row()))
    for old, new in (
        (b"X509Data>", b"KeyValue>"),
        (b"<ds:X509Certificate>", b"<ds:X509Certificate><ds:x/>"),
        (b"</ds:X509Data>", b"<ds:X509SKI>AA==</ds:X509SKI></ds:X509Data>"),
        (b"</ds:X509Certificate>", b"!</ds:X509Certificate>"),
        (b"<ds:SignatureValue>", b"<ds:SignatureValue>AAAA"),
        (b"</ds:SignatureValue>", b"<ds:x/></ds:SignatureValue>"),
        (b"<ds:KeyInfo>", b"<ds:KeyInfo><ds:KeyName>x</ds:KeyName>"),
    ):
        refused(data.replace(old, new))
    certificate = base64.b64encode(ROOT.der)
    assert certificate in data
    refused(data.replace(certificate, base64.b64encode(SIGNER.der)))
    refused(data.replace(b"<ds:X509Certificate>" + certificate + b"</ds:X509Certificate>", b""))


def test_inherited_attributes_are_refused_though_signed():
    # With them C14N 1.0 and 1.1 would be two readings of one document.
    for more in (' xml:lang="en"', ' xml:base="http://localhost/"', ' xml:id="x"', ' xml:space="preserve"'):
        assert "xml:" in refused(signed(manifest(row(), more=more)))


@pytest.mark.parametrize(
    "rows",
    [
        "",
        row(active="False"),
        row(active="true"),
        row(active=""),
        row() + row(),
        row(index=64),
        row(index=-1),
        row(index="１"),
        row(index="0001"),
        row(alternatives=0),
        row(alternatives=65),
        row(alternatives=2),
        row(**{"s:Hash1": "cd" * 48}),
        row(**{"s:Hash0": "zz" * 48}),
        row(**{"s:Hash0": "ab" * 47}),
        row(**{"s:Hash0": "ab" * 49}),
        row(size=32),
        row(type="File"),
        row().replace("Resource", "File"),
        row().replace("/>", "><x/></Resource>"),
    ],
)
def test_measurements_of_another_shape_are_refused(rows):
    verified_xml(signed(manifest(rows)))
    refused(signed(manifest(rows)))


@pytest.mark.parametrize(
    "body",
    [
        manifest(row(), version=""),
        manifest(row(), version="latest"),
        manifest(row(), product=""),
        manifest(row(), product="G" * 17),
        manifest(row()).replace("SoftwareIdentity", "Software"),
        manifest(row()).replace("Meta ", "Other "),
        manifest(row()).replace("<Payload>", "<Payload/><Payload>"),
        manifest(row()).replace("<Payload>", "<x><Payload>").replace("</Payload>", "</Payload></x>"),
        f'<SoftwareIdentity xmlns="urn:other">{row()}</SoftwareIdentity>'.replace("s:Hash0", "Hash0"),
    ],
)
def test_documents_that_are_no_manifest_are_refused_though_signed(body):
    verified_xml(signed(body))
    refused(signed(body))


def test_alternatives_are_all_accepted_values():
    rim = verified_rim(signed(manifest(row(alternatives=2, **{"s:Hash1": "cd" * 48}))))
    assert rim.measurements == {1: frozenset({b"\xab" * 48, b"\xcd" * 48})}
