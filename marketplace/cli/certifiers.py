"""`cloister certifier`: run a certification authority."""

from __future__ import annotations

import typer

from marketplace.cli.options import AsJson, Config
from marketplace.cli.output import emit
from marketplace.cli.serving import Host, Port, PortFile, serving

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
