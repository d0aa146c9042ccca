"""The configuration of a training run: small integers only, so that everybody writes the same bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

from data import BadInputError

__all__ = ["Settings", "read_settings"]

_BOUNDS = {
    "seed": (0, 2**32 - 1),
    "threads": (1, 64),
    "epochs": (1, 10_000),
    "learning_rate_e6": (1, 1_000_000),
    "weight_decay_e6": (0, 1_000_000),
    "hidden": (1, 1024),
    "held_out_every": (2, 100),
}


@dataclass(frozen=True)
class Settings:
    """What a client may choose.

    Attributes:
        seed: of the initial weights.
        threads: of torch; other counts may give other bits.
        epochs: passes over all training rows at once.
        learning_rate_e6: in millionths.
        weight_decay_e6: in millionths.
        hidden: units of the hidden layer.
        held_out_every: n holds out every n-th row of each input (the rows n-1, 2n-1, ... from 0); they are
            never trained on and all figures in the metrics are about them.
    """

    seed: int = 20
    threads: int = 1
    epochs: int = 200
    learning_rate_e6: int = 5000
    weight_decay_e6: int = 10_000
    hidden: int = 16
    held_out_every: int = 5


def read_settings(path: Path) -> Settings:
    """Read a JSON object; what it does not name has its default.

    Raises:
        BadInputError: not such an object, an unknown name, or a value out of bounds.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise BadInputError("config: got something that is not JSON") from None
    if not isinstance(value, dict):
        raise BadInputError("config: got something else than a JSON object")
    known = {field.name for field in fields(Settings)}
    if unknown := sorted(set(value) - known):
        raise BadInputError(f"config: got unknown names {unknown}, expected some of {sorted(known)}")
    for name, number in value.items():
        low, high = _BOUNDS[name]
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise BadInputError(
                f"config: got {number!r} for {name}, expected an integer from {low} to {high}"
            )
    return Settings(**value)
