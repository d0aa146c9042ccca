"""Chains, DICE extensions, OCSP answers: who may sign what; nothing that does not parse gets through."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from enclave_runtime.attestation.nvidia import dice
from enclave_runtime.attestation.nvidia.chain import load, raw_signature_holds, spki, verified_chain
from enclave_runtime.attestation.nvidia.identity import identify
from enclave_runtime.attestation.nvidia.ocsp import MAX_OCSP_BYTES, check_certificate, parse_answers
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.simulated.nvidia import answers, certs, reports
from enclave_runtime.attestation.simulated.nvidia.certs import Identity, issue, new_key
from enclave_runtime.wire.errors import WireError

NOW = 1_790_000_000
ROOT = issue("root", new_key(), None)
MIDDLE = issue("middle", new_key(), ROOT)
LEAF = issue("leaf", new_key(), MIDDLE, ca=False)


def made(
    issuer: Identity,
    *extensions: tuple[x509.ExtensionType, bool],
    subject: str = "made",
    key: object = None,
    algorithm: hashes.HashAlgorithm | None = None,
    serial: int = 77,
) -> bytes:
    """Return a certificate with just these extensions, DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    signing = key or new_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.cert.subject)
        .public_key(signing.public_key())
        .serial_number(serial)
        .not_valid_before(datetime.fromtimestamp(NOW - 10, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW + 10, UTC))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer.key, algorithm or hashes.SHA384()).public_bytes(Encoding.DER)


def usage(*, sign: bool = False, certify: bool = False) -> tuple[x509.KeyUsage, bool]:
    return x509.KeyUsage(sign, False, False, False, False, certify, False, False, False), True


def refused(*ders: bytes) -> str:
    with pytest.raises(WireError) as caught:
        verified_chain(ders)
    return str(caught.value)


def test_a_chain_gives_its_leaf_root_and_common_dates():
    chain = verified_chain((LEAF.der, MIDDLE.der, ROOT.der))
    assert (chain.leaf, chain.root_der) == (LEAF.cert, ROOT.der)
    dated = made(MIDDLE, usage(sign=True))
    chain = verified_chain((dated, MIDDLE.der, ROOT.der))
    assert (chain.not_before, chain.not_after) == (NOW - 10, NOW + 10)


def test_an_order_gap_repeat_or_stranger_is_refused():
    stranger = issue("root", new_key(), None)
    for chain in (
        (LEAF.der,),
        (LEAF.der, ROOT.der),
        (MIDDLE.der, ROOT.der),
        (LEAF.der, MIDDLE.der),
        (LEAF.der, MIDDLE.der, MIDDLE.der),
        (ROOT.der, MIDDLE.der, LEAF.der),
        (LEAF.der, MIDDLE.der, stranger.der),
        (LEAF.der, LEAF.der, MIDDLE.der, ROOT.der),
    ):
        refused(*chain)


def test_constraints_of_each_certificate_hold():
    tight = issue("tight", new_key(), ROOT)
    limited = made(ROOT, (x509.BasicConstraints(True, 0), True), usage(certify=True), subject="limited")
    below = Identity(new_key(), x509.load_der_x509_certificate(limited))
    assert tight.cert.subject != below.cert.subject
    for der, words in (
        (made(MIDDLE), "without key usage"),
        (made(MIDDLE, usage(certify=True)), "may not sign evidence"),
        (made(MIDDLE, usage(sign=True), (x509.BasicConstraints(True, None), True)), "authority at place 0"),
        (made(MIDDLE, usage(sign=True), (x509.InhibitAnyPolicy(0), True)), "critical"),
        (made(MIDDLE, usage(sign=True), key=rsa.generate_private_key(65537, 2048)), ""),
        (made(MIDDLE, usage(sign=True), key=ec.generate_private_key(ec.SECP256R1())), ""),
        (made(MIDDLE, usage(sign=True), algorithm=hashes.SHA256()), "algorithm"),
    ):
        if words:
            assert words in refused(der, MIDDLE.der, ROOT.der)
        else:
            chain = verified_chain((der, MIDDLE.der, ROOT.der))
            with pytest.raises(WireError):
                spki(chain.leaf)
    for authority in (
        made(ROOT, usage(certify=True), subject="no constraints", key=new_key()),
        made(ROOT, (x509.BasicConstraints(True, None), True), usage(sign=True), subject="no usage"),
    ):
        refused(LEAF.der, authority, ROOT.der)


