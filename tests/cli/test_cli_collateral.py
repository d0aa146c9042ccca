"""`cloister collateral`: a file for places without a network, written whole or not at all."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from enclave_runtime.attestation.collateral import AmdCollateral, Collateral
from enclave_runtime.attestation.dcap.layout import parse_quote
from enclave_runtime.attestation.dcap.pck import parse_chain, parse_extension
from enclave_runtime.attestation.simulated.nvidia.vendor import SimulatedNvidia
from enclave_runtime.attestation.simulated.nvidia.world import GpuWorld
from enclave_runtime.attestation.simulated.snp import SnpWorld
from marketplace.cli.main import run
from marketplace.collateral import FileCollateral
from marketplace.collateral.dates import first_end
from tests.evidence.snp_case import SnpCase
from tests.fakes.cose_issuers import Realm
from tests.fakes.cvm import FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.fakes.vendor_services import VendorServices, intel_routes

TDX = SimulatedTdx()
BUNDLE = TDX.bundle(FakeCvm(), bytes(32))
QUOTE = BUNDLE.evidence.quote
FMSPC = parse_extension(parse_chain(parse_quote(QUOTE).signatures.cert_data)[0]).fmspc.hex()


@pytest.mark.parametrize("tee", [[], ["--tee", "tdx"]])
@pytest.mark.parametrize(
    "write", [bytes, lambda quote: quote.hex().encode(), lambda quote: quote + bytes(70)]
)
def test_what_it_writes_is_what_settings_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tee: list[str], write: Callable[[bytes], bytes]
) -> None:
    expected = TDX.collateral(int(time.time()))
    (tmp_path / "evidence.json").write_bytes(BUNDLE.to_bytes())
    (tmp_path / "quote").write_bytes(write(QUOTE))
    cache, out = tmp_path / "collateral", tmp_path / "bundle.json"
    cache.mkdir()
    with VendorServices(intel_routes(expected.need("intel"), FMSPC)) as running:
        (cache / "hosts.toml").write_text(f'pccs = "{running.url}"')
        words = ["--home", str(tmp_path), "collateral", "fetch"]
        assert run([*words, str(tmp_path / "evidence.json"), "--out", str(out), "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["parts"] == ["intel"] and shown["ends_at"] > time.time()
        assert FileCollateral(out)(BUNDLE.evidence, 0) == expected
        out.unlink()
        raw = [str(tmp_path / "quote"), *tee, "--from", f"vendor:{cache}", "--out", str(out)]
        assert run([*words, *raw]) == 0
        assert "bundle.json: intel" in capsys.readouterr().out
        assert len(running.asked) == 4, "the second comes from the cache"
    assert Collateral.from_bytes(out.read_bytes()) == expected


@pytest.mark.parametrize(("more", "status", "words"), [
    (["--tee", "amd"], 2, "one of tdx"), (["--tee", "tdx", "--from", "nowhere"], 2, "vendor:/absolute/path"),
    (["--tee", "sgx"], 2, "tdx, which"), ([], 1, "ConnectError"),
])  # fmt: skip
def test_failures_leave_the_old_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], status: int, words: str
) -> None:
    (tmp_path / "quote").write_bytes(QUOTE)
    (tmp_path / "collateral").mkdir()
    (tmp_path / "collateral" / "hosts.toml").write_text('pccs = "http://127.0.0.1:1"')
    out = tmp_path / "out.json"
    out.write_bytes(b"old")
    arguments = ["--home", str(tmp_path), "collateral", "fetch", str(tmp_path / "quote"), "--out", str(out)]
    assert run([*arguments, *more]) == status
    assert words in capsys.readouterr().err
    assert out.read_bytes() == b"old"
    assert run([*arguments[:4], str(tmp_path / "none"), "--out", str(out)]) == 3


def amd_files(folder: Path, collateral: AmdCollateral, *, pem: bool) -> dict[str, str]:
    """Write the parts of AMD's collateral; return their paths."""
    for name in ("vek", "ask", "ark", "crl"):
        der = getattr(collateral, name)
        if pem:
            label = "X509 CRL" if name == "crl" else "CERTIFICATE"
            der = (
                f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()
            )
        (folder / name).write_bytes(der)
    if pem:
        (folder / "chain").write_bytes((folder / "ask").read_bytes() + (folder / "ark").read_bytes())
    return {name: str(folder / name) for name in ("vek", "ask", "ark", "crl", "chain")}


