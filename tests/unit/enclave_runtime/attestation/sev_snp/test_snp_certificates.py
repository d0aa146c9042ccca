"""AMD's certificates are read as strictly as they are written; the chain is believed for its pins alone."""

from __future__ import annotations

import random
import warnings
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import example, given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.sev_snp import chain, der
from enclave_runtime.attestation.sev_snp.certificates import (
    Certificate,
    Extension,
    parse_certificate,
    parse_crl,
)
from enclave_runtime.attestation.sev_snp.layout import KEY_VCEK, KEY_VLEK
from enclave_runtime.attestation.sev_snp.vek import AMD_ARC, Vek, encode_extensions, parse_vek
from enclave_runtime.attestation.simulated.snp import SimulatedAmd, SnpWorld, asn1
from enclave_runtime.attestation.snp_rules import SnpTcb
from enclave_runtime.wire.errors import WireError
from tests.evidence.snp_case import NOW, SnpCase, vendor

PARTS = ("ark", "ask", "vek")


def parts(product: str = "Genoa", **world: object) -> dict[str, bytes]:
    amd = vendor(product).collateral(NOW, SnpWorld(**world)).need("amd")  # type: ignore[arg-type]
    return {name: getattr(amd, name) for name in (*PARTS, "crl")}


@pytest.mark.parametrize("name", PARTS)
def test_reads_what_the_library_reads(name):
    data = parts()[name]
    ours = parse_certificate(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = x509.load_der_x509_certificate(data)
        serial = theirs.serial_number
    assert (ours.tbs, ours.signature, ours.serial) == (theirs.tbs_certificate_bytes, theirs.signature, serial)
    assert (ours.subject, ours.issuer) == (theirs.subject.public_bytes(), theirs.issuer.public_bytes())
    assert ours.not_before == theirs.not_valid_before_utc.timestamp()
    assert ours.not_after == theirs.not_valid_after_utc.timestamp()
    for extension in theirs.extensions:
        found = ours.extensions[extension.oid.dotted_string]
        assert found.critical == extension.critical
    names = theirs.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    assert "NOT AMD" in str(names[0].value)


def test_reads_the_revocation_list_that_the_library_reads():
    data = parts(ask_revoked=True)
    ours, theirs = parse_crl(data["crl"]), x509.load_der_x509_crl(data["crl"])
    assert theirs.next_update_utc is not None
    assert (ours.tbs, ours.signature) == (theirs.tbs_certlist_bytes, theirs.signature)
    assert ours.this_update == theirs.last_update_utc.timestamp()
    assert ours.next_update == theirs.next_update_utc.timestamp()
    assert (
        ours.revoked() == {entry.serial_number for entry in theirs} == {parse_certificate(data["ask"]).serial}
    )
    root = x509.load_der_x509_certificate(data["ark"]).public_key()
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    root.verify(theirs.signature, theirs.tbs_certlist_bytes, pss, hashes.SHA384())  # type: ignore[union-attr,call-arg,arg-type]


@pytest.mark.parametrize("name", [*PARTS, "crl"])
def test_no_bit_of_a_certificate_is_free(name):
    """A changed bit is refused by the reader, or changes what is signed, or the signature."""
    data, dice = parts()[name], random.Random(name)
    read = parse_crl if name == "crl" else parse_certificate
    good = read(data)
    for place in range(len(data)):
        spoiled = bytearray(data)
        spoiled[place] ^= 1 << dice.randrange(8)
        try:
            found = read(bytes(spoiled))
        except WireError:
            continue
        assert (found.tbs, found.signature) != (good.tbs, good.signature)


@pytest.mark.parametrize("name", [*PARTS, "crl"])
def test_cut_and_longer_certificates_are_refused(name):
    data = parts()[name]
    read = parse_crl if name == "crl" else parse_certificate
    for size in [*range(40), *range(40, len(data), 13)]:
        with pytest.raises(WireError):
            read(data[:size])
    with pytest.raises(WireError):
        read(data + b"\x00")
    with pytest.raises(WireError):
        read(bytes(1 << 17))


TCB = st.builds(SnpTcb, *[st.integers(0, 255)] * 4)
CHIP = st.binary(min_size=64, max_size=64).filter(any)


def certificate(vek: Vek, name: str = "SEV-VCEK") -> Certificate:
    extensions = {oid: Extension(False, value) for oid, value in encode_extensions(vek).items()}
    return Certificate(b"", b"", 0, b"", b"", name, 0, 0, b"", extensions)


@given(TCB, CHIP, st.sampled_from(["Milan-B0", "Genoa", "Turin"]), st.integers(0, 255))
@example(SnpTcb(127, 128, 255, 0), b"\x04\x3e" + bytes(61) + b"\x01", "Genoa", 0)
def test_a_vceks_facts_survive_their_certificate(tcb, chip, product, fmc):
    turin = product == "Turin"
    chip = (b"\x01" + chip)[:8] if turin else chip
    vek = Vek(KEY_VCEK, product, replace(tcb, fmc=fmc if turin else 0), hwid=chip)
    assert parse_vek(certificate(vek)) == vek
    assert vek.chip_id == chip.ljust(64, b"\x00") and vek.product in ("Milan", "Genoa", "Turin")
    wrapped = certificate(vek)
    value = bytes([4, len(chip)]) + chip
    wrapped = replace(wrapped, extensions={**wrapped.extensions, AMD_ARC + "4": Extension(False, value)})
    assert parse_vek(wrapped) == vek


@given(TCB, st.sampled_from(["CN=cc-us-east-2.amazonaws.com", "x"]))
def test_a_vleks_facts_survive_their_certificate(tcb, csp_id):
    vek = Vek(KEY_VLEK, "Genoa", tcb, csp_id=csp_id)
    assert parse_vek(certificate(vek, "SEV-VLEK")) == vek and vek.chip_id == b""


GOOD = Vek(KEY_VCEK, "Genoa", SnpTcb(1, 2, 3, 4), hwid=b"\x01" * 64)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("1", None),
        ("1", b"\x02\x01\x01"),
        ("1", b"\x02\x02\x00\x00"),
        ("2", None),
        ("2", b"\x0c\x05Genoa"),
        ("2", b"\x16\x00"),
        ("2", b"\x16\x01\x07"),
        ("2", b"\x16\x01\xff"),
        ("3.1", None),
        ("3.1", b"\x02\x02\x01\x00"),
        ("3.1", b"\x02\x01\x80"),
        ("3.3", b"\x04\x01\x01"),
        ("3.4", b"\x02\x01\x01"),
        ("3.8", b"\x02\x01\x01\x00"),
        ("4", None),
        ("4", bytes(64)),
        ("4", b"\x01" * 63),
        ("4", b"\x04\x3f" + b"\x01" * 64),
        ("4", b"\x01" * 8),
    ],
)
def test_badly_written_facts_are_refused(name, value):
    good = certificate(GOOD)
    extensions = {oid: found for oid, found in good.extensions.items() if oid != AMD_ARC + name}
    if value is not None:
        extensions[AMD_ARC + name] = Extension(False, value)
    with pytest.raises(WireError):
        parse_vek(replace(good, extensions=extensions))


