#!/usr/bin/env python3
"""Writes the royalty tables that RoyaltyLib and its twin agree on: tests/conformance/vectors/royalty/.

usage: scripts/generate_royalty_vectors.py [--check]    --check writes nothing; fails where the file differs

Every case comes from a fixed seed. Columns: `abi` has abi.encode(Parent[] {uint16 royaltyBps, bytes payees,
bytes table}), `table` what they owe, `order` and `lineage` the word for a made-up order id, `fits` whether
there are at most 24 entries; where not, `table` is empty and `lineage` zero.
"""

from __future__ import annotations

import json
import random
import sys
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from enclave_runtime.wire.codec import hex_of  # noqa: E402
from enclave_runtime.wire.offers import Payee  # noqa: E402
from marketplace.chain.abicodec import AbiType, encode, list_of, tuple_type  # noqa: E402
from marketplace.domain.royalty import (  # noqa: E402
    MAX_ROYALTY_BPS,
    Parent,
    Royalty,
    encode_table,
    lineage,
    royalty_table,
)
from marketplace.domain.tight import encode_payees  # noqa: E402
from marketplace.errors import BadInputError  # noqa: E402

TARGET = ROOT / "tests" / "conformance" / "vectors" / "royalty" / "tables.json"
SEED = 20_261_121
CASES = 160
BYTES = AbiType("bytes", -1, (), 0)
PARENTS = tuple_type((list_of(tuple_type((AbiType("uint", 16, (), 1), BYTES, BYTES))),))


class Maker:
    """Draws parents from one seeded source; few accounts, so that many meet again."""

    def __init__(self, seed: int) -> None:
        """Take a seed."""
        self.random = random.Random(seed)
        self.accounts = [self.random.randbytes(20) for _ in range(12)]

    def parents(self, known: list[tuple[Royalty, ...]]) -> list[Parent]:
        """Return one to sixteen parents, some of them with a table that was made before."""
        count = self.random.choice([1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 16])
        return [self._parent(known) for _ in range(count)]

    def order(self) -> bytes:
        """Return 32 bytes that stand for an order id."""
        return self.random.randbytes(32)

    def _parent(self, known: list[tuple[Royalty, ...]]) -> Parent:
        pick = self.random.choice
        bps = pick([0, 1, 2, 333, 2500, MAX_ROYALTY_BPS, self.random.randrange(MAX_ROYALTY_BPS)])
        cuts = sorted(self.random.sample(range(1, 10_000), pick([0, 0, 0, 1, 1, 1, 2, 7])))
        edges = [0, *cuts, 10_000]
        payees = tuple(Payee(pick(self.accounts), high - low) for low, high in pairwise(edges))
        return Parent(bps, payees, pick(known) if known and self.random.random() < 0.4 else ())


def row(parents: list[Parent], order: bytes) -> tuple[str, str, str, str, bool]:
    """Return one case, column by column."""
    packed = [(item.royalty_bps, encode_payees(item.payees), encode_table(item.table)) for item in parents]
    data = hex_of(encode(PARENTS, (packed,)))
    try:
        table = encode_table(royalty_table(parents))
    except BadInputError:
        return data, "0x", hex_of(order), hex_of(bytes(32)), False
    return data, hex_of(table), hex_of(order), hex_of(lineage(order, table)), True


def text() -> str:
    """Return the whole file."""
    make = Maker(SEED)
    known: list[tuple[Royalty, ...]] = []
    rows = []
    for _ in range(CASES):
        parents = make.parents(known)
        rows.append(row(parents, make.order()))
        if rows[-1][-1]:
            known.append(royalty_table(parents))
    columns = dict(
        zip(("abi", "table", "order", "lineage", "fits"), map(list, zip(*rows, strict=True)), strict=True)
    )
    return json.dumps(columns, indent=0) + "\n"


def main() -> int:
    """Run the script; returns the exit status."""
    made = text()
    there = TARGET.read_text() if TARGET.exists() else ""
    if "--check" in sys.argv[1:]:
        if made != there:
            print(f"royalty vectors: stale; run {sys.argv[0]} and commit", file=sys.stderr)
        return int(made != there)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(made)
    print(f"royalty vectors: {CASES} cases{'' if made == there else ', written'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
