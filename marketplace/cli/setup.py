"""`cloister init`: a home folder with a wallet, a keystore for content keys and a settings file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.options import AsJson
from marketplace.cli.output import ask_secret, emit, note, simulated
from marketplace.errors import BadInputError

__all__ = ["init"]


def init(
    context: typer.Context,
    rpc: Annotated[
        list[str], typer.Option("--rpc", metavar="URL", help="A node of the chain; repeat for more.")
    ],
    deployment: Annotated[
        Path, typer.Option("--deployment", metavar="FILE", help="Where the market's contracts stand.")
    ],
    store: Annotated[
        Path | None, typer.Option("--store", metavar="DIR", help="Blob store; default: `blobs` in the home.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="An existing wallet; default: a new encrypted one."),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="Default: asked for now and at every use."),
    ] = None,
    root_set: Annotated[
        str, typer.Option("--root-set", help="Trust anchor: intel, or dev:<sha256>.")
    ] = "intel",
    unsafe_accept_simulated: Annotated[
        bool,
        typer.Option("--unsafe-accept-simulated", help="Believe a SIMULATED root set: development alone."),
    ] = False,
    collateral: Annotated[
        str | None,
        typer.Option("--collateral", metavar="SOURCE", help="file:PATH, vendor:FOLDER or simulated:SOCKET."),
    ] = None,
    measurement: Annotated[
        list[str], typer.Option("--measurement", metavar="HEX", help="A runtime that you accept; repeat.")
    ] = [],  # noqa: B006 - typer copies defaults
    release_url: Annotated[
        str | None, typer.Option("--release-url", metavar="URL", help="Your key broker, if you publish.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a profile: wallet, keystore, grant key, settings. Nothing that exists is overwritten."""
    from enclave_runtime.wire.codec import hex_of
    from marketplace.sdk.profile import CONFIG_NAME, Profile, Session, default_home

    # Absolute: what is written below names paths relative to the home, wherever this was typed.
    home = (context.obj or default_home()).absolute()
    if (home / CONFIG_NAME).exists():
        raise BadInputError(
            "home", f"{home} with a profile", "a folder without one", hint="name another with --home"
        )
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    passphrase = _passphrase(passphrase_file)
    trust: dict[str, object] = {
        "root_set": root_set,
        "unsafe_accept_simulated": unsafe_accept_simulated,
        "collateral": _absolute(collateral),
        "measurements": measurement,
    }
    wallet = key.absolute() if key else _new_key(home / "wallet.json", passphrase)
    profile = Profile.write(
        home,
        rpc=rpc,
        deployment=deployment.absolute(),
        key=wallet,
        passphrase=passphrase_file.absolute() if passphrase_file else None,
        store=store.absolute() if store else "blobs",
        trust=trust,
        owner={"grant_key": _new_key(home / "grant-key.json", passphrase), "release_url": release_url},
    )
    session = Session(profile, ask=lambda _: passphrase)
    session.keystore()
    if profile.simulated:
        simulated(f"this profile believes {root_set}")
    note("back up this folder: whoever loses it loses the wallet, the content keys and the keys of results")
    value: dict[str, object] = {
        "home": str(home),
        "address": hex_of(session.address),
        "grant_address": hex_of(session.grant_address()),
        "simulated": profile.simulated,
    }
    emit(
        as_json,
        value,
        [f"home    {home}", f"address {value['address']}", "look at it with `cloister doctor`"],
    )


def _passphrase(path: Path | None) -> str:
    if path is not None:
        from marketplace.service.keyfiles import read_passphrase

        return read_passphrase(path)
    first = ask_secret("new passphrase")
    if ask_secret("again") != first:
        raise BadInputError("passphrase", "two different ones", "the same one twice")
    return first


def _new_key(path: Path, passphrase: str) -> Path:
    from marketplace.chain.signer import create_keystore

    create_keystore(path, passphrase)
    return path


def _absolute(source: str | None) -> str | None:
    """Return a collateral source whose path does not depend on the working directory."""
    if source is None:
        return None
    scheme, colon, path = source.partition(":")
    return f"{scheme}:{os.path.abspath(path)}" if colon else f"file:{os.path.abspath(source)}"
