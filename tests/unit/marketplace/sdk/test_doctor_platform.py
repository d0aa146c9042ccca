"""`doctor` says where a provider's platform plays something else than its owner believes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.roots import GpuRoots
from enclave_runtime.attestation.rules import GpuRules
from enclave_runtime.attestation.simulated.client import PlatformClient, PlatformState
from marketplace.sdk import doctor
from marketplace.sdk.settings import Trust

ROOT, GPU = "dev:" + "5a" * 32, GpuRoots.dev(b"device", b"rim").id
PLAYED = PlatformState(TeeKind.TDX, ROOT, 0, None)
TRUST = Trust(ROOT, unsafe_accept_simulated=True)


def said(monkeypatch: pytest.MonkeyPatch, played: PlatformState, trust: Trust) -> str:
    monkeypatch.setattr(PlatformClient, "describe", lambda _: played)
    provider = SimpleNamespace(platform_socket=Path("/p.sock"))
    session = SimpleNamespace(profile=SimpleNamespace(provider=provider, trust=trust))
    check = doctor._platform(session)  # type: ignore[arg-type]
    assert check.health is doctor.Health.WARN
    return check.found


def test_a_platform_that_plays_what_is_believed_is_simulated_and_no_more(monkeypatch) -> None:
    assert said(monkeypatch, PLAYED, TRUST) == f"SIMULATED platform {ROOT}"
    both = replace(TRUST, tees=(TeeKind.TDX, TeeKind.SEV_SNP))
    assert "SIMULATED" in said(monkeypatch, replace(PLAYED, tee=TeeKind.SEV_SNP), both)
    rules = GpuRules(2, frozenset({GPU}))
    assert "SIMULATED" in said(
        monkeypatch, replace(PLAYED, gpus=2, gpu_root_set=GPU), replace(TRUST, gpu=rules)
    )


@pytest.mark.parametrize(
    ("played", "trust", "words"),
    [
        (PLAYED, Trust(), "root set"),
        (replace(PLAYED, root_set="dev:" + "00" * 32), TRUST, "root set"),
        (replace(PLAYED, tee=TeeKind.SEV_SNP), TRUST, "sev-snp"),
        (replace(PLAYED, gpus=2, gpu_root_set=GPU), TRUST, "number of GPUs is 2"),
        (PLAYED, replace(TRUST, gpu=GpuRules(1, frozenset({GPU}))), "number of GPUs is 0"),
    ],
)
def test_a_platform_that_plays_something_else_is_told(monkeypatch, played, trust, words) -> None:
    found = said(monkeypatch, played, trust)
    assert words in found and "believes" in found
