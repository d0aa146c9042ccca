"""`python -m enclave_runtime.attestation.simulated`: the SIMULATED platform as a process of its own.

State directory: `private/` (root keys, only for this user), `public/` (root.der, root_set, collateral.json),
`images/` and `logs/`. It reads the clock once, to write the first collateral.json; verifiers that live on
another clock ask the socket for collateral at theirs.
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

from enclave_runtime.attestation.simulated.issuer import SimulatedVendor, World
from enclave_runtime.attestation.simulated.platform import Platform
from enclave_runtime.attestation.simulated.server import PlatformServer
from enclave_runtime.wire import canonical
from enclave_runtime.wire.errors import EnclaveError

__all__ = ["main"]

_WARNING = "SIMULATED TEE platform: development only, it protects nothing from whoever runs it\n"
_STATUSES = [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
]


def main(argv: list[str] | None = None) -> int:
    """Run the platform until SIGTERM or SIGINT, then end its CVMs; return 0, or 1 where it can start none."""
    args = _arguments(argv)
    sys.stderr.write(_WARNING)
    with contextlib.suppress(PermissionError):  # already the leader of a session
        os.setsid()
    with contextlib.suppress(ValueError, OSError):  # only root may; a CVM says so where it cannot lock memory
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    vendor = _vendor(args.state)
    world = World(
        tcb_status=args.dangerous_tcb_status,
        expired=args.dangerous_expired_collateral,
        pck_revoked=args.dangerous_revoked_pck,
    )
    now = int(time.time()) if args.now is None else args.now
    try:
        platform = Platform(vendor, args.state, world=world, debug=args.dangerous_debug)
    except EnclaveError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _publish(args.state, vendor, world, now)
    asyncio.run(_serve(platform, args.socket))
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulated-platform", description=_WARNING)
    parser.add_argument("--state", type=Path, required=True, help="directory for keys, images and logs")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to listen on")
    parser.add_argument("--now", type=int, help="Unix time of the first collateral.json (default: the clock)")
    bad = parser.add_argument_group("bad worlds", "to show that verifiers refuse them")
    bad.add_argument("--dangerous-tcb-status", choices=_STATUSES, default="UpToDate")
    bad.add_argument("--dangerous-debug", action="store_true", help="CVMs with the debug bit set")
    bad.add_argument("--dangerous-expired-collateral", action="store_true")
    bad.add_argument("--dangerous-revoked-pck", action="store_true")
    return parser.parse_args(argv)


def _vendor(state: Path) -> SimulatedVendor:
    """Load the vendor's keys, or make and keep them."""
    private = state / "private"
    private.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = private / "vendor.json"
    if path.exists():
        return SimulatedVendor.from_state(path.read_bytes())
    vendor = SimulatedVendor.create()
    _write(path, vendor.to_state(), 0o600)
    return vendor


def _publish(state: Path, vendor: SimulatedVendor, world: World, now: int) -> None:
    public = state / "public"
    public.mkdir(exist_ok=True)
    _write(public / "root.der", vendor.root_der, 0o644)
    _write(public / "root_set", vendor.roots.id.encode(), 0o644)
    _write(public / "collateral.json", vendor.collateral(now, world).to_bytes(), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Write all or nothing, never readable by more than `mode` says."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    temporary.replace(path)


async def _serve(platform: Platform, path: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ready = canonical.dump({"ready": str(path), "root_set": platform.root_set, "simulated": True})

    def announce() -> None:
        sys.stdout.write(ready.decode() + "\n")
        sys.stdout.flush()

    try:
        await PlatformServer(platform).serve(path, stop, announce)
    finally:
        await platform.close()


if __name__ == "__main__":
    sys.exit(main())
