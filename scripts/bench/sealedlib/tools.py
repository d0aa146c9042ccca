"""Programs that a user would run instead; each may be absent, and is named then."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

__all__ = ["Tool", "absent"]


@dataclass(frozen=True)
class Tool:
    """One program and the Debian package that has it."""

    name: str
    package: str

    @property
    def path(self) -> str | None:
        """Where it is installed, if it is."""
        return shutil.which(self.name)

    def run(self, *words: str, stdin: bytes | None = None) -> bytes:
        """Run it and return what it prints.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        return subprocess.run([self.name, *words], check=True, capture_output=True, input=stdin).stdout


def absent(*tools: Tool) -> list[str]:
    """Return a line for each tool that is not there."""
    return [f"{tool.name}: apt-get install {tool.package}" for tool in tools if tool.path is None]
