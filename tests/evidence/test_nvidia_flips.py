"""Every byte of a real report, of its chain and of its manifests, flipped in turn (minutes: `heavy`).

None verifies, none raises anything but our error, none takes over ten times the good time, and all of them
together leave no more than 64 MiB behind.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from enclave_runtime.attestation.nvidia.refusals import DeviceError
from enclave_runtime.attestation.nvidia.verify import forget
from enclave_runtime.wire.errors import WireError
from tests.evidence import nvidia_vectors as record
from tests.evidence import vectors
from tests.evidence.test_nvidia import golden, golden_rim, judge

pytestmark = [
    vectors.REQUIRED,
    pytest.mark.heavy,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),  # a flip that makes it negative
]

MAX_GROWTH_KIB = 64 << 10


def flips(data: bytes) -> Iterator[bytes]:
    """Yield `data` with one bit of each byte flipped in turn, another bit for each."""
    dice = random.Random(len(data))
    for place in range(len(data)):
        spoiled = bytearray(data)
        spoiled[place] ^= 1 << dice.randrange(8)
        yield bytes(spoiled)


def spent(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def hold(good: Callable[[], object], bad: Iterator[Callable[[], object]]) -> list[int]:
    """Run every spoiled case; return the places of those that were accepted."""
    limit = 10 * max(spent(good) for _ in range(5))
    before, accepted, slow = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, [], []
    for place, action in enumerate(bad):

        def attempt(action: Callable[[], object] = action, place: int = place) -> None:
            try:
                action()
            except (WireError, DeviceError):
                return
            accepted.append(place)

        if spent(attempt) > limit and min(spent(attempt) for _ in range(3)) > limit:
            slow.append(place)
    growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert not slow and growth < MAX_GROWTH_KIB, (slow[:8], growth)
    return accepted


def test_no_flipped_byte_of_a_report_verifies():
    device, nonce = golden(), golden().report[4:36]

    def cold(report: bytes) -> object:
        return judge(replace(device, report=report), nonce=nonce)

    bad = ((lambda data=data: cold(data)) for data in flips(device.report))
    assert hold(lambda: cold(device.report), bad) == []


@pytest.mark.parametrize("which", range(5))
def test_no_flipped_byte_of_a_certificate_verifies(which):
    device = golden()

    def cold(der: bytes) -> object:
        forget()
        return judge(replace(device, chain=(*device.chain[:which], der, *device.chain[which + 1 :])))

    bad = ((lambda data=data: cold(data)) for data in flips(device.chain[which]))
    assert hold(lambda: cold(device.chain[which]), bad) == []


def test_no_flipped_byte_of_a_manifest_verifies_but_white_space_around_certificates():
    xml, rims = golden_rim(), record.file(record.VBIOS_RIM)

    def cold(data: bytes) -> object:
        forget()
        return judge(golden(), rims=(data, rims))

    bad = ((lambda data=data: cold(data)) for data in flips(xml))
    accepted = hold(lambda: cold(xml), bad)
    key_info = xml.index(b"<ds:KeyInfo>")
    assert all(place > key_info and xml[place : place + 1].isspace() for place in accepted), accepted


@pytest.mark.parametrize("name", ["gpu_certificate_l2", "gpu_certificate_l3"])
def test_no_flipped_byte_of_an_ocsp_answer_is_believed(name):
    answer, day = record.ocsp(name), 1755758828
    good = judge(golden(), now=day, ocsp=(answer,))

    def cold(data: bytes) -> object:
        forget()
        found = judge(golden(), now=day, ocsp=(data,))
        # An answer about somebody else is no answer: then nothing is known until then.
        if found[0].collateral_expires_at != good[0].collateral_expires_at:
            raise WireError("not believed")
        return found

    bad = ((lambda data=data: cold(data)) for data in flips(answer))
    assert hold(lambda: cold(answer), bad) == []
