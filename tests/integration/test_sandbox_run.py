"""The sandbox with real processes, with control groups and without (protocol.md 7(7), 10)."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from enclave_runtime.engines import selftest
from enclave_runtime.engines.limits import MIB, Reason, SandboxError
from enclave_runtime.engines.sandbox import Sandbox
from tests.integration.sandbox_kit import MODES, REPOSITORY, TIGHT, run, sandbox

pytestmark = pytest.mark.integration


@pytest.fixture(params=MODES)
def box(request):
    return sandbox(request.param)


def limited(**changes):
    return dataclasses.replace(TIGHT, **changes)


def processes_with(text: str) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if text.encode() in Path("/proc", name, "cmdline").read_bytes():
                found.append(int(name))
        except OSError:
            continue
    return found


def children_of(pid: int) -> set[int]:
    found = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= {int(child) for child in task.read_text().split()}
    return found


def descendants_of(pid: int) -> set[int]:
    children = children_of(pid)
    return children.union(*(descendants_of(child) for child in children))


def engines(of: int) -> list[int]:
    """Return the processes below `of` that are engines themselves, no sandbox around one."""
    found = []
    for pid in set(processes_with("attack.py")) & descendants_of(of):
        with contextlib.suppress(OSError):
            if Path("/proc", str(pid), "cmdline").read_bytes().startswith(sys.executable.encode() + b"\0"):
                found.append(pid)
    return found


def test_gives_inputs_and_takes_outputs(box, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "data").write_text("first")
    (tmp_path / "b").write_text("second")
    result = run(
        box,
        tmp_path,
        "import os\n"
        "os.mkdir('/output/folder')\n"
        "text = open('/inputs/0/data').read() + open('/inputs/1').read() + open('/config.json').read()\n"
        "open('/output/folder/result', 'w').write(text)\n"
        "print('said', os.getcwd())\n",
        inputs=(tmp_path / "a", tmp_path / "b"),
        config=b'{"x":1}',
    )
    assert (result.reason, result.exit_code, result.log) == (Reason.OK, 0, b"said /engine\n")
    assert (tmp_path / "output" / "folder" / "result").read_text() == 'firstsecond{"x":1}'
    assert (result.output_bytes, result.output_files) == (18, 1)


def test_self_test_holds(box):
    found = selftest.self_test(box)
    assert [result for result in found if not result.works] == []
    assert len(found) >= 26


def test_inherits_no_descriptor_and_no_variable(box, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOISTER_SECRET", "hunter2")
    leak = os.open("/", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        result = run(
            box,
            tmp_path,
            "import os, json\n"
            "def is_open(fd):\n"
            "    try: os.fstat(fd); return True\n"
            "    except OSError: return False\n"
            "print(json.dumps([[fd for fd in range(1024) if is_open(fd)], sorted(os.environ)]))\n",
        )
    finally:
        os.close(leak)
    descriptors, variables = json.loads(result.log)
    assert descriptors == [0, 1, 2]
    assert "CLOISTER_SECRET" not in variables


def test_sees_its_own_processes_only(box, tmp_path):
    if not box.mount_proc:
        pytest.skip("no /proc in sandboxes of this machine")
    result = run(box, tmp_path, "import os\nprint([p for p in os.listdir('/proc') if p.isdigit()])\n")
    assert result.log == b"['1', '2']\n"


def test_kernel_settings_are_out_of_reach(box, tmp_path):
    """Found with bubblewrap 0.8 started by root: /proc/sys is root's, and so is the engine's user."""
    result = run(
        box,
        tmp_path,
        "import os\n"
        "for path in ('kernel/core_pattern', 'vm/overcommit_memory', 'kernel/hostname'):\n"
        "    try: os.close(os.open('/proc/sys/' + path, os.O_WRONLY)); print('WRITABLE', path)\n"
        "    except OSError as error: print(error.errno)\n",
    )
    assert b"WRITABLE" not in result.log


def test_exit_codes_and_signals_come_back(box, tmp_path):
    assert run(box, tmp_path, "raise SystemExit(7)\n").exit_code == 7
    crashed = run(box, tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    assert (crashed.reason, crashed.exit_code) == (Reason.SIGNAL, 128 + signal.SIGSEGV)


def test_a_command_that_is_not_there_is_the_engines_fault(box, tmp_path):
    (tmp_path / "engine").mkdir()
    spec = dataclasses.replace(_spec(tmp_path), argv=("/engine/absent",))
    result = box.run(spec, TIGHT, stop=threading.Event())
    assert (result.reason, result.exit_code) == (Reason.EXIT, 127)
    assert "executed" in result.detail


def test_a_killed_bubblewrap_is_the_hosts_fault(box, tmp_path):
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "attack.py").write_text("import time\ntime.sleep(60)\n")

    def end_monitor():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.02)
            mine = [pid for pid in processes_with(f"{tmp_path}/engine") if pid in children_of(os.getpid())]
            if mine and engines(mine[0]):  # before that, bubblewrap would not have been able to build it
                os.kill(mine[0], signal.SIGKILL)
                return

    killer = threading.Thread(target=end_monitor)
    killer.start()
    with pytest.raises(SandboxError, match="ended with -9"):
        box.run(_spec(tmp_path), TIGHT, stop=threading.Event())
    killer.join()
    assert processes_with(str(tmp_path)) == []


def test_ordinary_programs_are_not_in_the_filters_way(box, tmp_path):
    """What numerical Python does all day: threads, processes, pools, subprocesses, event loops, databases."""
    source = """
