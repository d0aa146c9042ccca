"""Exit codes, the form of errors, and the door through which every command leaves.

error: <what>
  got:        ...
  expected:   ...
  what to do: ...
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from typing import Final

import typer

from enclave_runtime.wire.errors import EnclaveError, RefusedError
from marketplace.errors import BadInputError, MarketError, NotFoundError, WaitTimeoutError

__all__ = ["INTERRUPTED", "ExitCode", "NotConfirmedError", "guarded", "one_line"]

INTERRUPTED: Final = 130
"""What shells say of a command that Ctrl-C ended, and typer where it caught the signal."""
_DEBUG: Final = "CLOISTER_DEBUG"


_TODO: Final = {
    "archive.changed": "let nothing write into the folder, and run it again",
    "archive.format": "this is no archive as `cloister author pack` makes it: seal the folder itself",
    "archive.quota": "it holds more than its report says: do not open it, and tell its author",
    "archive.": "take what is named out of the folder, or put a plain copy in its place",
    "sealed.key": "another key than it was sealed with: use the profile that sealed it, or placed the order",
    "sealed.": "what was sealed is at fault, not who carried it: ask its author to seal it again",
    "stream.digest": "it was altered: seal again, or take a whole copy",
    "stream.size": "it was cut short or is not whole yet: fetch it again",
    "result.": "the store or the node gave something else than the chain names: ask another node, and verify",
    "offer.manifest": "the store gave another manifest than the offer names: try another store",
}
"""What a person can do about refusals, by the beginning of their step."""


_SAID: Final = re.compile(r"(.+?): got (.+), expected (.+?)", re.DOTALL)
"""How errors say what was got and what was expected."""
_FETCH: Final = "these are other bytes than were sealed: fetch them again, or from another location"


class ExitCode(IntEnum):
    """What a command's exit status says."""

    DONE = 0
    FAILED = 1
    WRONG_USE = 2
    NOT_FOUND = 3
    TIMED_OUT = 4
    NOT_VERIFIED = 5


class NotConfirmedError(MarketError):
    """A person, or nobody, was asked before money moved, and did not agree."""


def guarded(run: Callable[[], object], *, as_json: bool) -> int:
    """Return the exit status of `run`; every error becomes words on standard error, and JSON on request."""
    try:
        code = run()
        return code if isinstance(code, int) else ExitCode.DONE
    except typer.Exit as left:
        return _interrupted(as_json=as_json) if left.exit_code == INTERRUPTED else left.exit_code
    except typer.Abort:
        return _report("not confirmed", as_json=as_json, code=ExitCode.FAILED)
    except typer.TyperException as wrong:
        return _report_use(wrong, as_json=as_json)
    except KeyboardInterrupt:
        return _interrupted(as_json=as_json)
    except BrokenPipeError:
        # Whoever read our output has enough of it; do not fail again while Python closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except (MarketError, EnclaveError, OSError) as error:
        return _report_known(error, as_json=as_json)
    except Exception as error:
        if os.environ.get(_DEBUG):
            traceback.print_exc()
        what = f"unexpected {type(error).__name__}"
        return _report(what, todo=f"run it again with {_DEBUG}=1 and report what it prints", as_json=as_json)


def _interrupted(*, as_json: bool) -> int:
    todo = "run the same command again: what was stored or fetched whole counts, the rest is done anew"
    return _report("interrupted", todo=todo, as_json=as_json, code=INTERRUPTED)


def one_line(text: str) -> str:
    """Return `text` on one line, without control signs: much of it is strangers', and ends on a terminal."""
    return "".join(sign if sign.isprintable() else " " if sign.isspace() else "?" for sign in text)


def _report_known(error: Exception, *, as_json: bool) -> int:
    error = _of_the_disk(error)
    code = _code_of(error)
    hint = str(getattr(error, "hint", ""))
    if isinstance(error, RefusedError):
        todo = hint or _todo_of(error.step)
        return _report(error.step, error.got, error.expected, todo, as_json=as_json, code=code)
    if isinstance(error, BadInputError):
        return _report(error.name, error.got, error.expected, hint, as_json=as_json, code=code)
    if hasattr(error, "part"):  # ciphertext that is not what was sealed
        what, _, _ = str(error).partition(": got ")
        expected = str(getattr(error, "expected", ""))
        return _report(
            what, str(getattr(error, "got", "")), expected, hint or _FETCH, as_json=as_json, code=code
        )
    said = _SAID.fullmatch(str(error)) if isinstance(error, MarketError) else None
    if said:
        return _report(said[1], said[2], said[3], hint, as_json=as_json, code=code)
    what, got = str(error), ""
    if hasattr(error, "arguments"):  # a contract's refusal: its custom error, and the values that disagreed
        what, _, values = what.partition("(")
        got = values.removesuffix(")")
    return _report(what, got, todo=hint, as_json=as_json, code=code)


def _of_the_disk(error: Exception) -> Exception:
    """Return an error about a file in its own words; others as they are."""
    if not isinstance(error, OSError) or isinstance(error, MarketError):
        return error
    name = error.filename
    if not isinstance(name, str | bytes | os.PathLike):
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return error
        name = "a file"
    from marketplace.sealing.disk import disk_error

    return disk_error(error, os.fsdecode(name))


def _todo_of(step: str) -> str:
    """Return what to do about a refusal at this step, or nothing where that depends."""
    return next((words for prefix, words in _TODO.items() if step.startswith(prefix)), "")


def _report_use(wrong: typer.TyperException, *, as_json: bool) -> int:
    context = getattr(wrong, "ctx", None)
    path = getattr(context, "command_path", "cloister")
    message = str(getattr(wrong, "message", wrong)) or str(wrong)
    format_message = getattr(wrong, "format_message", None)
    if callable(format_message):
        message = str(format_message())
    if message.startswith("Usage:"):  # a group without a command: its help is the answer
        sys.stderr.write(message + "\n")
        return ExitCode.WRONG_USE
    return _report(message, todo=f"see `{path} --help`", as_json=as_json, code=ExitCode.WRONG_USE)


def _code_of(error: Exception) -> ExitCode:
    if isinstance(error, NotFoundError):
        return ExitCode.NOT_FOUND
    if isinstance(error, WaitTimeoutError):
        return ExitCode.TIMED_OUT
    if isinstance(error, BadInputError):
        return ExitCode.WRONG_USE
    return ExitCode.FAILED


def _report(
    what: str,
    got: str = "",
    expected: str = "",
    todo: str = "",
    *,
    as_json: bool,
    code: int = ExitCode.FAILED,
) -> int:
    lines = [f"error: {what}"]
    for name, value in (("got", got), ("expected", expected), ("what to do", todo)):
        lines += [f"  {name + ':':<11} {value}"] if value else []
    sys.stderr.write("\n".join(map(one_line, lines)) + "\n")
    if as_json:
        members = {"what": what, "got": got, "expected": expected, "todo": todo}
        sys.stdout.write(json.dumps({"error": members, "exit_code": int(code)}, sort_keys=True) + "\n")
    return code
