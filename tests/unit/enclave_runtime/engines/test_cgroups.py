"""Both versions' files, on folders that stand for a control group file system."""

from pathlib import Path

import pytest

from enclave_runtime.engines import cgroups
from enclave_runtime.engines.cgroups import Cgroup, Cgroups
from enclave_runtime.engines.limits import SandboxError, SandboxLimits

LIMITS = SandboxLimits(memory_bytes=1000, processes=7)


@pytest.fixture
def lenient(monkeypatch):
    """A plain folder has none of the files that the kernel puts into a new group."""
    monkeypatch.setattr(cgroups, "_write", lambda path, value: path.write_text(str(value)))


def proc(folder: Path, groups: str, mounts: str) -> Path:
    (folder / "cgroup").write_text(groups)
    (folder / "mountinfo").write_text(mounts)
    return folder


def v1(folder: Path, name: str, root: str = "/") -> str:
    (folder / name).mkdir(exist_ok=True)
    return f"31 22 0:2 {root} {folder / name} rw,relatime shared:9 - cgroup cgroup rw,{name}\n"


def test_finds_version_1_below_our_own_group(tmp_path, lenient):
    mounts = v1(tmp_path, "memory") + v1(tmp_path, "pids") + v1(tmp_path, "cpuacct")
    (tmp_path / "memory" / "ours").mkdir()
    found = Cgroups.find(proc=proc(tmp_path, "4:memory:/ours\n8:pids:/\n2:cpuacct:/\n0::/\n", mounts))
    folders = {
        "memory": tmp_path / "memory" / "ours",
        "pids": tmp_path / "pids",
        "cpuacct": tmp_path / "cpuacct",
    }
    assert found == Cgroups(1, folders)


def test_finds_version_1_where_only_a_part_is_mounted(tmp_path, lenient):
    """As in a CVM process that was given one folder of the host's hierarchy."""
    mounts = v1(tmp_path, "memory", "/given") + v1(tmp_path, "pids", "/given")
    found = Cgroups.find(proc=proc(tmp_path, "4:memory:/\n8:pids:/given\n", mounts))
    assert found == Cgroups(1, {"memory": tmp_path / "memory", "pids": tmp_path / "pids"})


def test_finds_version_2(tmp_path, lenient):
    (tmp_path / "two" / "slice").mkdir(parents=True)
    mounts = f"30 22 0:2 / {tmp_path / 'two'} rw shared:9 - cgroup2 cgroup rw\n"
    found = Cgroups.find(proc=proc(tmp_path, "0::/slice\n", mounts))
    assert found == Cgroups(2, dict.fromkeys(("memory", "pids"), tmp_path / "two" / "slice"))
    assert (tmp_path / "two" / "slice" / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_finds_nothing_where_the_files_are_missing(tmp_path):
    mounts = v1(tmp_path, "memory") + v1(tmp_path, "pids")
    assert Cgroups.find(proc=proc(tmp_path, "4:memory:/\n8:pids:/\n", mounts)) is None
    assert not list((tmp_path / "memory").iterdir())  # the attempt left nothing


def test_finds_nothing_without_proc(tmp_path):
    assert Cgroups.find(proc=tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (1, {"memory.limit_in_bytes": "1000", "memory.memsw.limit_in_bytes": "1000", "pids.max": "7"}),
        (2, {"memory.max": "1000", "memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "7"}),
    ],
)
def test_writes_the_limits_of_its_version(tmp_path, lenient, version, expected):
    Cgroup(version, dict.fromkeys(("memory", "pids"), tmp_path)).limit(LIMITS)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == expected


def test_refuses_a_group_that_the_kernel_refuses(tmp_path):
    parents = dict.fromkeys(("memory", "pids"), tmp_path / "absent")
    with pytest.raises(SandboxError, match="errno 2"):
        Cgroups(2, parents).create(LIMITS)


@pytest.mark.parametrize(("version", "name"), [(1, "memory.oom_control"), (2, "memory.events")])
def test_sees_a_kill_for_want_of_memory(tmp_path, version, name):
    group = Cgroup(version, dict.fromkeys(("memory", "pids"), tmp_path))
    assert not group.out_of_memory()
    (tmp_path / name).write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert not group.out_of_memory()
    (tmp_path / name).write_text("oom 3\noom_kill 1\n")
    assert group.out_of_memory()


def test_sees_refused_tasks(tmp_path):
    group = Cgroup(2, dict.fromkeys(("memory", "pids"), tmp_path))
    assert not group.out_of_tasks()
    (tmp_path / "pids.events").write_text("max 2\n")
    assert group.out_of_tasks()


def test_reads_processor_time(tmp_path):
    one = Cgroup(1, {"memory": tmp_path, "pids": tmp_path, "cpuacct": tmp_path})
    two = Cgroup(2, dict.fromkeys(("memory", "pids"), tmp_path))
    assert one.cpu_s() is two.cpu_s() is None
    (tmp_path / "cpuacct.usage").write_text("1500000000\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    assert (one.cpu_s(), two.cpu_s()) == (1.5, 2.5)


def test_removes_only_groups_of_processes_that_are_gone(tmp_path):
    mine, gone = (tmp_path / f"cloister-engine-{pid}-0" for pid in ("self", "999999999"))
    other = tmp_path / "somebody-else"
    for folder in (mine, gone, other):
        folder.mkdir()
    cgroups._remove_stale({tmp_path})
    assert sorted(tmp_path.iterdir()) == sorted([mine, other])
