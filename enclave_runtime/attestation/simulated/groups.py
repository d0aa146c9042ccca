"""A CVM's control groups: the part of the host's that it may divide, so that the kernel bounds its engine.

Made where root runs the platform and the memory and pids controllers can be had, below or beside the group
that the platform is in; bound into the CVM, where `engines.cgroups` finds them. Version 2 allows processes in
leaves only: the CVM's own sit in the leaf `runtime`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["MOST_TASKS", "CvmGroup", "Groups"]

MOST_TASKS: Final = 1024
"""Processes and threads of a whole CVM: the runtime's few, and those of an engine (256 unless set)."""

_PREFIX: Final = "cloister-cvm-"
_TAKEN: Final = itertools.count()
_WANTED: Final = ("memory", "pids")
_V1: Final = (*_WANTED, "cpuacct")
_INSIDE: Final = "/sys/fs/cgroup"
_LEAF: Final = "runtime"


@dataclass(frozen=True, slots=True)
class CvmGroup:
    """One CVM's folders, by the place where the CVM sees them."""

    version: int
    folders: dict[str, Path]

    @property
    def entries(self) -> list[Path]:
        """Return the files that a process id is written to, to put that process in."""
        leaf = _LEAF if self.version == 2 else ""
        return [folder / leaf / "cgroup.procs" for folder in self.folders.values()]

    def kill(self) -> None:
        """Kill whatever is left inside."""
        for folder in _tree(self.folders.values()):
            with contextlib.suppress(OSError, ValueError):
                for pid in map(int, (folder / "cgroup.procs").read_text().split()):
                    if pid > 0:  # 0 stands for a process of another pid namespace
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)

    def remove(self) -> bool:
        """Remove the folders and those that the CVM made below; return whether nothing is left of them."""
        for folder in _tree(self.folders.values()):
            with contextlib.suppress(OSError):  # in use, until the last process is gone altogether
                folder.rmdir()
        return not any(folder.exists() for folder in self.folders.values())


@dataclass(frozen=True, slots=True)
class Groups:
    """Where CVMs' groups are made: a parent folder for each place inside."""

    version: int
    parents: dict[str, Path]

    @classmethod
    def find(cls, *, proc: Path = Path("/proc/self")) -> Groups | None:
        """Return where groups with memory and pids controllers can be made here, or None.

        Args:
            proc: this process's folder in /proc.
        """
        try:
            own = _own_groups((proc / "cgroup").read_text())
            found = _find((proc / "mountinfo").read_text(), own)
        except (OSError, ValueError):
            return None
        if found is None:
            return None
        found._remove_stale()
        try:
            trial = found.create(os.geteuid())
        except OSError:
            return None
        trial.remove()
        return found

    def create(self, account: int) -> CvmGroup:
        """Make the groups of one CVM that runs as user `account`, with nobody in them.

        Raises:
            OSError: the kernel refused.
        """
        name = f"{_PREFIX}{os.getpid()}-{next(_TAKEN)}"
        group = CvmGroup(self.version, {place: parent / name for place, parent in self.parents.items()})
        try:
            for folder in group.folders.values():
                self._make(folder, account)
        except OSError:
            group.remove()
            raise
        return group

    def _make(self, folder: Path, account: int) -> None:
        folder.mkdir()
        given = [folder]
        if self.version == 2:
            _write(folder / "cgroup.subtree_control", " ".join(f"+{name}" for name in _WANTED))
            (folder / _LEAF).mkdir()
            given += [folder / "cgroup.procs", folder / "cgroup.subtree_control"]
        if (folder / "pids.max").exists():
            _write(folder / "pids.max", str(MOST_TASKS))
        for path in given:  # the limits stay root's
            os.chown(path, account, account)

    def _remove_stale(self) -> None:
        """Remove what platforms left that were killed; the kernel refuses for groups still in use."""
        for place, parent in self.parents.items():
            for folder in parent.glob(f"{_PREFIX}*"):
                maker = folder.name.removeprefix(_PREFIX).partition("-")[0]
                if not Path("/proc", maker).exists():
                    CvmGroup(self.version, {place: folder}).remove()


def _find(mountinfo: str, own: dict[str, str]) -> Groups | None:
    """Return the hierarchies that have what we want: version 2 if it does, else version 1."""
    one: dict[str, Path] = {}
    found: set[str] = set()
    for kind, options, root, mount in _mounts(mountinfo):
        if kind == "cgroup2" and "" in own and (parent := _delegating(mount, _below(mount, root, own[""]))):
            return Groups(2, {_INSIDE: parent})
        names = [name for name in _V1 if kind == "cgroup" and name in options and name in own]
        if names and not found & set(names):  # controllers that are mounted together share one folder
            one[f"{_INSIDE}/{names[0]}"] = _below(mount, root, own[names[0]])
            found |= set(names)
    return Groups(1, one) if found >= set(_WANTED) else None


def _delegating(mount: Path, own: Path) -> Path | None:
    """Return the nearest group, from our own upwards, whose children get our controllers."""
    for folder in (own, *own.parents):
        with contextlib.suppress(OSError):
            if set(_WANTED) <= set((folder / "cgroup.subtree_control").read_text().split()):
                return folder
        if folder == mount:
            break
    return None


def _own_groups(text: str) -> dict[str, str]:
    """Return controller -> path of this process's group; "" stands for version 2."""
    own: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    return own


def _mounts(mountinfo: str) -> Iterator[tuple[str, set[str], str, Path]]:
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        root, mount = left.split()[3:5]
        kind, _, options = right.split(" ", 2)
        if kind in {"cgroup", "cgroup2"}:
            yield kind, set(options.split(",")), root, Path(mount)


def _below(mount: Path, root: str, path: str) -> Path:
    return mount / Path(path).relative_to(root) if Path(path).is_relative_to(root) else mount


def _tree(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield every folder in and below `folders`, the deepest first."""
    for top in folders:
        for name, _, _ in os.walk(top, topdown=False):
            yield Path(name)


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # no O_CREAT: a missing file is an answer
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
