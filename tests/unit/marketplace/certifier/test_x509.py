"""X.509 beside EIP-712: chains and revocation lists that OpenSSL verifies (protocol section 4.5)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from enclave_runtime.wire.codec import from_json
from enclave_runtime.wire.cvm import CvmCertificate
from enclave_runtime.wire.eip712 import typed_digest
from marketplace.certifier.authority import (
    CERTIFICATE_DIGEST,
    CVM_ID,
    EVIDENCE_ID,
    TRUST_CLASS,
    make_authority,
    serial_of,
)
from marketplace.certifier.config import X509Files
from marketplace.certifier.rootfiles import open_authority
from marketplace.errors import BadInputError, NotFoundError
from tests.fakes.cvm import DEV_ROOT, FakeCvm
from tests.unit.marketplace.certifier.conftest import CRL_URL, DOMAIN, NOW, World

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="OpenSSL's command line is missing"
)


def certified(world: World, cvm: FakeCvm) -> Any:
    answer = world.certify(cvm, world.challenge())
    assert answer.status_code == 200, answer.text
    return answer.json()


def openssl(folder: Path, world: World, leaf: str, *options: str, at: int = NOW) -> tuple[bool, str]:
    """Return whether `openssl verify` takes the leaf under the certifier's root, and what it says."""
    (folder / "ca.pem").write_bytes(world.client.get("/v1/ca").content)
    (folder / "leaf.pem").write_text(leaf)
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        "-attime",
        str(at),
        "-CAfile",
        "ca.pem",
        *options,
        "leaf.pem",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode == 0, done.stdout + done.stderr


@needs_openssl
def test_openssl_verifies_the_chain_while_the_certificate_lasts(world: World, tmp_path: Path) -> None:
    leaf = certified(world, FakeCvm())["x509"]
    assert openssl(tmp_path, world, leaf) == (True, "leaf.pem: OK\n")
    for purpose in ("sslserver", "sslclient"):
        assert openssl(tmp_path, world, leaf, "-purpose", purpose)[0]
    good, words = openssl(tmp_path, world, leaf, at=NOW + 3_601)
    assert not good and "expired" in words


@needs_openssl
def test_openssl_refuses_it_under_another_certifier_s_root(
    world: World, tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf = certified(world, FakeCvm())["x509"]
    other = make_authority("first", ec.generate_private_key(ec.SECP256R1()), now=NOW, simulated=False)
    (tmp_path / "other.pem").write_bytes(other.root_pem)
    good, _ = openssl(tmp_path, world, leaf, "-CAfile", "other.pem", "-no-CApath")
    assert not good


@needs_openssl
def test_a_revoked_cvm_s_certificate_is_in_the_revocation_list(world: World, tmp_path: Path) -> None:
    stolen, honest = FakeCvm(), FakeCvm()
    leaves = [certified(world, cvm)["x509"] for cvm in (stolen, honest)]
    world.chain_time[0] += 10
    world.certifier.revoke(stolen.cvm_id, "stolen")
    answer = world.client.get("/v1/crl")
    assert answer.headers["content-type"] == "application/pkix-crl"
    crl = x509.load_der_x509_crl(answer.content)
    root = x509.load_pem_x509_certificate(world.client.get("/v1/ca").content)
    public = root.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey) and crl.is_signature_valid(public)
    (tmp_path / "crl.pem").write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    options = ("-crl_check", "-CRLfile", "crl.pem")
    good, words = openssl(tmp_path, world, leaves[0], *options, at=NOW + 20)
    assert not good and "revoked" in words
    assert openssl(tmp_path, world, leaves[1], *options, at=NOW + 20)[0]


def test_the_certificate_names_evidence_eip712_digest_cvm_and_trust_class(world: World) -> None:
    cvm = FakeCvm()
    answer = certified(world, cvm)
    certificate = from_json(CvmCertificate, answer["certificate"])
    digest = typed_digest(DOMAIN, certificate)
    leaf = x509.load_pem_x509_certificate(answer["x509"].encode())
    values = {
        item.oid: item.value for item in leaf.extensions if isinstance(item.value, x509.UnrecognizedExtension)
    }
    assert {oid: value.value for oid, value in values.items()} == {
        EVIDENCE_ID: b"\x04\x20" + certificate.evidence_id,
        CERTIFICATE_DIGEST: b"\x04\x20" + digest,
        CVM_ID: b"\x04\x20" + cvm.cvm_id,
        TRUST_CLASS: b"\x0c\x05intel",
    }
    assert leaf.serial_number == serial_of(digest)
    public = leaf.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.public_numbers() == cvm.tls.public_key().public_numbers()
    assert int(leaf.not_valid_after_utc.timestamp()) == certificate.expires_at
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"urn:cloister:cvm:{cvm.cvm_id.hex()}"
    ]
    (place,) = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert place.full_name is not None and place.full_name[0].value == CRL_URL


def test_a_simulated_root_says_so_in_the_subject(world: World) -> None:
    world.appraiser.root_set = DEV_ROOT
    leaf = x509.load_pem_x509_certificate(certified(world, FakeCvm())["x509"].encode())
    assert leaf.subject.rfc4514_string().startswith("CN=SIMULATED CVM ")
    value = leaf.extensions.get_extension_for_oid(TRUST_CLASS).value
    assert isinstance(value, x509.UnrecognizedExtension) and value.value.endswith(DEV_ROOT.encode())


def files(folder: Path, **changed: Any) -> X509Files:
    return X509Files(
        **{"key": folder / "k", "certificate": folder / "c", "url": None, "made": True, **changed}
    )


def test_a_root_is_made_once_and_only_its_owner_reads_the_key(tmp_path: Path) -> None:
    first = open_authority(files(tmp_path), "first", now=NOW, simulated=True)
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    again = open_authority(files(tmp_path, url="https://c.example/"), "renamed", now=NOW + 9, simulated=True)
    assert again.root == first.root and again.crl_url == "https://c.example/v1/crl"
    assert "SIMULATED" in first.root.subject.rfc4514_string()


def test_refuses_files_that_do_not_fit(tmp_path: Path) -> None:
    open_authority(files(tmp_path), "first", now=NOW, simulated=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    open_authority(files(elsewhere), "second", now=NOW, simulated=False)
    with pytest.raises(BadInputError, match="another key"):
        open_authority(
            files(tmp_path, certificate=elsewhere / "c", made=False), "x", now=NOW, simulated=False
        )
    with pytest.raises(NotFoundError):
        open_authority(
            files(tmp_path, certificate=tmp_path / "none", made=False), "x", now=NOW, simulated=False
        )
    (tmp_path / "k").chmod(0o644)
    with pytest.raises(BadInputError, match="mode"):
        open_authority(files(tmp_path), "x", now=NOW, simulated=False)
    (tmp_path / "k").chmod(0o600)
    (tmp_path / "k").write_text("nothing")
    with pytest.raises(BadInputError, match="PKCS"):
        open_authority(files(tmp_path), "x", now=NOW, simulated=False)
