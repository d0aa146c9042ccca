"""Trains a small network on the hospitals' tables and says how good it is on rows it never saw.

In a sandbox: reads /inputs/<n>/data.csv and /config.json, writes to /output. Outside, with the same bits:

    python train.py --inputs hospital_a hospital_b --config config.json --output result
"""

from __future__ import annotations

import time

_STARTED = time.perf_counter()  # before torch: its import is most of the run

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from safetensors.torch import save  # noqa: E402

sys.dont_write_bytecode = True  # byte code beside these files would make another engine of the folder

from data import BadInputError, read_table  # noqa: E402
from model import probabilities, split, train  # noqa: E402
from roc import area, curve, picture  # noqa: E402
from settings import Settings, read_settings  # noqa: E402

_BAD_INPUT = 2


def main() -> int:
    """Run once; return the exit code."""
    imported = time.perf_counter()
    arguments = _arguments()
    try:
        settings = read_settings(arguments.config)
        tables = [read_table(folder, f"input {index}") for index, folder in enumerate(arguments.inputs)]
        if not tables:
            raise BadInputError("got no inputs, expected at least one table")
        torch.set_num_threads(settings.threads)
        # As use_deterministic_algorithms(True), which would import a compiler for 0.8 s besides.
        torch.set_deterministic_debug_mode("error")
        features, labels, held_features, held_labels = split(tables, settings.held_out_every)
        if len(set(labels.tolist())) < 2 or len(set(held_labels.tolist())) < 2:
            raise BadInputError(
                "got rows of one class only, expected malignant and benign ones on both sides"
            )
    except BadInputError as error:
        print(f"train: {error}", file=sys.stderr)
        return _BAD_INPUT
    read = time.perf_counter()
    model = train(features, labels, settings)
    trained = time.perf_counter()
    scores = probabilities(model, held_features)
    points = curve(scores, truth := [int(label) for label in held_labels.tolist()])
    metrics = _metrics(scores, truth, points, len(labels), settings)
    print(f"held-out accuracy {metrics['accuracy']:.4f}, ROC-AUC {metrics['roc_auc']:.4f}, {len(truth)} rows")
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    (output / "model.safetensors").write_bytes(save(model))
    (output / "metrics.json").write_text(json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    (output / "roc.png").write_bytes(picture(points, f"ROC, held-out rows: AUC {metrics['roc_auc']:.4f}"))
    timings = {
        "import_s": imported - _STARTED,
        "read_s": read - imported,
        "train_s": trained - read,
        "total_s": time.perf_counter() - _STARTED,
    }
    (output / "timings.json").write_text(json.dumps(timings, indent=2) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    root = Path(os.environ.get("CLOISTER_ROOT", "/"))
    parser = argparse.ArgumentParser(description="Train on tables of breast tumour measurements.")
    parser.add_argument(
        "--inputs", type=Path, nargs="+", help="folders with data.csv (default: /inputs/0, 1, ...)"
    )
    parser.add_argument("--config", type=Path, default=root / "config.json")
    parser.add_argument("--output", type=Path, default=root / "output")
    arguments = parser.parse_args()
    if arguments.inputs is None:
        places = root / "inputs"
        numbers = sorted(int(path.name) for path in places.iterdir()) if places.is_dir() else []
        arguments.inputs = [places / str(number) for number in numbers]
    return arguments


def _metrics(
    scores: list[float], truth: list[int], points: list[tuple[float, float]], trained: int, settings: Settings
) -> dict[str, object]:
    """Return what the client gets to know; no timing is in it, so that two runs give the same bytes."""
    guesses = [int(score >= 0.5) for score in scores]
    pairs = list(zip(guesses, truth, strict=True))
    return {
        "accuracy": sum(guess == label for guess, label in pairs) / len(pairs),
        "roc_auc": area(points),
        "confusion": {
            "true_positive": pairs.count((1, 1)),
            "false_positive": pairs.count((1, 0)),
            "true_negative": pairs.count((0, 0)),
            "false_negative": pairs.count((0, 1)),
        },
        "rows_trained": trained,
        "rows_held_out": len(pairs),
        "settings": vars(settings),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())
