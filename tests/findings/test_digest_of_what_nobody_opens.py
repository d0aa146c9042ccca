"""The defects: `digest` printed one for anything, and pipes were waited for.

And `inspect --verify` of a manifest in a store read nothing of what lies at its locations.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from enclave_runtime.wire.offers import OfferKind
from marketplace.cli.main import run
from marketplace.sdk import containers
from tests.fakes.sealing_home import make_home, make_rows


def packed(tmp_path: Path) -> Path:
    """Return an archive as `pack` makes it."""
    containers.pack(make_rows(tmp_path / "rows"), tmp_path / "rows.tar")
    return tmp_path / "rows.tar"


def outside(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("../evil"), io.BytesIO())


@pytest.mark.parametrize("kind", ["whole", "cut", "longer", "empty", "outside", "text"])
def test_only_what_somebody_could_open_has_a_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = packed(tmp_path)
    data = path.read_bytes()
    wrong = {"whole": data, "cut": data[:-512], "longer": data + bytes(512), "empty": b"", "text": b"1,2\n"}
    if kind == "outside":
        outside(path)
    else:
        path.write_bytes(wrong[kind])
    status = run(["digest", str(path)])
    said = capsys.readouterr()
    if kind == "whole":
        assert status == 0 and said.out.startswith("0x")
    else:
        assert (status, said.out) == (1, "") and "archive." in said.err and "what to do:" in said.err


@pytest.mark.parametrize("command", [["digest"], ["author", "push"], ["author", "inspect"]])
def test_a_pipe_is_refused_and_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    make_home(tmp_path / "home")
    os.mkfifo(tmp_path / "pipe")
    assert run(["--home", str(tmp_path / "home"), *command, str(tmp_path / "pipe")]) == 2
    assert "no regular file" in capsys.readouterr().err


def test_what_lies_at_a_location_is_read_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = make_home(tmp_path / "home")
    containers.seal(session, make_rows(tmp_path / "rows"), OfferKind.DATASET, tmp_path / "x.sealed")
    pushed = containers.push(session, tmp_path / "x.sealed")
    inspect = ["--home", str(tmp_path / "home"), "author", "inspect", pushed.manifest_uri, "--json"]
    assert run([*inspect, "--verify"]) == 0
    assert json.loads(capsys.readouterr().out)["places"] == {
        pushed.content_uri: "there, and as it was sealed"
    }

    data = bytearray((tmp_path / "x.sealed").read_bytes())
    stored = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    (blob,) = [path for path in stored if path.read_bytes() == data]
    blob.chmod(0o600)
    data[100] ^= 1
    blob.write_bytes(data)
    assert run(inspect) == 0
    assert json.loads(capsys.readouterr().out)["places"] == {pushed.content_uri: "there"}
    assert run([*inspect, "--verify"]) == 5
    (words,) = json.loads(capsys.readouterr().out)["places"].values()
    assert "expected 0x" in words
    assert run([*inspect, "--files"]) == 2
    assert "a sealed file of yours" in capsys.readouterr().err
