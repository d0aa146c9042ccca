"""Where collateral comes from: a file read anew each time, a simulated platform, and clear errors."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from enclave_runtime.attestation.model import Evidence, TeeKind
from enclave_runtime.attestation.simulated.issuer import SimulatedVendor
from marketplace.collateral import (
    CollateralUnavailableError,
    FileCollateral,
    SimulatedPlatformCollateral,
    open_source,
)
from marketplace.errors import BadInputError

NOW = 1_790_000_000
EVIDENCE = Evidence(TeeKind.TDX, b"quote")


def test_file_is_read_anew_at_every_call(tmp_path):
    path, vendor = tmp_path / "collateral.json", SimulatedVendor.create()
    source = open_source(f"file:{path}")
    for now in (NOW, NOW + 86400):
        collateral = vendor.collateral(now)
        path.write_bytes(collateral.to_bytes())
        assert source(EVIDENCE, now) == collateral


@pytest.mark.parametrize("content", [None, b"", b"{}", b" " * (1 << 19)])
def test_file_that_cannot_serve_is_named(tmp_path, content):
    path = tmp_path / "collateral.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CollateralUnavailableError, match=r"collateral\.json") as refused:
        FileCollateral(path)(EVIDENCE, NOW)
    assert "renew" in refused.value.hint


@pytest.mark.parametrize("location", ["", "file:relative", "https://example.org/x", "/a/path", "simulated:"])
def test_unknown_locations_are_refused_with_the_known_ones(location):
    with pytest.raises(BadInputError, match="file:/absolute/path or vendor:/absolute/path or simulated:"):
        open_source(location)


def test_absent_platform_is_named(tmp_path):
    with pytest.raises(CollateralUnavailableError, match="simulated platform"):
        SimulatedPlatformCollateral(tmp_path / "none.sock")(EVIDENCE, NOW)


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_platform_issues_collateral_for_the_time_that_is_asked_for(tmp_path):
    root = Path(__file__).parents[4]
    command = [sys.executable, "-m", "enclave_runtime.attestation.simulated"]
    command += ["--state", str(tmp_path / "state"), "--socket", str(tmp_path / "p.sock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=root) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["simulated"] is True
        collateral = open_source(f"simulated:{tmp_path}/p.sock")(EVIDENCE, 2_000_000_000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert json.loads(collateral.intel.tcb_info)["issueDate"].startswith("2033-05-18")
