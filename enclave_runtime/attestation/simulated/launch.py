"""How a simulated CVM is started: one command line that the platform alone writes.

Cut off from the network; its plaintext on a tmpfs that goes with it; everything else read-only; one socket
directory as its only way out. The host's pid namespace is kept, and /proc bound whole: a second bubblewrap
(the engine's) inside cannot mount a /proc of its own otherwise. A user's platform gets its mounts by a user
namespace. Root's needs none, and gives up root for good before anything of the CVM runs (ADR 0010).
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.attestation.simulated.accounts import ACCOUNTS
from enclave_runtime.attestation.simulated.groups import MOST_TASKS, CvmGroup
from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import EnclaveError

__all__ = [
    "BOOT",
    "CVM_SOCKET",
    "Interpreter",
    "cvm_argv",
    "find_tool",
    "launcher_description",
    "sandbox_base",
]

IMAGE_DIR, SOCKET_DIR, PLAIN_DIR = "/opt/cvm", "/run/cvm", "/plain"
CVM_SOCKET = f"{SOCKET_DIR}/cvm.sock"
_TMP_BYTES = 64 << 20

BOOT = b"""import os, runpy, select, signal, sys, threading

def end_with_the_platform(line):
    poll = select.poll()
    poll.register(line, 0)
    poll.poll()
    os.kill(os.getpid(), signal.SIGKILL)

line = int(sys.argv[sys.argv.index("--quote-fd") + 1])
threading.Thread(target=end_with_the_platform, args=(line,), daemon=True).start()
runpy.run_module("enclave_runtime", run_name="__main__", alter_sys=True)
"""
"""`__main__.py` of the image: starts the measured package, and ends it when the platform's end of the quote
line closes. bubblewrap's tie to its parent's life does not hold across users: it is a signal that a process
without capabilities may not send to another user's."""

_ISOLATION = (
    *("--unshare-net", "--unshare-ipc", "--unshare-uts", "--hostname", "cvm", "--die-with-parent"),
    *("--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8"),
)
# A uid other than 0 inside, so that the engine's sandbox may map it again without capabilities.
_BY_USER = ("--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL")
_BY_ROOT = (
    *("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"),
)
_STEP_DOWN = (
    *("setpriv", "--clear-groups", "--no-new-privs"),
    *("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"),
)
_JOIN = 'while [ "$1" != -- ]; do echo $$ >"$1" || exit 125; shift; done; shift; exec "$@"'
"""Puts itself into control groups and becomes the CVM's bubblewrap: nothing of a CVM is ever outside them."""
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


def find_tool(name: str, package: str) -> str:
    """Return the path of a program that starting a CVM takes.

    Args:
        name: of the program.
        package: of Debian, that has it.
    Raises:
        EnclaveError: it is not installed.
    """
    path = shutil.which(name)
    if path is None:
        raise EnclaveError(
            f"simulated platform: got no {name}, expected {package} (apt-get install {package})"
        )
    return path


def cvm_argv(
    bwrap: str, interpreter: Interpreter, *, image: Path, socket_dir: Path, quote_fd: int, plain_bytes: int,
    account: int | None, group: CvmGroup | None,
) -> list[str]:  # fmt: skip
    """Return the command line of one CVM.

    Args:
        bwrap: path of bubblewrap.
        interpreter: Python with the runtime's dependencies.
        image: directory with `BOOT` and the measured files.
        socket_dir: the host's directory in which the CVM puts its socket.
        quote_fd: inherited descriptor on which this CVM, and it alone, asks for quotes.
        plain_bytes: size of the tmpfs for plaintext, in bytes.
        account: user and group id to step down to, None where no root is to be given up.
        group: control groups for it to be in and to divide, None where there are none.
    """
    by_root = account is not None
    argv = ["/bin/sh", "-c", _JOIN, "join", *map(str, group.entries), "--"] if group else []
    argv += [bwrap, *(_BY_ROOT if by_root else _BY_USER), *_ISOLATION]
    argv += [*_tmp(by_root=by_root), *_system(), *_python_binds(interpreter)]
    for place, folder in group.folders.items() if group else ():
        argv += _bind("--bind", str(folder), place)
    argv += [*_mounts(str(image), str(socket_dir), str(plain_bytes), by_root=by_root), "--"]
    if by_root:
        argv += [*_STEP_DOWN, "--reuid", str(account), "--regid", str(account), "--"]
    argv += [str(interpreter.executable), *_PYTHON, IMAGE_DIR]
    return [*argv, "--socket", CVM_SOCKET, "--quote-fd", str(quote_fd), "--scratch", PLAIN_DIR]


