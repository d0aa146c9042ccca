"""python -m marketplace.keybroker [run|pending|approve ID|deny ID|explain|verify-log] --config FILE"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from enclave_runtime.wire.codec import hex_of
from marketplace.errors import BadInputError
from marketplace.service.command import add_serving_options, guarded, say

if TYPE_CHECKING:
    from marketplace.keybroker.config import BrokerConfig

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser("python -m marketplace.keybroker", description="an owner's key broker")
    parser.add_argument("command", nargs="?", default="run", choices=tuple(_COMMANDS))
    parser.add_argument("id", nargs="?", help="for approve and deny: as `pending` shows it")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (TOML)")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="for explain: a policy file alone")
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

    if options.id is None:
        raise BadInputError("ID", "nothing", "the id of a waiting use", hint="list them with `pending`")
    decision = Approval.APPROVED if options.command == "approve" else Approval.DENIED
    row = settle(_config(options), options.id, decision, at=int(time.time()))
    say(f"{row.id} {row.state.value}")


def _explain(options: argparse.Namespace) -> None:
    from marketplace.keybroker.admin import explained
    from marketplace.keybroker.config import load_policy

    if options.policy is not None:
        lines = explained(load_policy(options.policy), by_hand=False)
    else:
        config = _config(options)
        lines = explained(config.policy, by_hand=config.by_hand)
    for line in lines:
        say(line)


def _verify_log(options: argparse.Namespace) -> None:
    from marketplace.keybroker.admin import check_log

    head = check_log(_config(options))
    say(f"{head.entries} entries, head {hex_of(head.digest)}")


_COMMANDS = {
    "run": _run,
    "pending": _pending,
    "approve": _settle,
    "deny": _settle,
    "explain": _explain,
    "verify-log": _verify_log,
}

if __name__ == "__main__":
    sys.exit(main())
