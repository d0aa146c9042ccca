"""The pins of every vendor's root are the digests of the roots in real evidence, and of no impostor."""

from __future__ import annotations

import base64
import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from enclave_runtime.attestation.roots import AMD, Fingerprint, GpuRoots, RootSet
from enclave_runtime.wire.hashes import sha256
from tests.evidence import vectors

pytestmark = vectors.REQUIRED

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
XML = re.compile(rb"X509Certificate>([A-Za-z0-9+/=\s]+)<")


def roots_in(path: str) -> list[x509.Certificate]:
    """Return the self-issued certificates in a file, in PEM or in a signature's XML."""
    data = (vectors.ROOT / path).read_bytes()
    found = [x509.load_pem_x509_certificate(match.group(0)) for match in PEM.finditer(data)]
    found += [
        x509.load_der_x509_certificate(base64.b64decode(match.group(1))) for match in XML.finditer(data)
    ]
    return [cert for cert in found if cert.subject == cert.issuer]


def fingerprint(cert: x509.Certificate) -> Fingerprint:
    key = cert.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Fingerprint(sha256(cert.public_bytes(Encoding.DER)), sha256(key))


def pin(roots: RootSet) -> Fingerprint:
    return Fingerprint(roots.der_sha256, roots.key_sha256)


@pytest.mark.parametrize("product", AMD)
def test_amds_roots_are_those_that_two_projects_carry(product):
    low = product.lower()
    first = "turin_vcek" if product == "Turin" else low
    carried = [f"amd/go-sev-guest/ask_ark_{first}.pem", f"amd/trustee/{low}_ask_ark_asvk.pem"]
    for path in carried:
        (root,) = roots_in(path)
        assert fingerprint(root) == pin(RootSet.amd(product))
        assert root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == f"ARK-{product}"
        root.verify_directly_issued_by(root)


def test_nvidias_two_roots_are_those_that_three_projects_carry():
    nvidia = GpuRoots.nvidia()
    devices = [
        "go-nvattest-tools/device_root.pem",
        "nvtrust/verifier_device_root.pem",
        "trustee/nvidia_device_root.pem",
    ]
    rims = ["go-nvattest-tools/rim_root.pem", "nvtrust/verifier_RIM_root.pem"]
    rims.append("go-nvattest-tools/rim_NV_GPU_DRIVER_GH100_550.90.07.xml")
    for path in devices:
        (device,) = roots_in(f"nvidia/{path}")
        assert fingerprint(device) == nvidia.device
    for path in rims:
        (rim,) = roots_in(f"nvidia/{path}")
        assert fingerprint(rim) == nvidia.rim
    assert nvidia.accepts(device.public_bytes(Encoding.DER), rim.public_bytes(Encoding.DER))


def test_nitros_root_opens_every_bundle():
    cbor2 = pytest.importorskip("cbor2")
    rows = vectors.rows("nitro-attestation-doc")
    assert rows
    for row in rows:
        offset, length = (int(part.split(":")[1]) for part in row["encoding"].split(","))
        data = (vectors.ROOT / row["file"]).read_bytes()[offset : offset + length]
        signed = cbor2.loads(data)
        root = cbor2.loads(getattr(signed, "value", signed)[2])["cabundle"][0]
        assert fingerprint(x509.load_der_x509_certificate(root)) == pin(RootSet.nitro())


def test_intels_root_is_in_every_collateral_and_not_what_only_bears_its_name():
    collateral = vectors.collateral("qvl-2025-06").need("intel")
    good = x509.load_pem_x509_certificates(collateral.tcb_info_issuer_chain.encode())[-1]
    assert fingerprint(good) == pin(RootSet.intel())
    (impostor,) = roots_in("intel/intel-qvl/tdx_trustedRootCaCert.pem")
    assert impostor.subject == good.subject and fingerprint(impostor) != pin(RootSet.intel())
