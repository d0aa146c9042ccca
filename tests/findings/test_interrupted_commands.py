"""The defects: Ctrl-C left a command without a word, and in its first moments with a traceback; errors about
files said neither what was expected nor what to do."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from marketplace.cli.exits import INTERRUPTED, guarded

ROOT = Path(__file__).resolve().parents[2]
LOADING = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # whoever started the tests may ignore it
    "class Now:\n"
    "    def find_spec(self, name, path, target=None):\n"
    "        if name == {module!r}:\n"
    "            os.kill(os.getpid(), signal.SIGINT)\n"
    "sys.meta_path.insert(0, Now())\n"
    "sys.argv = ['cloister', 'market', 'list', '--json']\n"
    "from marketplace.cli.main import main\n"
    "main()\n"
)


def keyboard() -> object:
    raise KeyboardInterrupt


def typers_own() -> object:
    raise typer.Exit(130)


@pytest.mark.parametrize("run", [keyboard, typers_own])
def test_an_interrupted_command_says_so(
    run: Callable[[], object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(run, as_json=True) == INTERRUPTED
    said = capsys.readouterr()
    assert said.err.startswith("error: interrupted\n") and "what to do:" in said.err
    value = json.loads(said.out)
    assert (value["exit_code"], value["error"]["what"]) == (INTERRUPTED, "interrupted")


@pytest.mark.parametrize(
    "module", ["marketplace.cli.exits", "marketplace.cli.commands", "marketplace.cli.markets"]
)
def test_a_command_interrupted_while_it_is_loaded_shows_no_traceback(module: str) -> None:
    words = [sys.executable, "-c", LOADING.format(module=module)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == INTERRUPTED, done.stderr
    assert done.stderr.startswith("error: interrupted\n") and "Traceback" not in done.stderr


def test_a_real_signal_ends_in_130() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert guarded(lambda: os.kill(os.getpid(), signal.SIGINT), as_json=False) == INTERRUPTED


@pytest.mark.parametrize(
    ("number", "got"),
    [
        (errno.ENOSPC, "a full disk"),
        (errno.EACCES, "no right to it"),
        (errno.EISDIR, "a folder"),
        (errno.ENAMETOOLONG, "a name that this disk does not take"),
        (errno.EROFS, "a disk that cannot be written"),
    ],
)
def test_an_error_about_a_file_says_what_to_do(
    number: int, got: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> object:
        raise OSError(number, os.strerror(number), "/data/scans.sealed")

    assert guarded(fail, as_json=True) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["what"], error["got"]) == ("/data/scans.sealed", got)
    assert error["expected"] and error["todo"]
