"""The certificate chain in a quote, and Intel's extension in its leaf."""

from __future__ import annotations

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.dcap.layout import parse_quote
from enclave_runtime.attestation.dcap.pck import (
    PckExtension,
    encode_chain,
    encode_extension,
    parse_chain,
    parse_extension,
)
from enclave_runtime.attestation.simulated import certs
from enclave_runtime.wire.errors import WireError

KEY = ec.generate_private_key(ec.SECP256R1())
PLAIN = certs.issue("test", KEY, None, KEY)


def with_extension(der: bytes) -> x509.Certificate:
    return certs.issue("test", KEY, None, KEY, sgx_extension=der)


@settings(max_examples=20, deadline=None)
@given(
    st.builds(
        PckExtension,
        ppid=st.binary(min_size=16, max_size=16),
        cpu_svn=st.binary(min_size=16, max_size=16),
        pce_svn=st.integers(0, 32767),  # dcap-qvl reads at most two bytes of DER integer
        pce_id=st.binary(min_size=2, max_size=2),
        fmspc=st.binary(min_size=6, max_size=6),
    )
)
def test_extension_survives_a_certificate_and_reads_as_the_vendors_library_reads_it(extension):
    leaf = with_extension(encode_extension(extension, platform_instance_id=bytes(16)))
    assert parse_extension(leaf) == extension
    theirs = dcap_qvl.parse_pck_extension_from_pem(leaf.public_bytes(Encoding.PEM))
    assert (theirs.ppid, theirs.fmspc, theirs.pce_id) == (extension.ppid, extension.fmspc, extension.pce_id)
    assert (theirs.cpu_svn, theirs.pce_svn) == (extension.cpu_svn, extension.pce_svn)


GOOD = encode_extension(PckExtension(bytes(16), bytes(16), 1, bytes(2), bytes(6)), platform_instance_id=b"")


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30\x00",
        b"\x30\x81\x01\x00",
        b"\x30\x83\x00\x00\x00",
        GOOD + GOOD,
        GOOD[:-1],
        GOOD[4:],
        b"\x04\x00",
    ],
)
def test_refuses_an_extension_of_another_shape(der):
    with pytest.raises(WireError, match="pck certificate"):
        parse_extension(with_extension(der))


def test_refuses_a_certificate_without_the_extension():
    with pytest.raises(WireError, match="no SGX extension"):
        parse_extension(PLAIN)


def test_refuses_a_part_twice_and_a_part_missing():
    doubled = GOOD.replace(bytes.fromhex("0a2a864886f84d010d0103"), bytes.fromhex("0a2a864886f84d010d0104"))
    assert doubled != GOOD
    with pytest.raises(WireError, match="twice"):
        parse_extension(with_extension(doubled))
    renamed = GOOD.replace(bytes.fromhex("0a2a864886f84d010d0101"), bytes.fromhex("0a2a864886f84d010d0109"))
    with pytest.raises(WireError, match=r"for \.1"):
        parse_extension(with_extension(renamed))


def test_chain_must_be_three_certificates_and_not_a_byte_more(case):
    data = parse_quote(case.evidence.quote).signatures.cert_data
    chain = parse_chain(data)
    assert encode_chain(*chain) == data and parse_chain(data[:-1]) == chain
    pem = PLAIN.public_bytes(Encoding.PEM)
    for bad in (
        pem,
        pem * 2,
        pem * 4,
        b"junk" + pem * 3,
        pem * 3 + b"\n",
        pem * 3 + b"\x00\x00",
        b"",
        b"x" * 9000,
    ):
        with pytest.raises(WireError, match="pck chain"):
            parse_chain(bad)