def test_the_path_length_of_an_authority_holds():
    key = new_key()
    for limit, fits in ((0, False), (1, True)):
        top = made(
            ROOT, (x509.BasicConstraints(True, limit), True), usage(certify=True), subject="top", key=key
        )
        above = Identity(key, x509.load_der_x509_certificate(top))
        middle = issue("below", new_key(), above)
        leaf = issue("end", new_key(), middle, ca=False)
        chain = (leaf.der, middle.der, top, ROOT.der)
        if fits:
            verified_chain(chain)
        else:
            assert "allows 0" in refused(*chain)


def re_serialled(der: bytes, serial: int) -> bytes:
    """Return a certificate with another serial number (its signature is then nobody's)."""
    content = serial.to_bytes(serial.bit_length() // 8 + 1, "big", signed=True)
    place = der.index(b"\xa0\x03\x02\x01\x02\x02") + 5
    old = 2 + der[place + 1]
    body = der[4:place] + bytes([2, len(content)]) + content + der[place + old :]
    shift = len(content) + 2 - old
    size = int.from_bytes(der[6:8], "big") + shift  # of the signed part, which comes first
    body = body[:2] + size.to_bytes(2, "big") + body[4:]
    return der[:2] + len(body).to_bytes(2, "big") + body


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_bytes_that_are_no_certificate_are_refused():
    for der in (b"", b"0", LEAF.der[:-1], LEAF.der + b"\0", b"\x30\x80" + LEAF.der, LEAF.der[4:]):
        with pytest.raises(WireError):
            load(der)
    for serial in (0, -1, 1 << 160):
        with pytest.raises(WireError) as caught:
            load(re_serialled(LEAF.der, serial))
        assert "serial" in str(caught.value)
    head, tail = LEAF.der[: -len(LEAF.cert.signature) - 1], LEAF.cert.signature
    assert head + b"\0" + tail == LEAF.der
    long = b"\x03\x82\x01\x2d\0" + bytes(300)
    body = LEAF.der[4 : -len(tail) - 3] + long
    with pytest.raises(WireError) as caught:
        load(b"\x30\x82" + len(body).to_bytes(2, "big") + body)
    assert "whole bytes" in str(caught.value)
    for unused in range(1, 8):  # bits that the signature's last byte would not have
        with pytest.raises(WireError):
            load(head + bytes([unused]) + tail)
    other_algorithm = LEAF.der.replace(
        bytes.fromhex("2a8648ce3d040303"), bytes.fromhex("2a8648ce3d040302"), 1
    )
    with pytest.raises(WireError):
        load(other_algorithm)


def test_signatures_are_96_bytes_of_the_keys_own():
    key = new_key()
    signature = certs.raw_signature(key, b"message")
    assert raw_signature_holds(key.public_key(), signature, b"message")
    for bad in (
        b"",
        signature[:-1],
        signature + b"\0",
        bytes(96),
        b"\xff" * 96,
        signature[48:] + signature[:48],
    ):
        assert not raw_signature_holds(key.public_key(), bad, b"message")
    assert not raw_signature_holds(key.public_key(), signature, b"massage")


FWID = b"\x44" * 48


def device_chain(
    name: str, extensions: list[tuple[str, bytes]], *, rom: str = "", maker: str = "", more: int = 0
) -> tuple[bytes, ...]:
    """Return the chain of a device; its boot ROM's key is MIDDLE's."""
    authorities = [issue("identity", new_key(), ROOT)]
    authorities.extend(issue(f"more {number}", new_key(), authorities[-1]) for number in range(more))
    provisioner = issue(maker or f"X {name.split()[0]} Provisioner ICA", new_key(), authorities[-1])
    below = issue(rom or name.replace("FMC LF", "BROM"), MIDDLE.key, provisioner)
    leaf = issue(name, new_key(), below, ca=False, extensions=extensions)
    above = [identity.der for identity in reversed(authorities)]
    return leaf.der, below.der, provisioner.der, *above, ROOT.der


def test_leaves_name_chip_firmware_and_boot_rom():
    rom = certs.spki(MIDDLE.key)
    hopper = [("2.23.133.5.4.1", reports.dice_extension("HOPPER", rom, FWID, "good"))]
    found = identify(device_chain("GH100 A01 GSP FMC LF", hopper))
    assert (found.architecture, found.chip, found.firmware) == (
        "HOPPER",
        "GH100",
        dice.Firmware(FWID, rom, 0),
    )
    assert found.rom_key == rom and len(found.device_id) == 32
    blackwell = [("2.23.133.5.4.1.1", reports.dice_extension("BLACKWELL", rom, FWID, "debug"))]
    firmware = identify(device_chain("GB100 A01 GSP FMC LF", blackwell)).firmware
    assert firmware == dice.Firmware(FWID, None, 1 | dice.DEBUG | 1 << 31)
    assert identify(device_chain("LS_10 A01 FSP FMC LF", hopper)).kind.value == "nvswitch"
    for name in ("GA100 A01 GSP FMC LF", "GH100", "GH100 A01 GSP FMC LF ", "GH100 A01 GSP BROM", ""):
        with pytest.raises(WireError):
            identify(device_chain(name or "x", hopper))
    leaf = "GH100 A01 GSP FMC LF"
    for other in (
        {"rom": "GH100 A02 GSP BROM"},
        {"rom": "GB100 A01 GSP BROM"},
        {"maker": "X GB100 Provisioner ICA"},
        {"maker": "GH100 Provisioner"},
        {"more": 1},
    ):
        with pytest.raises(WireError):
            identify(device_chain(leaf, hopper, **other))
    for extensions in ([], hopper + blackwell):
        with pytest.raises(WireError):
            identify(device_chain("GH100 A01 GSP FMC LF", extensions))


@pytest.mark.parametrize("architecture", ["HOPPER", "BLACKWELL"])
def test_dice_extensions_of_another_shape_are_refused(architecture):
    good = reports.dice_extension(architecture, certs.spki(MIDDLE.key), FWID, "good")
    oid = reports.DICE_OID[architecture]
    spoiled = [good[:end] for end in range(0, len(good), 5)]
    spoiled += [
        good + b"\0",
        good + good,
        b"\x30\0",
        b"\x31" + good[1:],
        b"\x30\x84" + bytes(4),
        b"\x30\x81\x05abcde",
    ]
    spoiled += [good.replace(bytes.fromhex("0430"), bytes.fromhex("0530"), 1)]
    spoiled += [
        good.replace(bytes.fromhex("0609608648016503040202"), bytes.fromhex("0609608648016503040201"), 1)
    ]
    if architecture == "BLACKWELL":
        flags = bytes.fromhex("87050080000001")
        assert flags in good
        for bad in ("870503800000", "87050180000001", "870100", "8700"):
            spoiled.append(rewrapped(good, flags, bytes.fromhex(bad)))
        spoiled.append(rewrapped(good, flags, b""))
        spoiled.append(rewrapped(good, flags, flags + flags))
        spoiled.append(rewrapped(good, b"\x83\x01\x01", b"\x8f\x01\x01"))
    else:
        spoiled.append(good.replace(b"\x02\x01\x01", b"\x02\x01\x02", 1))
    for value in spoiled:
        leaf = issue("leaf", new_key(), MIDDLE, ca=False, extensions=[(oid, value)])
        with pytest.raises(WireError):
            dice.parse_firmware(leaf.cert)


def rewrapped(der: bytes, old: bytes, new: bytes) -> bytes:
    """Return a sequence (long form) with `old` inside replaced."""
    content = der[3:].replace(old, new, 1)
    return b"\x30\x81" + bytes([len(content)]) + content


def ask(*ders: bytes, required: bool = True, now: int = NOW) -> int | None:
    return check_certificate(LEAF.cert, MIDDLE.der, parse_answers(ders), required=required, now=now)


def test_good_answers_count_until_their_end():
    good = answers.answer(LEAF.cert, MIDDLE, NOW, "good")
    assert ask(good) == NOW - 3600 + answers.DAY_S
    stale, other = (
        answers.answer(LEAF.cert, MIDDLE, NOW, "stale"),
        answers.answer(MIDDLE.cert, ROOT, NOW, "good"),
    )
    assert ask(stale, other, good) == ask(good) and ask(other, required=False) is None
    for bad in ((), (other,), (stale,), (good, answers.answer(LEAF.cert, MIDDLE, NOW, "revoked"))):
        with pytest.raises(DeviceError) as caught:
            ask(*bad)
        assert caught.value.check is Check.REVOCATION


def build(
    signer: Identity, responder: x509.Certificate | None, algorithm: hashes.HashAlgorithm | None = None
) -> bytes:
    first = datetime.fromtimestamp(NOW - 10, UTC)
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=LEAF.cert,
            issuer=MIDDLE.cert,
            algorithm=algorithm or hashes.SHA384(),
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=first,
            next_update=first + timedelta(seconds=20),
            revocation_time=None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder or signer.cert)
    )
    if responder is not None:
        builder = builder.certificates([responder])
    return builder.sign(signer.key, hashes.SHA384()).public_bytes(Encoding.DER)


