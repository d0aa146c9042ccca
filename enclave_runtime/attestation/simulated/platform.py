"""The simulated platform: measures a runtime, starts it as a CVM, and quotes for it (docs/protocol.md 4.4).

A launch request carries paths, never a measurement: the platform reads the files once, and those bytes are
both what it measures and what the CVM gets to run. A quote request carries 64 bytes and comes over a socket
pair whose other end only that CVM inherited.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from enclave_runtime.attestation.collateral import Collateral
from enclave_runtime.attestation.simulated import accounts, evidence, frames, launch, measure
from enclave_runtime.attestation.simulated.gpus import Gpus
from enclave_runtime.attestation.simulated.groups import CvmGroup, Groups
from enclave_runtime.attestation.simulated.machine import Machine
from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import WireError

__all__ = ["Cvm", "LaunchRequest", "Platform"]

_MIB = 1 << 20
_MAX_SOCKET_PATH = 107  # sun_path without its NUL
_MAX_CVMS = 64
_GROUP_TRIES = 100
_GROUP_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """What a host may choose about a CVM.

    Attributes:
        runtime_dir: directory that contains the package `enclave_runtime`.
        requirements: the locked requirements, measured by name and content.
        socket_dir: existing directory for the CVM's socket; the CVM may write in it.
        plain_mib: size of the tmpfs for plaintext, in MiB.
    """

    runtime_dir: Path
    requirements: tuple[Path, ...]
    socket_dir: Path
    plain_mib: int = 1024

    def __post_init__(self) -> None:
        if not 16 <= self.plain_mib <= 1 << 20:
            raise WireError(f"launch: got {self.plain_mib} MiB for plaintext, expected 16 to {1 << 20}")
        if not self.socket_dir.is_dir():
            raise WireError(f"launch: got socket directory {self.socket_dir}, expected an existing directory")
        if len(os.fsencode(self.socket)) > _MAX_SOCKET_PATH:
            raise WireError(
                f"launch: got socket path {self.socket}, expected at most {_MAX_SOCKET_PATH} bytes"
            )

    @property
    def socket(self) -> Path:
        """Return where the host finds the CVM's socket."""
        return self.socket_dir / Path(launch.CVM_SOCKET).name


@dataclass(slots=True)
class Cvm:
    """One CVM that this platform started, running or ended."""

    process: asyncio.subprocess.Process
    machine: Machine
    measured: measure.Measured
    gpus: Gpus | None
    socket: Path
    account: int | None
    group: CvmGroup | None
    ended: asyncio.Task[None] | None = None

    def describe(self) -> JsonObject:
        """Return pid, registers and state, JSON."""
        return {
            "pid": self.process.pid,
            "running": self.process.returncode is None,
            "exit_code": self.process.returncode,
            "measurement": self.machine.measurement(self.measured).hex(),
            "registers": dict(self.machine.registers(self.measured)),
            "socket": str(self.socket),
        }


