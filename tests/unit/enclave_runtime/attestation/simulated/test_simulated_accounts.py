"""Whether a platform can give up root for its CVMs, on files of /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enclave_runtime.attestation.simulated import accounts
from enclave_runtime.attestation.simulated.accounts import ACCOUNTS, can_step_down, check_readable, pick
from enclave_runtime.wire.errors import EnclaveError

ALL = "         0          0 4294967295\n"
FULL = "000001ffffffffff"


def proc(folder: Path, *, held: str = FULL, uid_map: str = ALL, gid_map: str = ALL) -> Path:
    (folder / "status").write_text(f"Name:\tx\nCapPrm:\t{FULL}\nCapEff:\t{held}\n")
    (folder / "uid_map").write_text(uid_map)
    (folder / "gid_map").write_text(gid_map)
    return folder


@pytest.fixture
def root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_root_with_its_capabilities_can(root, tmp_path):
    assert can_step_down(proc(tmp_path))
    assert can_step_down(proc(tmp_path, uid_map="0 0 1000\n1000 100000 64536\n"))


@pytest.mark.parametrize(
    "lacking",
    [
        {"held": "0000000000000000"},
        {"held": "00000000a80425fb"},  # an ordinary container's: no CAP_SYS_ADMIN
        {"uid_map": "0 1000 1\n"},  # root of a user namespace that has one id
        {"gid_map": "0 100000 65000\n"},
        {"uid_map": ""},
    ],
)
def test_root_of_a_container_may_not(root, tmp_path, lacking):
    assert not can_step_down(proc(tmp_path, **lacking))


def test_an_ordinary_user_cannot_and_need_not(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not can_step_down(proc(tmp_path))


def test_without_proc_nobody_can(root, tmp_path):
    assert not can_step_down(tmp_path)


def test_picks_an_account_that_is_free():
    assert pick(set(ACCOUNTS) - {ACCOUNTS[7]}) == ACCOUNTS[7]


def test_a_link_is_not_handed_over(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OSError, match="link"):
        accounts.hand_over(tmp_path / "link", os.getuid())
    accounts.hand_over(tmp_path, os.getuid())
    assert tmp_path.stat().st_uid == os.getuid()


def test_an_interpreter_for_its_owner_alone_is_named_with_the_remedy(tmp_path):
    tmp_path.chmod(0o755)
    check_readable([tmp_path])
    tmp_path.chmod(0o700)
    with pytest.raises(EnclaveError, match="chmod -R o"):
        check_readable([tmp_path])
