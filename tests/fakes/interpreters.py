"""Other Pythons of this machine, found where people have them: in PATH, and in pyenv's versions."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["find_python"]

_ASK = "import sys; print('python%d.%d' % sys.version_info[:2])"


def find_python(name: str) -> Path | None:
    """Return an interpreter that runs and says that it is `name`, such as "python3.12", or None.

    A shim in PATH may stand for a version that its owner has not chosen, and fail: then the next is tried.
    """
    return next((path for path in _candidates(name) if _says(path) == name), None)


def _candidates(name: str) -> Iterator[Path]:
    for folder in os.get_exec_path():
        yield Path(folder) / name
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(root.glob(f"versions/*/bin/{name}"))


def _says(path: Path) -> str:
    if not os.access(path, os.X_OK):
        return ""
    try:
        done = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.decode().strip()
