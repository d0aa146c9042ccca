"""`cloister keybroker`: run an owner's key broker, and decide where a person decides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace.cli.options import AsJson, Config, Yes
from marketplace.cli.output import emit, table
from marketplace.cli.serving import Host, KnownHead, Port, PortFile, emit_log_head, serving

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
    policy: Annotated[Path | None, typer.Argument(metavar="POLICY", help="A policy file alone.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The broker's settings.")
    ] = None,
    named: Annotated[Path | None, typer.Option("--policy", metavar="FILE", hidden=True)] = None,
    as_json: AsJson = False,
) -> None:
    """Say in sentences who could get a key, and why. What weakens comes first, in capitals."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.domain.release_words import explain as words_of
    from marketplace.errors import BadInputError
    from marketplace.keybroker.activation import shown
    from marketplace.keybroker.config import load_config, load_policy

    alone = policy or named
    if alone is not None:
        lines = words_of(load_policy(alone))
        emit(as_json, {"sentences": lines}, lines)
        return
    if config is None:
        raise BadInputError("POLICY", "nothing", "a policy file, or --config")
    found = shown(load_config(config))
    lines = [*found.sentences]
    state = "in force" if found.active else "NOT in force"
    facts = {"sentences": lines, "policy": hex_of(found.digest), "active": found.active}
    emit(as_json, facts, [*lines, f"policy {hex_of(found.digest)}: {state}"])


@app.command()
def activate(
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="The words were read already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the policy in words and put it in force. The broker serves under no other."""
    import time

    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.output import confirm, note
    from marketplace.keybroker.activation import activate as put_in_force
    from marketplace.keybroker.activation import shown
    from marketplace.keybroker.config import load_config

    settings = load_config(config)
    found = shown(settings)
    for line in found.sentences:
        note(line)
    confirm("put this policy in force?", yes=yes)
    put_in_force(settings, seen=found.digest, at=int(time.time()))
    digest = hex_of(found.digest)
    emit(
        as_json,
        {"policy": digest, "sentences": [*found.sentences]},
        [f"policy {digest} is in force; restart the broker if it runs"],
    )


@app.command()
def deactivate(config: Config, as_json: AsJson = False) -> None:
    """Put no policy in force. The running broker grants nothing more."""
    import time

    from marketplace.keybroker.activation import deactivate as put_out_of_force
    from marketplace.keybroker.config import load_config

    put_out_of_force(load_config(config), at=int(time.time()))
    emit(as_json, {"policy": None}, ["no policy is in force: nothing is granted"])


@app.command()
def split(
    context: typer.Context,
    offer: Annotated[int, typer.Argument(help="An offer of yours.")],
    needed: Annotated[int, typer.Option("--needed", metavar="T", help="How many brokers must agree.")],
    broker: Annotated[
        list[str], typer.Option("--broker", metavar="URL=0x...", help="A broker and its grant address.")
    ],
    folder: Annotated[Path, typer.Option("--folder", help="Gets a share file for each broker: secrets.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Cut an offer's content key into shares of T of N brokers. Lists a new version of the offer."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.cli.options import session_of
    from marketplace.cli.output import confirm, note
    from marketplace.sdk.splitting import parse_holder, split_offer

    holders = [parse_holder(text) for text in broker]
    confirm(f"list a version of offer {offer} whose key {needed} of {len(holders)} brokers grant?", yes=yes)
    made = split_offer(session_of(context), offer, needed, holders, folder)
    for path, holder in zip(made.files, made.threshold.brokers, strict=True):
        note(f"hand {path} to {holder.url}, then remove it")
    note("all share files together are the key; earlier versions still grant by one broker: retire them")
    version = f"offer {made.published.offer}, version {made.published.version}"
    facts = {
        "offer": made.published.offer,
        "version": made.published.version,
        "group": hex_of(made.threshold.address()),
        "needed": needed,
        "files": [str(path) for path in made.files],
        "tx": made.published.tx,
    }
    emit(as_json, facts, [f"{version}: {needed} of {len(holders)} brokers must agree"])


@app.command("take-share")
def take_share(
    config: Config,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `cloister keybroker split` wrote it.")],
    as_json: AsJson = False,
) -> None:
    """Keep your share of a content key. Remove the file afterwards."""
    import time

    from enclave_runtime.wire.codec import hex_of
    from marketplace.keybroker.admin import keep_share
    from marketplace.keybroker.config import load_config

    taken = keep_share(load_config(config), file, at=int(time.time()))
    manifest, threshold = hex_of(taken.manifest_digest), taken.threshold
    words = f"share {taken.number} of {len(threshold.brokers)}, of which {threshold.needed} must agree"
    facts = {"manifest_digest": manifest, "share": taken.number, "needed": threshold.needed}
    emit(as_json, facts, [f"kept {words}, of content {manifest}"])


@app.command()
def address(config: Config, as_json: AsJson = False) -> None:
    """Print this broker's grant address. Offers, and splits of keys, name it."""
    from enclave_runtime.wire.codec import hex_of
    from enclave_runtime.wire.signatures import address_of
    from marketplace.keybroker.config import load_config

    shown = hex_of(address_of(load_config(config).grant_key.load()))
    emit(as_json, {"address": shown}, [shown])


@app.command("verify-log")
def verify_log(config: Config, head: KnownHead = None, as_json: AsJson = False) -> None:
    """Follow the audit log line by line, and name the first that does not fit."""
    from marketplace.keybroker.config import load_config

    emit_log_head(load_config(config).audit_path, head, as_json)


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
