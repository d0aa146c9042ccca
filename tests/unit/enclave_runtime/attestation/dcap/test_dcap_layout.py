"""The quote layout: what is parsed can be encoded again, and only exact quotes parse."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.dcap.layout import (
    EnclaveBody,
    Quote,
    QuoteHeader,
    SignatureSection,
    TdBody,
    canonical_id,
    parse_quote,
    strip_zero_padding,
)
from enclave_runtime.wire.errors import WireError


def filled(kind, salt=0):
    return kind.decode(bytes((i + salt) % 251 for i in range(kind.size())))


def section(cert=b"PEM\x00"):
    return SignatureSection(b"\x01" * 64, b"\x02" * 64, b"\x03" * 384, b"\x04" * 64, b"\x05" * 32, 5, cert)


def header(version, tee):
    return QuoteHeader(version, 2, tee, 1, 2, b"v" * 16, b"u" * 20)


def encode(version, tee, body, descriptor=b"", service=b"", signatures=None):
    signed = header(version, tee).encode() + descriptor + body.encode() + service
    return signed + (signatures or section()).encode(version)


KINDS = {
    "sgx v3": (3, 0, filled(EnclaveBody), b"", b""),
    "tdx v4": (4, 0x81, filled(TdBody), b"", b""),
    "tdx v5 1.0": (5, 0x81, filled(TdBody), struct.pack("<HI", 2, 584), b""),
    "tdx v5 1.5": (5, 0x81, filled(TdBody), struct.pack("<HI", 3, 648), b"\x07" * 64),
    "sgx v5": (5, 0, filled(EnclaveBody), struct.pack("<HI", 1, 384), b""),
}


@pytest.mark.parametrize("kind", KINDS)
def test_encodes_and_parses_every_kind(kind):
    version, tee, body, descriptor, service = KINDS[kind]
    data = encode(*KINDS[kind])
    quote = parse_quote(data)
    assert quote == Quote(header(version, tee), body, service, quote.signed, section())
    assert data.startswith(quote.signed) and len(quote.signed) == 48 + len(descriptor + service) + body.size()
    assert quote.body.encode() == body.encode()


@pytest.mark.parametrize("kind", KINDS)
def test_refuses_every_truncation_and_every_trailing_byte(kind):
    data = encode(*KINDS[kind])
    for size in range(len(data)):
        with pytest.raises(WireError):
            parse_quote(data[:size])
    with pytest.raises(WireError, match="trailing"):
        parse_quote(data + b"\x00")


@pytest.mark.parametrize("kind", KINDS)
def test_strips_zero_padding_and_nothing_else(kind):
    data = encode(*KINDS[kind])
    assert strip_zero_padding(data + bytes(99)) == strip_zero_padding(data) == data
    with pytest.raises(WireError, match="not zero padding"):
        strip_zero_padding(data + bytes(99) + b"\x01")


@pytest.mark.parametrize(
    ("version", "tee", "descriptor"),
    [
        (2, 0x81, b""),
        (6, 0x81, b""),
        (4, 0, b""),
        (3, 0x81, b""),
        (5, 0x81, struct.pack("<HI", 4, 648)),
        (5, 0x81, struct.pack("<HI", 2, 648)),
        (5, 0x81, struct.pack("<HI", 1, 384)),
        (5, 0, struct.pack("<HI", 2, 584)),
    ],
)
def test_refuses_unknown_versions_and_body_kinds(version, tee, descriptor):
    with pytest.raises(WireError, match="dcap quote: got"):
        parse_quote(encode(version, tee, filled(TdBody), descriptor))


def test_refuses_lengths_that_disagree():
    data = bytearray(encode(*KINDS["tdx v4"]))
    at = 48 + 584
    for offset in (0, 4 + 128 + 2, 4 + 128 + 6 + 448, 4 + 128 + 6 + 448 + 2 + 32 + 2):
        for change in (-1, 1, 255):
            spoiled = bytearray(data)
            spoiled[at + offset] = (spoiled[at + offset] + change) % 256
            with pytest.raises(WireError):
                parse_quote(bytes(spoiled))


def test_identity_covers_the_signed_region_and_nothing_else():
    same = parse_quote(encode(*KINDS["tdx v4"], signatures=section(b"other")))
    first = parse_quote(encode(*KINDS["tdx v4"]))
    other = parse_quote(encode(4, 0x81, filled(TdBody, 1)))
    assert canonical_id(first) == canonical_id(same) != canonical_id(other)


def test_refuses_to_encode_a_field_of_a_wrong_length():
    body = filled(EnclaveBody)
    wrong = EnclaveBody(*(getattr(body, name) for name in EnclaveBody.__slots__[:-1]), b"short")
    with pytest.raises(WireError, match="report_data"):
        wrong.encode()


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=2000))
def test_random_bytes_are_refused_in_words(data):
    with pytest.raises(WireError):
        parse_quote(data)
