"""Every length, count and tag's head in what AMD, NVIDIA, AWS and Arm sign, set to hostile values.

None verifies, none raises anything but our error, none takes more than ten times the good time or 64 MiB. The
lengths of Intel's quotes stand in test_intel_flips.py. A report of SEV-SNP has none: there, and in all
chains, it is those of the certificates. A sample runs always, all of it under the `heavy` mark.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import cbor2
import pytest

from enclave_runtime.attestation.cca.verify import _load as load_cca_key
from enclave_runtime.attestation.nitro import chain as nitro_chain
from enclave_runtime.attestation.nvidia import verify as nvidia
from enclave_runtime.attestation.sev_snp import chain as snp_chain
from tests.evidence import amd_vectors, cose_vectors, test_nvidia, vectors
from tests.evidence import nvidia_vectors as record
from tests.evidence.bounds import hold
from tests.evidence.mutations import cbor_heads, der_lengths, wrong_der_lengths, wrong_heads

pytestmark = [
    vectors.REQUIRED,
    pytest.mark.filterwarnings("ignore:Parsed a serial number"),  # a length that makes it negative
]
heavy = pytest.mark.heavy
HOUR = pytest.mark.timeout(3600)

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0xFFFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def spoiled_cbor(data: bytes, step: int) -> Iterator[bytes]:
    """Yield every `step`th wrong head."""
    return islice(
        (bad for at, size in cbor_heads(data) for bad in wrong_heads(data, at, size)), 0, None, step
    )


def spoiled_der(data: bytes, step: int) -> Iterator[bytes]:
    """Yield every `step`th wrong length."""
    lengths = der_lengths(data)
    return islice((bad for at, size in lengths for bad in wrong_der_lengths(data, at, size)), 0, None, step)


def nitro_document() -> cose_vectors.NitroVector:
    items = cose_vectors.documents()
    return next(item for item in items if item.check["result"] == "ok" and not item.is_debug)


def spoiled_documents(document: bytes, step: int) -> Iterator[bytes]:
    """Yield wrong heads of the envelope, of the header, and of the payload both as it is and made to fit."""
    yield from spoiled_cbor(document, step)
    header, unprotected, payload, signature = cbor2.loads(document)
    for other in spoiled_cbor(header, step):
        yield cbor2.dumps([other, unprotected, payload, signature])
    at = document.index(payload)
    for other in spoiled_cbor(payload, step):
        yield document[:at] + other + document[at + len(payload) :]
        yield cbor2.dumps([header, unprotected, other, signature])
    for certificate in (cbor2.loads(payload)["certificate"], *cbor2.loads(payload)["cabundle"]):
        for other in spoiled_der(certificate, step):
            fits = payload.replace(_byte_string(certificate), _byte_string(other))
            yield cbor2.dumps([header, unprotected, fits, signature])


def _byte_string(data: bytes) -> bytes:
    return cbor2.dumps(data)


def spoiled_tokens(token: bytes, step: int) -> Iterator[bytes]:
    yield from spoiled_cbor(token, step)
    whole = cbor2.loads(token)
    for number, half in whole.value.items():
        signed = cbor2.loads(half)
        header, unprotected, payload, signature = signed.value
        pieces = [*((other, payload) for other in spoiled_cbor(header, step))]
        pieces += [(header, other) for other in spoiled_cbor(payload, step)]
        mended = [
            cbor2.dumps(cbor2.CBORTag(18, [head, unprotected, body, signature])) for head, body in pieces
        ]
        for other in (*spoiled_cbor(half, step), *mended):
            yield cbor2.dumps(cbor2.CBORTag(whole.tag, whole.value | {number: other}))


def cose(
    name: str, step: int
) -> tuple[Callable[[bytes], object], bytes, Iterator[bytes], Callable[[], None]]:
    if name == "nitro":
        document = nitro_document()
        return (
            document.verification(),
            document.document,
            spoiled_documents(document.document, step),
            nitro_chain.forget,
        )
    token = next(item for item in cose_vectors.tokens() if item.expected == "ok")
    return token.verification(), token.token, spoiled_tokens(token.token, step), load_cca_key.cache_clear


@pytest.mark.parametrize("name", ["nitro", "cca"])
def test_a_sample_of_heads_is_refused(name):
    verify, good, spoiled, forget = cose(name, 67)
    assert hold(verify, good, spoiled, forget) > 80


@heavy
@HOUR
@pytest.mark.parametrize("name", ["nitro", "cca"])
def test_every_head_is_refused(name):
    verify, good, spoiled, forget = cose(name, 1)
    assert hold(verify, good, spoiled, forget) > 6_000


def snp(part: str) -> tuple[Callable[[bytes], object], bytes]:
    items = [one.values[0] for one in amd_vectors.parameters("ok")]
    item = next(one for one in items if one.collateral.product == "Genoa")
    verify = item.verification()
    return (
        lambda data: verify(collateral=replace(item.collateral, **{part: data})),
        getattr(item.collateral, part),
    )


@pytest.mark.parametrize("part", ["vek", "ask", "ark"])
def test_a_sample_of_lengths_in_amds_certificates_is_refused(part):
    verify, good = snp(part)
    assert hold(verify, good, spoiled_der(good, 17), snp_chain.clear_cache) > 50


@heavy
@HOUR
@pytest.mark.parametrize("part", ["vek", "ask", "ark"])
def test_every_length_in_amds_certificates_is_refused(part):
    verify, good = snp(part)
    assert hold(verify, good, spoiled_der(good, 1), snp_chain.clear_cache) > 1_000


def report_lengths(report: bytes) -> Iterator[tuple[int, int]]:
    """Yield (offset, size) of every count and length in a device's report."""
    blocks, record_bytes = report[41], int.from_bytes(report[42:45], "little")
    yield from ((41, 1), (42, 3))
    for number in range(blocks):
        yield from ((45 + 55 * number + 2, 2), (45 + 55 * number + 5, 2))
    at = 45 + record_bytes + 32
    yield at, 2
    last, at = at + 2 + int.from_bytes(report[at : at + 2], "little"), at + 2
    while at < last:
        yield at + 2, 2
        at += 4 + int.from_bytes(report[at + 2 : at + 4], "little")


