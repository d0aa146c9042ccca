"""`cloister collateral fetch`: a file for places without a network, written whole or not at all."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.dcap.layout import parse_quote
from enclave_runtime.attestation.dcap.pck import parse_chain, parse_extension
from marketplace.cli.main import run
from marketplace.collateral import FileCollateral
from tests.fakes.cvm import FakeCvm
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.fakes.vendor_services import VendorServices, intel_routes

TDX = SimulatedTdx()
BUNDLE = TDX.bundle(FakeCvm(), bytes(32))
QUOTE = BUNDLE.evidence.quote
FMSPC = parse_extension(parse_chain(parse_quote(QUOTE).signatures.cert_data)[0]).fmspc.hex()


def test_what_it_writes_is_what_settings_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = TDX.collateral(int(time.time()))
    (tmp_path / "evidence.json").write_bytes(BUNDLE.to_bytes())
    (tmp_path / "quote").write_bytes(QUOTE)
    cache, out = tmp_path / "collateral", tmp_path / "bundle.json"
    cache.mkdir()
    with VendorServices(intel_routes(expected.need("intel"), FMSPC)) as running:
        (cache / "hosts.toml").write_text(f'pccs = "{running.url}"')
        words = ["--home", str(tmp_path), "collateral", "fetch"]
        assert run([*words, str(tmp_path / "evidence.json"), "--out", str(out), "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["parts"] == ["intel"] and shown["lists_end_at"] > time.time()
        assert FileCollateral(out)(BUNDLE.evidence, 0) == expected
        out.unlink()
        raw = [str(tmp_path / "quote"), "--tee", "tdx", "--from", f"vendor:{cache}", "--out", str(out)]
        assert run([*words, *raw]) == 0
        assert "bundle.json: intel" in capsys.readouterr().out
        assert len(running.asked) == 4, "the second comes from the cache"
    assert Collateral.from_bytes(out.read_bytes()) == expected


@pytest.mark.parametrize(("more", "status", "words"), [
    (["--tee", "amd"], 2, "one of tdx"), (["--tee", "tdx", "--from", "nowhere"], 2, "vendor:/absolute/path"),
    ([], 1, "not JSON"), (["--tee", "tdx"], 1, "ConnectError"),
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