def launcher_description() -> bytes:
    """Return what is the same for every CVM of this platform's version (RTMR1).

    That is the boot stub, the isolation as an ordinary user's platform builds it and as root's does, and how
    root is given up. Which of the two it was is not measured: neither CVM has anything of root.
    """
    mounts = {
        by_root: [*_tmp(by_root=by_root), *_mounts("image", "socket", "plain", by_root=by_root)]
        for by_root in (False, True)
    }
    return canonical.dump(
        {
            "boot": BOOT.decode(),
            "python": list(_PYTHON),
            "isolation": list(_ISOLATION),
            "by-user": [*_BY_USER, *mounts[False]],
            "by-root": [*_BY_ROOT, *mounts[True]],
            "step-down": [*_STEP_DOWN, str(ACCOUNTS[0]), str(ACCOUNTS[-1])],
            "groups": [_JOIN, str(MOST_TASKS)],
        }
    )


def sandbox_base() -> bytes:
    """Return what this machine puts under the runtime: the interpreter's kind and version (RTMR2)."""
    return canonical.dump(
        {
            "implementation": platform.python_implementation(),
            "python": platform.python_version(),
            "machine": platform.machine(),
        }
    )


def _mounts(image: str, socket_dir: str, plain_bytes: str, *, by_root: bool) -> Iterator[str]:
    """Yield the mounts that are the CVM's own; the last makes all but those read-only."""
    yield from ("--bind", "/proc", "/proc", "--dev", "/dev")
    yield from ("--perms", _private(by_root), "--size", plain_bytes, "--tmpfs", PLAIN_DIR)
    yield from (*_bind("--ro-bind", image, IMAGE_DIR), *_bind("--bind", socket_dir, SOCKET_DIR))
    yield from ("--chdir", "/", "--remount-ro", "/")


def _tmp(*, by_root: bool) -> Iterator[str]:
    """Yield the CVM's own /tmp: before every bind, since the project or its Python may lie below /tmp."""
    yield from ("--perms", _private(by_root), "--size", str(_TMP_BYTES), "--tmpfs", "/tmp")  # noqa: S108 - its own


def _private(by_root: bool) -> str:
    # What root mounts is root's. Nobody but the CVM is in this mount namespace, so the mode lets in no other.
    return "1777" if by_root else "0700"


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
        yield from _bind("--ro-bind-try", extra, extra)


def _python_binds(interpreter: Interpreter) -> Iterator[str]:
    """Yield the binds of the interpreter: its own prefix, and the one that a virtual environment rests on."""
    seen = {Path("/usr")}
    for prefix in (interpreter.base_prefix, interpreter.base_prefix.resolve(), interpreter.prefix):
        if not any(prefix.is_relative_to(known) for known in seen):
            seen.add(prefix)
            yield from _bind("--ro-bind", str(prefix), str(prefix))


def _bind(option: str, source: str, place: str) -> Iterator[str]:
    """Yield a bind, after the folders above its place: bubblewrap makes those for their owner alone."""
    for folder in reversed(Path(place).parents[:-1]):
        yield from ("--dir", str(folder))
    yield from (option, source, place)
