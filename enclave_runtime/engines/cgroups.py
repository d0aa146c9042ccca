"""Control groups for one engine: memory, tasks and CPU time of a whole process tree, counted by the kernel.

Version 1 and version 2 hierarchies, found as they are mounted; where neither is writable the sandbox falls
back to resource limits and sampling (docs/adr/0010-sandbox.md). A group is made below the one that this
process is in, so that whatever bounds this process bounds the engine too.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from enclave_runtime.engines.limits import DEFAULT_LIMITS, SandboxError, SandboxLimits

__all__ = ["Cgroup", "Cgroups"]

_PREFIX: Final = "cloister-engine-"
_TAKEN: Final = itertools.count()
_MOST_TASKS: Final = 1 << 20  # the kernel refuses to write down more than it can number


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where groups can be made. `parents` maps a controller to a folder; in version 2 all to the same one."""

    version: int
    parents: dict[str, Path]

    @classmethod
    def find(cls, *, proc: Path = Path("/proc/self")) -> Cgroups | None:
        """Return the hierarchies that bound both memory and tasks here, or None.

        Args:
            proc: this process's folder in /proc.
        """
        try:
            own = _own_groups((proc / "cgroup").read_text())
            mounts = (proc / "mountinfo").read_text()
        except OSError:
            return None
        one, two = _folders(own, mounts)
        for found in (*(cls(2, dict.fromkeys(("memory", "pids"), folder)) for folder in two), cls(1, one)):
            if {"memory", "pids"} <= found.parents.keys() and found._works():
                return found
        return None

    def create(self, limits: SandboxLimits) -> Cgroup:
        """Make a group with `limits` and nobody in it.

        Raises:
            SandboxError: the kernel refused the group or one of its limits.
        """
        name = f"{_PREFIX}{os.getpid()}-{next(_TAKEN)}"
        group = Cgroup(self.version, {kind: folder / name for kind, folder in self.parents.items()})
        try:
            for folder in group.unique():
                folder.mkdir()
            group.limit(limits)
        except OSError as error:
            group.close()
            raise SandboxError(f"control group: got errno {error.errno}, expected a new group") from error
        return group

    def _works(self) -> bool:
        _remove_stale(set(self.parents.values()))
        try:
            if self.version == 2:
                # Refused when this process itself sits in the group; then there are no groups for us here.
                (self.parents["memory"] / "cgroup.subtree_control").write_text("+memory +pids")
            self.create(DEFAULT_LIMITS).close()
        except (OSError, SandboxError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Cgroup:
    """One engine's group. `close` removes it; it must be empty by then."""

    version: int
    folders: dict[str, Path]

    def unique(self) -> list[Path]:
        """Return the group's folders, each once."""
        return sorted(set(self.folders.values()))

    def limit(self, limits: SandboxLimits) -> None:
        """Write the limits.

        Raises:
            OSError: a file is missing or refuses the value.
        """
        memory, pids = self.folders["memory"], self.folders["pids"]
        _write(pids / "pids.max", min(limits.processes, _MOST_TASKS))
        if self.version == 2:
            _write(memory / "memory.max", limits.memory_bytes)
            with contextlib.suppress(FileNotFoundError):  # a kernel without swap
                _write(memory / "memory.swap.max", 0)
            _write(memory / "memory.oom.group", 1)
            return
        _write(memory / "memory.limit_in_bytes", limits.memory_bytes)
        with contextlib.suppress(FileNotFoundError):  # a kernel without swap accounting
            _write(memory / "memory.memsw.limit_in_bytes", limits.memory_bytes)

    def attach(self, pid: int) -> None:
        """Move process `pid` in; its children to come are born inside.

        Raises:
            SandboxError: the kernel refused.
        """
        try:
            for folder in self.unique():
                _write(folder / "cgroup.procs", pid)
        except OSError as error:
            raise SandboxError(
                f"control group: got errno {error.errno}, expected to move a process"
            ) from error

    def out_of_memory(self) -> bool:
        """Return whether the kernel killed a process here for want of memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        return _keyed(self.folders["memory"] / name).get("oom_kill", 0) > 0

    def out_of_tasks(self) -> bool:
        """Return whether a new process or thread was refused here."""
        return _keyed(self.folders["pids"] / "pids.events").get("max", 0) > 0

    def cpu_s(self) -> float | None:
        """Return the seconds of processor time of all that ever ran here, None where not counted."""
        if self.version == 2:
            microseconds = _keyed(self.folders["memory"] / "cpu.stat").get("usage_usec")
            return None if microseconds is None else microseconds / 1e6
        if "cpuacct" not in self.folders:
            return None
        try:
            return int((self.folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Remove the group; what cannot be removed now is removed at the next start."""
        for folder in self.unique():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _write(path: Path, value: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)  # no O_CREAT: a missing file is an answer
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def _keyed(path: Path) -> dict[str, int]:
    try:
        pairs = (line.split() for line in path.read_text().splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
    except (OSError, ValueError):
        return {}


def _own_groups(text: str) -> dict[str, str]:
    """Return controller -> path of this process's group; "" stands for the version 2 hierarchy."""
    own: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        own |= dict.fromkeys(controllers.split(","), path)
    return own


def _folders(own: dict[str, str], mountinfo: str) -> tuple[dict[str, Path], list[Path]]:
    """Return the version 1 folders by controller, and the version 2 folders to try, of the groups we are in.

    A part of the version 2 hierarchy that was given to us is ours to divide, and we sit in a leaf of it.
    """
    one: dict[str, Path] = {}
    two: list[Path] = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        root, mount_point = left.split()[3:5]
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2" and "" in own:
            two += [_below(Path(mount_point), root, own[""])]
            two += [Path(mount_point)] if root != "/" else []
        elif kind == "cgroup":
            for name in {"memory", "pids", "cpuacct"} & set(options.split(",")) & own.keys():
                one[name] = _below(Path(mount_point), root, own[name])
    return one, two


def _below(mount_point: Path, root: str, path: str) -> Path:
    """Return where group `path` is seen, given that the mount shows `root`; the mount itself if it is not."""
    if Path(path).is_relative_to(root):
        return mount_point / Path(path).relative_to(root)
    return mount_point


def _remove_stale(parents: set[Path]) -> None:
    """Remove groups left by processes that are gone; the kernel refuses for those still in use."""
    for parent in parents:
        for folder in parent.glob(f"{_PREFIX}*"):
            maker = folder.name.removeprefix(_PREFIX).partition("-")[0]
            if not Path("/proc", maker).exists():
                with contextlib.suppress(OSError):
                    folder.rmdir()
