"""The crash: what the library raises for some certificates of strangers is no ValueError.

A Nitro document brings its own chain, whose root is compared last, so its sender signs whatever he likes:
a version that does not exist, an extension twice, a name of a kind that nobody knows or a year 0 left the
verifier, and `cloister attest show`, as an error that is not ours.
"""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.nitro.chain import verified_chain
from marketplace.sdk import attest_reading, attest_words
from tests.fakes.cose_issuers import SimulatedNitro

VERSION = bytes.fromhex("a003020102")
DER = Encoding.DER
USAGE = bytes.fromhex("0603551d0f")


def other_version(tbs: bytes) -> bytes:
    return tbs.replace(VERSION, VERSION[:-1] + b"\x01", 1)


def extension_twice(tbs: bytes) -> bytes:
    """Name the key usage what the basic constraints are named."""
    return tbs.replace(USAGE, bytes.fromhex("0603551d13"), 1)


def year_zero(tbs: bytes) -> bytes:
    """Write the first date's year as 0000, in the form that has four digits."""
    at = tbs.index(b"\x17\x0d")
    spoiled = bytearray(tbs)
    spoiled[at : at + 15] = b"\x18\x0f00000101000000Z"
    for place, longer in ((at - 1, 2), (3, 2)):
        spoiled[place] += longer
    return bytes(spoiled)


def signed_again(issuer: SimulatedNitro, tbs: bytes) -> bytes:
    """Return what `tbs` is the signed part of, signed by the region."""
    signature = issuer._keys[1].sign(tbs, ec.ECDSA(hashes.SHA384()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040303")
    body = tbs + algorithm + b"\x03" + bytes([len(signature) + 1, 0]) + signature
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


def unknown_kind_of_name(issuer: SimulatedNitro) -> bytes:
    """Return a leaf with an alternative name that is an x400Address."""
    region, leaf = issuer.certificates[1:]
    name = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, bytes.fromhex("3002a300"))
    builder = x509.CertificateBuilder(
        region.subject,
        leaf.subject,
        leaf.public_key(),
        leaf.serial_number,
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
    )
    return builder.add_extension(name, False).sign(issuer._keys[1], hashes.SHA384()).public_bytes(DER)


def refused(issuer: SimulatedNitro, leaf: bytes, error: str) -> None:
    with pytest.raises(AttestationError) as caught:
        verified_chain(leaf, tuple(one.public_bytes(DER) for one in issuer.certificates[:2]))
    assert caught.value.step == Step.CHAIN and type(caught.value.__cause__).__name__ == error
    found = attest_reading.recognise(issuer.document(bytes(64), certificate=leaf))
    assert attest_words.explain(found).kind == found.kind


@pytest.mark.parametrize(
    "spoil, error",
    [(other_version, "InvalidVersion"), (extension_twice, "DuplicateExtension"), (year_zero, "ValueError")],
)
def test_a_leaf_that_the_region_signed_is_refused_in_our_words(spoil, error):
    issuer = SimulatedNitro()
    tbs = issuer.certificates[2].tbs_certificate_bytes
    assert spoil(tbs) != tbs
    refused(issuer, signed_again(issuer, spoil(tbs)), error)


def test_a_name_of_an_unknown_kind_is_refused_in_our_words():
    issuer = SimulatedNitro()
    refused(issuer, unknown_kind_of_name(issuer), "UnsupportedGeneralNameType")
