"""Structure-aware fuzzing of each parser: mutated good inputs give a value or our own error, nothing else.

An example carries several mutations of one input, so that 200,000 cases are minutes, not hours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enclave_runtime.attestation.nvidia import dice
from enclave_runtime.attestation.nvidia.chain import load, verified_chain
from enclave_runtime.attestation.nvidia.evidence import DeviceKind, GpuEvidence
from enclave_runtime.attestation.nvidia.facts import read_facts
from enclave_runtime.attestation.nvidia.identity import identify
from enclave_runtime.attestation.nvidia.ocsp import check_certificate, parse_answers
from enclave_runtime.attestation.nvidia.refusals import DeviceError
from enclave_runtime.attestation.nvidia.rim import verified_rim
from enclave_runtime.attestation.nvidia.spdm import parse_report
from enclave_runtime.attestation.simulated.nvidia import reports
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.wire.errors import WireError

NOW = 1_790_000_000
WORLD = GpuWorld(gpus=1, switches=1, architecture="BLACKWELL", mode="mpt")
PER_EXAMPLE, HEAVY_CASES = 50, 200_000


@cache
def material() -> dict[str, tuple[bytes, ...]]:
    vendor = SimulatedNvidia.create()
    found = vendor.answers(bytes(32), WORLD)
    collateral = vendor.collateral(NOW, WORLD)
    rom = bytes.fromhex("3076301006072a8648ce3d020106052b81040022036200") + b"\x04" * 97
    return {
        "gpu": (found[0][1],),
        "switch": (found[1][1],),
        "evidence": (vendor.evidence(bytes(32), WORLD),),
        "chain": found[0][2],
        "rim": collateral.rims,
        "ocsp": collateral.ocsp,
        "dice": tuple(reports.dice_extension(a, rom, b"\x11" * 48, "good") for a in ("HOPPER", "BLACKWELL")),
    }


def report(kind: DeviceKind) -> Callable[[bytes], object]:
    return lambda data: read_facts(parse_report(data, kind), kind)


def certificate(data: bytes) -> object:
    load(data)
    chain = material()["chain"]
    for place in range(2):
        identify((*chain[:place], data, *chain[place + 1 :]))
    return verified_chain((chain[0], data, *chain[2:]))


def extension(data: bytes) -> object:
    """Parse an extension's value without the certificate around it, which would parse first."""
    return [read(data) for read in (dice._tcb_info, dice._composite)]


def answer(data: bytes) -> object:
    chain = material()["chain"]
    parsed = parse_answers((data,))
    return check_certificate(load(chain[2]), chain[3], parsed, required=False, now=NOW)


PARSERS: dict[str, tuple[str, Callable[[bytes], object]]] = {
    "gpu report": ("gpu", report(DeviceKind.GPU)),
    "switch report": ("switch", report(DeviceKind.NVSWITCH)),
    "gpu evidence": ("evidence", GpuEvidence.from_bytes),
    "certificate": ("chain", certificate),
    "dice extension": ("dice", extension),
    "manifest": ("rim", lambda data: verified_rim.__wrapped__(data)),
    "ocsp answer": ("ocsp", answer),
}
TOKENS = (
    *(b"", b"\0", b"\xff", b"\x30\x80", b"\x84\xff\xff\xff\xff", b"\xff\xff", b"\x7f", b"\x80", b"<", b">"),
    *(
        b'"',
        b"&",
        b"<!--",
        b"]]>",
        b"<x/>",
        b"</ns0:Payload>",
        b'index="1"',
        b'xmlns:ds="x"',
        b"{",
        b"}",
        b"[",
        b",",
    ),
    *(b"null", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"9" * 40, b"-1", b"ds:Signature", b"ns0:Resource"),
)
MUTATION = st.tuples(
    st.sampled_from(["flip", "set", "insert", "cut", "double", "token", "swap"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 255),
    st.sampled_from(TOKENS),
)


def mutated(data: bytes, mutation: tuple[str, float, int, bytes]) -> bytes:
    kind, where, value, token = mutation
    at = int(where * len(data))
    head, tail = data[:at], data[at:]
    if kind == "flip":
        return head + bytes([tail[0] ^ (1 << value % 8)]) + tail[1:] if tail else data
    if kind == "set":
        return head + bytes([value]) + tail[1:]
    if kind == "insert":
        return head + bytes([value]) * (value % 9) + tail
    if kind == "cut":
        return head + tail[value % 65 :]
    if kind == "double":
        return head + tail[: value % 65] + tail
    if kind == "token":
        return head + token + tail[value % 17 :]
    return tail + head


def fuzz(name: str, changes: list[tuple[str, float, int, bytes]], pick: int) -> int:
    """Parse one input under growing prefixes of `changes`; return how many were accepted."""
    seeds, parse = material()[PARSERS[name][0]], PARSERS[name][1]
    data, accepted = seeds[pick % len(seeds)], 0
    for place, change in enumerate(changes):
        data = mutated(data if place % 3 else seeds[pick % len(seeds)], change)
        try:
            parse(data)
            accepted += 1
        except (WireError, DeviceError):
            continue
    return accepted


@pytest.mark.parametrize("name", PARSERS)
@given(changes=st.lists(MUTATION, min_size=1, max_size=6), pick=st.integers(0, 63))
def test_mutated_inputs_give_a_value_or_our_error(name, changes, pick):
    fuzz(name, changes, pick)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PARSERS)
def test_two_hundred_thousand_cases_leave_no_crash(name):
    cases = 0

    @settings(
        max_examples=HEAVY_CASES // PER_EXAMPLE,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        changes=st.lists(MUTATION, min_size=PER_EXAMPLE, max_size=PER_EXAMPLE),
        pick=st.integers(0, 63),
    )
    def run(changes: list[tuple[str, float, int, bytes]], pick: int) -> None:
        nonlocal cases
        fuzz(name, changes, pick)
        cases += len(changes)

    run()
    assert cases >= HEAVY_CASES
