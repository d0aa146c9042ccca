"""`cloister attest` on simulated files of every vendor: good, refused, damaged, without consent."""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.attestation.machine import INTERFACES, find_attesters
from enclave_runtime.attestation.model import Attester
from enclave_runtime.wire.errors import EnclaveError
from tests.cli.transcript import Transcript
from tests.fakes.attest_files import write_all

HERE = Path(__file__).parent / "transcripts"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Write the files, and hide this machine's TEE where it has one."""
    monkeypatch.setattr("marketplace.sdk.attesting.this_machine", _no_tee)
    return write_all(tmp_path)


def _no_tee() -> Attester:
    def absent() -> Attester:
        raise EnclaveError("no such interface")

    return find_attesters(dict.fromkeys(INTERFACES, absent))[0]


@pytest.mark.parametrize("name", ["attest_show", "attest_verify"])
def test_transcript_of_evidence(files: dict[str, str], name: str) -> None:
    Transcript(HERE / f"{name}.txt", files).check()
