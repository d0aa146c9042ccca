"""python -m marketplace.keybroker [COMMAND] --config FILE; what people use every day is `cloister keybroker`.

Commands: run (default), explain [POLICY], activate [--yes], deactivate, pending, approve ID, deny ID,
take-share FILE, address, verify-log [--head ENTRIES:0x...].
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.signatures import address_of
from marketplace.errors import BadInputError
from marketplace.service.command import add_serving_options, guarded, say

if TYPE_CHECKING:
    from marketplace.keybroker.config import BrokerConfig

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser("python -m marketplace.keybroker", description="an owner's key broker")
    parser.add_argument("command", nargs="?", default="run", choices=tuple(_COMMANDS))
    parser.add_argument("what", nargs="?", help="an id for approve and deny, a file for explain, take-share")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="for explain: a policy file alone")
    parser.add_argument("--yes", action="store_true", help="for activate: the words were read already")
    parser.add_argument("--head", help="for verify-log: ENTRIES:0x... that the service once published")
    add_serving_options(parser)
    options = parser.parse_intermixed_args(arguments)
    return guarded(lambda: _COMMANDS[options.command](options))


def _config(options: argparse.Namespace) -> BrokerConfig:
    from marketplace.keybroker.config import load_config

    if options.config is None:
        raise BadInputError("--config", "nothing", "a settings file")
    return load_config(options.config)


def _run(options: argparse.Namespace) -> None:
    from marketplace.keybroker.wiring import build_app
    from marketplace.service.logs import ServiceLog
    from marketplace.service.run import serve

    config, log = _config(options), ServiceLog("keybroker")
    app, close = build_app(config, log)
    serve(
        app,
        host=options.host or config.listen.host,
        port=config.listen.port if options.port is None else options.port,
        log=log,
        port_file=options.port_file,
        on_stop=close,
    )


def _pending(options: argparse.Namespace) -> None:
    from marketplace.keybroker.admin import list_pending

    for row in list_pending(_config(options)):
        say(json.dumps({"id": row.id, "at": row.at, **row.facts}, sort_keys=True))


def _settle(options: argparse.Namespace) -> None:
    from marketplace.keybroker.admin import settle
    from marketplace.keybroker.store import Approval

    if options.what is None:
        raise BadInputError("ID", "nothing", "the id of a waiting use", hint="list them with `pending`")
    decision = Approval.APPROVED if options.command == "approve" else Approval.DENIED
    row = settle(_config(options), options.what, decision, at=int(time.time()))
    say(f"{row.id} {row.state.value}")


def _explain(options: argparse.Namespace) -> None:
    from marketplace.domain.release_words import explain
    from marketplace.keybroker.activation import shown
    from marketplace.keybroker.config import load_policy

    alone = options.policy or (options.what and Path(options.what))
    if alone:
        for line in explain(load_policy(alone)):
            say(line)
        return
    found = shown(_config(options))
    for line in found.sentences:
        say(line)
    say(f"policy {hex_of(found.digest)}: " + ("in force" if found.active else "NOT in force"))


def _activate(options: argparse.Namespace) -> None:
    from marketplace.keybroker.activation import activate, shown

    config = _config(options)
    found = shown(config)
    for line in found.sentences:
        say(line)
    if not options.yes:
        say("Put this policy in force? Type yes:")
        if sys.stdin.readline().strip() != "yes":
            raise BadInputError("answer", "something else", "yes; nothing was changed")
    activate(config, seen=found.digest, at=int(time.time()))
    say(f"policy {hex_of(found.digest)} is in force; restart the service if it runs")


def _deactivate(options: argparse.Namespace) -> None:
    from marketplace.keybroker.activation import deactivate

    deactivate(_config(options), at=int(time.time()))
    say("no policy is in force: nothing is granted")


def _take_share(options: argparse.Namespace) -> None:
    from marketplace.keybroker.admin import keep_share

    config = _config(options)
    if options.what is None:
        raise BadInputError("FILE", "nothing", "the share file that the owner handed over")
    taken = keep_share(config, Path(options.what), at=int(time.time()))
    say(f"share {taken.number} of content {hex_of(taken.manifest_digest)} is kept; the file may be removed")


def _address(options: argparse.Namespace) -> None:
    say(hex_of(address_of(_config(options).grant_key.load())))


def _verify_log(options: argparse.Namespace) -> None:
    from marketplace.keybroker.admin import check_log
    from marketplace.service.audit import parse_head

    head = check_log(_config(options), None if options.head is None else parse_head(options.head))
    say(f"{head.entries} entries, head {hex_of(head.digest)}")


_COMMANDS = {
    "run": _run,
    "pending": _pending,
    "approve": _settle,
    "deny": _settle,
    "explain": _explain,
    "activate": _activate,
    "deactivate": _deactivate,
    "take-share": _take_share,
    "address": _address,
    "verify-log": _verify_log,
}

if __name__ == "__main__":
    sys.exit(main())