@pytest.mark.parametrize("pem", [True, False])
@pytest.mark.parametrize(("product", "vlek"), [("Genoa", False), ("Milan", True), ("Turin", False)])
def test_a_cloud_s_key_is_packed_from_its_certificates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], product: str, vlek: bool, pem: bool
) -> None:
    case = SnpCase(product=product, world=SnpWorld(vlek=vlek))
    assert case.collateral is not None
    files = amd_files(tmp_path, case.collateral.need("amd"), pem=pem)
    chain = [files["chain"]] if pem else [files["ark"], files["ask"]]
    words = [
        "collateral",
        "pack",
        "--vek",
        files["vek"],
        "--crl",
        files["crl"],
        "--out",
        str(tmp_path / "out"),
    ]
    assert run([*words, *(word for path in chain for word in ("--chain", path)), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["parts"], shown["ends_first"]) == (["amd"], "ARK's CRL")
    assert Collateral.from_bytes((tmp_path / "out").read_bytes()) == case.collateral


def jwk(spki: bytes) -> bytes:
    numbers = load_der_public_key(spki).public_numbers()  # type: ignore[union-attr]
    points = {name: getattr(numbers, name).to_bytes(48) for name in "xy"}
    texts = {name: base64.urlsafe_b64encode(point).rstrip(b"=").decode() for name, point in points.items()}
    return json.dumps({"kty": "EC", "crv": "P-384", **texts}).encode()


def pem_key(spki: bytes) -> bytes:
    return load_der_public_key(spki).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("write", [bytes, pem_key, jwk])
def test_an_endorsed_key_is_packed_beside_the_token_that_names_its_platform(
    tmp_path: Path, write: Callable[[bytes], bytes]
) -> None:
    realm = Realm()
    (tmp_path / "key").write_bytes(write(realm.spki))
    (tmp_path / "token").write_bytes(realm.token(bytes(64)))
    words = [
        "--cpak",
        str(tmp_path / "key"),
        "--token",
        str(tmp_path / "token"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert run(["collateral", "pack", *words]) == 0
    (found,) = Collateral.from_bytes((tmp_path / "out").read_bytes()).need("cca").cpaks
    assert (found.instance_id, found.spki) == (realm.instance_id, realm.spki)


@pytest.mark.parametrize(("more", "words"), [
    ([], "neither"), (["--vek", "vek"], "--crl"), (["--vek", "vek", "--crl", "crl"], "0 self-signed"),
    (["--vek", "vek", "--crl", "crl", "--chain", "ark"], "0 of"),
    (["--vek", "ask", "--crl", "crl", "--chain", "ark", "--chain", "ask"], "0 of"),
    (["--vek", "crl", "--crl", "crl"], "AMD's certificates"),
    (["--vek", "vek", "--crl", "vek", "--chain", "ark", "--chain", "ask"], "AMD's revocation list"),
    (["--cpak", "vek"], "0 for 1"), (["--cpak", "crl", "--token", "crl"], "a CCA token"),
    (["--cpak", "none", "--token", "crl"], "a CCA token"),
])  # fmt: skip
def test_what_cannot_be_packed_is_said_and_writes_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    words: str,
) -> None:
    collateral = SnpCase().collateral
    assert collateral is not None
    amd_files(tmp_path, collateral.need("amd"), pem=False)
    monkeypatch.chdir(tmp_path)
    assert run(["collateral", "pack", "--out", "out", *more]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_shown_end_is_that_of_the_first_part_to_end() -> None:
    """GPU answers hold a day, everything beside them for weeks: the list of revoked CPUs was shown alone."""
    now = int(time.time())
    gpu = SimulatedNvidia.create().collateral(now, GpuWorld())
    whole = TDX.collateral(now) | Collateral(nvidia=gpu)
    end = first_end(whole)
    assert end is not None and end[1] == "an OCSP answer" and end[0] <= now + 86_400
    expired = first_end(TDX.collateral(now, statements_expired=True))
    assert expired is not None and expired[1] in ("TCB info", "QE identity") and expired[0] < now
    assert first_end(Collateral()) is None


def test_collateral_that_is_none_is_no_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = SnpCase()
    assert case.collateral is not None and case.report is not None
    spoiled = replace(case.collateral.need("amd"), crl=b"NO_CRL")
    (tmp_path / "spoiled").write_bytes(Collateral(amd=spoiled).to_bytes())
    (tmp_path / "report").write_bytes(case.report)
    words = [
        str(tmp_path / "report"),
        "--from",
        f"file:{tmp_path / 'spoiled'}",
        "--out",
        str(tmp_path / "out"),
    ]
    assert run(["collateral", "fetch", *words]) == 2
    shown = capsys.readouterr().err
    assert "collateral of AMD" in shown and "what the vendor signed, unchanged" in shown
    assert not (tmp_path / "out").exists()
