"""`cloister keybroker`: run an owner's key broker, and decide where a person decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import AsJson, Config
from marketplace.cli.output import emit, table
from marketplace.cli.serving import Host, Port, PortFile, serving

if TYPE_CHECKING:
    from marketplace.keybroker.store import Approval, PendingRow

__all__ = ["app"]

app = typer.Typer(help="Run your key broker; approve or deny uses by hand.", no_args_is_help=True)

Use = Annotated[str, typer.Argument(metavar="ID", help="As `pending` shows it.")]


@app.command()
def run(config: Config, host: Host = None, port: Port = None, port_file: PortFile = None) -> None:
    """Serve key requests until SIGTERM or Ctrl-C."""
    from marketplace.keybroker.__main__ import main

    raise typer.Exit(main(["run", "--config", str(config), *serving(host, port, port_file)]))


@app.command()
def explain(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The broker's settings.")
    ] = None,
    policy: Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="A policy alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say in sentences who could get a key."""
    from marketplace.errors import BadInputError
    from marketplace.keybroker.admin import explained
    from marketplace.keybroker.config import load_config, load_policy

    if policy is not None:
        lines = explained(load_policy(policy), by_hand=False)
    elif config is not None:
        settings = load_config(config)
        lines = explained(settings.policy, by_hand=settings.by_hand)
    else:
        raise BadInputError("--config", "nothing", "--config or --policy")
    emit(as_json, {"sentences": lines}, lines)


@app.command()
def pending(
    config: Config,
    settled: Annotated[bool, typer.Option("--all", help="Approved and denied ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the uses that wait for a person."""
    from marketplace.cli.output import moment
    from marketplace.keybroker.admin import list_pending
    from marketplace.keybroker.config import load_config

    found = list_pending(load_config(config), settled=settled)
    rows = [["id", "state", "since", "order", "input"]]
    for row in found:
        order, index = str(row.facts.get("order_id", ""))[:14], str(row.facts.get("input_index", ""))
        rows.append([row.id, row.state.value, moment(row.at), order, index])
    emit(as_json, {"pending": [_row(row) for row in found]}, table(rows) if found else ["nothing waits"])


@app.command()
def approve(config: Config, use: Use, as_json: AsJson = False) -> None:
    """Let one use have its key; the agent asks again by itself."""
    from marketplace.keybroker.store import Approval

    _settle(config, use, Approval.APPROVED, as_json)


@app.command()
def deny(config: Config, use: Use, as_json: AsJson = False) -> None:
    """Let one use have no key."""
    from marketplace.keybroker.store import Approval

    _settle(config, use, Approval.DENIED, as_json)


def _settle(config: Path, use: str, decision: Approval, as_json: bool) -> None:
    import time

    from marketplace.keybroker.admin import settle
    from marketplace.keybroker.config import load_config

    row = settle(load_config(config), use, decision, at=int(time.time()))
    emit(as_json, _row(row), [f"{row.id} {row.state.value}"])


def _row(row: PendingRow) -> dict[str, object]:
    return {"id": row.id, "at": row.at, "state": row.state.value, "facts": dict(row.facts)}
