"""`python -m enclave_runtime.attestation.simulated`: the SIMULATED platform as a process of its own.

State directory: `private/` (root keys, only for this user), `public/` (root.der, root_set, collateral.json,
and gpu_root_set where there are GPUs), `images/` and `logs/`. It reads the clock once, to write the first
collateral.json; verifiers that live on another clock ask the socket for collateral at theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import sys
import time
from pathlib import Path

from enclave_runtime.attestation.model import TeeKind
from enclave_runtime.attestation.rules import MAX_GPUS
from enclave_runtime.attestation.simulated.machine import KINDS
from enclave_runtime.attestation.simulated.platform import Platform
from enclave_runtime.attestation.simulated.server import PlatformServer
from enclave_runtime.attestation.simulated.worlds import (
    STATUSES,
    BadNews,
    open_gpus,
    open_machine,
    write_whole,
)
from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import EnclaveError

__all__ = ["main"]

_WARNING = "SIMULATED TEE platform: development only, it protects nothing from whoever runs it\n"


def main(argv: list[str] | None = None) -> int:
    """Run the platform until SIGTERM or SIGINT, then end its CVMs; return 0, or 1 where it can start none."""
    args = _arguments(argv)
    sys.stderr.write(_WARNING)
    with contextlib.suppress(PermissionError):  # already the leader of a session
        os.setsid()
    with contextlib.suppress(ValueError, OSError):  # only root may; a CVM says so where it cannot lock memory
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    now = int(time.time()) if args.now is None else args.now
    try:
        platform = _platform(args)
    except EnclaveError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _publish(args.state, platform, now)
    asyncio.run(_serve(platform, args.socket))
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulated-platform", description=_WARNING)
    parser.add_argument("--state", type=Path, required=True, help="directory for keys, images and logs")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to listen on")
    parser.add_argument("--tee", type=TeeKind, choices=KINDS, default=TeeKind.TDX, help="CPU to play (tdx)")
    parser.add_argument(
        "--gpus", type=int, choices=range(MAX_GPUS + 1), default=0, help="GPUs of every CVM (none)"
    )
    parser.add_argument("--now", type=int, help="Unix time of the first collateral.json (default: the clock)")
    bad = parser.add_argument_group("bad worlds", "to show that verifiers refuse them")
    bad.add_argument("--dangerous-tcb-status", choices=STATUSES, default=STATUSES[0])
    bad.add_argument("--dangerous-debug", action="store_true", help="CVMs with the debug bit set")
    bad.add_argument("--dangerous-expired-collateral", action="store_true")
    bad.add_argument("--dangerous-revoked-pck", action="store_true", help="the platform's key is revoked")
    return parser.parse_args(argv)


def _platform(args: argparse.Namespace) -> Platform:
    private: Path = args.state / "private"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    bad = BadNews(
        tcb_status=args.dangerous_tcb_status,
        expired=args.dangerous_expired_collateral,
        revoked=args.dangerous_revoked_pck,
        debug=args.dangerous_debug,
    )
    machine = open_machine(args.tee, private, bad)
    gpus = open_gpus(args.gpus, private) if args.gpus else None
    return Platform(machine, args.state, gpus=gpus, debug=bad.debug)


def _publish(state: Path, platform: Platform, now: int) -> None:
    public = state / "public"
    public.mkdir(exist_ok=True)
    facts = platform.describe()
    write_whole(public / "root.der", platform.root_der, 0o644)
    for name in ("root_set", "gpu_root_set"):
        if facts[name] is not None:
            write_whole(public / name, str(facts[name]).encode(), 0o644)
    write_whole(public / "collateral.json", platform.collateral(now).to_bytes(), 0o644)


async def _serve(platform: Platform, path: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ready = canonical.dump({"ready": str(path), **platform.describe()})

    def announce() -> None:
        sys.stdout.write(ready.decode() + "\n")
        sys.stdout.flush()

    try:
        await PlatformServer(platform).serve(path, stop, announce)
    finally:
        await platform.close()


if __name__ == "__main__":
    sys.exit(main())
