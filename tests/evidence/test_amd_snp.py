"""Every SEV-SNP report of the public record, at its own time, under AMD's pinned roots (protocol 4.3)."""

from __future__ import annotations

import hashlib
import random
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from enclave_runtime.attestation.errors import AttestationError, Step
from enclave_runtime.attestation.rules import UnsafeAcceptSimulated
from enclave_runtime.attestation.sev_snp import chain, layout
from enclave_runtime.attestation.sev_snp.certificates import parse_certificate
from enclave_runtime.attestation.sev_snp.products import decode_tcb, product_of
from enclave_runtime.attestation.sev_snp.vek import encode_extensions, parse_vek
from enclave_runtime.attestation.sev_snp.verify import platform_id_hash
from enclave_runtime.attestation.simulated.snp import SimulatedAmd
from enclave_runtime.attestation.snp_rules import SnpRules
from tests.evidence import amd_vectors, vectors
from tests.evidence.amd_vectors import LENIENT, SnpVector

pytestmark = vectors.REQUIRED

OK, REJECT = amd_vectors.parameters("ok"), amd_vectors.parameters("reject")
DEBUG_GUEST = "amd/go-sev-guest/attestation.bin"
GOOD = [item for item in OK if item.values[0].row["file"] != DEBUG_GUEST]
ALL = OK + REJECT
_ORDER_P384 = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16
)
_MIB = 1 << 20


def refused(step: Step, item: SnpVector, **changes: Any) -> AttestationError:
    with pytest.raises(AttestationError) as caught:
        item.verify(**changes)
    assert caught.value.step == step, caught.value
    return caught.value


def test_the_record_is_as_large_as_it_was():
    assert (len(OK), len(REJECT), len(GOOD)) == (8, 3, 7)


@pytest.mark.parametrize("item", ALL)
def test_gives_the_outcome_of_the_record_at_its_time(item):
    assert item.outcome() == item.expected


@pytest.mark.parametrize("item", GOOD)
def test_accepts_what_the_record_accepts(item):
    verdict, fields = item.verify(), item.row["fields"]
    assert not verdict.simulated
    assert verdict.root_set == verdict.trust_class == f"amd-{item.collateral.product.lower()}"
    assert verdict.report_data.hex() == fields["report_data"]
    assert verdict.platform_id_hash == platform_id_hash(bytes.fromhex(fields["chip_id"]))
    assert verdict.tcb_status == ("OutOfDate" if fields.get("model") == 17 else "Unrated")


@pytest.mark.parametrize("item", REJECT)
def test_refuses_what_the_record_rejects_at_the_chain(item):
    refused(Step.CHAIN, item)


def test_a_guest_in_debug_is_refused_as_that_and_nothing_else():
    (item,) = (item.values[0] for item in OK if item.values[0].row["file"] == DEBUG_GUEST)
    refused(Step.DEBUG, item)


@pytest.mark.parametrize("item", ALL)
def test_reads_the_fields_that_the_record_has(item):
    report, _, _ = layout.parse_report(item.report)
    fields = dict(item.row["fields"])
    milan_or_genoa = fields.pop("turin") is False
    for name in ("reported_tcb", "current_tcb", "committed_tcb", "launch_tcb"):
        tcb = decode_tcb(getattr(report, name), item.collateral.product)
        assert {key: getattr(tcb, key) for key in fields.pop(name)} | {"fmc": 0} == {
            "bl": tcb.bl,
            "tee": tcb.tee,
            "snp": tcb.snp,
            "ucode": tcb.ucode,
            "fmc": 0,
        }
    for name in ("chip_id", "measurement", "report_data", "report_id", "host_data", "id_key_digest"):
        assert getattr(report, name).hex() == fields[name]
    for name in ("version", "policy", "vmpl", "guest_svn", "key_info"):
        assert getattr(report, name) == fields[name]
    assert report.platform_info == fields["plat_info"] and milan_or_genoa
    assert report.guest(layout.GuestPolicy.DEBUG) == fields["debug"]
    assert [*report.current_version[2::-1]] == fields["current"]
    if report.version >= 3:
        assert [*report.cpuid] == [fields["fam"], fields["model"], fields["step"]]
        # One rejected row holds a Milan report against a Genoa chain: the processor says which it is.
        assert product_of(report) == ("Genoa" if fields["model"] == 17 else "Milan")
    assert hashlib.sha256(item.report).hexdigest() == item.row["sha256"]


