"""Reading the hospitals' tables, and refusing any that is not what the README promises.

Messages name the input, the row and the column, never a value: the engine's log goes to the client, and the
values belong to the hospitals.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FEATURES", "LABEL", "BadInputError", "Table", "read_table"]

_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
FEATURES = (
    *(f"mean {name}" for name in _MEASURES),
    *(f"{name} error" for name in _MEASURES),
    *(f"worst {name}" for name in _MEASURES),
)
LABEL = "malignant"

_MIN_ROWS, _MAX_ROWS = 20, 100_000
_MAX_CELL_CHARS = 64


class BadInputError(Exception):
    """An input or the configuration is not what this engine accepts."""


@dataclass(frozen=True)
class Table:
    """One hospital's rows: 30 features each, and whether the tumour was malignant (1) or benign (0)."""

    features: list[list[float]]
    labels: list[int]


def read_table(folder: Path, name: str) -> Table:
    """Read `data.csv` of one input.

    Raises:
        BadInputError: with the row and the column at fault.
    """
    path = folder / "data.csv"
    if not path.is_file():
        raise BadInputError(f"{name}: got no data.csv")
    csv.field_size_limit(_MAX_CELL_CHARS)
    table = Table([], [])
    with path.open(newline="", encoding="ascii") as file:
        try:
            lines = csv.reader(file, strict=True)
            if next(lines, None) != [*FEATURES, LABEL]:
                raise BadInputError(f"{name}: got another header than the 30 features and '{LABEL}'")
            for row, cells in enumerate(lines, start=1):
                _add(table, cells, f"{name}, row {row}")
        except (csv.Error, UnicodeDecodeError):
            raise BadInputError(f"{name}: got a file that is not CSV in ASCII") from None
    if not _MIN_ROWS <= len(table.labels) <= _MAX_ROWS:
        raise BadInputError(f"{name}: got {len(table.labels)} rows, expected {_MIN_ROWS} to {_MAX_ROWS}")
    return table


def _add(table: Table, cells: list[str], where: str) -> None:
    if len(table.labels) >= _MAX_ROWS:
        raise BadInputError(f"{where}: got more than {_MAX_ROWS} rows")
    if len(cells) != len(FEATURES) + 1:
        raise BadInputError(f"{where}: got {len(cells)} columns, expected {len(FEATURES) + 1}")
    *values, label = cells
    if label not in ("0", "1"):
        raise BadInputError(f"{where}, column '{LABEL}': got something else than 0 or 1")
    table.features.append(
        [_number(value, f"{where}, column '{name}'") for name, value in zip(FEATURES, values, strict=True)]
    )
    table.labels.append(int(label))


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadInputError(f"{where}: got something else than a finite number")
    return value
