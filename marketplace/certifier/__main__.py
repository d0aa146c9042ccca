"""python -m marketplace.certifier [COMMAND] --config FILE; people use `cloister certifier`.

Commands: run (default), address, revoke CVM --reason TEXT, revoked, verify-log [--head ENTRIES:0x...].
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from enclave_runtime.wire.codec import hex_of
from marketplace.service.command import add_serving_options, guarded, say

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        "python -m marketplace.certifier", description="a certification authority"
    )
    parser.add_argument("command", nargs="?", default="run", choices=tuple(_COMMANDS))
    parser.add_argument("cvm", nargs="?", help="for revoke: CVM id, 0x-hex")
    parser.add_argument("--reason", help="for revoke: why, for people")
    parser.add_argument("--head", help="for verify-log: ENTRIES:0x... that the service once published")
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
    app, close = build_app(config, log)
    serve(
        app,
        host=options.host or config.listen.host,
        port=config.listen.port if options.port is None else options.port,
        log=log,
        port_file=options.port_file,
        on_stop=close,
    )


def _address(options: argparse.Namespace) -> None:
    from enclave_runtime.wire.signatures import address_of
    from marketplace.certifier.config import load_config

    say(hex_of(address_of(load_config(options.config).key.load())))


def _revoke(options: argparse.Namespace) -> None:
    from enclave_runtime.wire.codec import bytes_from_hex
    from marketplace.certifier.admin import revoke_cvm
    from marketplace.certifier.config import load_config

    revoked = revoke_cvm(load_config(options.config), bytes_from_hex(options.cvm, 32), options.reason or "")
    say(f"{options.cvm} is revoked" + ("" if revoked else " already"))


def _revoked(options: argparse.Namespace) -> None:
    from marketplace.certifier.admin import list_revoked
    from marketplace.certifier.config import load_config

    for one in list_revoked(load_config(options.config)):
        say(f"{hex_of(one.cvm_id)} at {one.at}: {one.reason}")


def _verify_log(options: argparse.Namespace) -> None:
    from marketplace.certifier.config import load_config
    from marketplace.service.audit import checked_log, parse_head

    known = None if options.head is None else parse_head(options.head)
    head = checked_log(load_config(options.config).audit_path, known)
    say(f"{head.entries} entries, head {hex_of(head.digest)}")


_COMMANDS = {
    "run": _run,
    "address": _address,
    "revoke": _revoke,
    "revoked": _revoked,
    "verify-log": _verify_log,
}

if __name__ == "__main__":
    sys.exit(main())
