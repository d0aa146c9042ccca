"""Real GPU evidence, where it is at hand: reports, chains, manifests and OCSP answers of the record."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from enclave_runtime.attestation.nvidia.evidence import Device, DeviceKind, GpuEvidence
from tests.evidence import vectors

__all__ = [
    "DRIVER_RIM",
    "VBIOS_RIM",
    "device_of",
    "eight_gpus",
    "evidence_of",
    "file",
    "named",
    "ocsp",
    "report_rows",
    "rim_rows",
    "seconds",
    "works",
]

DRIVER_RIM = "go-nvattest-tools/rim_NV_GPU_DRIVER_GH100_550.90.07.xml"
VBIOS_RIM = "go-nvattest-tools/rim_NV_GPU_VBIOS_1010_0200_882_96009F0001.xml"


def file(name: str) -> bytes:
    """Return a file of NVIDIA's folder in the record."""
    return (vectors.ROOT / "nvidia" / name).read_bytes()


def report_rows() -> list[dict[str, Any]]:
    """Return the rows of reports, of GPUs and of switches."""
    return vectors.rows("gpu-report") + vectors.rows("nvswitch-report")


def rim_rows() -> list[dict[str, Any]]:
    """Return the rows of manifests."""
    return vectors.rows("rim")


def named(rows: list[dict[str, Any]]) -> list[Any]:
    """Return rows as pytest parameters under their names in the record."""
    return [pytest.param(row, id=f"{row['file']}[{row.get('encoding', row['kind'])}]") for row in rows]


def works(row: dict[str, Any]) -> bool:
    """Return whether the record says that the row's cryptography holds."""
    return all(check["result"] == "ok" for check in row["checks"])


def device_of(row: dict[str, Any]) -> Device:
    """Return what a row's device answered."""
    kind = DeviceKind.GPU if row["kind"] == "gpu-report" else DeviceKind.NVSWITCH
    encoding, data = row["encoding"], (vectors.ROOT / row["file"]).read_bytes()
    if encoding.startswith("json.gpus["):
        return eight_gpus().devices[int(encoding[10:-1])]
    if encoding == "json[0].evidence:b64":
        item = json.loads(data)[0]
        return Device(kind, base64.b64decode(item["evidence"]), _ders(base64.b64decode(item["certificate"])))
    report = data if encoding == "raw" else bytes.fromhex(data.decode().strip())
    if encoding == "hex, drop 1 trailing byte":
        report = report[:-1]
    return Device(kind, report, _ders((vectors.ROOT / row["chain"]).read_bytes()))


def evidence_of(*devices: Device) -> bytes:
    """Return GPU evidence of these devices."""
    return GpuEvidence(devices).to_bytes()


def eight_gpus() -> GpuEvidence:
    """Return the record's machine of eight Blackwell GPUs, all asked with one nonce."""
    found = []
    for item in json.loads(file("go-nvattest-tools/test_mpt_data.json"))["gpus"]:
        report = item["AttestationReport"]
        text = report["py/b64"] if isinstance(report, dict) else report
        pem = item["CertificateChains"]["GpuAttestationCertificateChain"][0]["pem"]
        found.append(Device(DeviceKind.GPU, base64.b64decode(text), _ders(base64.b64decode(pem))))
    return GpuEvidence(tuple(found))


def ocsp(name: str) -> bytes:
    """Return an OCSP answer: "gpu_certificate_l2", "gpu_certificate_l3" or "gpu_driver_rim_l3"."""
    return base64.b64decode(file(f"go-nvattest-tools/ocsp_test_{name}_base64encoded_ocsp_response.dat"))


def seconds(text: str) -> int:
    """Return a date of the record as Unix time."""
    return int(datetime.fromisoformat(text).timestamp())


def _ders(pem: bytes) -> tuple[bytes, ...]:
    return tuple(cert.public_bytes(Encoding.DER) for cert in x509.load_pem_x509_certificates(pem))
