"""What the commands of the services share: options, passed on to their own command lines, and their logs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace.cli.output import emit

__all__ = ["Host", "KnownHead", "Port", "PortFile", "emit_log_head", "serving"]

Host = Annotated[str | None, typer.Option("--host", help="Instead of the settings' one.")]
Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, help="Instead of the settings' one; 0: a free one.")
]
PortFile = Annotated[
    Path | None, typer.Option("--port-file", metavar="FILE", help="Gets the port when the service answers.")
]
KnownHead = Annotated[
    str | None,
    typer.Option("--head", metavar="ENTRIES:0x...", help="A head that the service once published."),
]


def emit_log_head(path: Path, known: str | None, as_json: bool) -> None:
    """Check the audit log at `path` and print its head.

    Raises:
        AuditError: names the first line that does not follow, or that is not as the known head says.
        NotFoundError: there is no log.
        BadInputError: a head of another form.
    """
    from enclave_runtime.wire.codec import hex_of
    from marketplace.service.audit import checked_log, parse_head

    head = checked_log(path, None if known is None else parse_head(known))
    digest = hex_of(head.digest)
    words = f"{head.entries} entries, each follows from the one before; head {head.entries}:{digest}"
    emit(as_json, {"entries": head.entries, "head": digest}, [words])


def serving(host: str | None, port: int | None, port_file: Path | None) -> list[str]:
    """Return the options as arguments of a service's own command line."""
    given = {"--host": host, "--port": port, "--port-file": port_file}
    return [word for name, value in given.items() if value is not None for word in (name, str(value))]
