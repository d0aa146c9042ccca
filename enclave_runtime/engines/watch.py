"""The guard beside a running engine: what no single kernel limit bounds is sampled here.

With a control group the kernel bounds memory and tasks, and this only learns of it; without one the samples
are the limit (docs/adr/0010-sandbox.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Event
from typing import Final

from enclave_runtime.engines.cgroups import Cgroup
from enclave_runtime.engines.launch import Launched
from enclave_runtime.engines.limits import Reason, SandboxLimits
from enclave_runtime.engines.proctree import sample

__all__ = ["Watch"]

_INTERVAL_S: Final = 0.05
_INTERVAL_WITHOUT_CGROUP_S: Final = 0.02
_INIT_TASKS: Final = 2  # as in `launch`: where the kernel refuses tasks, it does so before the guard kills
_TMP_FILES: Final = (
    65_536  # of /tmp and /dev/shm each: an inode costs kernel memory that no size limit counts
)


class Watch:
    """Answers, at each sample, whether the engine has to be killed and why."""

    def __init__(
        self, launched: Launched, limits: SandboxLimits, cgroup: Cgroup | None, stop: Event,
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._launched = launched
        self._limits = limits
        self._cgroup = cgroup
        self._stop = stop
        self._clock = clock
        self._started = clock()
        self.interval_s: float = _INTERVAL_S if cgroup else _INTERVAL_WITHOUT_CGROUP_S
        self.cpu_s = 0.0

    def elapsed_s(self) -> float:
        """Return the seconds since the engine was let go."""
        return self._clock() - self._started

    def verdict(self) -> Reason | None:
        """Return why the engine must end now, or None."""
        if self._stop.is_set():
            return Reason.STOPPED
        if self.elapsed_s() > self._limits.wall_s:
            return Reason.TIMEOUT
        return self._files() or self._usage()

    def _files(self) -> Reason | None:
        launched, limits = self._launched, self._limits
        # One inode is the folder itself; links of one file are found when the output is collected.
        if _inodes(launched.output_fd) > limits.output_files + 1:
            return Reason.OUTPUT
        return Reason.OUTPUT if any(_inodes(fd) > _TMP_FILES for fd in launched.tmp_fds) else None

    def _usage(self) -> Reason | None:
        limits, cgroup = self._limits, self._cgroup
        counted = cgroup.cpu_s() if cgroup else None
        if cgroup is None or counted is None:
            usage = sample(self._launched.reaper, most_tasks=limits.processes + _INIT_TASKS)
            counted = usage.cpu_s
            if cgroup is None and usage.tasks > limits.processes + _INIT_TASKS:
                return Reason.PROCESSES
            if cgroup is None and usage.memory_bytes > limits.memory_bytes:
                return Reason.MEMORY
        self.cpu_s = max(self.cpu_s, counted)
        if cgroup is not None and cgroup.out_of_memory():
            return Reason.MEMORY
        return Reason.CPU if self.cpu_s > limits.cpu_s else None


def _inodes(folder: int) -> int:
    usage = os.fstatvfs(folder)
    return usage.f_files - usage.f_ffree
