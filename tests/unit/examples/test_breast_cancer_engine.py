"""The example engine: its parts, and itself as a process outside of any sandbox."""

import importlib
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "breast_cancer"
ENGINE = EXAMPLE / "engine"


def module(name: str):
    """Import one of the engine's own modules; they are found beside `train.py`, as in the sandbox."""
    before = sys.dont_write_bytecode
    sys.path.insert(0, str(ENGINE))
    sys.dont_write_bytecode = True  # a file more in the folder would be another engine
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ENGINE))
        sys.dont_write_bytecode = before


data, settings, roc = module("data"), module("settings"), module("roc")


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hospitals")
    subprocess.run([sys.executable, str(EXAMPLE / "prepare.py"), str(folder)], check=True, timeout=60)
    return folder


def train(inputs, config, output):
    command = [sys.executable, str(ENGINE / "train.py"), "--inputs", *map(str, inputs)]
    return subprocess.run(
        [*command, "--config", str(config), "--output", str(output)],
        env={"OMP_NUM_THREADS": "1", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_prepare_deals_all_rows_once(hospitals):
    rows = {}
    for name in ("hospital_a", "hospital_b"):
        table = data.read_table(hospitals / name, name)
        rows[name] = {tuple(row) for row in table.features}
        schema = json.loads((hospitals / name / "schema.json").read_text())
        assert schema["rows"] == len(table.labels)
        assert [column["name"] for column in schema["columns"]] == [*data.FEATURES, data.LABEL]
    assert {name: len(found) for name, found in rows.items()} == {"hospital_a": 285, "hospital_b": 284}
    assert not rows["hospital_a"] & rows["hospital_b"]


def test_prepare_writes_the_same_bytes_every_time(hospitals, tmp_path):
    subprocess.run([sys.executable, str(EXAMPLE / "prepare.py"), str(tmp_path)], check=True, timeout=60)
    for path in sorted(hospitals.rglob("*")):
        if path.is_file():
            assert (tmp_path / path.relative_to(hospitals)).read_bytes() == path.read_bytes()


def test_trains_well_and_to_the_same_bits(hospitals, tmp_path):
    inputs = [hospitals / "hospital_a", hospitals / "hospital_b"]
    for name in ("one", "two"):
        done = train(inputs, EXAMPLE / "config.json", tmp_path / name)
        assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert metrics["accuracy"] >= 0.95
    assert metrics["roc_auc"] >= 0.98
    assert sum(metrics["confusion"].values()) == metrics["rows_held_out"] == 113
    assert metrics["rows_trained"] == 456
    for name in ("model.safetensors", "metrics.json", "roc.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert "_s" not in (tmp_path / "one" / "metrics.json").read_text()  # no timing, in any name
    timings = json.loads((tmp_path / "one" / "timings.json").read_text())
    assert set(timings) == {"import_s", "read_s", "train_s", "total_s"}


def test_model_can_be_read_and_gives_the_metrics(hospitals, tmp_path):
    """Accuracy computed again here, from the file and the rows, with numpy alone."""
    import numpy
    from safetensors.numpy import load_file

    inputs = [hospitals / "hospital_a", hospitals / "hospital_b"]
    assert train(inputs, EXAMPLE / "config.json", tmp_path).returncode == 0
    model = load_file(tmp_path / "model.safetensors")
    hits = total = 0
    for folder in inputs:
        table = data.read_table(folder, "x")
        features = numpy.array(table.features[4::5])
        labels = numpy.array(table.labels[4::5])
        inputs_ = (features - model["input.mean"]) / model["input.scale"]
        middle = numpy.maximum(inputs_ @ model["hidden.weight"].T + model["hidden.bias"], 0)
        logits = (middle @ model["output.weight"].T + model["output.bias"])[:, 0]
        hits += int(((logits >= 0) == labels).sum())
        total += len(labels)
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] == hits / total


def test_learns_nothing_from_labels_that_mean_nothing(hospitals, tmp_path):
    """No leak from training to held-out rows: with labels dealt anew, they are guessed about as by chance."""
    import random

    lines = (hospitals / "hospital_a" / "data.csv").read_text().splitlines()
    cells = [line.rsplit(",", 1) for line in lines[1:]]
    labels = [label for _, label in cells]
    random.Random(1).shuffle(labels)
    (tmp_path / "in").mkdir()
    rows = [f"{features},{label}" for (features, _), label in zip(cells, labels, strict=True)]
    (tmp_path / "in" / "data.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    assert train([tmp_path / "in"], EXAMPLE / "config.json", tmp_path / "out").returncode == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["roc_auc"] < 0.75


def test_running_the_engine_adds_nothing_to_its_folder(hospitals, tmp_path):
    """Its digest is the digest of the folder, byte code included."""
    before = sorted(ENGINE.rglob("*"))
    assert train([hospitals / "hospital_a"], EXAMPLE / "config.json", tmp_path).returncode == 0
    assert sorted(ENGINE.rglob("*")) == before
    assert all(path.suffix == ".py" for path in before)


@pytest.fixture
def folder(hospitals, tmp_path):
    shutil.copytree(hospitals / "hospital_a", tmp_path / "input")
    return tmp_path / "input"


def change(folder: Path, row: int, column: int, value: str) -> None:
    lines = (folder / "data.csv").read_text().splitlines()
    cells = lines[row].split(",")
    cells[column] = value
    lines[row] = ",".join(cells)
    (folder / "data.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "", "12,3", "secret", "0x1p3 "])
def test_refuses_a_value_by_place_and_never_repeats_it(folder, value):
    change(folder, 17, 2, value)
    with pytest.raises(data.BadInputError) as caught:
        data.read_table(folder, "input 0")
    assert "input 0, row 17" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("label", ["2", "", "1.0", "true"])
def test_refuses_labels(folder, label):
    change(folder, 3, 30, label)
    with pytest.raises(data.BadInputError, match="row 3, column 'malignant'"):
        data.read_table(folder, "input 1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "header"),
        (b"a,b\n1,2\n", "header"),
        (b"\xff\xfe", "not CSV"),
        (b'"unclosed', "not CSV"),
        (b"x" * 1000, "not CSV"),
    ],
)
def test_refuses_other_files(folder, content, words):
    (folder / "data.csv").write_bytes(content)
    with pytest.raises(data.BadInputError, match=words):
        data.read_table(folder, "input 0")


def test_refuses_too_few_rows_and_no_file(folder, tmp_path):
    lines = (folder / "data.csv").read_text().splitlines()
    (folder / "data.csv").write_text("\n".join(lines[:10]) + "\n")
    with pytest.raises(data.BadInputError, match="9 rows"):
        data.read_table(folder, "input 0")
    with pytest.raises(data.BadInputError, match=r"no data\.csv"):
        data.read_table(tmp_path, "input 0")


def test_ends_with_2_and_one_line_on_bad_input(folder, tmp_path):
    change(folder, 5, 0, "secret")
    done = train([folder], EXAMPLE / "config.json", tmp_path / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "train: input 0, row 5, column 'mean radius': got something else than a finite number\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "config",
    [
        "[]",
        "{",
        '{"threads":0}',
        '{"epochs":1.5}',
        '{"epochs":true}',
        '{"epoch":3}',
        '{"seed":-1}',
        '{"held_out_every":1}',
        '{"hidden":1000000}',
    ],
)
def test_refuses_settings(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(data.BadInputError, match="config"):
        settings.read_settings(tmp_path / "config.json")


def test_shipped_settings_are_the_defaults():
    assert settings.read_settings(EXAMPLE / "config.json") == settings.Settings()


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=2, max_size=40))
def test_area_is_the_chance_of_ranking_a_pair_rightly(rows):
    scores, labels = [score for score, _ in rows], [label for _, label in rows]
    high = [score for score, label in rows if label]
    low = [score for score, label in rows if not label]
    if not high or not low:
        return
    points = roc.curve(scores, labels)
    assert points[0] == (0, 0)
    assert points[-1] == (1, 1)
    right = sum((one > other) + 0.5 * (one == other) for one in high for other in low)
    assert roc.area(points) == pytest.approx(right / len(high) / len(low))


def test_picture_is_a_png_that_shows_the_curve():
    picture = roc.picture([(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)], "ROC, held-out rows: AUC 0.1234567890")
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(picture):
        length, kind = struct.unpack_from(">I4s", picture, at)
        body = picture[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", picture, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    lines = zlib.decompress(chunks[b"IDAT"])
    assert len(lines) == height * (width + 1)
    assert lines.count(b"\x04") > 1000  # the curve's colour
