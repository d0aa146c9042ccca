"""The bench moved one tensor 64 times: an IPFS node keeps equal blocks once, so "plain bytes" hardly moved.

`ipfs_ratio` came out at 0.61: the plain file of 1 GiB was 16 MiB again and again, of which the client sent
and the node wrote one sixty-fourth, while the sealed stream, all of it distinct, was moved in full.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from marketplace.storage.unixfs import LEAF_BYTES
from scripts.bench.sealedlib.contents import model_file


def test_every_block_of_the_plain_model_is_another_one(tmp_path: Path) -> None:
    data = memoryview(model_file(tmp_path / "model", 48).read_bytes())
    blocks = [data[at : at + LEAF_BYTES] for at in range(0, len(data), LEAF_BYTES)]
    assert len(blocks) == 49  # the file's own head moves tensors off the blocks' edges
    assert len({hashlib.sha256(block).digest() for block in blocks}) == len(blocks)
