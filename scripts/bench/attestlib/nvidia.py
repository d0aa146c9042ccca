"""NVIDIA GPUs: ours against `nv-local-gpu-verifier`, on the Hopper report whose manifests the record has.

The library pins other versions of ours, so that it runs in an interpreter of its own, in turn with ours: name
that interpreter in NV_VERIFIER_PYTHON (`python -m venv DIR && DIR/bin/pip install nv-local-gpu-verifier`).
Both verify the same: report, chain of five, firmware id, nonce, versions, two signed manifests and every
measurement; OCSP, which is the network's with the library, is left out of both. Where the library is not at
hand, what is measured beside ours is the bare limit: the P-384 checks alone, on keys loaded beforehand.

`ms` is a first verification with every cache empty, as the library's each is; `ms_new_device` knows the
manifests and not the device; `ms_cached` knows both, and checks the report and every date and binding anew.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from attestlib.result import Flips, VendorResult, after, flip_bytes, interleaved
from enclave_runtime.attestation.collateral import NvidiaCollateral
from enclave_runtime.attestation.nvidia.chain import Chain, p384_key
from enclave_runtime.attestation.nvidia.evidence import Device, DeviceKind
from enclave_runtime.attestation.nvidia.identity import identify
from enclave_runtime.attestation.nvidia.refusals import Check, DeviceError
from enclave_runtime.attestation.nvidia.rim import verified_rim
from enclave_runtime.attestation.nvidia.spdm import parse_report
from enclave_runtime.attestation.nvidia.verify import forget, forget_devices, verify_devices
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.wire.errors import EnclaveError
from tests.evidence import nvidia_vectors as record
from tests.evidence import vectors

__all__ = ["run"]

_NOW = 1_735_689_600
_RULES = GpuRules(1, frozenset({"nvidia"}), ocsp_required=False)
_PEER = "nv-local-gpu-verifier"
_EVERY_NTH_MANIFEST_BYTE = 23
_ROUNDS = 31


def run() -> VendorResult:
    """Return the row."""
    rows = record.report_rows() + record.rim_rows()
    missed = tuple(f"{row['file']}[{row.get('encoding', '')}]" for row in rows if not _as_expected(row))
    timed = next(row for row in record.report_rows() if row.get("rim_match"))
    device = record.device_of(timed)

    def ours() -> object:
        return _verify(device)

    runs = (ours, after(forget_devices, ours), after(forget, ours))
    bare = _bare(device)
    with _library(timed, device) as (name, peer, spent):
        cached, new_device, whole, limit, _ = interleaved(*runs, bare, peer or bare, rounds=_ROUNDS)
    # Another process's processor time is what that process says, not what waiting for it takes here.
    theirs = statistics.median(spent) * 1e3 if spent else limit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serial numbers that a flip made negative
        flips = _flips(device)
    more: dict[str, float | str] = {
        "ms_cached": round(cached, 4),
        "ms_new_device": round(new_device, 4),
        "ms_bare_cryptography": round(limit, 4),
        "ratio_cached": round(cached / theirs, 3),
        "ratio_new_device": round(new_device / theirs, 3),
    }
    return VendorResult(len(rows), missed, whole, name, theirs, flips, more)


def _rims() -> tuple[bytes, bytes]:
    return record.file(record.DRIVER_RIM), record.file(record.VBIOS_RIM)


def _verify(
    device: Device, *, now: int = _NOW, rims: tuple[bytes, ...] | None = None, nonce: bytes = b""
) -> object:
    others = (0, 1) if device.kind is DeviceKind.NVSWITCH else (1, 0)
    rules = replace(_RULES, count=max(others[0], 1), switches=others[1])
    devices = (device,) if device.kind is DeviceKind.GPU else (_golden(), device)
    return verify_devices(
        record.evidence_of(*devices),
        NvidiaCollateral(_rims() if rims is None else rims),
        roots=GpuRoots.nvidia(),
        rules=rules,
        nonce=nonce or devices[0].report[4:36],
        now=now,
    )


def _golden() -> Device:
    return record.device_of(next(row for row in record.report_rows() if row.get("rim_match")))


def _as_expected(row: dict[str, Any]) -> bool:
    """Return whether a row gives what the record says: for want of its manifest at the last check only."""
    if row["kind"] == "rim":
        try:
            chain = verified_rim((vectors.ROOT / row["file"]).read_bytes()).chain
        except EnclaveError:
            return not record.works(row)
        return record.works(row) and chain.not_before <= row["now"] <= chain.not_after
    try:
        _verify(record.device_of(row))
    except DeviceError as error:
        unknown = error.check is Check.RIM and "unknown" in error.got
        return not row.get("rim_match") and record.works(row) == unknown
    return bool(row.get("rim_match"))


def _bare(device: Device) -> Callable[[], object]:
    """Return every signature check that one verification needs, everything parsed and loaded beforehand."""
    chain, report = identify(device.chain).chain, parse_report(device.report, device.kind)
    checks = [*_links(chain)]
    for rim in map(verified_rim, _rims()):
        checks += [*_links(rim.chain)]
    r, s = (int.from_bytes(report.signature[at : at + 48], "big") for at in (0, 48))
    own = (p384_key(chain.leaf), encode_dss_signature(r, s), report.signed)
    checks += [own] * 3  # the report's, and as much for what two manifests' signers signed
    algorithm = ec.ECDSA(hashes.SHA384())

    def verify() -> None:
        for key, signature, message in checks:
            key.verify(signature, message, algorithm)

    return verify


def _links(chain: Chain) -> Iterator[tuple[ec.EllipticCurvePublicKey, bytes, bytes]]:
    for child, issuer in zip(chain.certs, chain.certs[1:], strict=False):
        yield p384_key(issuer), child.signature, child.tbs_certificate_bytes


def _flips(device: Device) -> Flips:
    """Flip every byte of the report and of each certificate, and a sample of a manifest's signed part."""
    nonce = device.report[4:36]
    found = [
        flip_bytes(
            device.report,
            range(len(device.report)),
            lambda data: _verify(replace(device, report=data), nonce=nonce),
        )
    ]
    for place, der in enumerate(device.chain):

        def verify(data: bytes, place: int = place) -> object:
            forget_devices()
            return _verify(replace(device, chain=(*device.chain[:place], data, *device.chain[place + 1 :])))

        found.append(flip_bytes(der, range(len(der)), verify))
    driver, vbios = _rims()
    signed = range(0, driver.index(b"<ds:SignatureValue>"), _EVERY_NTH_MANIFEST_BYTE)

    def with_manifest(data: bytes) -> object:
        forget()
        return _verify(device, rims=(data, vbios))

    found.append(flip_bytes(driver, signed, with_manifest))
    return Flips.together(found)


