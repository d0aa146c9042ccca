"""The defects: `author seal ~` sealed wallet and keystore; an empty path meant the current folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from enclave_runtime.wire.offers import OfferKind, Price
from marketplace.cli.main import run
from marketplace.errors import BadInputError
from marketplace.sdk import author, containers
from tests.fakes.sealing_home import make_home, make_rows


@pytest.mark.parametrize("name", ["", "home", "link"])
def test_a_folder_with_a_key_of_ones_own_is_not_sealed(tmp_path: Path, name: str) -> None:
    (tmp_path / "top").mkdir()
    session = make_home(tmp_path / "top" / "home")
    (tmp_path / "link").symlink_to(tmp_path / "top")
    folder = tmp_path / "link" if name == "link" else tmp_path / "top" / name
    with pytest.raises(BadInputError, match="a secret of your profile"):
        containers.seal(session, folder, OfferKind.DATASET, tmp_path / "x.sealed")
    with pytest.raises(BadInputError, match="a secret of your profile"):
        author.publish(session, folder, OfferKind.DATASET, price=Price())
    assert not (tmp_path / "x.sealed").exists()


def test_a_folder_beside_the_keys_is(tmp_path: Path) -> None:
    session = make_home(tmp_path / "home")
    rows = make_rows(tmp_path / "home-made")
    containers.seal(session, rows, OfferKind.DATASET, tmp_path / "x.sealed")
    assert (tmp_path / "x.sealed").exists()


@pytest.mark.parametrize(
    "words",
    [["digest"], ["author", "pack"], ["author", "seal", "--kind", "dataset"], ["author", "publish"]],
    ids=" ".join,
)
def test_an_empty_path_is_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    make_home(tmp_path / "home")
    monkeypatch.chdir(make_rows(tmp_path / "rows"))
    assert run(["--home", str(tmp_path / "home"), *words, ""]) == 2
    assert "the current folder is ." in capsys.readouterr().err
