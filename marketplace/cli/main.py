"""The door of `cloister`: one command in, one exit status out.

Nothing is loaded before it is open, so that Ctrl-C is answered in words from the first moment on.
"""

from __future__ import annotations

import sys

__all__ = ["main", "run"]


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    from marketplace.cli.exits import guarded

    return guarded(lambda: _dispatched(arguments), as_json="--json" in arguments)


def _dispatched(arguments: list[str]) -> object:
    from marketplace.cli.commands import dispatch

    return dispatch(arguments)


def main() -> None:
    """Run the command that the process's arguments name, and leave with its status."""
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:  # while the guard itself was loaded
        sys.stderr.write("error: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
