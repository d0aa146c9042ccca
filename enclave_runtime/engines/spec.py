"""What one run of an engine is made of, and the `bwrap` command that holds it (docs/adr/0010-sandbox.md).

Pure: this module builds arguments, `sandbox` runs them.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from enclave_runtime.engines.limits import SandboxError, SandboxLimits
from enclave_runtime.engines.publishing import Take

__all__ = ["CONFIG_NAME", "ROOT_VARIABLE", "SandboxSpec", "bwrap_arguments", "environment", "python_roots"]

CONFIG_NAME: Final = "config.json"
ROOT_VARIABLE: Final = "CLOISTER_ROOT"  # where /inputs, /config.json and /output are; "/" in every sandbox
_UID: Final = "1000"
_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_LINKS: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_MAX_THREADS: Final = 1024
_TMP: Final = "/tmp"  # noqa: S108 (the sandbox's own, nobody else writes there)
_SHM: Final = "/dev/shm"  # noqa: S108


def python_roots() -> tuple[Path, ...]:
    """Return the folders that this interpreter and its packages live in, without those under /usr."""
    named = {Path(sys.prefix), Path(sys.base_prefix)}
    roots = named | {root.resolve() for root in named}  # the one is what links say, the other where they lead
    return tuple(sorted(root for root in roots if not root.is_relative_to("/usr")))


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """One run: what the engine sees, and where its output goes.

    Attributes:
        argv: the command, as paths inside the sandbox.
        engine_dir: seen read-only at /engine, the working directory.
        inputs: files or folders, the n-th seen read-only at /inputs/<n>; the engine is not among them.
        config: bytes of /config.json.
        output_dir: empty or absent folder that receives what the engine leaves in /output.
        scratch: folder of this run alone, outside of all the others; holds the configuration file.
        threads: for the numerical libraries; more threads may give other bits.
        runtime_roots: folders seen read-only at their own path, besides /usr.
        take: takes over checkpoints while the engine runs; None leaves them all to the end.
    """

    argv: tuple[str, ...]
    engine_dir: Path
    inputs: tuple[Path, ...]
    config: bytes
    output_dir: Path
    scratch: Path
    threads: int = 1
    runtime_roots: tuple[Path, ...] = field(default_factory=python_roots)
    take: Take | None = None

    def __post_init__(self) -> None:
        if not self.argv or any(not part or "\0" in part for part in self.argv):
            raise ValueError("sandbox spec: got an empty command or argument, or one with a NUL")
        if not 1 <= self.threads <= _MAX_THREADS:
            raise ValueError(f"sandbox spec: got {self.threads} threads, expected 1 to {_MAX_THREADS}")
        private = (self.engine_dir, *self.inputs, self.output_dir, self.scratch)
        for root in self.runtime_roots:
            for path in private:
                if path.absolute().is_relative_to(root.absolute()):
                    raise ValueError("sandbox spec: got a runtime root that holds a folder of the run itself")

    @property
    def config_path(self) -> Path:
        """Where the configuration lies outside."""
        return self.scratch / CONFIG_NAME


def environment(threads: int, *, root: str = "/") -> dict[str, str]:
    """Return the whole environment of an engine; nothing is inherited."""
    fixed = {
        "PATH": os.pathsep.join((f"{sys.prefix}/bin", "/usr/bin", "/bin")),
        "HOME": _TMP,
        "TMPDIR": _TMP,
        "USER": "engine",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",  # the last words of an engine that is killed reach the log
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # what torch's deterministic mode asks for
        ROOT_VARIABLE: root,
    }
    return fixed | {name: str(threads) for name in _THREAD_VARIABLES}


def bwrap_arguments(spec: SandboxSpec, limits: SandboxLimits, *, mount_proc: bool) -> list[str]:
    """Return bubblewrap's arguments up to the command, without those that name file descriptors.

    Args:
        mount_proc: False where the kernel refuses a fresh /proc (nested containers that cover parts of
            theirs); the engine then sees two files of it, since numerical libraries read them.
    """
    args = [f"--unshare-{name}" for name in ("user", "net", "pid", "ipc", "uts", "cgroup-try")]
    args += ["--uid", _UID, "--gid", _UID, "--hostname", "engine"]
    args += ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    for name, value in environment(spec.threads).items():
        args += ["--setenv", name, value]
    args += ["--size", str(limits.tmp_bytes), "--tmpfs", _TMP]  # first: a runtime root may lie under it
    args += _system(spec.runtime_roots)
    args += ["--dev", "/dev", "--size", str(limits.tmp_bytes), "--tmpfs", _SHM, "--remount-ro", "/dev"]
    if mount_proc:
        # Where root started us, /proc/sys belongs to the engine's own user id and would be writable.
        args += ["--proc", "/proc", "--remount-ro", "/proc"]
    else:
        for name in ("cpuinfo", "meminfo"):
            args += ["--ro-bind", f"/proc/{name}", f"/proc/{name}"]
    args += ["--size", str(limits.output_bytes), "--tmpfs", "/output"]
    args += ["--ro-bind", str(spec.engine_dir), "/engine", "--dir", "/inputs"]
    for index, path in enumerate(spec.inputs):
        args += ["--ro-bind", str(path), f"/inputs/{index}"]
    args += ["--ro-bind", str(spec.config_path), f"/{CONFIG_NAME}"]
    return [*args, "--remount-ro", "/", "--chdir", "/engine"]


def _system(roots: tuple[Path, ...]) -> list[str]:
    args = ["--ro-bind", "/usr", "/usr"]
    for name in _LINKS:
        path = Path("/", name)
        if path.is_symlink():
            args += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            args += ["--ro-bind", str(path), str(path)]
    for root in roots:
        if root == Path("/"):
            raise SandboxError("sandbox: got / as a runtime root, expected a folder of its own")
        args += ["--ro-bind", str(root), str(root)]
    return args
