"""python -m marketplace.certifier [run | address | verify-log] --config FILE"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enclave_runtime.wire.codec import hex_of
from marketplace.errors import NotFoundError
from marketplace.service.command import add_serving_options, guarded, say

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        "python -m marketplace.certifier", description="a certification authority"
    )
    parser.add_argument("command", nargs="?", default="run", choices=tuple(_COMMANDS))
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="settings (TOML)")
    add_serving_options(parser)
    options = parser.parse_intermixed_args(arguments)
    return guarded(lambda: _COMMANDS[options.command](options))


def _run(options: argparse.Namespace) -> None:
    from marketplace.certifier.config import load_config
    from marketplace.certifier.wiring import build_app
    from marketplace.service.logs import ServiceLog
    from marketplace.service.run import serve

    config, log = load_config(options.config), ServiceLog("certifier")
    serve(
        build_app(config, log),
        host=options.host or config.listen.host,
        port=config.listen.port if options.port is None else options.port,
        log=log,
        port_file=options.port_file,
    )


def _address(options: argparse.Namespace) -> None:
    from enclave_runtime.wire.signatures import address_of
    from marketplace.certifier.config import load_config

    say(hex_of(address_of(load_config(options.config).key.load())))


def _verify_log(options: argparse.Namespace) -> None:
    from marketplace.certifier.config import load_config
    from marketplace.service.audit import verify_log

    path = load_config(options.config).audit_path
    try:
        head = verify_log(path)
    except FileNotFoundError as error:
        raise NotFoundError(f"no audit log at {path}") from error
    say(f"{head.entries} entries, head {hex_of(head.digest)}")


_COMMANDS = {"run": _run, "address": _address, "verify-log": _verify_log}

if __name__ == "__main__":
    sys.exit(main())
