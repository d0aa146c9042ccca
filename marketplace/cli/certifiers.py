"""`cloister certifier`: run a certification authority."""

from __future__ import annotations

import typer

from marketplace.cli import attested, revoking
from marketplace.cli.options import AsJson, Config
from marketplace.cli.output import emit
from marketplace.cli.serving import Host, KnownHead, Port, PortFile, emit_log_head, serving

__all__ = ["app"]

app = typer.Typer(help="Run a certifier: challenge CVMs, verify their evidence, sign.", no_args_is_help=True)


@app.command()
def run(config: Config, host: Host = None, port: Port = None, port_file: PortFile = None) -> None:
    """Serve challenges and certificates until SIGTERM or Ctrl-C."""
    from marketplace.certifier.__main__ import main

    raise typer.Exit(main(["run", "--config", str(config), *serving(host, port, port_file)]))


@app.command()
def address(config: Config, as_json: AsJson = False) -> None:
    """Print this certifier's address. CertifierQuorum must know it."""
    from enclave_runtime.wire.codec import hex_of
    from enclave_runtime.wire.signatures import address_of
    from marketplace.certifier.config import load_config

    shown = hex_of(address_of(load_config(config).key.load()))
    emit(as_json, {"address": shown}, [shown])


@app.command()
def revoked(config: Config, as_json: AsJson = False) -> None:
    """List the CVMs that this certifier revoked."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.certifier.admin import list_revoked
    from marketplace.certifier.config import load_config
    from marketplace.cli.output import moment, table

    found = list_revoked(load_config(config))
    rows = [["cvm", "since", "reason"]]
    rows += [[hex_of(one.cvm_id), moment(one.at), one.reason] for one in found]
    shown = [{"cvm_id": hex_of(one.cvm_id), "at": one.at, "reason": one.reason} for one in found]
    emit(as_json, {"revoked": shown}, table(rows) if found else ["nothing is revoked"])


@app.command("verify-log")
def verify_log(config: Config, head: KnownHead = None, as_json: AsJson = False) -> None:
    """Follow the audit log line by line, and name the first that does not fit."""
    from marketplace.certifier.config import load_config

    emit_log_head(load_config(config).audit_path, head, as_json)


app.command()(revoking.revoke)
app.command()(attested.attestation)
