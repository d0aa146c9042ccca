"""Random access to a sealed model: one tensor, and one percent of the whole, out of a sealed archive.

The archive holds the model and a small file, as an owner packs them. Each measurement begins with a new
reader: header and index are read and compared, the archive's and the model's headers are opened, too.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from enclave_runtime.sealed.header import SealedInfo
from enclave_runtime.sealed.members import member
from enclave_runtime.sealed.ranges import FileSource
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.tensors import SealedTensors
from enclave_runtime.sealed.workers import private_buffer
from scripts.bench.sealedlib.contents import KEY, TENSOR_BYTES, model_file, seal_tree
from scripts.bench.sealedlib.ram import THREADS, Touched, open_sealed, touch
from scripts.bench.sealedlib.rounds import Options, check, interleave

__all__ = ["measure"]

PIECES = {"one_piece": 1, "pieces_of_2_mib": 5, "pieces_of_64_kib": 160}
"""One percent of 1 GiB in so many pieces, at random places."""


def measure(options: Options) -> dict[str, Any]:
    """Return milliseconds and shares of a full open."""
    tree = options.folder / "tree"
    tree.mkdir()
    model_file(tree / "model.safetensors", options.mib)
    (tree / "config.json").write_text("{}\n")
    sealed = options.folder / "tree.sealed"
    info = seal_tree(tree, sealed)
    (tree / "model.safetensors").unlink()
    target = Touched(info.plaintext_bytes)
    tensor = private_buffer(TENSOR_BYTES)
    touch(tensor)
    places = random.Random(5)
    cases = {
        "full_open": lambda: open_sealed(sealed, info, target, THREADS),
        "first_tensor": lambda: first_tensor(sealed, info, tensor, places),
        "reader_alone": lambda: read_pieces(sealed, info, tensor, 0, places),
    }
    for name, count in PIECES.items():
        cases[name] = lambda count=count: read_pieces(sealed, info, tensor, count, places)  # type: ignore[misc]
    figures = interleave(cases, options)
    shares = {name: figures.ratio(name, "full_open") for name in PIECES}
    return {
        "ms": {name: figures.ms(name) for name in cases},
        "share_of_full_open": shares,
        "tensor_bytes": TENSOR_BYTES,
        "goals": {
            "first_tensor_ms": check(figures.ms("first_tensor"), at_most=10.0),
            "one_percent_share": check(shares["one_piece"], at_most=0.02),
        },
    }


def first_tensor(path: Path, info: SealedInfo, view: memoryview, places: random.Random) -> None:
    """Open one tensor of 16 MiB, at a random place, into touched memory."""
    with path.open("rb", buffering=0) as file, SealedReader(FileSource(file.fileno()), info, KEY) as reader:
        tensors = SealedTensors(member(reader, "model.safetensors"))
        tensors.read_into(f"layer.{places.randrange(len(tensors))}.weight", view)


def read_pieces(path: Path, info: SealedInfo, view: memoryview, count: int, places: random.Random) -> None:
    """Read one percent in `count` pieces at random places; none for what a new reader costs alone."""
    size = info.plaintext_bytes // 100 // max(1, count)
    with path.open("rb", buffering=0) as file, SealedReader(FileSource(file.fileno()), info, KEY) as reader:
        for _ in range(count):
            reader.read_at(places.randrange(info.plaintext_bytes - size), view[:size])
