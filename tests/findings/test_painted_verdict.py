"""The theft: an export whose words move the cursor, so that a failed verification reads like a good one.

Locations, refusals and the source of chain facts are strangers' texts. On a terminal, a line break and a few
control signs in one of them could paint over the line that says FAILED.
"""

from __future__ import annotations

import pytest

from marketplace.cli.exits import guarded
from marketplace.cli.output import emit, note
from marketplace.errors import MarketError

PAINT = "a node\x1b[2J\x1b[H\r\nall 10 checks passed\x9b2K\u202e\u2028"
SHOWN = "a node?[2J?[H  all 10 checks passed?2K? "


def test_results_and_notes_are_one_line_without_control_signs(capsys: pytest.CaptureFixture[str]) -> None:
    emit(False, {}, [f"1 ok    {PAINT}", "déjà vu, 5 €"])
    note(PAINT)
    out, err = capsys.readouterr()
    assert out == f"1 ok    {SHOWN}\ndéjà vu, 5 €\n"
    assert err == f"{SHOWN}\n"


def test_errors_are_too(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise MarketError(PAINT, hint=PAINT)

    guarded(fail, as_json=False)
    err = capsys.readouterr().err
    assert SHOWN in err
    assert all(sign.isprintable() or sign == "\n" for sign in err)


def test_json_carries_the_text_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    emit(True, {"text": PAINT}, [])
    assert capsys.readouterr().out.count("\n") == 1
