"""The groups of commands of `cloister`, and the way into them.

Exit codes: 0 done, 1 refused or failed, 2 wrong use, 3 not found, 4 timed out, 5 verification failed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace.cli import (
    attesting,
    authors,
    brokers,
    certifiers,
    checkup,
    collateral,
    keys,
    leasing,
    markets,
    orders,
    providers,
    results,
    setup,
    verifying,
)

__all__ = ["app", "dispatch"]

_HELP = """Confidential compute: publish sealed data and engines, order, run a provider, verify.

Exit codes: 0 done, 1 refused or failed, 2 wrong use, 3 not found, 4 timed out, 5 verification failed."""

_HELP_OPTIONS = ["--help", "-h"]

app = typer.Typer(
    name="cloister",
    help=_HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": _HELP_OPTIONS},
)
app.command("init")(setup.init)
app.add_typer(authors.app, name="author")
app.add_typer(keys.app, name="keys")
app.command("digest")(authors.digest)
app.add_typer(providers.app, name="provider")
app.add_typer(orders.app, name="order")
app.command("collect")(results.collect)
app.add_typer(leasing.app, name="lease")
app.add_typer(markets.app, name="market")
app.add_typer(brokers.app, name="keybroker")
app.add_typer(certifiers.app, name="certifier")
app.add_typer(verifying.app, name="verify")
app.add_typer(collateral.app, name="collateral")
app.add_typer(attesting.app, name="attest")
app.command("doctor")(checkup.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("cloister")
        except PackageNotFoundError:  # run from a checkout that nobody installed
            number = "0 (not installed)"
        sys.stdout.write(f"cloister {number}\n")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home", metavar="DIR", envvar="CLOISTER_HOME", help="Folder of the profile to act as."
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    context.obj = home


def dispatch(arguments: list[str]) -> object:
    """Run the command, or show the help that a path of command names ends in.

    Reading the root's options would come first, and makes typer load as much again: help need not wait.
    """
    from typer.main import get_command

    root = get_command(app)
    if arguments[-1:] in (["--help"], ["-h"]):
        command: Any = root
        for word in arguments[:-1]:
            command = getattr(command, "commands", {}).get(word)
        if command is not None:
            name = " ".join(["cloister", *arguments[:-1]])
            return command(
                args=["--help"], prog_name=name, standalone_mode=False, help_option_names=_HELP_OPTIONS
            )
    return root(args=arguments, prog_name="cloister", standalone_mode=False)
