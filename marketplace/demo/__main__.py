"""`scripts/demo`: the story, the attacks, or a market left running."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Any

from enclave_runtime.wire.errors import EnclaveError
from marketplace.demo.attacks.engines import ENGINES
from marketplace.demo.attacks.table import ATTACKS
from marketplace.demo.console import Console
from marketplace.demo.processes import Processes
from marketplace.demo.telling import keep, tell, tell_attacks
from marketplace.demo.world import HARDWARE, World
from marketplace.errors import MarketError

__all__ = ["main"]


def main() -> int:
    """Run the demo and return its exit code: 0 when everything came out as it must."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _as_interrupt)
    console = Console(json_on_stdout=arguments.json)
    # A Unix socket's path has 107 bytes at most, so the folder's must be short.
    folder = Path(tempfile.mkdtemp(prefix="cloister-", dir="/tmp"))
    try:
        return _run(arguments, console, folder)
    except KeyboardInterrupt:
        console.line("\nstopped; every process that was started has been ended")
        return 130
    except (MarketError, EnclaveError) as error:
        console.line(f"\nerror: {error}")
        if isinstance(error, MarketError) and error.hint:
            console.line(f"what to do: {error.hint}")
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        shutil.rmtree(folder, ignore_errors=True)


def _run(arguments: argparse.Namespace, console: Console, folder: Path) -> int:
    started = time.perf_counter()
    console.line(
        "Cloister demo. The TEE hardware is SIMULATED: it protects nothing from this machine's owner."
    )
    with Processes(folder / "logs") as processes:
        with console.step("start", "chain, simulated platform, 2 certifiers, 3 key brokers"):
            approve = "hand" if arguments.approve_by_hand else "auto"
            world = World.start(
                folder, processes, approve=approve, more_engines=ENGINES, hardware=HARDWARE[arguments.tee]
            )
        console.detail(f"hardware: {world.accept.words()}")
        try:
            return _tell(arguments, console, world, started)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            world.stop()


def _tell(arguments: argparse.Namespace, console: Console, world: World, started: float) -> int:
    if arguments.attack:
        names = list(ATTACKS) if arguments.attack == "all" else [arguments.attack]
        results = tell_attacks(world, console, names)
        _print_json(arguments, {name: result.to_json() for name, result in results.items()})
        return 0 if all(result.ok for result in results.values()) else 1
    report, ok = tell(world, console, started, by_hand=arguments.approve_by_hand)
    _print_json(arguments, report)
    if arguments.keep:
        keep(world, console)
    return 0 if ok else 1


def _print_json(arguments: argparse.Namespace, value: dict[str, Any]) -> None:
    if arguments.json:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Three parties train one model in a confidential VM, and anyone can check it.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    parser.add_argument(
        "--tee", choices=list(HARDWARE), default="tdx", help="hardware that is SIMULATED (default: tdx)"
    )
    parser.add_argument("--attack", choices=[*ATTACKS, "all"], metavar="NAME", help=_names())
    parser.add_argument(
        "--keep", action="store_true", help="leave the market running, and say how to poke at it"
    )
    parser.add_argument(
        "--approve-by-hand",
        action="store_true",
        help="brokers wait for a person: cloister keybroker pending, approve",
    )
    return parser.parse_args()


def _names() -> str:
    return "all, or one of: " + ", ".join(ATTACKS)


def _as_interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