def spoiled_reports(report: bytes) -> Iterator[bytes]:
    for at, size in report_lengths(report):
        right, top = int.from_bytes(report[at : at + size], "little"), (1 << 8 * size) - 1
        for wrong in sorted({*(edge & top for edge in EDGES), abs(right - 1), right + 1 & top} - {right}):
            yield report[:at] + wrong.to_bytes(size, "little") + report[at + size :]


def nvidia_report() -> tuple[Callable[[bytes], object], bytes]:
    device = test_nvidia.golden()
    nonce = device.report[4:36]
    return (
        lambda data: test_nvidia.judge(replace(device, report=data), nonce=nonce),
        device.report,
    )


def nvidia_certificate(which: int) -> tuple[Callable[[bytes], object], bytes]:
    device = test_nvidia.golden()

    def verify(data: bytes) -> object:
        return test_nvidia.judge(
            replace(device, chain=(*device.chain[:which], data, *device.chain[which + 1 :]))
        )

    return verify, device.chain[which]


def test_every_length_of_a_gpus_report_is_refused():
    verify, good = nvidia_report()
    assert len(list(report_lengths(good))) > 130
    assert hold(verify, good, spoiled_reports(good), nvidia.forget) > 1_000


@pytest.mark.parametrize("which", range(5))
def test_a_sample_of_lengths_in_a_gpus_certificates_is_refused(which):
    verify, good = nvidia_certificate(which)
    assert hold(verify, good, spoiled_der(good, 41), nvidia.forget) > 20


@heavy
@HOUR
@pytest.mark.parametrize("which", range(5))
def test_every_length_in_a_gpus_certificates_is_refused(which):
    verify, good = nvidia_certificate(which)
    assert hold(verify, good, spoiled_der(good, 1), nvidia.forget) > 1_000


@heavy
@HOUR
def test_no_length_of_an_ocsp_answer_is_believed():
    day, good = 1755758828, record.ocsp("gpu_certificate_l2")
    device = test_nvidia.golden()
    until = test_nvidia.judge(device, now=day, ocsp=(good,))[0].collateral_expires_at

    def verify(data: bytes) -> object:
        found = test_nvidia.judge(device, now=day, ocsp=(data,))
        # An answer about somebody else is no answer: then nothing is known until then.
        if found[0].collateral_expires_at != until:
            raise test_nvidia.WireError("not believed")
        return found

    assert hold(verify, good, spoiled_der(good, 1), nvidia.forget) > 200