@pytest.mark.parametrize("item", GOOD)
def test_the_defaults_refuse_each_for_its_own_reason(item):
    strict = replace(LENIENT, unsafe_accept_without_crl=False)
    assert "no revocation list" in refused(Step.REVOCATION, item, snp=strict).got
    if item.collateral.product == "Milan":
        assert "Milan" in refused(Step.TCB, item, snp=replace(LENIENT, accept_milan=False)).got
    refused(Step.TCB, item, tcb_statuses=frozenset({"UpToDate"}))
    refused(Step.TCB, item, snp=replace(LENIENT, require_closed_page_oracle=True))
    refused(
        Step.REVOCATION if item.row["fields"]["signing_key"] == "VCEK" else Step.CHAIN, item, snp=SnpRules()
    )


def test_a_clouds_key_needs_its_rules():
    (item,) = (item.values[0] for item in GOOD if item.values[0].row["fields"]["signing_key"] == "VLEK")
    assert "us-east-2.amazonaws.com" in item.verify().facts["signing key"]
    assert "VLEK" in refused(Step.CHAIN, item, snp=replace(LENIENT, accept_vlek=False)).got
    assert "masked" in refused(Step.TCB, item, snp=replace(LENIENT, accept_masked_chip=False)).got
    assert "VMPL 1" in refused(Step.DEBUG, item, snp=replace(LENIENT, max_vmpl=0)).got
    # No list of platforms can name a machine that does not say which it is.
    refused(Step.TCB, item, platforms=frozenset({platform_id_hash(bytes(64))}))


@pytest.mark.parametrize("item", GOOD)
def test_holds_to_the_second_and_not_one_longer(item):
    vek = parse_certificate(item.collateral.vek)
    assert item.verify(now=vek.not_before) and item.verify(now=vek.not_after)
    assert item.verify().collateral_expires_at == vek.not_after
    for now in (vek.not_before - 1, vek.not_after + 1):
        refused(Step.CHAIN, item, now=now)


@pytest.mark.parametrize("item", GOOD)
def test_each_binding_and_reference_value_counts(item):
    refused(Step.REPORT_DATA, item, report_data=b"\xff" * 64)
    refused(Step.MEASUREMENT, item, measurements=frozenset({bytes(32)}))
    refused(Step.TCB, item, min_tcb_eval_number=999_999)
    refused(Step.TCB, item, platforms=frozenset({bytes(32)}))
    refused(Step.POLICY, item, measurements=frozenset())


@pytest.mark.parametrize("item", GOOD)
def test_real_and_simulated_roots_never_stand_for_each_other(item):
    simulated = SimulatedAmd.create(item.collateral.product)
    acknowledged = UnsafeAcceptSimulated(simulated.roots.id)
    refused(Step.CHAIN, item, roots=simulated.roots, simulated=acknowledged)
    with pytest.raises(AttestationError) as caught:
        item.verify(collateral=simulated.collateral(item.row["now"]).need("amd"))
    assert caught.value.step == Step.CHAIN


def test_the_root_of_another_product_is_refused():
    for item in (item.values[0] for item in GOOD):
        other = "Turin" if item.collateral.product == "Genoa" else "Genoa"
        collateral = replace(item.collateral, product=other)
        refused(Step.CHAIN, item, collateral=collateral)


def test_reads_amds_certificates_as_the_library_does():
    found = 0
    for path in sorted((vectors.ROOT / "amd").rglob("*")):
        data = path.read_bytes() if path.is_file() and path.suffix != ".json" else b""
        if data[:2] != b"\x30\x82" and b"-----BEGIN CERTIFICATE" not in data:
            continue
        for der in amd_vectors.certificates(data):
            ours = parse_certificate(der)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of serial number 0, which is why the reader is our own
                theirs = x509.load_der_x509_certificate(der)
                serial = theirs.serial_number
            assert (ours.tbs, ours.signature) == (theirs.tbs_certificate_bytes, theirs.signature)
            assert (ours.serial, ours.subject) == (serial, theirs.subject.public_bytes())
            dates = theirs.not_valid_before_utc, theirs.not_valid_after_utc
            assert [ours.not_before, ours.not_after] == [date.timestamp() for date in dates]
            assert ours.extensions.keys() == {extension.oid.dotted_string for extension in theirs.extensions}
            if ours.common_name in ("SEV-VCEK", "SEV-VLEK"):
                assert ours.serial == 0 and parse_vek(ours).product in ("Milan", "Genoa")
            found += 1
    assert found == 39


