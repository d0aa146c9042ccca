"""`cloister` on sealed content without a chain: pack, seal, push, inspect, digest, keys, results."""

from __future__ import annotations

import io
import os
import re
import secrets
from pathlib import Path

import pytest

from marketplace.cli import results
from marketplace.cli.main import run
from marketplace.cli.output import ProgressLines
from marketplace.domain.order_state import OrderState
from marketplace.sdk.profile import Profile
from marketplace.sealing.containers import part_of
from marketplace.sealing.keystore import KeyStore, ScryptCost
from tests.cli.transcript import Transcript
from tests.fakes.audited_order import make
from tests.fakes.client_session import FakeSession

HERE = Path(__file__).parent / "transcripts"
WEAK = ScryptCost(log2_n=14)


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.delenv("CLOISTER_HOME", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())


def home(path: Path, *, keystore: bool = True) -> Path:
    """Make a profile that never asks a chain."""
    path.mkdir()
    for file, text in (
        ("key", "11" * 32),
        ("pass", "hidden\n"),
        ("new-pass", "changed\n"),
        ("grant", "22" * 32),
    ):
        (path / file).write_text(text)
        (path / file).chmod(0o600)
    Profile.write(
        path,
        rpc=["http://127.0.0.1:1"],
        deployment="none.json",
        key="key",
        passphrase="pass",
        store=path.parent / "blobs",
        owner={"grant_key": "grant", "release_url": "http://127.0.0.1:9"},
    )
    if keystore:
        KeyStore.open(path / "content-keys.json", "hidden", entropy=secrets.token_bytes, cost=WEAK)
    return path


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """Give folders to seal, and two people's homes; longer words first."""
    for folder, file, content in (("engine", "train.py", b"pass\n"), ("rows", "rows.csv", bytes(10_000))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_bytes(content)
    (tmp_path / "leaving").mkdir()
    (tmp_path / "leaving" / "link").symlink_to("/etc/passwd")
    made = {"TMP": str(tmp_path), "HOME": str(home(tmp_path / "home"))}
    made["OTHER"] = str(home(tmp_path / "other"))
    return dict(sorted(made.items(), key=lambda item: -len(item[1])))


def sealed_rows(places: dict[str, str], name: str) -> Path:
    path = Path(places["TMP"]) / name
    words = ["author", "seal", places["TMP"] + "/rows", "--kind", "dataset", "--out", str(path)]
    assert run(["--home", places["HOME"], *words]) == 0
    return path


def test_transcript_of_sealing(places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    tmp = Path(places["TMP"])
    part_of(tmp / "engine.sealed").write_bytes(b"half")
    part_of(tmp / "linked.sealed").symlink_to(tmp / "rows" / "rows.csv")
    cut, flipped = sealed_rows(places, "cut.sealed"), sealed_rows(places, "flipped.sealed")
    cut.write_bytes(cut.read_bytes()[:-1])
    data = bytearray(flipped.read_bytes())
    data[5000] ^= 1
    flipped.write_bytes(data)
    capsys.readouterr()
    Transcript(HERE / "sealing.txt", places).check()


def test_transcript_of_keys(places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    tmp = Path(places["TMP"])
    sealed = sealed_rows(places, "first.sealed")
    assert run(["--home", places["HOME"], "author", "push", str(sealed)]) == 0
    for name in ("damaged", "readable"):
        path = home(tmp / name) / "content-keys.json"
        if name == "damaged":
            path.write_bytes(path.read_bytes()[:100])
        else:
            path.chmod(0o644)
    home(tmp / "empty", keystore=False)
    home(tmp / "new", keystore=False)
    good = (Path(places["HOME"]) / "content-keys.json").read_bytes()
    (tmp / "open.json").write_bytes(good)
    (tmp / "open.json").chmod(0o640)
    (tmp / "cut.json").write_bytes(good[:-10])
    (tmp / "cut.json").chmod(0o600)
    (tmp / "old-pass").write_text("hidden")
    (tmp / "old-pass").chmod(0o600)
    places |= {name.upper(): str(tmp / name) for name in ("damaged", "readable", "empty", "new")}
    capsys.readouterr()
    Transcript(HERE / "keys.txt", dict(sorted(places.items(), key=lambda item: -len(item[1])))).check()


def test_transcript_of_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order, sessions = make(), dict[Path, FakeSession]()
    for name in ("good", "lost", "running"):
        sessions[tmp_path / name] = FakeSession(order, tmp_path / name)
    assert order.bundle.result is not None
    sessions[tmp_path / "lost"].lose(order.bundle.result)
    sessions[tmp_path / "running"].reader.state = OrderState.RUNNING
    (tmp_path / "cut.sealed").write_bytes(order.result_stream[:-100])
    stream = bytearray(order.result_stream)
    stream[60] ^= 1
    part_of(tmp_path / "again.sealed").write_bytes(stream)
    monkeypatch.setattr(results, "session_of", lambda context: sessions[context.obj])
    capsys.readouterr()
    places = {name.upper(): str(tmp_path / name) for name in ("running", "good", "lost")}
    Transcript(
        HERE / "result.txt", places | {"TMP": str(tmp_path), "ID": "0x" + order.order_id.hex()}
    ).check()
    opened = {path.name for path in (tmp_path / "opened").rglob("*") if path.is_file()}
    assert opened == {path.name for path in (tmp_path / "y").rglob("*") if path.is_file()} and opened
    for name in ("lost.sealed", "z"):
        assert not (tmp_path / name).exists()


def test_no_key_is_printed(places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    sealed = sealed_rows(places, "data.sealed")
    for words in (
        ["author", "push", str(sealed), "--json"],
        ["author", "inspect", str(sealed), "--json"],
        ["keys", "list", "--json"],
    ):
        assert run(["--home", places["HOME"], *words]) == 0
    shown = capsys.readouterr()
    keystore = KeyStore.open(
        Path(places["HOME"], "content-keys.json"), "hidden", entropy=secrets.token_bytes, create=False
    )
    (manifest,) = keystore.manifests()
    for secret in (keystore.get(manifest).content_key, keystore.get(manifest).salt):
        assert secret.hex() not in shown.out + shown.err


def test_progress_is_shown_where_it_is_wanted(
    places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--home", places["HOME"], "author", "seal", places["TMP"] + "/rows", "--kind", "dataset"]
    assert run([*words, "--out", places["TMP"] + "/a"]) == 0
    assert capsys.readouterr().err == ""
    assert run([*words, "--out", places["TMP"] + "/b", "--progress", "--json"]) == 0
    shown = capsys.readouterr()
    assert re.fullmatch(r"sealing rows: \d+\.\d KiB of \d+\.\d KiB, .*/s, done in \d+\.\d s\n", shown.err), (
        shown.err
    )
    assert len(shown.out.splitlines()) == 1


def test_progress_lines_say_rate_and_time_left() -> None:
    now, lines = 0.0, list[str]()
    shown = ProgressLines("sealing x", lines.append, clock=lambda: now)
    for second, done in ((0.0, 1 << 20), (0.5, 2 << 20), (1.0, 3 << 20), (1.2, 4 << 20), (3.0, 7 << 20)):
        now = second
        shown.draw(done, 10 << 20)
    now = 4.0
    shown.draw(10 << 20, 10 << 20)
    shown.end()
    assert lines == [
        "sealing x: 3.0 MiB of 10.0 MiB, 2.0 MiB/s, 4 s left",
        "sealing x: 7.0 MiB of 10.0 MiB, 2.0 MiB/s, 2 s left",
        "sealing x: 10.0 MiB of 10.0 MiB, 2.2 MiB/s, done in 4.0 s",
        "sealing x: 10.0 MiB of 10.0 MiB, 2.2 MiB/s, done in 4.0 s",
    ]


def test_progress_lines_begin_anew_with_another_pass() -> None:
    now, lines = 0.0, list[str]()
    shown = ProgressLines("pushing x", lines.append, clock=lambda: now)
    for second, done in ((0.5, 8 << 20), (1.0, 10 << 20), (1.5, 1 << 20), (2.5, 2 << 20), (10.5, 10 << 20)):
        now = second
        shown.draw(done, 10 << 20)
    assert lines == [
        "pushing x: 10.0 MiB of 10.0 MiB, 2.0 MiB/s, done in 1.0 s",
        "pushing x: 2.0 MiB of 10.0 MiB, 2.0 MiB/s, 4 s left",
        "pushing x: 10.0 MiB of 10.0 MiB, 1.1 MiB/s, done in 9.0 s",
    ]


def test_wrong_content_of_a_private_file_is_never_shown(
    places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(places["HOME"], "content-keys.json")
    path.write_bytes(b'{"secret":"hush"}')
    assert run(["--home", places["HOME"], "keys", "list"]) == 1
    shown = capsys.readouterr()
    assert "hush" not in shown.out + shown.err and "what to do" in shown.err
    assert os.environ.get("CLOISTER_HOME") is None
