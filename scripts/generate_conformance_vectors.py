#!/usr/bin/env python3
"""Writes the cases that hold the Solidity and the Python twins together: tests/conformance/vectors/*.json.

usage: scripts/generate_conformance_vectors.py [--check]    --check writes nothing; fails where a file differs

Every case comes from a fixed seed. Files are tables by column, since that is what a Solidity test reads best:
`abi` has the ABI encoding of the input, the other columns what must come of it.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from enclave_runtime.wire.codec import hex_of, to_abi  # noqa: E402
from enclave_runtime.wire.cvm import (  # noqa: E402
    CvmCertificate,
    CvmKeys,
    Possession,
    certifier_quorum_domain,
    cvm_id,
    cvm_registry_domain,
)
from enclave_runtime.wire.eip712 import hash_struct, sol_fields, typed_digest  # noqa: E402
from enclave_runtime.wire.hashes import keccak256  # noqa: E402
from enclave_runtime.wire.offers import OfferTerms, terms_hash  # noqa: E402
from enclave_runtime.wire.orders import (  # noqa: E402
    InputRef,
    OrderStart,
    OrderTerms,
    ReportSummary,
    RuntimePolicy,
    Stop,
    inputs_root,
    order_book_domain,
    runtime_policy_digest,
)
from enclave_runtime.wire.scalars import ZERO32  # noqa: E402
from marketplace.chain.abicodec import encode, list_of, parse_type, struct_type, tuple_type  # noqa: E402
from marketplace.domain.order_state import TRANSITIONS, OrderState  # noqa: E402
from marketplace.domain.tight import encode_head, encode_order, encode_payees, encode_policy, payees_hash  # noqa: E402
from tests.conformance.cases import STATES, random_case  # noqa: E402

TARGET = ROOT / "tests" / "conformance" / "vectors"
SEED = 20_260_717
HASH_CASES = 40
PER_STATE = 3
Table = dict[str, Any]


class Maker:
    """Draws structs from one seeded source; edges come up often."""

    def __init__(self, seed: int) -> None:
        """Take a seed."""
        self.random = random.Random(seed)

    def uint(self, bits: int) -> int:
        """Return an integer of `bits` bits: zero, one, the largest, or any size between."""
        edges = [0, 1, (1 << bits) - 1]
        return self.random.choice(
            [*edges, self.random.getrandbits(bits), self.random.getrandbits(max(1, bits // 2))]
        )

    def data(self, size: int) -> bytes:
        """Return `size` bytes."""
        return self.random.randbytes(size)

    def any(self, cls: type[Any]) -> Any:
        """Return any value of a marked dataclass, lists of at most four."""
        return cls(**{field.name: self._member(field) for field in sol_fields(cls)})

    def _member(self, field: Any) -> Any:
        if field.is_array:
            # An order has inputs and an offer has payees; other lists may be empty.
            count = self.random.randrange(0 if field.struct is None else 1, 5)
            if field.struct is not None:
                return tuple(self.any(field.struct) for _ in range(count))
            return tuple(self._word(field.sol[:-2]) for _ in range(count))
        return self.any(field.struct) if field.struct is not None else self._word(field.sol)

    def _word(self, kind: str) -> Any:
        return (
            self.uint(int(kind[4:]))
            if kind.startswith("uint")
            else self.data({"address": 20, "bytes32": 32}[kind])
        )


def hashes(
    make: Maker, cls: type[Any], name: Callable[[Any], bytes], tight: Callable[[Any], bytes] | None = None
) -> Table:
    """Return inputs of one struct, what `name` makes of them, and their tight bytes where they have some."""
    values = [make.any(cls) for _ in range(HASH_CASES)]
    # One member around the struct: what `abi.decode(data, (Struct))` reads.
    kind = tuple_type((struct_type(cls),))
    table = {
        "abi": [hex_of(encode(kind, (to_abi(value),))) for value in values],
        "hash": [hex_of(name(value)) for value in values],
    }
    return table | ({"tight": [hex_of(tight(value)) for value in values]} if tight else {})


def digests(
    make: Maker, cls: type[Any], domain_of: Callable[[int, bytes], Any], limit: int = HASH_CASES
) -> Table:
    """Return inputs of one struct with domains, struct hashes and signed digests."""
    table: Table = {"abi": [], "hash": [], "chain_id": [], "contract": [], "digest": []}
    kind = tuple_type((struct_type(cls),))
    for _ in range(limit):
        value, chain_id, contract = make.any(cls), make.uint(40), make.data(20)
        table["abi"].append(hex_of(encode(kind, (to_abi(value),))))
        table["hash"].append(hex_of(hash_struct(value)))
        table["chain_id"].append(str(chain_id))
        table["contract"].append(hex_of(contract))
        table["digest"].append(hex_of(typed_digest(domain_of(chain_id, contract), value)))
    return table


def offers(make: Maker) -> Table:
    """Return offer terms with their tight bytes and both their hashes."""
    values = [make.any(OfferTerms) for _ in range(HASH_CASES)]
    kind = tuple_type((struct_type(OfferTerms),))
    return {
        "abi": [hex_of(encode(kind, (to_abi(value),))) for value in values],
        "head": [hex_of(encode_head(value)) for value in values],
        "token": [hex_of(value.token) for value in values],
        "payees": [hex_of(encode_payees(value.payees)) for value in values],
        "payees_hash": [hex_of(payees_hash(value.payees)) for value in values],
        "hash": [hex_of(terms_hash(value)) for value in values],
    }


def orders(make: Maker) -> Table:
    """Return order terms with their tight bytes, hashes, digests and the roots of their inputs."""
    table: Table = {name: [] for name in ("abi", "order", "root", "hash", "chain_id", "contract", "digest")}
    kind = tuple_type((struct_type(OrderTerms),))
    for _ in range(HASH_CASES):
        # A delivery is reserved and has no bytes; some orders have a lease or an access key, others none.
        drawn = replace(make.any(OrderTerms), delivery=0, delivery_digest=ZERO32)
        bare = tuple(replace(item, lease=ZERO32) if make.uint(1) else item for item in drawn.inputs)
        key = drawn.access_key_digest if make.uint(1) else ZERO32
        value = replace(drawn, inputs=bare, access_key_digest=key)
        chain_id, contract = make.uint(40), make.data(20)
        row = {
            "abi": hex_of(encode(kind, (to_abi(value),))),
            "order": hex_of(encode_order(value)),
            "root": hex_of(inputs_root(value.inputs)),
            "hash": hex_of(hash_struct(value)),
            "chain_id": str(chain_id),
            "contract": hex_of(contract),
            "digest": hex_of(typed_digest(order_book_domain(chain_id, contract), value)),
        }
        for name, column in table.items():
            column.append(row[name])
    return table


def roots(make: Maker) -> Table:
    """Return lists of inputs and their roots."""
    kind = tuple_type((list_of(struct_type(InputRef)),))
    lists = [tuple(make.any(InputRef) for _ in range(size)) for size in [*range(17), 1, 2, 3]]
    return {
        "abi": [hex_of(encode(kind, ([to_abi(item) for item in inputs],))) for inputs in lists],
        "hash": [hex_of(inputs_root(inputs)) for inputs in lists],
    }


PRICE = [("fixedPrice", 128), ("perHour", 128), ("minSeconds", 32), ("maxSeconds", 32), ("perUnit", 128)]
CASE = tuple_type(
    (
        *(parse_type({"type": name}) for name in ["uint8"] * 2 + ["uint256"] * 13 + ["bool"] * 3),
        parse_type(
            {
                "type": "tuple[]",
                "components": [
                    *({"name": name, "type": f"uint{bits}"} for name, bits in PRICE),
                    {"name": "revenueBps", "type": "uint16"},
                ],
            }
        ),
    )
)
"""SettlementHarness.Case."""
SUMS = tuple_type(tuple(parse_type({"type": name}) for name in ["uint256[]"] * 2 + ["uint256"] * 8))
"""SettlementHarness.Sums."""


def settlements(make: Maker) -> Table:
    """Return orders in every state, and the digest of what each settles to."""
    table: Table = {"case": [], "state": [], "phase": [], "sums": []}
    for wanted in STATES * PER_STATE:
        case = random_case(make.random)
        while (case.state, case.phase) != wanted:
            case = random_case(make.random)
        # One member around the struct: what `abi.encode(struct)` writes.
        sums = encode(tuple_type((SUMS,)), (case.expected(),))
        table["case"].append(hex_of(encode(tuple_type((CASE,)), (case.abi(),))))
        table["state"].append(int(case.state))
        table["phase"].append(int(case.phase))
        table["sums"].append(hex_of(keccak256(sums)))
    return table


def transitions() -> Table:
    """Return the whole matrix of states, and which of them are terminal."""
    moves = {(state, target) for (state, _, _), (target, _) in TRANSITIONS.items()}
    return {
        "names": [state.name for state in OrderState],
        "allowed": [[(source, target) in moves for target in OrderState] for source in OrderState],
        "terminal": [state.terminal for state in OrderState],
    }


def tables() -> dict[str, Table]:
    """Return every file's content by its name."""
    make = Maker(SEED)
    return {
        "offers": offers(make),
        "policies": hashes(make, RuntimePolicy, runtime_policy_digest, encode_policy),
        "cvms": hashes(make, CvmKeys, cvm_id),
        "orders": orders(make),
        "starts": digests(make, OrderStart, order_book_domain, 12),
        "summaries": digests(make, ReportSummary, order_book_domain),
        "stops": digests(make, Stop, order_book_domain, 12),
        "possessions": digests(make, Possession, cvm_registry_domain, 12),
        "certificates": digests(make, CvmCertificate, certifier_quorum_domain, 20),
        "inputs": roots(make),
        "settlements": settlements(make),
        "transitions": transitions(),
    }


def main() -> int:
    """Run the script; returns the exit status."""
    texts = {f"{name}.json": json.dumps(table, indent=0) + "\n" for name, table in tables().items()}
    # Other generators keep their files beside these: only what is written here is looked at.
    there = {name: path.read_text() for name in texts if (path := TARGET / name).exists()}
    stale = sorted(name for name, text in texts.items() if there.get(name) != text)
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"vectors: stale: {', '.join(stale)}; run {sys.argv[0]} and commit", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in stale:
        (TARGET / name).write_text(texts[name])
    print(f"vectors: {len(texts)} files, {len(stale)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
