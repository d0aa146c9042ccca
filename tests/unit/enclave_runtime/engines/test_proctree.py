from pathlib import Path

from enclave_runtime.engines.proctree import sample


def process(root: Path, pid: int, children: dict[int, list[int]], ticks: int, anon_kb: int) -> None:
    """A folder of /proc; `children` maps each thread to the processes that it started."""
    folder = root / str(pid)
    for thread, pids in children.items():
        (folder / "task" / str(thread)).mkdir(parents=True)
        (folder / "task" / str(thread) / "children").write_text("".join(f"{child} " for child in pids))
    # A name may hold blanks and brackets; fields 14 to 17 are the times.
    (folder / "stat").write_text(f"{pid} (a ) (b) R 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0\n")
    (folder / "status").write_text(f"Name:\tx\nRssAnon:\t{anon_kb} kB\nRssFile:\t9999 kB\nRssShmem:\t1 kB\n")


def test_adds_up_threads_memory_and_time_of_the_whole_tree(tmp_path):
    process(tmp_path, 10, {10: [11], 12: [13]}, 100, 7)
    process(tmp_path, 11, {11: []}, 50, 3)
    process(tmp_path, 13, {13: [14]}, 50, 0)  # 14 is gone meanwhile
    usage = sample(10, most_tasks=99, proc=tmp_path)
    assert usage.tasks == 4
    assert usage.memory_bytes == (7 + 3 + 0 + 3) * 1024
    assert usage.cpu_s == 2.0


def test_stops_looking_when_there_are_too_many(tmp_path):
    process(tmp_path, 1, {1: list(range(2, 50))}, 0, 0)
    for pid in range(2, 50):
        process(tmp_path, pid, {pid: []}, 0, 0)
    assert sample(1, most_tasks=5, proc=tmp_path).tasks == 6


def test_a_tree_that_is_gone_uses_nothing(tmp_path):
    usage = sample(4, most_tasks=5, proc=tmp_path)
    assert (usage.tasks, usage.memory_bytes, usage.cpu_s) == (0, 0, 0.0)
