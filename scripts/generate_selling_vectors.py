#!/usr/bin/env python3
"""Writes the cases that RestrictionLib, SignedOffers and their twins agree on, in vectors/selling.

usage: scripts/generate_selling_vectors.py [--check]    --check writes nothing; fails where a file differs

Every case comes from a fixed seed. restrictions.json: the word in an offer's terms, who orders, and the
proof. signed.json: chain, registry, abi.encode(SignedOffer) and the digest that the owner signs.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from enclave_runtime.wire.codec import hex_of, to_abi  # noqa: E402
from marketplace.chain.abicodec import encode, struct_type, tuple_type  # noqa: E402
from marketplace.domain.restriction import Restrictions  # noqa: E402
from marketplace.domain.signed_offer import (  # noqa: E402
    SignedOffer,
    offer_registry_domain,
    signed_offer_digest,
)

TARGET = ROOT / "tests" / "conformance" / "vectors" / "selling"
SEED = 20_261_122
CASES = 40
Table = dict[str, list[Any]]


def restrictions(source: random.Random) -> Table:
    """Return lists of many sizes, empty ones among them, and a proof for a member of each."""
    table: Table = {name: [] for name in ("restrictions", "client", "engine", "runtime", "proof")}
    for _ in range(CASES):
        sizes = [source.choice([0, 1, 2, 3, 5, 8, 17]) for _ in range(3)]
        client, engine, runtime = source.randbytes(20), source.randbytes(32), source.randbytes(32)
        lists = [
            [source.randbytes(20 if tree == 0 else 32) for _ in range(size)]
            for tree, size in enumerate(sizes)
        ]
        for members, member in zip(lists, (client, engine, runtime), strict=True):
            if members:
                members[source.randrange(len(members))] = member
        allowed = Restrictions(*(tuple(members) for members in lists))
        table["restrictions"].append(hex_of(allowed.digest()))
        table["client"].append(hex_of(client))
        table["engine"].append(hex_of(engine))
        table["runtime"].append(hex_of(runtime))
        table["proof"].append(hex_of(allowed.proof(client, engine, runtime)))
    return table


def signed(source: random.Random) -> Table:
    """Return signed offers of any members, edges among them."""
    table: Table = {name: [] for name in ("chain_id", "registry", "abi", "digest")}
    kind = tuple_type((struct_type(SignedOffer),))

    def uint(bits: int) -> int:
        return source.choice([0, 1, (1 << bits) - 1, source.getrandbits(bits)])

    for _ in range(CASES):
        value = SignedOffer(
            uint(64), uint(32), source.randbytes(32), uint(32), uint(40), uint(64), source.randbytes(32)
        )
        chain_id, registry = source.choice([1, 204, 31_337]), source.randbytes(20)
        table["chain_id"].append(chain_id)
        table["registry"].append(hex_of(registry))
        table["abi"].append(hex_of(encode(kind, (to_abi(value),))))
        table["digest"].append(hex_of(signed_offer_digest(offer_registry_domain(chain_id, registry), value)))
    return table


def main() -> int:
    """Run the script; returns the exit status."""
    source = random.Random(SEED)
    tables = {"restrictions": restrictions(source), "signed": signed(source)}
    texts = {TARGET / f"{name}.json": json.dumps(table, indent=0) + "\n" for name, table in tables.items()}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"selling vectors: stale; run {sys.argv[0]} and commit", file=sys.stderr)
        return int(bool(stale))
    TARGET.mkdir(parents=True, exist_ok=True)
    for path in stale:
        path.write_text(texts[path])
    print(f"selling vectors: {len(texts)} files, {len(stale)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
