"""What `cloister` prints without a chain: help, wrong use, missing things, and how soon."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.cli.commands import app
from marketplace.cli.main import run
from marketplace.sdk.export import Export
from tests.cli.transcript import Transcript
from tests.fakes.audited_order import MEASUREMENT, NOW, VENDOR, make

HERE = Path(__file__).parent / "transcripts"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("TERMINAL_WIDTH", "90")
    monkeypatch.delenv("CLOISTER_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")


@pytest.mark.parametrize("name", ["help", "wrong_use"])
def test_transcript(name: str, tmp_path: Path) -> None:
    config = tmp_path / "home"
    config.mkdir()
    (config / "config.toml").write_text('rpc = ["http://127.0.0.1:1"]\ndeployment = "none.json"\n')
    Transcript(HERE / f"{name}.txt", {"TMP": str(tmp_path)}).check()


@pytest.fixture
def exported(tmp_path: Path) -> dict[str, str]:
    """Give the export of an honest order, one with a lie in it, and an engine's source that is another."""
    order = make()
    export = Export(
        order.facts, order.bundle, VENDOR.collateral(NOW), VENDOR.roots.id, order.held.result_ciphertext
    )
    export.save(tmp_path / "order.json")
    forged = replace(export, facts=replace(export.facts, state="FAILED"), result_digest=bytes(32))
    forged.save(tmp_path / "forged.json")
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "train.py").write_text("pass\n")
    anchor = {"ROOT": VENDOR.roots.id, "MEASUREMENT": "0x" + MEASUREMENT.hex()}
    return {**anchor, "TMP": str(tmp_path), "ORDER": "0x" + order.order_id.hex()}


def test_transcript_of_verification_without_a_network(exported: dict[str, str]) -> None:
    Transcript(HERE / "verify.txt", exported).check()


def commands() -> list[list[str]]:
    """Return every command of every group as its words."""
    from typer.main import get_command

    found: list[list[str]] = []

    def walk(command: object, path: list[str]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            found.append([*path, name])
            walk(inner, [*path, name])

    walk(get_command(app), [])
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: cloister {' '.join(words)}")
    assert words in ([name] for name in ("keybroker", "certifier")) or len(shown.splitlines()) > 4


ENDLESS = {("keybroker", "run"), ("certifier", "run")}
"""Services: they log, and have no result."""


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_speaks_json(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run([*words, "--help"])
    shown = capsys.readouterr().out
    is_group = "Commands:" in shown
    assert is_group or tuple(words) in ENDLESS or "--json" in shown


def test_json_errors_are_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["--home", "/nonexistent", "market", "list", "--json"])
    out = capsys.readouterr().out
    value = json.loads(out)
    assert code == value["exit_code"] == 3
    assert (
        set(value["error"]) == {"what", "got", "expected", "todo"}
        and "cloister init" in value["error"]["todo"]
    )


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from marketplace.cli.main import run; run(['order', 'place', '--help']); "
        "heavy = {'web3', 'cryptography', 'httpx', 'rich', 'pydantic', 'coincurve', 'fastapi'}; "
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
