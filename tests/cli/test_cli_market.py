"""`cloister` on a local chain: everything that a person can do before a CVM comes in."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from enclave_runtime.wire.offers import OfferKind
from marketplace.chain.devchain import DevChain
from marketplace.cli.main import run
from marketplace.sdk.profile import Profile
from tests.cli.transcript import Transcript
from tests.integration.chain_world import MEASUREMENT, ROOT_SET, World

pytestmark = [pytest.mark.contracts, pytest.mark.integration]

OFFERS = {
    "ENGINE": str(1 << 32 | OfferKind.ENGINE << 28 | 1),
    "DATA": str(1 << 32 | OfferKind.DATASET << 28 | 1),
    "COMPUTE": str(2 << 32 | OfferKind.COMPUTE << 28 | 1),
}
"""Ids of the first offers: owner's index, kind, serial. The author lists first, the provider second."""
HERE = Path(__file__).parent / "transcripts"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def deployed() -> Iterator[World]:
    with DevChain.start() as chain:
        yield World(chain)


@pytest.fixture
def places(deployed: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Give homes of three people, two folders to publish, a configuration; put the chain back afterwards."""
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.delenv("CLOISTER_HOME", raising=False)
    snapshot = deployed.chain.snapshot()
    deployed.deployment.save(tmp_path / "deployment.json")
    made = {"TMP": str(tmp_path), "OPERATOR": "0x" + deployed.keys["operator"].address.hex()}
    made |= {"PAYER": "0x" + deployed.keys["provider"].address.hex()} | OFFERS
    for name in ("author", "provider", "client"):
        home(deployed, tmp_path / name, name)
        made[name.upper()] = str(tmp_path / name)
    for folder, file in (("engine", "train.py"), ("data", "rows.csv")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text("pass\n")
    (tmp_path / "config.json").write_text("{}")
    # Longer words first: a home lies inside TMP.
    yield dict(sorted(made.items(), key=lambda item: -len(item[1])))
    deployed.chain.revert(snapshot)


def home(world: World, path: Path, name: str) -> None:
    """Make the profile of one of the world's people."""
    path.mkdir()
    for file, text in (("key", world.keys[name]._key.to_hex()), ("pass", "hidden\n"), ("grant", "22" * 32)):
        (path / file).write_text(text)
        (path / file).chmod(0o600)
    Profile.write(
        path,
        rpc=[world.chain.url],
        deployment=path.parent / "deployment.json",
        key="key",
        passphrase="pass",
        store=path.parent / "blobs",
        trust={
            "root_set": ROOT_SET,
            "unsafe_accept_simulated": True,
            "measurements": ["0x" + MEASUREMENT.hex()],
        },
        owner={"grant_key": "grant", "release_url": "http://127.0.0.1:9"},
    )


def spoken(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """Run a command with --json and return the object that it printed."""
    assert run([*words, "--json"]) == 0, capsys.readouterr().err
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    value = json.loads(lines[0])
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize("name", ["market", "resealing"])
def test_transcript_of_a_market(places: dict[str, str], name: str) -> None:
    Transcript(HERE / f"{name}.txt", places).check()


@pytest.fixture
def listed(places: dict[str, str]) -> dict[str, str]:
    """List an engine, a dataset and compute."""
    for words in (
        [
            "author",
            "author",
            "publish",
            places["TMP"] + "/engine",
            "--kind",
            "engine",
            "--entry",
            "python train.py",
        ],
        ["author", "author", "publish", places["TMP"] + "/data", "--kind", "dataset", "--fixed", "5"],
        ["provider", "provider", "offer", "--per-hour", "36"],
    ):
        assert run(["--home", places[words[0].upper()], *words[1:]]) == 0
    return places


@pytest.mark.parametrize("name", ["order", "lease", "sponsor"])
def test_transcript_of_orders(listed: dict[str, str], name: str) -> None:
    Transcript(HERE / f"{name}.txt", listed).check()


def test_transcript_of_deadlines(places: dict[str, str], deployed: World) -> None:
    engine = places["TMP"] + "/engine"
    words = ["author", "publish", engine, "--kind", "engine", "--entry", "python train.py"]
    assert run(["--home", places["AUTHOR"], *words]) == 0
    assert run(["--home", places["PROVIDER"], "provider", "offer", "--per-hour", "36"]) == 0
    order = [
        "order",
        "place",
        "--compute",
        OFFERS["COMPUTE"],
        "--input",
        OFFERS["ENGINE"],
        "--config",
        places["TMP"] + "/config.json",
    ]
    assert run(["--home", places["CLIENT"], *order, "--yes", "--window", "accept-within=60"]) == 0
    (kept,) = Path(places["CLIENT"], "orders").glob("*.json")
    places["ORDER"] = "0x" + kept.stem
    deployed.chain.warp(61)
    Transcript(HERE / "deadline.txt", places).check()


def test_the_wallet_script_shows_the_cost_and_places(
    places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    engine = places["TMP"] + "/engine"
    words = ["author", "publish", engine, "--kind", "engine", "--entry", "python train.py", "--fixed", "3"]
    assert run(["--home", places["AUTHOR"], *words]) == 0
    assert run(["--home", places["PROVIDER"], "provider", "offer", "--per-hour", "36"]) == 0
    capsys.readouterr()
    argv = [
        sys.executable,
        "scripts/place_order.py",
        "--home",
        places["CLIENT"],
        "--compute",
        OFFERS["COMPUTE"],
    ]
    argv += ["--input", OFFERS["ENGINE"], "--config", places["TMP"] + "/config.json", "--max-seconds", "600"]

    def script(*more: str) -> subprocess.CompletedProcess[str]:
        done = [*argv, *more]
        return subprocess.run(
            done, cwd=ROOT, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
        )

    asked = script()
    assert asked.returncode == 1 and "deposit    9 TUSD" in asked.stderr and not asked.stdout
    placed = script("--yes")
    assert placed.returncode == 0, placed.stderr
    assert "SIMULATED" in placed.stderr
    (order,) = placed.stdout.splitlines()
    shown = spoken(capsys, "--home", places["CLIENT"], "order", "show", order)
    assert shown["state"] == "PLACED" and shown["order_id"] == order


def test_an_order_id_may_be_shortened(places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    engine = places["TMP"] + "/engine"
    words = ["author", "publish", engine, "--kind", "engine", "--entry", "python train.py"]
    assert run(["--home", places["AUTHOR"], *words]) == 0
    assert run(["--home", places["PROVIDER"], "provider", "offer", "--fixed", "1"]) == 0
    capsys.readouterr()
    order = [
        "order",
        "place",
        "--compute",
        OFFERS["COMPUTE"],
        "--input",
        OFFERS["ENGINE"],
        "--config",
        places["TMP"] + "/config.json",
    ]
    placed = spoken(capsys, "--home", places["CLIENT"], *order, "--yes")
    full = str(placed["order_id"])
    assert spoken(capsys, "--home", places["CLIENT"], "order", "show", full[:10])["order_id"] == full
    assert run(["--home", places["CLIENT"], "order", "show", full[:7]]) == 2
    assert run(["--home", places["AUTHOR"], "order", "show", full[:10]]) == 3


def test_init_makes_a_profile_that_works(
    deployed: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.deployment.save(tmp_path / "deployment.json")
    (tmp_path / "pass").write_text("correct horse\n")
    (tmp_path / "pass").chmod(0o600)
    made = tmp_path / "home"
    words = ["--home", str(made), "init", "--rpc", deployed.chain.url]
    words += ["--deployment", str(tmp_path / "deployment.json"), "--passphrase-file", str(tmp_path / "pass")]
    value = spoken(capsys, *words, "--measurement", "0x" + MEASUREMENT.hex())
    assert value["simulated"] is False and str(value["address"]).startswith("0x")
    for file in ("config.toml", "wallet.json", "grant-key.json", "content-keys.json"):
        assert (made / file).stat().st_mode & 0o077 == 0, file
        assert "correct horse" not in (made / file).read_text()
    assert spoken(capsys, "--home", str(made), "market", "list") == {"offers": [], "next": None}
    assert run(words) == 2
    assert "with a profile" in capsys.readouterr().err


def test_doctor_names_what_is_wrong(places: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", places["CLIENT"], "doctor", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    health = {str(check["name"]): check for check in found["checks"]}
    assert health["wallet"]["health"] == "ok" and health["token"]["health"] == "ok"
    assert health["node 127.0.0.1"]["health"] == "ok"
    assert health["trust"]["health"] == "warn" and "collateral" in health["trust"]["found"]
    broker = next(check for name, check in health.items() if name.startswith("key broker"))
    assert broker["health"] == "fail" and broker["todo"]
    (Path(places["CLIENT"]) / "key").chmod(0o644)
    assert run(["--home", places["CLIENT"], "doctor"]) == 1
    assert "chmod 600" in capsys.readouterr().out


def test_no_secret_is_printed(
    places: dict[str, str], capsys: pytest.CaptureFixture[str], deployed: World
) -> None:
    run(["--home", places["CLIENT"], "doctor"])
    run(["--home", places["CLIENT"], "order", "list", "--json"])
    shown = capsys.readouterr()
    for secret in (deployed.keys["client"]._key.to_hex(), "hidden", "22" * 32):
        assert secret not in shown.out + shown.err
