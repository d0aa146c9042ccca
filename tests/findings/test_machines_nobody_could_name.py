"""A policy could list the machines that may get a key, and no command showed what to write into that list.

The value is a tagged digest of PPID or CHIP_ID. What `cloister attest` shows, what waits for a person and
what the audit log has must be that very value: put into `platforms`, it releases; another machine's refuses.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from enclave_runtime.attestation.errors import Step
from enclave_runtime.attestation.model import VerifiedDevice
from enclave_runtime.wire.codec import bytes_from_hex, hex_of
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.report_data import Purpose
from marketplace.cli.main import run
from marketplace.keybroker.store import Approval
from marketplace.service.appraisal import PolicyAppraiser
from tests.fakes.cvm import OPERATOR, FakeCvm
from tests.fakes.order_world import NOW
from tests.fakes.simulated_tdx import SimulatedTdx
from tests.unit.marketplace.keybroker.conftest import Make, World, make

__all__ = ["make"]

CHALLENGE = b"\x07" * 32


@pytest.fixture(scope="module")
def tdx() -> SimulatedTdx:
    return SimulatedTdx()


def broker(make: Make, tdx: SimulatedTdx, **policy: object) -> World:
    made = make(
        trust_classes=frozenset({tdx.root_set}),
        measurements=frozenset({tdx.measurement}),
        unsafe_accept_simulated=True,
        accept_host_clock=True,
        **policy,
    )
    source = lambda _evidence, now: tdx.collateral(now)  # noqa: E731 - a source in a line
    return made.judging(PolicyAppraiser(made.broker.policy.appraisal, {tdx.root_set: source}))


def told(capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    run([*command, "--json"])
    return json.loads(capsys.readouterr().out)


def shown(tdx: SimulatedTdx, folder: Path, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return what `attest show` and `attest verify` say of the machine, without a policy having listed it."""
    bundle, collateral = folder / "evidence.json", folder / "collateral.json"
    bundle.write_bytes(tdx.bundle(FakeCvm(), CHALLENGE, purpose=Purpose.CERTIFY).to_bytes())
    collateral.write_bytes(tdx.collateral(NOW).to_bytes())
    parts = told(capsys, "attest", "show", str(bundle))["parts"]
    (named,) = (part["facts"]["platform id (ours)"] for part in parts if "ppid" in part["facts"])
    flags = ["--roots", tdx.root_set, "--unsafe-accept-simulated", tdx.root_set, "--at", str(NOW)]
    flags += ["--measurement", hex_of(tdx.measurement), "--collateral", str(collateral)]
    flags += ["--operator", hex_of(OPERATOR), "--purpose", "certify", "--challenge", hex_of(CHALLENGE)]
    verdict = told(capsys, "attest", "verify", str(bundle), *flags)
    assert verdict["verified"], verdict
    return {named, verdict["platform_id"]}


def test_the_value_that_is_shown_is_the_one_that_a_policy_lists(
    make: Make, tdx: SimulatedTdx, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (value,) = shown(tdx, tmp_path, capsys)
    listed = broker(make, tdx, platforms=frozenset({bytes_from_hex(value, 32)}))
    cvm, preimage = listed.running()
    listed.granted(listed.quoted_body(tdx, cvm, preimage))
    entry = listed.entries()[-1]
    assert entry["event"] == "granted" and entry["facts"]["platform_id"] == value

    other = broker(make, tdx, platforms=frozenset({sha256(b"another machine")}))
    cvm, preimage = other.running()
    refusal = other.refused(other.quoted_body(tdx, cvm, preimage))
    assert refusal["step"] == Step.TCB and value in refusal["got"]


def test_whoever_decides_by_hand_sees_machine_and_devices_whole(make: Make, tdx: SimulatedTdx) -> None:
    world = broker(make, tdx, by_hand=True)
    cvm, preimage = world.running()
    assert world.release(world.quoted_body(tdx, cvm, preimage)).status_code == 202
    (row,) = world.broker.store.pending(Approval.WAITING)
    assert len(bytes_from_hex(str(row.facts["platform_id"]), 32)) == 32
    assert row.facts["device_ids"] == []


def test_a_device_is_never_named_by_a_part_of_its_id() -> None:
    device = VerifiedDevice("gpu", sha256(b"a GPU"), "HOPPER", "570.1", "96.0")
    assert hex_of(device.device_id) in device.words()
