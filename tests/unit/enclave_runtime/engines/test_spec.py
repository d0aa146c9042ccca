import os
from pathlib import Path

import pytest

from enclave_runtime.engines.limits import SandboxError, SandboxLimits
from enclave_runtime.engines.spec import SandboxSpec, bwrap_arguments, environment, python_roots

LIMITS = SandboxLimits(output_bytes=1234, tmp_bytes=567)


def spec(**changes):
    values = {
        "argv": ("/usr/bin/true",),
        "engine_dir": Path("/job/engine"),
        "inputs": (Path("/job/a"), Path("/job/b")),
        "config": b"{}",
        "output_dir": Path("/job/out"),
        "scratch": Path("/job/scratch"),
        "runtime_roots": (Path("/opt/python"),),
    }
    return SandboxSpec(**(values | changes))


def pairs(arguments, option):
    """Every (first, second) that follows `option`."""
    at = [index for index, word in enumerate(arguments) if word == option]
    return [(arguments[index + 1], arguments[index + 2]) for index in at]


def test_mounts_inputs_in_order_and_read_only():
    arguments = bwrap_arguments(spec(), LIMITS, mount_proc=True)
    bound = dict(pairs(arguments, "--ro-bind"))
    assert bound["/job/engine"] == "/engine"
    assert bound["/job/a"] == "/inputs/0"
    assert bound["/job/b"] == "/inputs/1"
    assert bound["/job/scratch/config.json"] == "/config.json"
    assert bound["/opt/python"] == "/opt/python"
    assert "--bind" not in arguments  # nothing of the host is writable, the output neither


def test_root_becomes_read_only_after_the_last_mount():
    arguments = bwrap_arguments(spec(), LIMITS, mount_proc=True)
    last = max(index for index, word in enumerate(arguments) if word in {"--ro-bind", "--tmpfs", "--dir"})
    assert arguments[last:].count("--remount-ro") == 1
    assert ("/", "--chdir") in pairs(arguments, "--remount-ro")


def test_every_writable_folder_has_a_size():
    arguments = bwrap_arguments(spec(), LIMITS, mount_proc=True)
    sizes = {
        arguments[index + 1]: arguments[index - 1]
        for index, word in enumerate(arguments)
        if word == "--tmpfs"
    }
    assert sizes == {"/tmp": "567", "/dev/shm": "567", "/output": "1234"}


@pytest.mark.parametrize("mount_proc", [True, False])
def test_proc_is_fresh_and_read_only_or_two_files(mount_proc):
    arguments = bwrap_arguments(spec(), LIMITS, mount_proc=mount_proc)
    assert ("--proc" in arguments) is mount_proc
    assert (("/proc", "--size") in pairs(arguments, "--remount-ro")) is mount_proc
    seen = {inside for _, inside in pairs(arguments, "--ro-bind") if inside.startswith("/proc")}
    assert seen == (set() if mount_proc else {"/proc/cpuinfo", "/proc/meminfo"})


def test_isolates_every_namespace_and_drops_every_capability():
    arguments = bwrap_arguments(spec(), LIMITS, mount_proc=True)
    for option in ("user", "net", "pid", "ipc", "uts", "cgroup-try"):
        assert f"--unshare-{option}" in arguments
    assert {"--die-with-parent", "--new-session", "--clearenv"} <= set(arguments)
    assert arguments[arguments.index("--cap-drop") + 1] == "ALL"


def test_environment_is_fixed_and_takes_nothing_from_ours(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    given = environment(3)
    assert given["OMP_NUM_THREADS"] == given["MKL_NUM_THREADS"] == "3"
    assert "AWS_SECRET_ACCESS_KEY" not in given
    assert set(environment(1)) == set(given)


def test_python_roots_are_never_usr():
    assert all(root.is_absolute() and not root.is_relative_to("/usr") for root in python_roots())


@pytest.mark.parametrize("argv", [(), ("",), ("a\0b",)])
def test_refuses_a_malformed_command(argv):
    with pytest.raises(ValueError, match="NUL"):
        spec(argv=argv)


@pytest.mark.parametrize("threads", [0, -1, 1025])
def test_refuses_thread_counts(threads):
    with pytest.raises(ValueError, match="threads"):
        spec(threads=threads)


@pytest.mark.parametrize("name", ["engine_dir", "output_dir", "scratch"])
def test_refuses_a_runtime_root_that_shows_the_job(name):
    with pytest.raises(ValueError, match="runtime root"):
        spec(**{name: Path("/opt/python/job")})


def test_refuses_the_whole_machine_as_a_runtime_root(tmp_path):
    with pytest.raises(ValueError, match="runtime root"):
        spec(runtime_roots=(Path("/"),))
    with pytest.raises(SandboxError):
        bwrap_arguments(_without_check(Path("/")), LIMITS, mount_proc=True)


def _without_check(root):
    made = spec()
    object.__setattr__(made, "runtime_roots", (root,))
    return made


def test_system_folders_keep_their_kind():
    arguments = bwrap_arguments(spec(), LIMITS, mount_proc=True)
    links = dict(pairs(arguments, "--symlink"))
    for name in ("bin", "lib64"):
        if os.path.islink(f"/{name}"):
            assert links[os.readlink(f"/{name}")] == f"/{name}"
