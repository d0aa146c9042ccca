"""How a simulated CVM is started: one bubblewrap command line that the platform alone writes.

Cut off from the network; its plaintext on a tmpfs that goes with it; everything else read-only; one socket
directory as its only way out. The host's pid namespace is kept, and /proc bound whole: a second bubblewrap
(the engine's) inside cannot mount a /proc of its own otherwise.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import EnclaveError

__all__ = [
    "BOOT",
    "CVM_SOCKET",
    "Interpreter",
    "cvm_argv",
    "find_bwrap",
    "launcher_description",
    "sandbox_base",
]

IMAGE_DIR, SOCKET_DIR, PLAIN_DIR = "/opt/cvm", "/run/cvm", "/plain"
CVM_SOCKET = f"{SOCKET_DIR}/cvm.sock"
_TMP_BYTES = 64 << 20

BOOT = b"""import runpy

runpy.run_module("enclave_runtime", run_name="__main__", alter_sys=True)
"""
"""`__main__.py` of the image: starts the measured package and nothing else."""

# A uid other than 0 inside, so that the engine's sandbox may map it again without capabilities.
_ISOLATION = (
    *("--unshare-user", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--hostname", "cvm"),
    *("--uid", "1000", "--gid", "1000", "--cap-drop", "ALL", "--die-with-parent"),
    *("--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8"),
)
_PYTHON = ("-I", "-B")  # no environment, no user packages, no working directory; write no bytecode


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that the platform offers to its CVMs: its own. A launch request names none."""

    executable: Path
    prefix: Path
    base_prefix: Path

    @classmethod
    def current(cls) -> Interpreter:
        """Return the interpreter that runs this."""
        return cls(Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix))


def find_bwrap() -> str:
    """Return the path of bubblewrap.

    Raises:
        EnclaveError: it is not installed.
    """
    path = shutil.which("bwrap")
    if path is None:
        raise EnclaveError(
            "simulated platform: got no bwrap, expected bubblewrap (apt-get install bubblewrap)"
        )
    return path


def cvm_argv(
    bwrap: str, interpreter: Interpreter, *, image: Path, socket_dir: Path, quote_fd: int, plain_bytes: int
) -> list[str]:
    """Return the command line of one CVM.

    Args:
        bwrap: path of bubblewrap.
        interpreter: Python with the runtime's dependencies.
        image: directory with `BOOT` and the measured files.
        socket_dir: the host's directory in which the CVM puts its socket.
        quote_fd: inherited descriptor on which this CVM, and it alone, asks for quotes.
        plain_bytes: size of the tmpfs for plaintext, in bytes.
    """
    # First, so that what is bound after it stays visible where the environment itself lies under /tmp.
    tmp = ["--size", str(_TMP_BYTES), "--tmpfs", "/tmp"]  # noqa: S108 - a fresh tmpfs of the CVM's own
    argv = [bwrap, *_ISOLATION, *tmp, *_system(), *_python_binds(interpreter)]
    argv += ["--bind", "/proc", "/proc", "--dev", "/dev"]
    argv += ["--perms", "0700", "--size", str(plain_bytes), "--tmpfs", PLAIN_DIR]
    argv += ["--ro-bind", str(image), IMAGE_DIR, "--bind", str(socket_dir), SOCKET_DIR]
    argv += ["--chdir", "/", "--remount-ro", "/", "--", str(interpreter.executable), *_PYTHON, IMAGE_DIR]
    return [*argv, "--socket", CVM_SOCKET, "--quote-fd", str(quote_fd), "--scratch", PLAIN_DIR]


def launcher_description() -> bytes:
    """Return what is the same for every CVM of this platform's version: boot stub and isolation (RTMR1)."""
    return canonical.dump({"boot": BOOT.decode(), "isolation": _ISOLATION, "python": list(_PYTHON)})


def sandbox_base() -> bytes:
    """Return what this machine puts under the runtime: the interpreter's kind and version (RTMR2)."""
    return canonical.dump(
        {
            "implementation": platform.python_implementation(),
            "python": platform.python_version(),
            "machine": platform.machine(),
        }
    )


def _system() -> Iterator[str]:
    """Yield the binds of the system's read-only parts, with merged or separate /usr."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/") / name
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for extra in ("/etc/ld.so.cache", "/sys/devices/system/cpu"):
        yield from ("--ro-bind-try", extra, extra)


def _python_binds(interpreter: Interpreter) -> Iterator[str]:
    """Yield the binds of the interpreter: its own prefix, and the one that a virtual environment rests on."""
    seen = {Path("/usr")}
    for prefix in (interpreter.base_prefix, interpreter.base_prefix.resolve(), interpreter.prefix):
        if not any(prefix.is_relative_to(known) for known in seen):
            seen.add(prefix)
            yield from ("--ro-bind", str(prefix), str(prefix))