@contextmanager
def _library(
    row: dict[str, Any], device: Device
) -> Iterator[tuple[str, Callable[[], object] | None, list[float]]]:
    """Give one verification by the library, or None where no interpreter with it is named.

    The list is filled with the seconds of processor time that each verification took.
    """
    spent: list[float] = []
    python = os.environ.get("NV_VERIFIER_PYTHON", "")
    if not python:
        yield f"bare cryptography ({_PEER}: name its interpreter in NV_VERIFIER_PYTHON)", None, spent
        return
    version = f"from importlib.metadata import version; print(version({_PEER!r}))"
    named = subprocess.run([python, "-c", version], capture_output=True, text=True, timeout=60, check=True)
    driver, vbios = (data.decode() for data in _rims())
    given = {
        "report": device.report.hex(),
        "chain": (vectors.ROOT / row["chain"]).read_text(),
        "driver": row["fields"]["driver"],
        "vbios": row["fields"]["vbios"],
        "driver_rim": driver,
        "vbios_rim": vbios,
        "now": _NOW,
    }
    script = Path(__file__).with_name("nvidia_peer.py")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": sys.stderr, "text": True}
    with subprocess.Popen([python, str(script)], **pipes) as worker:  # type: ignore[call-overload]
        assert worker.stdin and worker.stdout
        asked, answers = worker.stdin, worker.stdout

        def ask(line: str) -> str:
            asked.write(line + "\n")
            asked.flush()
            return str(answers.readline()).strip()

        def verify() -> None:
            answer = ask("")
            if not answer or answer.startswith("failed"):
                raise RuntimeError(f"{_PEER}: {answer or 'no answer'}")
            spent.append(float(answer))

        assert ask(json.dumps(given)) == "ready"
        yield f"{_PEER} {named.stdout.strip()}, in its own interpreter", verify, spent
        asked.close()
