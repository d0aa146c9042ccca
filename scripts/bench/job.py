#!/usr/bin/env python3
"""What the sandbox costs a whole training job: the example engine inside and outside, in interleaved pairs.

Both sides are the whole engine process with its imports, warm, with the same environment and one thread. The
inside counts everything from the call until the output is in its folder. Prints one JSON object as its last
line and exits with 1 if the median ratio is above the limit or the two sides differ in one bit.

    python scripts/bench/job.py --json
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "breast_cancer"
sys.path[:0] = [str(REPOSITORY)]

from enclave_runtime.engines.base import EngineJob, threads_of  # noqa: E402
from enclave_runtime.engines.limits import SandboxLimits  # noqa: E402
from enclave_runtime.engines.sandbox import Runner  # noqa: E402
from enclave_runtime.engines.selftest import open_runner  # noqa: E402
from enclave_runtime.engines.spec import SandboxSpec, environment  # noqa: E402
from enclave_runtime.engines.training import TrainingEngine  # noqa: E402

LIMIT = 1.05
START_LIMIT_MS = 5.0
SAME_BITS = ("model.safetensors", "metrics.json", "roc.png")


def main() -> int:
    """Measure; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Measure the example training job inside and outside the sandbox."
    )
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cloister-bench-") as name:
        report = measure(Path(name), arguments.pairs, quiet=arguments.json)
    print(json.dumps(report, sort_keys=True))
    return 0 if report["ok"] else 1


def measure(folder: Path, pairs: int, *, quiet: bool) -> dict[str, object]:
    """Run one warm pair and then `pairs` measured ones, each the other way round than the last."""
    subprocess.run(
        [sys.executable, str(EXAMPLE / "prepare.py"), str(folder / "data")], check=True, capture_output=True
    )
    started = time.perf_counter()
    runner = open_runner(scratch=folder)
    self_test_s = time.perf_counter() - started
    inside: list[float] = []
    outside: list[float] = []
    equal = True
    for number in range(-1, pairs):
        sides = [("inside", inside), ("outside", outside)]
        for side, taken in sides if number % 2 else reversed(sides):
            seconds = run_inside(runner, folder) if side == "inside" else run_outside(folder)
            if number >= 0:
                taken.append(seconds)
        equal = equal and all(
            (folder / "inside" / part).read_bytes() == (folder / "outside" / part).read_bytes()
            for part in SAME_BITS
        )
        if not quiet and number >= 0:
            print(
                f"pair {number + 1}: inside {inside[-1]:.3f} s, outside {outside[-1]:.3f} s", file=sys.stderr
            )
    ratios = [one / other for one, other in zip(inside, outside, strict=True)]
    metrics = json.loads((folder / "inside" / "metrics.json").read_bytes())
    start_ms = sandbox_start_ms(runner, folder)
    return {
        "accuracy": metrics["accuracy"],
        "bit_equal": equal,
        "inside_s": round(statistics.median(inside), 4),
        "limit": LIMIT,
        "ok": statistics.median(ratios) <= LIMIT and equal,
        "outside_s": round(statistics.median(outside), 4),
        "pairs": pairs,
        "ratios": [round(ratio, 4) for ratio in ratios],
        "roc_auc": metrics["roc_auc"],
        "sandbox_start_limit_ms": START_LIMIT_MS,
        "sandbox_start_ms": round(start_ms, 2),
        "self_test_s": round(self_test_s, 3),
        "train_ratio": round(statistics.median(ratios), 4),
    }


def run_inside(runner: Runner, folder: Path) -> float:
    """Train in the sandbox; return the seconds that the whole call took."""
    for part in ("inside", "scratch"):
        shutil.rmtree(folder / part, ignore_errors=True)
    job = EngineJob(
        entry_point=("python", "train.py"),
        engine_dir=EXAMPLE / "engine",
        inputs=(folder / "data" / "hospital_a", folder / "data" / "hospital_b"),
        config=(EXAMPLE / "config.json").read_bytes(),
        output_dir=folder / "inside",
        scratch=folder / "scratch",
    )
    started = time.perf_counter()
    result = TrainingEngine(runner).run(job, stop=threading.Event(), clock=time.monotonic)
    seconds = time.perf_counter() - started
    if not result.ok:
        raise SystemExit(
            f"inside: {result.reason.value}: {result.detail}\n{result.log.decode(errors='replace')}"
        )
    return seconds


def run_outside(folder: Path) -> float:
    """Train as a plain process; return its seconds."""
    shutil.rmtree(folder / "outside", ignore_errors=True)
    inputs = [str(folder / "data" / name) for name in ("hospital_a", "hospital_b")]
    config = EXAMPLE / "config.json"
    command = [sys.executable, "train.py", "--inputs", *inputs, "--config", str(config)]
    started = time.perf_counter()
    subprocess.run(
        [*command, "--output", str(folder / "outside")],
        cwd=EXAMPLE / "engine",
        env=environment(threads_of(config.read_bytes())),
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started


def sandbox_start_ms(runner: Runner, folder: Path, rounds: int = 15) -> float:
    """Return the median extra time of /usr/bin/true in the sandbox, in milliseconds."""
    (folder / "empty").mkdir(exist_ok=True)
    extra = []
    for number in range(rounds):
        spec = SandboxSpec(
            argv=("/usr/bin/true",),
            engine_dir=folder / "empty",
            inputs=(),
            config=b"{}",
            output_dir=folder / f"true-{number}",
            scratch=folder / "true-scratch",
        )
        started = time.perf_counter()
        runner.run(spec, SandboxLimits(), stop=threading.Event(), clock=time.monotonic)
        middle = time.perf_counter()
        subprocess.run(["/usr/bin/true"], check=True, capture_output=True)
        extra.append(((middle - started) - (time.perf_counter() - middle)) * 1e3)
    return statistics.median(extra)


if __name__ == "__main__":
    sys.exit(main())