def test_other_subjects_and_critical_extensions_are_refused():
    good = certificate(GOOD)
    with pytest.raises(WireError):
        parse_vek(replace(good, common_name="SEV-Genoa"))
    with pytest.raises(WireError, match="critical"):
        parse_vek(replace(good, extensions={**good.extensions, "1.2.3": Extension(True, b"")}))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x80\x00\x00",
        b"\x30\x81\x01\x00",
        b"\x30\x82\x00\x80" + bytes(128),
        b"\x30\x84\x00\x00\x00\x01\x00",
        b"\x1f\x01\x00",
        b"\x30\x02\x00",
        b"\x30\x00\x00",
        b"\x31\x00",
    ],
)
def test_der_has_one_spelling(data):
    with pytest.raises(WireError):
        der.value(data, der.SEQUENCE)


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x00\x01", b"\x00" + b"\x01" * 21, b"\x00" * 2])
def test_integers_have_one_spelling(content):
    with pytest.raises(WireError):
        der.small_integer(der.Value(der.INTEGER, content, b""))


@pytest.mark.parametrize("content", [b"", b"\x2a\x80", b"\x2a\x80\x01", b"\x88\x37"])
def test_identifiers_have_one_spelling(content):
    with pytest.raises(WireError):
        der.oid(der.Value(der.OID, content, b""))
    assert der.oid(der.Value(der.OID, b"\x2a\x86\x48", b"")) == "1.2.840"
    assert der.oid(der.Value(der.OID, b"\x67\x81\x05", b"")) == "2.23.133"


@pytest.mark.parametrize(
    ("tag", "text", "seconds"),
    [
        (0x17, b"700101000000Z", 0),
        (0x17, b"491231235959Z", 2_524_607_999),
        (0x17, b"500101000000Z", -631_152_000),
        (0x18, b"20500101000000Z", 2_524_608_000),
        (0x17, b"7001010000Z", None),
        (0x17, b"700101000000+", None),
        (0x17, b"20500101000000Z", None),
        (0x18, b"700101000000Z", None),
        (0x17, b"701301000000Z", None),
        (0x17, b"700101006000Z", None),
        (0x17, b"70010100000\xb2Z", None),
        (0x02, b"700101000000Z", None),
    ],
)
def test_dates_are_in_utc(tag, text, seconds):
    found = der.Value(tag, text, b"")
    if seconds is not None:
        assert der.time(found) == seconds
        return
    with pytest.raises(WireError):
        der.time(found)


