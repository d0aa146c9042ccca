"""The SIMULATED platform behind `provider.fleet.Launcher`: each CVM gets a fresh folder for its socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from enclave_runtime.wire.errors import EnclaveError
from marketplace.errors import MarketError
from marketplace.provider.fleet import Launched

if TYPE_CHECKING:
    from enclave_runtime.attestation.simulated.client import CvmState, PlatformClient

__all__ = ["SimulatedLauncher"]

_HINT: Final = "is the platform running? see `cloister doctor`"


class SimulatedLauncher:
    """Starts and ends CVMs; they are children of the platform and outlive the agent."""

    def __init__(
        self,
        platform: PlatformClient,
        *,
        socket_dir: Path,
        runtime_dir: Path,
        requirements: Sequence[Path],
        plain_mib: int = 1024,
    ) -> None:
        """Take a platform.

        Args:
            socket_dir: folder for the CVMs' own folders; its path must be short (a socket's has 107 bytes).
            runtime_dir: folder that contains the package `enclave_runtime`.
            requirements: the locked requirements, measured with it.
            plain_mib: of each CVM's tmpfs for plaintext, in MiB.
        """
        self._platform = platform
        self._socket_dir = socket_dir
        self._runtime_dir = runtime_dir
        self._requirements = tuple(requirements)
        self._plain_mib = plain_mib

    def launch(self, name: str) -> Launched:
        """Start a measured CVM; its socket is in a folder called `name`.

        Raises:
            MarketError: the platform refused, or is not there.
        """
        folder = self._socket_dir / name
        folder.mkdir(mode=0o700, parents=True)
        try:
            started = self._platform.launch(
                self._runtime_dir, self._requirements, folder, plain_mib=self._plain_mib
            )
        except EnclaveError as error:
            folder.rmdir()
            raise MarketError(str(error), hint=_HINT) from error
        return Launched(started.socket, started.pid)

    def find(self, name: str) -> Launched | None:
        """Return the running CVM whose socket is in the folder `name`.

        Raises:
            MarketError: the platform is not there.
        """
        folder = (self._socket_dir / name).absolute()
        for cvm in self._list():
            if cvm.running and cvm.socket.parent == folder:
                return Launched(cvm.socket, cvm.pid)
        return None

    def kill(self, pid: int) -> None:
        """End a CVM; one that is gone already is no error.

        Raises:
            MarketError: the platform is not there.
        """
        if any(cvm.pid == pid and cvm.running for cvm in self._list()):
            try:
                self._platform.kill(pid)
            except EnclaveError as error:
                raise MarketError(str(error), hint=_HINT) from error

    def _list(self) -> tuple[CvmState, ...]:
        try:
            return self._platform.list()
        except EnclaveError as error:
            raise MarketError(str(error), hint=_HINT) from error
