"""An engine that the sandbox ended had exit code 137 in the report, or none, as the ends came to fall.

Bubblewrap reports the kill of its child if it is not killed first. The report now says None, always.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from enclave_runtime.engines.launch import Launched
from enclave_runtime.engines.limits import Reason
from enclave_runtime.engines.unisolated import DangerousNoIsolation
from tests.integration.sandbox_kit import TIGHT, run, sandbox

_SHORT = dataclasses.replace(TIGHT, wall_s=0.5)
_SLEEPS = "import time; time.sleep(60)"


@pytest.mark.parametrize("reported", [None, 137])
def test_has_no_exit_code_whatever_was_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: int | None
) -> None:
    monkeypatch.setattr(Launched, "exit_code", lambda _: reported)
    ended = run(sandbox(), tmp_path, _SLEEPS, limits=_SHORT)
    assert (ended.reason, ended.exit_code) == (Reason.TIMEOUT, None)


def test_has_none_without_isolation(tmp_path: Path) -> None:
    ended = run(DangerousNoIsolation(), tmp_path, _SLEEPS, limits=_SHORT)
    assert (ended.reason, ended.exit_code) == (Reason.TIMEOUT, None)
