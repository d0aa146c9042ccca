"""Which user a simulated CVM runs as: never root, even where root runs the platform (ADR 0010).

A process that is root outside owns what root owns, whatever its namespaces and capabilities: /proc/sys,
/proc/sysrq-trigger and every signal to root's processes; and RLIMIT_NPROC does not hold for it.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from enclave_runtime.wire.errors import EnclaveError

__all__ = ["ACCOUNTS", "can_step_down", "check_readable", "hand_over", "pick"]

ACCOUNTS: Final = range(65_000, 65_500)
"""User and group ids that no distribution gives out; no file of the machine belongs to them."""

_NEEDED: Final = (0, 6, 7, 8, 21)  # CAP_CHOWN, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN
_FOLDER: Final = stat.S_IROTH | stat.S_IXOTH


def can_step_down(proc: Path = Path("/proc/self")) -> bool:
    """Return whether this process is root with all that starting a CVM as another user takes.

    Args:
        proc: this process's folder in /proc.
    """
    if os.geteuid() != 0:
        return False
    try:
        lines = (proc / "status").read_text().splitlines()
        held = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
        maps = [(proc / name).read_text() for name in ("uid_map", "gid_map")]
    except (OSError, StopIteration):
        return False
    return all(held >> number & 1 for number in _NEEDED) and all(map(_covers, maps))


def pick(taken: Collection[int]) -> int:
    """Return an account that is not `taken`: by chance, since another platform may run here too."""
    return secrets.choice([account for account in ACCOUNTS if account not in taken])


def hand_over(folder: Path, account: int) -> None:
    """Let `account` own `folder`; what is in it stays as it is.

    Raises:
        OSError: not a folder, or a link.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchown(descriptor, account, account)
    finally:
        os.close(descriptor)


def check_readable(paths: Collection[Path]) -> None:
    """Refuse an interpreter that only root may read, before a CVM fails with fewer words.

    Raises:
        EnclaveError: names the path and the remedy.
        OSError: no such path.
    """
    for path in paths:
        mode = path.stat().st_mode
        wanted = _FOLDER if stat.S_ISDIR(mode) else stat.S_IROTH
        if mode & wanted != wanted:
            raise EnclaveError(
                f"simulated platform: got {path} that only its owner may read, expected it to be for all, "
                f"since CVMs do not run as root (chmod -R o+rX {path})"
            )


def _covers(id_map: str) -> bool:
    """Return whether a user namespace's map has every account."""
    ranges = [[int(word) for word in line.split()] for line in id_map.splitlines()]
    return all(
        any(first <= id_ < first + count for first, _, count in ranges) for id_ in (ACCOUNTS[0], ACCOUNTS[-1])
    )
