"""Both versions' files, on folders that stand for a control group file system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from enclave_runtime.attestation.simulated import groups
from enclave_runtime.attestation.simulated.groups import MOST_TASKS, CvmGroup, Groups

INSIDE = "/sys/fs/cgroup"


@pytest.fixture
def lenient(monkeypatch):
    """A plain folder has none of the files that the kernel puts into a new group, and keeps those it has."""
    monkeypatch.setattr(groups, "_write", lambda path, text: path.write_text(text))
    monkeypatch.setattr(os, "chown", lambda path, user, group: None)

    def remove(group: CvmGroup) -> bool:
        for folder in groups._tree(group.folders.values()):
            for path in folder.iterdir():
                path.unlink() if path.is_file() else path.rmdir()
            folder.rmdir()
        return True

    monkeypatch.setattr(CvmGroup, "remove", remove)


def proc(folder: Path, own: str, mounts: str) -> Path:
    (folder / "cgroup").write_text(own)
    (folder / "mountinfo").write_text(mounts)
    return folder


def v1(folder: Path, names: str, root: str = "/") -> str:
    (folder / names).mkdir()
    return f"31 22 0:2 {root} {folder / names} rw,relatime shared:9 - cgroup cgroup rw,{names}\n"


def v2(folder: Path) -> str:
    (folder / "two").mkdir()
    return f"30 22 0:2 / {folder / 'two'} rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_finds_version_1_below_our_own_groups(tmp_path, lenient):
    mounts = (
        v1(tmp_path, "memory") + v1(tmp_path, "pids") + v1(tmp_path, "cpu,cpuacct") + v1(tmp_path, "blkio")
    )
    (tmp_path / "memory" / "ours").mkdir()
    own = "4:memory:/ours\n8:pids:/\n2:cpu,cpuacct:/\n7:blkio:/\n0::/\n"
    found = Groups.find(proc=proc(tmp_path, own, mounts + v2(tmp_path)))
    parents = {
        f"{INSIDE}/memory": tmp_path / "memory" / "ours",
        f"{INSIDE}/pids": tmp_path / "pids",
        f"{INSIDE}/cpuacct": tmp_path / "cpu,cpuacct",
    }
    assert found == Groups(1, parents)


def test_controllers_of_one_mount_are_one_folder(tmp_path, lenient):
    found = Groups.find(proc=proc(tmp_path, "4:memory,pids:/\n", v1(tmp_path, "memory,pids")))
    assert found == Groups(1, {f"{INSIDE}/memory": tmp_path / "memory,pids"})


@pytest.mark.parametrize("without", ["memory", "pids"])
def test_finds_nothing_where_a_controller_is_missing(tmp_path, lenient, without):
    (other,) = {"memory", "pids"} - {without}
    assert (
        Groups.find(proc=proc(tmp_path, f"4:{other}:/\n0::/\n", v1(tmp_path, other) + v2(tmp_path))) is None
    )


def test_finds_nothing_where_it_may_not_write_or_there_is_no_proc(tmp_path):
    mounts = f"31 22 0:2 / {tmp_path / 'absent'} rw - cgroup cgroup rw,memory,pids\n"
    assert Groups.find(proc=proc(tmp_path, "4:memory,pids:/\n", mounts)) is None
    assert Groups.find(proc=tmp_path / "absent") is None


def test_finds_version_2_in_the_nearest_group_that_passes_controllers_on(tmp_path, lenient):
    mounts = v2(tmp_path)
    ours = tmp_path / "two" / "slice" / "session"
    ours.mkdir(parents=True)
    (tmp_path / "two" / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (tmp_path / "two" / "slice" / "cgroup.subtree_control").write_text("memory pids\n")
    (ours / "cgroup.subtree_control").write_text("\n")
    found = Groups.find(proc=proc(tmp_path, "0::/slice/session\n", mounts))
    assert found == Groups(2, {INSIDE: tmp_path / "two" / "slice"})


def test_version_2_groups_have_a_leaf_for_the_runtime_and_give_away_no_limit(tmp_path, lenient, monkeypatch):
    given = []
    monkeypatch.setattr(os, "chown", lambda path, user, group: given.append((path.name, user, group)))
    group = Groups(2, {INSIDE: tmp_path}).create(65_001)
    (folder,) = group.folders.values()
    assert (folder / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert group.entries == [folder / "runtime" / "cgroup.procs"]
    assert given == [
        (name, 65_001, 65_001) for name in (folder.name, "cgroup.procs", "cgroup.subtree_control")
    ]


def test_version_1_groups_bound_the_tasks_of_the_whole_cvm(tmp_path, lenient, monkeypatch):
    real = Path.mkdir

    def mkdir(path: Path, *args: object, **kwargs: object) -> None:
        real(path, *args, **kwargs)
        (path / "pids.max").write_text("max\n")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    group = Groups(1, {f"{INSIDE}/pids": tmp_path}).create(65_001)
    (folder,) = group.folders.values()
    assert (folder / "pids.max").read_text() == str(MOST_TASKS)
    assert group.entries == [folder / "cgroup.procs"]


def test_removal_takes_what_the_cvm_made_below(tmp_path):
    group = CvmGroup(2, {INSIDE: tmp_path / "cvm"})
    (tmp_path / "cvm" / "runtime").mkdir(parents=True)
    (tmp_path / "cvm" / "engine" / "deeper").mkdir(parents=True)
    assert group.remove()
    assert group.remove()  # twice is once
    (tmp_path / "cvm").mkdir()
    (tmp_path / "cvm" / "busy").write_text("as good as a process inside")
    assert not group.remove()


def test_nobody_is_killed_for_processes_that_cannot_be_seen(tmp_path, monkeypatch):
    killed = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid))
    (tmp_path / "cgroup.procs").write_text("0\n4711\n0\n")
    CvmGroup(1, {INSIDE: tmp_path}).kill()
    assert killed == [4711]


def test_groups_of_platforms_that_are_gone_are_removed_and_no_others(tmp_path):
    gone, alive, other = (tmp_path / f"cloister-cvm-{pid}-0" for pid in (999999999, os.getpid(), "self"))
    for folder in (gone, alive, other):
        folder.mkdir()
    Groups(1, {INSIDE: tmp_path})._remove_stale()
    assert sorted(tmp_path.iterdir()) == sorted([alive, other])