def test_verified_chains_are_kept_within_bounds_and_refusals_are_not():
    chain.clear_cache()
    case = SnpCase()
    case.verify()
    assert chain._verified.cache_info().currsize == 1
    assert chain._verified.cache_info().maxsize == chain.CACHED_CHAINS
    case.verify()
    assert chain._verified.cache_info().hits == 1
    with pytest.raises(AttestationError):
        SnpCase(SnpWorld(vek_forged=True)).verify()
    assert chain._verified.cache_info().currsize == 1


def test_a_kept_chain_still_ends_with_its_dates():
    case = SnpCase()
    case.verify()
    case.now += 40 * 86_400
    with pytest.raises(AttestationError, match="revocation list"):
        case.verify()


def test_a_vendor_survives_its_state_file():
    first = vendor("Turin")
    again = SimulatedAmd.from_state(first.to_state())
    assert again.roots == first.roots and again.chip_id == first.chip_id
    assert SnpCase(product="Turin", collateral=again.collateral(NOW)).verify().root_set == first.roots.id


@pytest.mark.parametrize("state", [b"", b"[]", b"{}", b'{"keys": {"ark": 1}}'])
def test_another_state_file_is_refused(state):
    with pytest.raises(WireError):
        SimulatedAmd.from_state(state)


def test_unsigned_bytes_are_few():
    """Nobody makes a verifier take apart more than a certificate's worth before a signature is checked."""
    with pytest.raises(WireError, match="more than 64"):
        der.parts(b"\x05\x00" * 65)
    for read, limit in ((parse_certificate, 1 << 12), (parse_crl, 1 << 16)):
        with pytest.raises(WireError, match="at most"):
            read(bytes(limit + 1))


def signed(*fields: bytes) -> bytes:
    return asn1._signed(vendor("Genoa")._rsa["ark"], *fields)


def crl_fields(**changes: bytes) -> list[bytes]:
    crl = parse_crl(parts()["crl"])
    names = ("version", "algorithm", "issuer", "this", "next", "extensions")
    found = {name: part.whole for name, part in zip(names, tbs_parts(crl.tbs), strict=True)}
    return list((found | changes).values())


def tbs_parts(tbs: bytes) -> list[der.Value]:
    return der.parts(der.value(tbs, der.SEQUENCE).content)


CRITICAL = bytes.fromhex("a010300e300c06032a030401 01ff04020500".replace(" ", ""))


@pytest.mark.parametrize(
    "changes",
    [
        {"version": b"\x02\x01\x00"},
        {"version": b""},
        {"issuer": b"\x05\x00"},
        {"extensions": CRITICAL},
        {"extensions": b"\x05\x00"},
        {"next": b""},
    ],
)
def test_lists_of_another_shape_are_refused(changes):
    assert parse_crl(signed(*crl_fields()))
    with pytest.raises(WireError):
        parse_crl(signed(*crl_fields(**changes)))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"\xa0\x03\x02\x01\x01"),
        (0, b""),
        (3, b"\x05\x00"),
        (4, b"\x30\x00"),
        (4, b"\x30\x2d" + b"\x17\x0d700101000000Z" * 3),
        (6, b"\x05\x00"),
        (7, b"\xa2\x00"),
    ],
)
def test_certificates_of_another_shape_are_refused(place, value):
    fields = [part.whole for part in tbs_parts(parse_certificate(parts()["ask"]).tbs)]
    assert parse_certificate(signed(*fields))
    fields[place] = value
    with pytest.raises(WireError):
        parse_certificate(signed(*fields))


def test_entries_of_a_list_are_read_behind_its_signature():
    data = parts(ask_revoked=True)
    crl = parse_crl(data["crl"])
    for entries in (b"\x30", b"\x02\x01\x00", b"\x30\x03\x02\x01\x00", b"\x30\x06\x02\x01\x00\x02\x01\x00"):
        with pytest.raises(WireError):
            replace(crl, entries=entries).revoked()


@pytest.mark.parametrize("name", ["", "SEV-\x1b[2J", "SEV-\x00", "x" * 65])
def test_names_that_move_the_cursor_are_refused(name):
    subject = asn1.name("DEV SIMULATED", name)
    with pytest.raises(WireError, match="common name"):
        parse_certificate(
            asn1.certificate(
                subject=subject,
                issuer=subject,
                serial=1,
                dates=(0, 1),
                key=vendor("Genoa")._ec["vcek"].public_key(),
                extensions=(),
                issuer_key=vendor("Genoa")._rsa["ark"],
            )
        )


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_strangers_bytes_are_no_certificates(data):
    for read in (parse_certificate, parse_crl):
        with pytest.raises(WireError):
            read(data)
