"""Splits the Wisconsin breast cancer data (569 rows, shipped inside scikit-learn) between two hospitals.

    python prepare.py OUTPUT_FOLDER

writes OUTPUT_FOLDER/hospital_a and OUTPUT_FOLDER/hospital_b, the same bytes every time. Rows are dealt out in
turn, in scikit-learn's order: even rows to one hospital, odd rows to the other.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

__all__ = ["HOSPITALS", "prepare"]

HOSPITALS = ("hospital_a", "hospital_b")
_LABEL = "malignant"
_SOURCE = (
    "Wisconsin Diagnostic Breast Cancer (W. H. Wolberg, W. N. Street, O. L. Mangasarian, 1995), CC BY 4.0"
)
_README = """# {name}: breast tumour measurements

{rows} rows, one per tumour, of the Wisconsin Diagnostic Breast Cancer data, as scikit-learn ships it.
`data.csv` has 30 measurements of cell nuclei (see `schema.json`) and `malignant`: 1 or 0.
No row names a person.

Source: {source}.
"""


def prepare(folder: Path) -> dict[str, int]:
    """Write both hospitals' folders below `folder` and return their row counts."""
    loaded = load_breast_cancer()
    names = [str(name) for name in loaded.feature_names]
    lines = [
        # scikit-learn's target 0 is malignant; ours says what it means
        [*(repr(float(value)) for value in row), str(int(target == 0))]
        for row, target in zip(loaded.data, loaded.target, strict=True)
    ]
    counts = {}
    for index, hospital in enumerate(HOSPITALS):
        part = lines[index :: len(HOSPITALS)]
        _write(folder / hospital, hospital, names, part)
        counts[hospital] = len(part)
    return counts


def _write(folder: Path, name: str, features: list[str], lines: list[list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*features, _LABEL])
    writer.writerows(lines)
    (folder / "data.csv").write_text(text.getvalue(), encoding="ascii")
    columns = [{"name": feature, "type": "finite decimal number"} for feature in features]
    columns.append({"name": _LABEL, "type": "0 or 1"})
    schema = {"file": "data.csv", "rows": len(lines), "columns": columns, "source": _SOURCE}
    (folder / "schema.json").write_text(json.dumps(schema, indent=2) + "\n")
    (folder / "README.md").write_text(_README.format(name=name, rows=len(lines), source=_SOURCE))


def main() -> int:
    """Parse the command line and write."""
    parser = argparse.ArgumentParser(description="Split the breast cancer data between two hospitals.")
    parser.add_argument("output", type=Path)
    for hospital, rows in prepare(parser.parse_args().output).items():
        print(f"{hospital}: {rows} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
