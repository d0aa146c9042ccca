"""`cloister attest` on simulated files of every vendor: good, refused, damaged, without consent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.transcript import Transcript
from tests.fakes.attest_files import write_all

HERE = Path(__file__).parent / "transcripts"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Write the files, and hide this machine's TEE where it has one."""
    monkeypatch.setattr("enclave_runtime.attestation.tsm.attest.LinuxKernel.make", _no_interface)
    monkeypatch.setattr("marketplace.sdk.attesting.OLDER_DEVICES", ("/nonexistent/tdx", "/nonexistent/sev"))
    return write_all(tmp_path)


def _no_interface(kernel: object, name: str) -> None:
    raise FileNotFoundError(2, "No such file or directory")


@pytest.mark.parametrize("name", ["attest_show", "attest_verify"])
def test_transcript_of_evidence(files: dict[str, str], name: str) -> None:
    Transcript(HERE / f"{name}.txt", files).check()
