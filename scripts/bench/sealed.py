#!/usr/bin/env python3
"""How fast sealed content opens and seals, beside what else one could use; all of it in one run.

Sections: memory to memory (`ram`), whole processes from file to file (`files`), memory taken (`memory`),
random access (`access`), engines (`engine`), and storage where that is installed (`storage`). Sources are
files in the page cache unless said; destinations in memory are touched before (a first touch costs more than
the cryptography), destinations in files lie on a tmpfs. Peers that are not installed are named in `absent`
with the line that installs them. Prints one JSON object as its last line; exits with 1 if a goal was measured
and not met.

    python scripts/bench/sealed.py [--json] [--only SECTION ...] [--mib 1024] [--rounds 5] [--folder DIR]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
if VENV.exists() and Path(sys.prefix).resolve() != VENV.resolve():
    # Whoever starts this without the project's environment gets it all the same.
    os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), __file__, *sys.argv[1:]])
sys.path.insert(0, str(ROOT))

from scripts.bench.sealedlib.rounds import Options, say  # noqa: E402

SECTIONS = ("ram", "files", "memory", "access", "engine", "storage")
"""Each is a module of sealedlib with `measure(options) -> dict`; goals are under its key `goals`."""


def main() -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON object")
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=None, metavar="SECTION")
    parser.add_argument("--mib", type=int, default=1024, help="size of large contents")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where scratch files go; on disk")
    arguments = parser.parse_args()
    report: dict[str, Any] = {"cores": os.cpu_count(), "mib": arguments.mib, "rounds": arguments.rounds}
    with (
        tempfile.TemporaryDirectory(prefix="cloister-bench-", dir=arguments.folder) as disk,
        tempfile.TemporaryDirectory(prefix="cloister-bench-", dir=tmpfs(arguments.mib, Path(disk))) as ram,
    ):
        options = Options(Path(disk), Path(ram), arguments.mib, arguments.rounds, arguments.json)
        report["tmpfs"] = Path(ram).parent != Path(disk)
        for section in arguments.only or SECTIONS:
            name = f"scripts.bench.sealedlib.{section}"
            if importlib.util.find_spec(name) is None:
                report[section] = {"absent": ["this section is not part of this checkout"]}
                continue
            say(options, f"== {section}")
            report[section] = importlib.import_module(name).measure(options)
    report |= summary(report)
    if not arguments.json:
        print(table(report))
    print(json.dumps(report, sort_keys=True))
    return 0 if report["ok"] else 1


def tmpfs(mib: int, otherwise: Path) -> Path:
    """Return a tmpfs with room for four contents, or `otherwise`."""
    shm = Path("/dev/shm")
    room = shutil.disk_usage(shm).free if shm.is_dir() and os.access(shm, os.W_OK) else 0
    return shm if room > 4 * (mib << 20) else otherwise


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """Return all goals by name, whether those that were measured are met, and what was absent."""
    sections = [value for value in report.values() if isinstance(value, dict)]
    goals = {name: goal for section in sections for name, goal in section.get("goals", {}).items()}
    absent = sorted({line for section in sections for line in section.get("absent", [])})
    missed = sorted(name for name, goal in goals.items() if not goal["met"])
    return {"goals": goals, "absent": absent, "missed": missed, "ok": not missed}


def table(report: dict[str, Any]) -> str:
    """Return the goals for people."""
    lines = [f"{'figure':<24}{'value':>12}{'goal':>14}"]
    for name, goal in report["goals"].items():
        limit = f">= {goal['at_least']}" if "at_least" in goal else f"<= {goal['at_most']}"
        lines.append(f"{name:<24}{goal['value']:>12}{limit:>14}{'' if goal['met'] else '  MISSED'}")
    return "\n".join([*lines, *(f"absent: {line}" for line in report["absent"])])


if __name__ == "__main__":
    sys.exit(main())
