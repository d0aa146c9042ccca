"""Whatever hardware the demo plays, its certifiers, brokers and people accept that, and nothing besides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.policy import AppraisalPolicy, UnsafeAcceptSimulated
from enclave_runtime.attestation.roots import GpuRoots, RootSet
from marketplace.certifier.config import load_config
from marketplace.demo.settings import Accept, certifier_settings, policy_text
from marketplace.demo.world import HARDWARE, Hardware
from marketplace.domain.release_policy import parse_policy
from marketplace.errors import BadInputError
from marketplace.sdk.profile import Profile
from marketplace.sdk.trust import anchor_with, order_policy, root_set_of

CPU, GPU = RootSet.dev(b"cpu"), GpuRoots.dev(b"device", b"rim")
MEASUREMENT = b"\x07" * 32


def accept_of(hardware: Hardware) -> Accept:
    roots = GPU.id if hardware.gpus else None
    return Accept(CPU.id, ("0x" + MEASUREMENT.hex(),), hardware.tee, hardware.gpus, roots)


def judges(accept: Accept, folder: Path) -> list[AppraisalPolicy]:
    """Return how certifier, broker and auditor judge evidence, as their files say it."""
    (folder / "certifier.toml").write_text(
        certifier_settings("c", accept, rpc="http://x", deployment=folder / "d", collateral="file:/c")
    )
    text = policy_text(accept, engines=(), clients=(), listed_by="0x" + "11" * 20, min_price_due=0)
    trust: dict[str, object] = {
        "root_set": accept.root_set,
        "unsafe_accept_simulated": True,
        "measurements": list(accept.measurements),
        "tees": [accept.tee.value],
        "gpu": accept.gpu_rules(),
    }
    profile = Profile.write(folder / "home", rpc=["http://x"], deployment="d", trust=trust)
    assert profile == Profile.load(folder / "home")
    assert order_policy(profile.trust).tee_mask == 1 << accept.tee.wire
    broker = parse_policy(text.encode())
    assert broker.tees == {accept.tee}
    return [
        load_config(folder / "certifier.toml").policy,
        broker.appraisal(accept.root_set),
        anchor_with(profile.trust, root_set_of(profile.trust), object()).policy,  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize("name", HARDWARE)
def test_all_parties_accept_the_same_hardware(name: str, tmp_path: Path) -> None:
    hardware = HARDWARE[name]
    accept = accept_of(hardware)
    for policy in judges(accept, tmp_path):
        policy.check_roots(CPU)
        assert policy.simulated == UnsafeAcceptSimulated(CPU.id)
        assert (policy.gpu is None) == (hardware.gpus == 0)
        if policy.gpu is not None:
            assert policy.gpu.count == hardware.gpus
            policy.gpu.check_roots(GPU)
    assert "SIMULATED" in accept.words() and hardware.tee.value in accept.words()
    assert ("2 SIMULATED GPUs" in accept.words()) == (hardware.gpus == 2)
    assert hardware.options() == ("--tee", hardware.tee.value, "--gpus", str(hardware.gpus))


def test_the_three_kinds_are_those_that_the_option_names() -> None:
    assert {name: (item.tee, item.gpus) for name, item in HARDWARE.items()} == {
        "tdx": (TeeKind.TDX, 0),
        "sev-snp": (TeeKind.SEV_SNP, 0),
        "tdx+2gpu": (TeeKind.TDX, 2),
    }


def test_simulated_gpus_need_the_loud_word_of_certifiers_and_people(tmp_path: Path) -> None:
    accept = accept_of(HARDWARE["tdx+2gpu"])
    text = certifier_settings("c", accept, rpc="x", deployment=tmp_path, collateral="file:/c")
    path = tmp_path / "certifier.toml"
    for spoiled in (
        text.replace("unsafe_accept_simulated = true", "unsafe_accept_simulated = false"),
        text.replace("count = 2", "count = 9"),
        text.replace("count = 2", "number = 2"),
        text.replace(GPU.id, "dev:0"),
        text.replace("[accept.gpu]", "[accept.gpus]"),
        text.replace("[accept.gpu]", "[accept.snp]"),
    ):
        assert spoiled != text
        path.write_text(spoiled)
        with pytest.raises(BadInputError):
            load_config(path)
    home = tmp_path / "home"
    trust: dict[str, object] = {"gpu": {"count": 1, "root_sets": [GPU.id]}}
    with pytest.raises(BadInputError, match="SIMULATED"):
        Profile.write(home, rpc=["http://x"], deployment="d", trust=trust)
    with pytest.raises(BadInputError, match="tees"):
        Profile.write(home, rpc=["http://x"], deployment="d", trust={"tees": ["TDX"]})


def test_vendors_rules_of_certifiers_and_people_are_those_of_release_policies(tmp_path: Path) -> None:
    accept = accept_of(HARDWARE["sev-snp"])
    text = certifier_settings("c", accept, rpc="x", deployment=tmp_path, collateral="file:/c")
    path = tmp_path / "certifier.toml"
    path.write_text(text.replace("[collateral]", "[accept.snp]\nrequire_smt_off = true\n[collateral]"))
    assert load_config(path).policy.snp == replace(
        AppraisalPolicy(frozenset(), frozenset()).snp, require_smt_off=True
    )
    trust: dict[str, object] = {"snp": {"max_vmpl": 1}, "intel": {"require_smt_off": True}}
    believed = Profile.write(tmp_path / "home", rpc=["http://x"], deployment="d", trust=trust).trust
    assert believed.snp.max_vmpl == 1 and believed.intel.require_smt_off
