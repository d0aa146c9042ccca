"""An engine that looks for other people's files. Exit code 0 means that it read one.

`targets` in /config.json may name more paths to try (tests put the host's own files there).
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

GUESSES = (
    "/etc/passwd",
    "/etc/shadow",
    "/root/.ssh/id_ed25519",
    "/plain",
    "/run",
    "/var",
    "/home",
    "/sys",
    "/inputs/../../etc/passwd",
    "/proc/1/root/etc/passwd",
    "/proc/self/root/etc/passwd",
    "/proc/kcore",
    "/dev/mem",
    "/dev/sda",
    "/dev/vda",
)


def main() -> int:
    """Try all paths and all processes; return 0 if anything of the host was read."""
    targets = json.loads(Path("/config.json").read_bytes()).get("targets", [])
    found = [path for path in (*GUESSES, *targets) if _readable(path)]
    found += [f"process {pid}" for pid in _processes() if pid not in (1, os.getpid())]
    for path in found:
        print(f"{path}: ESCAPED")
    if not found:
        print(f"{len(GUESSES) + len(targets)} paths: refused")
    return 0 if found else 1


def _readable(path: str) -> bool:
    try:
        if os.path.isdir(path):
            return any(not _own(os.path.join(path, name)) for name in os.listdir(path))
        with open(path, "rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def _own(path: str) -> bool:
    """Return whether `path` leads to the interpreter that runs this: its folders are the engine's to read."""
    real = os.path.realpath(path)
    return any(
        root == real or root.startswith(real + os.sep) or real.startswith(root + os.sep)
        for root in map(os.path.realpath, (sys.prefix, sys.base_prefix))
    )


def _processes() -> Iterator[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    yield from (int(name) for name in names if name.isdigit())


if __name__ == "__main__":
    sys.exit(main())
