"""Structure-aware fuzzing of every parser of Intel evidence: nothing but our own error comes out.

The inputs are encodings of the SIMULATED vendor with some of their pieces cut, doubled, moved, overwritten or
given other lengths; test_signed_again_intel.py goes on behind their signatures. A few cases run always,
200,000 of each parser under the `heavy` mark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.collateral.intel import IntelCollateral
from enclave_runtime.attestation.dcap import facts, pck
from enclave_runtime.attestation.dcap.ccel import parse_any_log
from enclave_runtime.attestation.dcap.layout import Quote, parse_quote
from enclave_runtime.attestation.model import Evidence
from enclave_runtime.attestation.registry import verifier_for
from enclave_runtime.attestation.simulated.intel_world import Form
from tests.evidence.fuzzing import HEAVY_CASES, Tally, fuzz
from tests.evidence.mutations import mutated
from tests.evidence.test_intel_eventlog import ccel
from tests.fakes.intel_case import IntelCase

CASES = {form: IntelCase(form) for form in Form}
INTEL = CASES[Form.TDX_V4].collateral.need("intel")
QUOTES = [case.evidence.quote for case in CASES.values()]
IDENTITIES = {case.verify().canonical_id for case in CASES.values()}
CHAIN = parse_quote(QUOTES[0]).signatures.cert_data
EXTENSION = pck.encode_extension(
    pck.PckExtension(bytes(16), bytes(16), 1, bytes(2), bytes(6)), platform_instance_id=bytes(16)
)
LOGS = [
    b"[]",
    b'[{"imr":0,"event_type":1,"digest":"' + b"00" * 48 + b'","event":"","event_payload":""}]',
    ccel((1, 4, b"\0\0\0\0"), (2, 0x80000001, b"name"), tail=b"\xff" * 16),
]


def quote_parser(data: bytes) -> None:
    quote = parse_quote(data)
    assert encoded(quote) == data, "what parses is what was encoded"


def encoded(quote: Quote) -> bytes:
    return quote.signed + quote.signatures.encode(quote.header.version)


def chain_parser(data: bytes) -> None:
    assert pck.encode_chain(*pck.parse_chain(data)).removesuffix(b"\0") == data.removesuffix(b"\0")


def extension_parser(data: bytes) -> None:
    assert len(pck.read_extension(data).ppid) == 16


def log_parser(data: bytes) -> None:
    assert all(0 <= event.imr <= 3 and len(event.digest) == 48 for event in parse_any_log(data))


def info_parser(data: bytes) -> None:
    facts.read_statements(replace(INTEL, tcb_info=data.decode("utf-8", "replace")))


def identity_parser(data: bytes) -> None:
    facts.read_statements(replace(INTEL, qe_identity=data.decode("utf-8", "replace")))


def list_parser(data: bytes) -> None:
    roots = CASES[Form.TDX_V4].vendor.roots
    facts.read_anchors(replace(INTEL, pck_crl=data), roots)


def collateral_parser(data: bytes) -> None:
    assert isinstance(Collateral.from_bytes(data), Collateral)


def verifier(data: bytes) -> None:
    form = Form.SGX_V3 if data[:1] == b"\x03" else Form.TDX_V4
    case = CASES[form]
    verdict = verifier_for(case.tee).verify(
        Evidence(case.tee, data),
        case.collateral,
        roots=case.vendor.roots,
        policy=case.policy,
        expected_report_data=case.report_data,
        now=case.now,
    )
    assert verdict.canonical_id in IDENTITIES, "what verifies is what was signed"


PARSERS: dict[str, tuple[Callable[[bytes], None], list[bytes]]] = {
    "quote": (quote_parser, QUOTES),
    "PCK chain": (chain_parser, [CHAIN]),
    "SGX extension": (extension_parser, [EXTENSION]),
    "event log": (log_parser, LOGS),
    "TCB info": (info_parser, [INTEL.tcb_info.encode()]),
    "QE identity": (identity_parser, [INTEL.qe_identity.encode()]),
    "revocation list": (list_parser, [INTEL.pck_crl, INTEL.root_ca_crl]),
    "collateral": (collateral_parser, [INTEL.to_bytes(), CASES[Form.SGX_V3].collateral.to_bytes()]),
    "verifier": (verifier, QUOTES),
}


def fuzz_bytes(name: str, cases: int) -> Tally:
    parse, bases = PARSERS[name]
    return fuzz(parse, lambda dice: mutated(dice, bases), cases)


@pytest.mark.parametrize("name", PARSERS)
def test_some_cases_raise_nothing_but_our_error(name):
    fuzz_bytes(name, 400).assert_deep(400, 2)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PARSERS)
def test_200_000_cases_raise_nothing_but_our_error(name):
    fuzz_bytes(name, HEAVY_CASES).assert_deep(HEAVY_CASES, 4)


def test_every_base_is_good_before_it_is_spoiled():
    for parse, bases in PARSERS.values():
        for data in bases:
            parse(data)
    assert isinstance(INTEL, IntelCollateral)
