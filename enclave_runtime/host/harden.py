"""What this process does to itself before the first key is born (docs/threat-model.md).

On hardware the CVM's memory is encrypted and these are a second line; under the simulated platform they are
what a development machine can give.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import socket
import struct
from pathlib import Path
from typing import Final

__all__ = ["is_tmpfs", "lock_down", "private_mounts", "visible_interfaces"]

_PR_SET_DUMPABLE: Final = 4
_CLONE_NEWNS: Final = 0x00020000
_MS_REC: Final = 1 << 14
_MS_SLAVE: Final = 1 << 19
_MCL_CURRENT_FUTURE_ONFAULT: Final = 1 | 2 | 4
_TMPFS_MAGIC: Final = 0x01021994
_STATFS_BYTES: Final = 512
_SIOCGIFFLAGS: Final = 0x8913
_IFF_UP: Final = 1
_FALLBACK_TUNNELS: Final = frozenset(
    {"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"}
)
"""Devices that some kernels put into every new network namespace; they carry nothing while they are down."""


def lock_down() -> list[str]:
    """Keep memory from dumps, debuggers and swap, new files from others; return what could not be done."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    missed = []
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        missed.append("memory can be read by a debugger")
    # With a finite limit, later allocations would fail instead of being unlocked.
    limited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY
    if limited or libc.mlockall(_MCL_CURRENT_FUTURE_ONFAULT):
        missed.append("memory is not locked against swap")
    return missed


def private_mounts() -> bool:
    """Make what this process mounts its own, gone with it however it ends; return whether that could be done.

    To be called before there is a second thread: each would keep the view of mounts that it has.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS):
        return False
    done: int = libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None)
    return done == 0


def visible_interfaces() -> list[str]:
    """Return the network interfaces, besides loopback, that could carry anything."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            if name == "lo" or (name in _FALLBACK_TUNNELS and not _is_up(probe, name)):
                continue
            found.append(name)
    return found


def is_tmpfs(path: Path) -> bool:
    """Return whether `path` lies on memory that goes with the machine.

    Raises:
        OSError: there is no such path.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.statfs(os.fsencode(path), buffer):
        raise OSError(ctypes.get_errno(), f"statfs: {path}")
    kind: int = struct.unpack_from("l", buffer)[0]
    return kind == _TMPFS_MAGIC


def _is_up(probe: socket.socket, name: str) -> bool:
    request = struct.pack("16sh14x", name.encode(), 0)
    answer = fcntl.ioctl(probe.fileno(), _SIOCGIFFLAGS, request)
    flags: int = struct.unpack_from("h", answer, 16)[0]
    return bool(flags & _IFF_UP)