import asyncio, concurrent.futures, ctypes, multiprocessing, os, shutil, sqlite3, subprocess, tempfile
def square(x): return x * x
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(square, range(3)) == [0, 1, 4]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(square, range(3))) == [0, 1, 4]
    assert subprocess.run(["/bin/sh", "-c", "echo a | cat"], capture_output=True).stdout == b"a\\n"
    async def later():
        await asyncio.sleep(0.01)
        return await (await asyncio.create_subprocess_exec("/bin/true")).wait()
    assert asyncio.run(later()) == 0
    with tempfile.TemporaryDirectory() as folder:
        with sqlite3.connect(folder + "/x.db") as db: db.execute("create table t (a)")
        shutil.copy2(folder + "/x.db", "/output/x.db")
        os.chmod("/output/x.db", 0o640)
        os.utime("/output/x.db", (1, 1))
        os.rename("/output/x.db", "/output/y.db")
    assert os.sched_getaffinity(0) and os.cpu_count() and len(os.urandom(8)) == 8
    assert ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)() == 7
    print("all well")
"""
    result = run(box, tmp_path, source)
    assert result.log == b"all well\n", result.log
    assert result.ok


def test_an_input_that_is_not_there_is_the_hosts_fault(box, tmp_path):
    with pytest.raises(SandboxError, match=r"could not be built.*absent"):
        run(box, tmp_path, "", inputs=(tmp_path / "absent",))


def test_stops_at_once_when_told(box, tmp_path):
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    result = run(box, tmp_path, "import time\ntime.sleep(60)\n", stop=stop)
    assert (result.reason, result.exit_code) == (Reason.STOPPED, None)
    assert result.seconds < TIGHT.wall_s


def test_reads_only_the_clock_it_is_given(box, tmp_path):
    """An hour passes on the given clock at each look."""
    hours = iter(range(0, 3600 * 1000, 3600))
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "attack.py").write_text("import time\ntime.sleep(60)\n")
    result = box.run(_spec(tmp_path), TIGHT, stop=threading.Event(), clock=lambda: float(next(hours)))
    assert result.reason is Reason.TIMEOUT
    assert result.seconds >= 3600


def test_leaves_no_process_behind(box, tmp_path):
    """Children that outlive the engine, deaf to every signal that can be ignored."""
    source = (
        "import os, signal, time\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n"
        "        time.sleep(60)\n"
        "print('left')\n"
    )
    result = run(box, tmp_path, source)
    assert (result.reason, result.log) == (Reason.OK, b"left\n")
    assert processes_with(str(tmp_path)) == []


def test_removes_its_control_group(tmp_path):
    box = sandbox("cgroup")
    assert box.cgroups
    run(box, tmp_path, "pass\n")
    for parent in box.cgroups.parents.values():
        assert not list(parent.glob(f"cloister-engine-{os.getpid()}-*"))


def test_counts_processor_time_of_all_processes(box, tmp_path):
    source = "import os\nfor _ in range(3): os.fork()\nwhile True: pass\n"
    result = run(box, tmp_path, source, limits=limited(cpu_s=0.3))
    assert result.reason is Reason.CPU
    assert 0.3 < result.cpu_s < TIGHT.cpu_s


def test_a_file_may_not_be_longer_than_its_limit(box, tmp_path):
    source = "open('/output/x', 'wb').write(bytes(8 << 20))\n"
    result = run(box, tmp_path, source, limits=limited(file_bytes=MIB, output_bytes=64 * MIB))
    assert (result.reason, result.output_bytes) == (Reason.EXIT, MIB)
    assert b"File too large" in result.log


def test_a_full_output_is_not_ok_even_if_the_engine_says_so(box, tmp_path):
    source = "import os\nfd = os.open('/output/x', os.O_CREAT | os.O_WRONLY)\nos.write(fd, bytes(4 << 20))\n"
    assert run(box, tmp_path, source, limits=limited(output_bytes=MIB)).reason is Reason.OUTPUT


def test_too_many_files_are_stopped_while_they_are_made(box, tmp_path):
    source = "import time\nfor n in range(1000): open(f'/output/{n}', 'w').close()\ntime.sleep(60)\n"
    result = run(box, tmp_path, source)
    assert (result.reason, result.output_files) == (Reason.OUTPUT, 0)
    assert not (tmp_path / "output").exists()
    assert result.seconds < TIGHT.wall_s


def test_runs_side_by_side(tmp_path):
    box, results = sandbox(), {}

    def one(number):
        folder = tmp_path / str(number)
        folder.mkdir()
        results[number] = run(box, folder, f"open('/output/x', 'w').write('{number}')\n")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.ok for result in results.values())
    assert [(tmp_path / str(n) / "output" / "x").read_text() for n in range(4)] == ["0", "1", "2", "3"]


def test_dies_with_the_runtime(tmp_path):
    """Killing the process that runs the engine, with no chance to clean up, takes the engine along."""
    sandbox()
    source = (
        "import sys, pathlib\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from tests.integration.sandbox_kit import run, sandbox\n"
        "run(sandbox(), pathlib.Path(sys.argv[2]), 'import time; time.sleep(60)')\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", source, str(REPOSITORY), str(tmp_path)])
    try:
        # Not before the engine itself runs: a bubblewrap that is killed between the start of its second self
        # and the map of its users leaves that one waiting for it, without a root and without an engine.
        deadline = time.monotonic() + 60
        while not (engine := engines(parent.pid)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        sandboxes = processes_with(str(tmp_path / "engine"))
        assert len(sandboxes) >= 2
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 60
    while left := [pid for pid in (*engine, *sandboxes) if Path("/proc", str(pid)).exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def test_says_what_is_missing_without_bubblewrap(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SandboxError, match="bubblewrap"):
        Sandbox.detect()


def test_refuses_a_bubblewrap_that_makes_no_sandbox():
    with pytest.raises(SandboxError, match="do not work here"):
        Sandbox.detect(Path("/usr/bin/false"))


def _spec(folder):
    from enclave_runtime.engines.spec import SandboxSpec

    return SandboxSpec(
        argv=(sys.executable, "-S", "attack.py"),
        engine_dir=folder / "engine",
        inputs=(),
        config=b"{}",
        output_dir=folder / "output",
        scratch=folder / "scratch",
    )