class Platform:
    """Owns the vendors' keys and every CVM; ends its CVMs when it ends."""

    def __init__(
        self, machine: Machine, state: Path, *, gpus: Gpus | None = None, debug: bool = False
    ) -> None:
        """Args:
        machine: the CPU that measures and quotes.
        state: directory for images and logs; must exist.
        gpus: where every CVM gets its devices from, or None for CVMs without.
        debug: start CVMs with the debug bit set, where it is a register's.
        """
        self._machine, self._gpus, self._debug = machine, gpus, debug
        self._images, self._logs = state / "images", state / "logs"
        self._bwrap, self._interpreter = launch.find_tool("bwrap", "bubblewrap"), launch.Interpreter.current()
        self._steps_down = accounts.can_step_down()
        self._groups: Groups | None = None
        if self._steps_down:
            launch.find_tool("setpriv", "util-linux")
            python = self._interpreter
            accounts.check_readable((python.executable, python.prefix, python.base_prefix))
            self._groups = Groups.find()
        self._cvms: dict[int, Cvm] = {}

    @property
    def root_set(self) -> str:
        """Return the id that settings must name for this platform's quotes to be accepted."""
        return self._machine.roots.id

    @property
    def root_der(self) -> bytes:
        """Return the CPU vendor's root certificate, DER."""
        return self._machine.root_der

    def describe(self) -> JsonObject:
        """Return what relying parties name in their settings to accept this platform, JSON."""
        return {
            "simulated": True,
            "tee": self._machine.tee.value,
            "root_set": self.root_set,
            "gpus": 0 if self._gpus is None else self._gpus.count,
            "gpu_root_set": None if self._gpus is None else self._gpus.roots.id,
        }

    def collateral(self, now: int) -> Collateral:
        """Return collateral issued around Unix time `now`, in seconds."""
        found = self._machine.collateral(now)
        return found if self._gpus is None else found | self._gpus.collateral(now)

    def cvms(self) -> Iterable[Cvm]:
        """Return every CVM, oldest first."""
        return tuple(self._cvms.values())

    async def launch(self, request: LaunchRequest) -> Cvm:
        """Measure and start one CVM.

        Raises:
            WireError: no runtime in the directory, or too many CVMs.
            OSError: a file that cannot be read or a process that cannot be started.
        """
        if sum(cvm.process.returncode is None for cvm in self._cvms.values()) >= _MAX_CVMS:
            raise WireError(f"launch: got {_MAX_CVMS} running CVMs, expected fewer")
        runtime = measure.read_runtime(request.runtime_dir)
        requirements = measure.read_requirements(request.requirements)
        measured = measure.measure(runtime, requirements, launch.sandbox_base(), debug=self._debug)
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            image = self._write_image(runtime)
            undo.callback(shutil.rmtree, image, ignore_errors=True)
            account, group = self._ground(request.socket_dir)
            if group is not None:
                undo.callback(group.remove)
            process = await self._spawn(request, image, theirs, account, group)
            undo.pop_all()
        cvm = Cvm(process, self._machine, measured, self._gpus, request.socket, account, group)
        cvm.ended = asyncio.create_task(self._tend(cvm, ours, image))
        self._cvms[process.pid] = cvm
        return cvm

    async def kill(self, pid: int) -> Cvm:
        """End the CVM `pid`: at once, since it keeps nothing.

        Raises:
            WireError: no CVM of this platform has that pid.
        """
        cvm = self._cvms.get(pid)
        if cvm is None:
            raise WireError(f"kill: got pid {pid}, expected a CVM of this platform")
        if cvm.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # the CVM leads its own session
        if cvm.ended is not None:
            await cvm.ended
        return cvm

    async def close(self) -> None:
        """End every CVM."""
        for pid in tuple(self._cvms):
            await self.kill(pid)

    def _write_image(self, runtime: measure.Files) -> Path:
        """Write the measured bytes where nothing but the CVM's read-only bind will look."""
        self._images.mkdir(exist_ok=True)
        image = Path(tempfile.mkdtemp(dir=self._images))
        for name, content in (("__main__.py", launch.BOOT), *runtime):
            path = image / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        for path in (image, *image.rglob("*")):  # for the CVM's account, whatever our umask
            path.chmod(0o755 if path.is_dir() else 0o644)
        return image

    def _ground(self, socket_dir: Path) -> tuple[int | None, CvmGroup | None]:
        """Return account and control groups for a new CVM; the socket's directory becomes the account's."""
        if not self._steps_down:
            return None, None
        alive = (cvm for cvm in self._cvms.values() if cvm.ended is None or not cvm.ended.done())
        account = accounts.pick({cvm.account for cvm in alive if cvm.account is not None})
        accounts.hand_over(socket_dir, account)
        return account, self._groups.create(account) if self._groups else None

    async def _spawn(
        self,
        request: LaunchRequest,
        image: Path,
        quotes: socket.socket,
        account: int | None,
        group: CvmGroup | None,
    ) -> asyncio.subprocess.Process:
        self._logs.mkdir(mode=0o700, exist_ok=True)
        argv = launch.cvm_argv(
            self._bwrap,
            self._interpreter,
            image=image,
            socket_dir=request.socket_dir.resolve(),
            quote_fd=quotes.fileno(),
            plain_bytes=request.plain_mib * _MIB,
            account=account,
            group=group,
        )
        with (self._logs / f"{image.name}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(quotes.fileno(),),
                start_new_session=True,
            )

    async def _tend(self, cvm: Cvm, quotes: socket.socket, image: Path) -> None:
        """Answer quote requests until the CVM has ended, then remove what was made for it."""
        answering = asyncio.create_task(self._answer(cvm, quotes))
        await cvm.process.wait()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        shutil.rmtree(image, ignore_errors=True)
        if cvm.group is not None:
            await _dissolve(cvm.group)

    async def _answer(self, cvm: Cvm, line: socket.socket) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=line)
        with contextlib.closing(writer):
            while (request := await frames.read(reader)) is not None:
                await frames.write(writer, evidence.answer(cvm.machine, cvm.measured, cvm.gpus, request))


async def _dissolve(group: CvmGroup) -> None:
    """End what is left in the groups and remove them, as soon as the kernel lets go of its last process."""
    for _ in range(_GROUP_TRIES):
        group.kill()
        if group.remove():
            break
        await asyncio.sleep(_GROUP_PAUSE_S)
