"""Options of the commands that serve HTTP, passed on to the services' own command lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Host", "Port", "PortFile", "serving"]

Host = Annotated[str | None, typer.Option("--host", help="Instead of the settings' one.")]
Port = Annotated[
    int | None, typer.Option("--port", min=0, max=65535, help="Instead of the settings' one; 0: a free one.")
]
PortFile = Annotated[
    Path | None, typer.Option("--port-file", metavar="FILE", help="Gets the port when the service answers.")
]


def serving(host: str | None, port: int | None, port_file: Path | None) -> list[str]:
    """Return the options as arguments of a service's own command line."""
    given = {"--host": host, "--port": port, "--port-file": port_file}
    return [word for name, value in given.items() if value is not None for word in (name, str(value))]
