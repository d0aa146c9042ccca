"""`python -m enclave_runtime`: the CVM's one process (docs/protocol.md section 7, docs/cvm-socket.md).

Started by a platform that measured it, with an empty tmpfs for plaintext and a path for its socket. Evidence
comes from what the machine has; from a SIMULATED platform where a descriptor for its quotes is named. It
refuses to start where plaintext could reach a disk or a network. Exit codes: 0 after `wiped` or a signal,
2 bad arguments, 3 surroundings that it refuses, 4 idle.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import stat
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

from enclave_runtime.attestation.machine import find_attesters
from enclave_runtime.attestation.model import Attester, DeviceAttester
from enclave_runtime.engines.limits import DEFAULT_LIMITS, MIB, SandboxError, SandboxLimits
from enclave_runtime.engines.selftest import open_runner
from enclave_runtime.host.clock import is_clock_protected
from enclave_runtime.host.effects import Surroundings
from enclave_runtime.host.engine_room import EngineRoom
from enclave_runtime.host.harden import is_tmpfs, lock_down, private_mounts, visible_interfaces
from enclave_runtime.host.runner import Host, boottime_ns, boottime_s
from enclave_runtime.host.scratch import Scratch
from enclave_runtime.host.transport import Server
from enclave_runtime.loader.session import Session
from enclave_runtime.loader.trust import PlatformFacts
from enclave_runtime.wire.errors import EnclaveError

__all__ = ["main"]

_REFUSED: Final = 3
_IDLE: Final = 4
_ENDS: Final = {"wiped": 0, "stopped": 0, "idle": _IDLE}


def main(argv: list[str] | None = None) -> int:
    """Serve one order and return the exit code."""
    args = _arguments(argv)
    missed = lock_down()
    try:
        _check_surroundings(args)
        scratch = Scratch(args.scratch, mounts=private_mounts())
        runner = open_runner(
            dangerous_run_without_isolation=args.dangerous_run_without_isolation,
            clock=boottime_s,
            scratch=args.scratch,
        )
        facts, attester, devices = _platform(args.quote_fd)
    except (EnclaveError, SandboxError, OSError, ValueError) as error:
        return _say(_REFUSED, f"refused to start: {error}")
    for words in missed:
        _say(0, f"note: {words}")
    session = Session(
        facts, plaintext_bytes=scratch.capacity_bytes, entropy=secrets.token_bytes, now_ns=boottime_ns()
    )
    host = Host(session)
    room = EngineRoom(scratch, runner, _limits(args), boottime_s, host.engine_ended)
    host.connect(Surroundings(attester, scratch, room, devices))
    try:
        why = _serve(host, args)
    except (EnclaveError, OSError) as error:
        return _say(_REFUSED, f"socket: {error}")
    finally:
        room.quiet()
        scratch.remove_all(keep_result=False)
    return _say(_ENDS[why], f"ended: {why}")


def _serve(host: Host, args: argparse.Namespace) -> str:
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    server = Server(args.socket, host.answer)
    _say(0, "listening")
    return host.run(server, idle_s=args.idle_timeout_s, stopped=stopped)


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="enclave_runtime", description="The trusted runtime of one CVM.")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to answer on")
    parser.add_argument("--quote-fd", type=int, help="inherited descriptor of a SIMULATED platform")
    parser.add_argument("--scratch", type=Path, required=True, help="empty folder on a tmpfs, for plaintext")
    parser.add_argument("--idle-timeout-s", type=float, help="end after so many seconds without a word")
    parser.add_argument("--engine-memory-mib", type=int, help="most memory of an engine")
    danger = parser.add_argument_group("danger", "each gives up a protection; never for other people's data")
    danger.add_argument(
        "--dangerous-network-visible", action="store_true", help="start although there is one"
    )
    danger.add_argument("--dangerous-scratch-on-disk", action="store_true", help="plaintext may reach a disk")
    danger.add_argument(
        "--dangerous-run-without-isolation", action="store_true", help="no sandbox for engines"
    )
    return parser.parse_args(argv)


def _check_surroundings(args: argparse.Namespace) -> None:
    """Refuse a quote descriptor that is none, a network, and plaintext on a disk.

    Raises:
        EnclaveError: one of them.
        OSError: no such descriptor or folder.
    """
    if args.quote_fd is not None and not stat.S_ISSOCK(os.fstat(args.quote_fd).st_mode):
        raise EnclaveError(f"quotes: got descriptor {args.quote_fd} that is no socket")
    interfaces = visible_interfaces()
    if interfaces and not args.dangerous_network_visible:
        raise EnclaveError(f"network: got interfaces {', '.join(interfaces)}, expected none but lo")
    if not is_tmpfs(args.scratch) and not args.dangerous_scratch_on_disk:
        raise EnclaveError("scratch: got a folder on a disk, expected a tmpfs")
    for name, value in vars(args).items():
        if name.startswith("dangerous_") and value:
            _say(0, f"DANGEROUS: --{name.replace('_', '-')} is set")


def _platform(quote_fd: int | None) -> tuple[PlatformFacts, Attester, DeviceAttester | None]:
    """Return this machine's TEE, or the SIMULATED platform behind the descriptor that was named.

    Raises:
        EnclaveError, OSError: there is no TEE, or no such platform.
    """
    if quote_fd is None:
        attester, devices = find_attesters()
        protected = is_clock_protected(attester.tee)
        return PlatformFacts(attester.tee, simulated=False, protected_clock=protected), attester, devices
    # Loaded here: an image for real TEEs need not have it.
    from enclave_runtime.attestation.simulated.attest import connect

    simulated, simulated_devices = connect(quote_fd)
    return PlatformFacts(simulated.tee, simulated=True), simulated, simulated_devices


def _limits(args: argparse.Namespace) -> SandboxLimits:
    if args.engine_memory_mib is None:
        return DEFAULT_LIMITS
    return replace(DEFAULT_LIMITS, memory_bytes=args.engine_memory_mib * MIB)


def _say(code: int, words: str) -> int:
    """Write one line for the platform's log. Nothing here ever speaks of an order's content."""
    sys.stderr.write(f"enclave_runtime: {words}\n")
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
