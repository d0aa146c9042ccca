"""A local chain for the demo and the tests: anvil as a child process, with time that can be warped.

anvil comes from node_modules/.bin or PATH; a user who brings a node of their own never needs it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from enclave_runtime.wire.codec import hex_of
from marketplace.chain.rpc import Rpc, hex_int, to_quantity
from marketplace.errors import NotFoundError, RpcError, UnreachableError

__all__ = ["DEV_CHAIN_IDS", "DevChain", "find_anvil"]

DEV_CHAIN_IDS: Final = frozenset({31337, 1337})
"""Chains on which open faucets and simulated trust classes may be deployed."""
_READY_WITHIN_S: Final = 20.0
_STOP_WITHIN_S: Final = 5.0
_PORT_TRIES: Final = 5


def find_anvil(start: Path | None = None) -> Path:
    """Return anvil's path: node_modules/.bin of `start` or a folder above it, else PATH.

    Raises:
        NotFoundError: there is none, with what to do.
    """
    folder = (start or Path(__file__)).resolve()
    for above in (folder, *folder.parents):
        candidate = above / "node_modules" / ".bin" / "anvil"
        if os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("anvil")
    if found is None:
        raise NotFoundError(
            "anvil: found neither in node_modules/.bin nor on PATH",
            hint="run `npm ci` in the project's folder, or install Foundry",
        )
    return Path(found)


class DevChain:
    """A running anvil. `stop` ends exactly the process that `start` began."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, chain_id: int) -> None:
        """Take a running process; use `start`."""
        self._process = process
        self.port = port
        self.chain_id = chain_id
        self.url = f"http://127.0.0.1:{port}"
        self.rpc = Rpc(self.url, retries=0)

    @classmethod
    def start(
        cls,
        *,
        chain_id: int = 31337,
        block_time_s: float | None = None,
        anvil: Path | None = None,
        log: Path | None = None,
        extra: tuple[str, ...] = (),
    ) -> DevChain:
        """Start anvil on a free port and wait until it answers.

        Args:
            block_time_s: mine at this interval; None mines each transaction at once.
            log: file that takes anvil's output; None drops it.
            extra: further anvil options.
        Raises:
            NotFoundError: there is no anvil.
            UnreachableError: it did not answer in time.
        """
        binary = anvil or find_anvil()
        command = [str(binary), "--chain-id", str(chain_id), "--slots-in-an-epoch", "0", *extra]
        if block_time_s is not None:
            command += ["--block-time", str(block_time_s)]
        for _ in range(_PORT_TRIES):
            port = _free_port()
            chain = cls(_spawn([*command, "--port", str(port)], log), port, chain_id)
            if chain._wait_ready():
                return chain
            chain.stop()
        raise UnreachableError(f"anvil: no answer within {_READY_WITHIN_S} s", hint="see its log file")

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def __enter__(self) -> DevChain:
        """Return self; `stop` follows."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def stop(self) -> None:
        """End the process: SIGTERM, then SIGKILL. Harmless when it is over already."""
        self.rpc.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def accounts(self) -> list[bytes]:
        """Return the funded addresses that anvil signs for."""
        return [bytes.fromhex(text[2:]) for text in self.rpc.call("eth_accounts")]

    def fund(self, address: bytes, wei: int = 100 * 10**18) -> None:
        """Set the native balance of `address`."""
        self.rpc.call("anvil_setBalance", hex_of(address), to_quantity(wei))

    def snapshot(self) -> str:
        """Return the name of a snapshot of the whole chain."""
        name: str = self.rpc.call("evm_snapshot")
        return name

    def revert(self, name: str) -> None:
        """Go back to a snapshot; it can be used once.

        Raises:
            RpcError: no such snapshot.
        """
        if self.rpc.call("evm_revert", name) is not True:
            raise RpcError("evm_revert", 0, f"no snapshot {name}")

    def now(self) -> int:
        """Return the newest block's time, Unix seconds."""
        return hex_int(self.rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"])

    def warp(self, seconds: int) -> int:
        """Let `seconds` pass on chain and mine a block; return the new chain time."""
        self.warp_to(self.now() + seconds)
        return self.now()

    def warp_to(self, timestamp: int) -> None:
        """Mine a block at `timestamp`, Unix seconds, which must lie ahead of chain time.

        Raises:
            RpcError: it does not.
        """
        self.rpc.call("evm_setNextBlockTimestamp", timestamp)
        self.rpc.call("evm_mine")

    def mine(self, blocks: int = 1) -> None:
        """Mine `blocks` empty blocks."""
        self.rpc.call("anvil_mine", to_quantity(blocks))

    def impersonate(self, address: bytes) -> None:
        """Let anvil sign for `address`."""
        self.rpc.call("anvil_impersonateAccount", hex_of(address))

    def _wait_ready(self) -> bool:
        until = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                return hex_int(self.rpc.call("eth_chainId")) == self.chain_id
            except UnreachableError:
                time.sleep(0.02)
        return False


def _spawn(command: list[str], log: Path | None) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/nonexistent")}
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "env": environment, "start_new_session": True}
    if log is None:
        return subprocess.Popen(
            [*command, "--silent"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
        )
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
