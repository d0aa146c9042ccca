"""`cloister keys`: the keystore of content and result keys: look, back up, restore, change the passphrase."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.options import AsJson, session_of
from marketplace.cli.output import ask_secret, emit, note, table
from marketplace.errors import BadInputError

__all__ = ["app"]

app = typer.Typer(help="Your keystore: look, back up, restore, change the passphrase.", no_args_is_help=True)


@app.command("list")
def list_keys(context: typer.Context, as_json: AsJson = False) -> None:
    """List what the keystore has keys for, never a key. Every entry is opened, to see that it opens."""
    from marketplace.sdk import keys

    rows = keys.entries(session_of(context))
    value: dict[str, object] = {
        "entries": [{"what": one.what, "name": one.name, "replaced_by": one.replaced_by} for one in rows]
    }
    lines = table(
        [["what", "name", ""]]
        + [[one.what, one.name, f"REPLACED by {one.replaced_by}" if one.replaced_by else ""] for one in rows]
    )
    emit(as_json, value, lines)


@app.command()
def backup(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, best on another disk.")],
    as_json: AsJson = False,
) -> None:
    """Copy the keystore to a new file. Every entry is opened first, and the copy read again."""
    from marketplace.sdk import keys

    made = keys.back_up(session_of(context), target)
    value: dict[str, object] = {"backup": str(target), "entries": made.entries, "serial": made.serial}
    emit(as_json, value, [f"backup {target}: {made.entries} entries, write {made.serial}"])
    note("it opens with today's passphrase, also after that was changed; wallet and grant key are not in it")


@app.command()
def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    old_file: Annotated[
        Path | None,
        typer.Option(
            "--passphrase-file", metavar="FILE", help="Has the backup's, where it was changed since then."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the keystore's place. Refused where that would lose anything."""
    from marketplace.sdk import keys
    from marketplace.service.keyfiles import read_passphrase

    old = read_passphrase(old_file) if old_file is not None else ""
    made = keys.restore(session_of(context), source, opens_with=old)
    value: dict[str, object] = {"restored": str(source), "entries": made.entries, "serial": made.serial}
    emit(as_json, value, [f"restored {made.entries} entries of write {made.serial} from {source}"])


@app.command()
def passphrase(
    context: typer.Context,
    new_file: Annotated[
        Path | None,
        typer.Option(
            "--new-passphrase-file",
            metavar="FILE",
            help="Has the new one, for your eyes only; default: asked.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change the passphrase of keystore, wallet and grant key. Nothing is sealed again."""
    from marketplace.sdk import keys

    changed = keys.change_passphrase(session_of(context), _new_passphrase(new_file))
    value: dict[str, object] = {"changed": [str(path) for path in changed]}
    emit(as_json, value, [f"changed {path}" for path in changed] or ["nothing here is encrypted"])
    note("start brokers and agents of this profile again; keep the old one for earlier backups")


def _new_passphrase(path: Path | None) -> str:
    if path is not None:
        from marketplace.service.keyfiles import read_passphrase

        return read_passphrase(path)
    first = ask_secret("new passphrase")
    if ask_secret("again") != first:
        raise BadInputError("passphrase", "two different ones", "the same one twice")
    return first
