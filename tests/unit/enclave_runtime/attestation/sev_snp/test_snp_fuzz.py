"""Strangers' reports, certificates and lists never raise anything but our errors, and never pass for others.

Changes know the structure: fields of a report, tags and lengths of DER at every depth, pieces cut out,
doubled and swapped. A few hundred cases run always; 200,000 for each parser under the mark `heavy`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.collateral import AmdCollateral, Collateral
from enclave_runtime.attestation.errors import AttestationError
from enclave_runtime.attestation.sev_snp import der, layout
from enclave_runtime.attestation.sev_snp.certificates import parse_certificate, parse_crl
from enclave_runtime.attestation.sev_snp.vek import parse_vek
from enclave_runtime.wire.errors import WireError
from tests.evidence.snp_case import NOW, SnpCase, vendor

FIELDS = (
    0,
    4,
    8,
    0x10,
    0x30,
    0x34,
    0x38,
    0x40,
    0x48,
    0x4C,
    0x50,
    0x90,
    0xC0,
    0xE0,
    0x110,
    0x140,
    0x160,
    0x180,
    0x188,
    0x18B,
    0x1A0,
    0x1E0,
    0x1E8,
    0x1EC,
    0x1F0,
    0x1F8,
    0x200,
    0x208,
    0x2A0,
    0x2E8,
    0x330,
)
KINDS = ("set", "flip", "cut", "double", "fill", "swap")
LIKELY = bytes([0, 1, 2, 3, 5, 0x7F, 0x80, 0x81, 0x82, 0x83, 0x84, 0xFF])
EDIT_BYTES = 5
EDITS = st.binary(min_size=EDIT_BYTES, max_size=5 * EDIT_BYTES)
"""One to five changes, each: kind, place, value, size. One draw, since many are wanted."""

SEEDS, COPIES_PER_SEED = 800, 250
PARTS = ("report", "vek", "ask", "crl")


def good() -> dict[str, bytes]:
    amd = vendor("Genoa").collateral(NOW).need("amd")
    report = SnpCase().report
    assert report is not None
    return {"report": report, "vek": amd.vek, "ask": amd.ask, "crl": amd.crl, "ark": amd.ark}


GOOD: dict[str, bytes] = {}


def parts() -> dict[str, bytes]:
    if not GOOD:
        GOOD.update(good())
    return GOOD


def places(data: bytes) -> list[int]:
    """Return where each DER value in `data` begins, at every depth."""
    found, todo = [], [(0, data)]
    while todo:
        start, piece = todo.pop()
        try:
            values = der.parts(piece)
        except WireError:
            continue
        for value in values:
            found.append(start)
            header = len(value.whole) - len(value.content)
            if value.tag & 0x20 or value.tag == der.OCTET_STRING:
                todo.append((start + header, value.content))
            start += len(value.whole)
    return found


def edits_in(seed: bytes) -> Iterator[tuple[str, int, int, int]]:
    for kind, high, low, value, size in zip(*[iter(seed)] * EDIT_BYTES, strict=False):
        likely = LIKELY[value % len(LIKELY)] if size & 0x80 else value
        yield KINDS[kind % len(KINDS)], high << 8 | low, likely, 1 + size % 24


def change(name: str, seed: bytes) -> bytes:
    data = bytearray(parts()[name])
    anchors = FIELDS if name == "report" else PLACES.setdefault(name, places(bytes(data)))
    for kind, where, value, size in edits_in(seed):
        if not data:
            break
        # Half of the changes begin at a field or value, or at the length behind a tag.
        at = (anchors[where % len(anchors)] + (where >> 8 & 1) if where & 1 else where) % len(data)
        if kind == "set":
            data[at] = value
        elif kind == "flip":
            data[at] ^= 1 << value % 8
        elif kind == "cut":
            del data[at : at + size]
        elif kind == "double":
            data[at:at] = data[at : at + size]
        elif kind == "fill":
            data[at : at + size] = bytes([value]) * len(data[at : at + size])
        else:
            other = anchors[value % len(anchors)] % len(data)
            piece = data[at : at + size]
            data[at : at + size] = data[other : other + size]
            data[other : other + size] = piece
    return bytes(data)


PLACES: dict[str, list[int]] = {}


def read_certificate(data: bytes) -> object:
    found = parse_certificate(data)
    if found.common_name in ("SEV-VCEK", "SEV-VLEK"):
        parse_vek(found)
    return found


READERS: dict[str, Callable[[bytes], object]] = {
    "report": layout.parse_report,
    "vek": read_certificate,
    "ask": read_certificate,
    "crl": parse_crl,
}


def attack(name: str, data: bytes) -> None:
    try:
        READERS[name](data)
    except WireError:
        return
    # What can be read is what it was, or is refused by a signature.
    amd = {part: data if part == name else parts()[part] for part in ("vek", "ask", "ark", "crl")}
    case = SnpCase(
        report=data if name == "report" else parts()["report"],
        collateral=Collateral(amd=AmdCollateral("Genoa", **amd)),
    )
    try:
        case.verify()
    except AttestationError:
        return
    original = parts()[name]
    assert data == original or (
        name == "report" and data[: layout.SIGNED_BYTES] == original[: layout.SIGNED_BYTES]
    )


@pytest.mark.parametrize("name", PARTS)
def test_changed_bytes_are_refused(name):
    @settings(max_examples=100, deadline=None)
    @given(EDITS)
    def run(seed):
        attack(name, change(name, seed))

    run()


def derived(seed: bytes) -> Iterator[bytes]:
    """Return the changes that follow from a seed: drawing each by itself would take most of the time."""
    dice = random.Random(seed)
    for _ in range(COPIES_PER_SEED):
        yield dice.randbytes(EDIT_BYTES * dice.randint(1, 5))


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PARTS)
def test_two_hundred_thousand_changed_copies_are_refused(name):
    tried = 0

    @settings(max_examples=SEEDS, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(min_size=16, max_size=16))
    def run(seed):
        nonlocal tried
        for edits in derived(seed):
            attack(name, change(name, edits))
            tried += 1

    run()
    assert tried >= 200_000