def test_the_issuer_or_its_responder_signs_and_nobody_else():
    assert ask(build(MIDDLE, None)) == NOW + 10
    named = issue("responder", new_key(), MIDDLE, ca=False, ocsp=True)
    assert ask(build(named, named.cert)) == NOW + 10
    unnamed = issue("not one", new_key(), MIDDLE, ca=False)
    of_another = issue("responder", new_key(), ROOT, ca=False, ocsp=True)
    for der in (
        build(ROOT, None),
        build(named, None),
        build(unnamed, unnamed.cert),
        build(of_another, of_another.cert),
    ):
        with pytest.raises(DeviceError) as caught:
            ask(der)
        assert "signed" in caught.value.got


def test_a_responder_counts_in_its_own_dates_only():
    dates = certs.Dates(NOW - 5, NOW + 5)
    named = issue("responder", new_key(), MIDDLE, ca=False, ocsp=True, dates=dates)
    der = build(named, named.cert)
    assert ask(der) == NOW + 5
    for now in (NOW - 6, NOW + 6):
        with pytest.raises(DeviceError):
            ask(der, now=now)


def test_answers_that_name_the_issuer_by_a_broken_hash_are_none():
    with pytest.raises(DeviceError) as caught:
        ask(build(MIDDLE, None, hashes.SHA1()))
    assert "no OCSP answer" in caught.value.got


def test_answers_that_do_not_parse_are_refused():
    good = build(MIDDLE, None)
    failed = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    for der in (b"0", good[:-1], good + b"\0", bytes(MAX_OCSP_BYTES + 1), failed.public_bytes(Encoding.DER)):
        with pytest.raises(DeviceError) as caught:
            ask(der)
        assert caught.value.check is Check.PARSE


def test_refusals_say_where_and_keep_their_words():
    error = DeviceError(Check.CHAIN, "a: b", "c")
    assert error.got == "devices, chain: a: b" and error.device is None
    assert error.on(3).got == "device 3, chain: a: b" and error.on(3).expected == "c"
    assert error.on(3).check is Check.CHAIN and replace(certs.FOREVER, first=1).first == 1