@pytest.mark.parametrize("item", GOOD)
def test_the_simulation_writes_amds_extensions_in_amds_order(item):
    real = parse_certificate(item.collateral.vek)
    vek = parse_vek(real)
    assert list(encode_extensions(vek).items()) == [
        (oid, found.value) for oid, found in real.extensions.items()
    ]


@pytest.mark.parametrize("item", GOOD)
def test_the_signatures_twin_is_the_same_evidence(item):
    _, r, s = layout.parse_report(item.report)
    twin = layout.encode_report(item.report[: layout.SIGNED_BYTES], r, _ORDER_P384 - s)
    assert twin != item.report
    assert item.verify(report=twin).canonical_id == item.verify().canonical_id


def refusal_seconds(verify: Callable[[bytes], object], data: bytes) -> float:
    """Return the processor time of one refusal, and check that it is one."""
    start = time.thread_time()
    with pytest.raises(AttestationError):
        verify(data)
    return time.thread_time() - start


def flips(
    data: bytes, places: Iterable[int], verify: Callable[[bytes], object], bits: Iterable[int]
) -> tuple[int, float]:
    """Check that no copy with one bit changed verifies; return how many, and the slowest in seconds."""
    tried, slowest = 0, 0.0
    for place in places:
        for bit in bits:
            spoiled = bytearray(data)
            spoiled[place] ^= 1 << bit
            took, tried = refusal_seconds(verify, bytes(spoiled)), tried + 1
            if took > slowest:  # twice more: the collector may have run in the middle
                took = min(took, *(refusal_seconds(verify, bytes(spoiled)) for _ in range(2)))
            slowest = max(slowest, took)
    return tried, slowest


def genoa() -> SnpVector:
    (item,) = (item.values[0] for item in GOOD if item.values[0].collateral.product == "Genoa")
    assert isinstance(item, SnpVector)
    return item


def test_no_byte_of_a_report_can_change():
    item, dice = genoa(), random.Random(1)
    tried, _ = flips(
        item.report, range(layout.REPORT_BYTES), lambda data: item.verify(report=data), [dice.randrange(8)]
    )
    assert tried == layout.REPORT_BYTES


@pytest.mark.parametrize("part", ["vek", "ask", "ark"])
def test_no_byte_of_a_certificate_can_change(part):
    item = genoa()
    data, dice = getattr(item.collateral, part), random.Random(part)
    flips(
        data,
        range(0, len(data), 3),
        lambda spoiled: item.verify(collateral=replace(item.collateral, **{part: spoiled})),
        [dice.randrange(8)],
    )


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("item", GOOD)
def test_no_bit_can_change_nor_cost_much(item):
    good = min(_seconds(item) for _ in range(5))
    tried, slowest = flips(
        item.report, range(layout.REPORT_BYTES), lambda data: item.verify(report=data), range(8)
    )
    for part in ("vek", "ask", "ark"):
        data = getattr(item.collateral, part)
        more, slow = flips(
            data,
            range(len(data)),
            lambda spoiled, part=part: item.verify(collateral=replace(item.collateral, **{part: spoiled})),
            range(8),
        )
        tried, slowest = tried + more, max(slowest, slow)
    assert tried > 40_000 and slowest < 10 * good, (tried, slowest, good)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_no_changed_byte_costs_memory():
    item = genoa()
    tracemalloc.start()
    try:
        flips(item.report, range(layout.REPORT_BYTES), lambda data: item.verify(report=data), [0, 7])
        flips(
            item.collateral.vek,
            range(len(item.collateral.vek)),
            lambda data: item.verify(collateral=replace(item.collateral, vek=data)),
            [0, 7],
        )
        assert tracemalloc.get_traced_memory()[1] < 64 * _MIB
    finally:
        tracemalloc.stop()


def _seconds(item: SnpVector) -> float:
    chain.clear_cache()
    start = time.thread_time()
    item.verify()
    return time.thread_time() - start
