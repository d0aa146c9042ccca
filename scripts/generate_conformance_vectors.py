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
from itertools import pairwise
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
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price, terms_hash  # noqa: E402
from enclave_runtime.wire.orders import (  # noqa: E402
    ComputeRef,
    Holdback,
    InputRef,
    OrderPreimage,
    OrderStart,
    OrderTerms,
    Phase,
    ReportSummary,
    RuntimePolicy,
    Stop,
    Windows,
    inputs_root,
    order_book_domain,
    runtime_policy_digest,
)
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS  # noqa: E402
from marketplace.chain.abicodec import AbiType, encode, list_of, struct_type, tuple_type  # noqa: E402
from marketplace.domain.order_state import TRANSITIONS, OrderState  # noqa: E402
from marketplace.domain.pricing import (  # noqa: E402
    Params,
    deposit_required,
    lock_required,
    start_penalty_down,
)
from marketplace.domain.settlement import Frozen, bill, payouts, settle  # noqa: E402

TARGET = ROOT / "tests" / "conformance" / "vectors"
SEED = 20_260_717
HASH_CASES = 40
PREIMAGES = 16
ENDS = [
    (OrderState.CANCELLED, Phase.NONE),
    (OrderState.EXPIRED, Phase.NONE),
    (OrderState.EXPIRED, Phase.SETUP),
    (OrderState.EXPIRED, Phase.ENGINE),
    (OrderState.REFUSED, Phase.SETUP),
    (OrderState.COMPLETED, Phase.ENGINE),
    (OrderState.FAILED, Phase.ENGINE),
    (OrderState.HOST, Phase.SETUP),
    (OrderState.HOST, Phase.ENGINE),
    (OrderState.REVOKED, Phase.SETUP),
    (OrderState.REVOKED, Phase.ENGINE),
    (OrderState.STOPPED, Phase.SETUP),
    (OrderState.STOPPED, Phase.ENGINE),
]
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
            count = self.random.randrange(5)
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

    def price(self) -> Price:
        """Return a price as the registry takes it, with parts that round badly."""
        amounts = [0, 1, 3, 3599, 3601, self.random.randrange(10**9), self.random.randrange(10**24)]
        pick = self.random.choice
        seconds = pick([0, 1, 60, 3600, self.random.randrange(10**5)])
        return Price(pick(amounts), pick(amounts), seconds, pick(amounts[:6]), 0)

    def payees(self) -> tuple[Payee, ...]:
        """Return one to eight payees whose shares make 10 000."""
        cuts = sorted(self.random.sample(range(1, 10_000), self.random.choice([0, 1, 2, 7])))
        edges = [0, *cuts, 10_000]
        return tuple(Payee(self.data(20), high - low) for low, high in pairwise(edges))

    def offer(self, kind: OfferKind, token: bytes) -> OfferTerms:
        """Return terms that the registry would list."""
        content = kind is not OfferKind.COMPUTE
        digests = (self.data(32), self.data(32)) if content else (ZERO32, ZERO32)
        grant_key = self.data(20) if content else ZERO_ADDRESS
        return OfferTerms(
            int(kind), token, self.price(), self.payees(), *digests, grant_key, 0, ZERO32, ZERO32
        )

    def preimage(self) -> OrderPreimage:
        """Return a whole order whose deposit suffices."""
        token, client = self.data(20), self.data(20)
        compute = self.offer(OfferKind.COMPUTE, token)
        kinds = [
            OfferKind.ENGINE,
            *self.random.choices([OfferKind.MODEL, OfferKind.DATASET], k=self.random.randrange(4)),
        ]
        inputs = tuple(self.offer(kind, token) for kind in kinds)
        limits = [1, 599, 3600, self.random.randrange(1, 10**7)]
        windows = Windows(*[self.random.choice(limits) for _ in range(7)])

        def terms(deposit: int) -> OrderTerms:
            refs = tuple(InputRef(n + 2, 1, terms_hash(offer), ZERO32) for n, offer in enumerate(inputs))
            return OrderTerms(
                client, client, token, ComputeRef(1, 1, terms_hash(compute)), refs,
                ZERO32, ZERO32, ZERO32, ZERO32,
                1, windows, units, Holdback(), 0, ZERO32, 1000, deposit, ZERO32,
            )  # fmt: skip

        units = self.random.choice([0, 1, 1000])
        needed = deposit_required(OrderPreimage(terms(0), compute, inputs))
        return OrderPreimage(terms(needed + self.random.choice([0, 0, 1, 10**6])), compute, inputs)


def hashes(make: Maker, cls: type[Any], name: Callable[[Any], bytes]) -> Table:
    """Return inputs of one struct and what `name` makes of them."""
    values = [make.any(cls) for _ in range(HASH_CASES)]
    # One member around the struct: what `abi.decode(data, (Struct))` reads.
    kind = tuple_type((struct_type(cls),))
    return {
        "abi": [hex_of(encode(kind, (to_abi(value),))) for value in values],
        "hash": [hex_of(name(value)) for value in values],
    }


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


def roots(make: Maker) -> Table:
    """Return lists of inputs and their roots."""
    kind = tuple_type((list_of(struct_type(InputRef)),))
    lists = [tuple(make.any(InputRef) for _ in range(size)) for size in [*range(17), 1, 2, 3]]
    return {
        "abi": [hex_of(encode(kind, ([to_abi(item) for item in inputs],))) for inputs in lists],
        "hash": [hex_of(inputs_root(inputs)) for inputs in lists],
    }


PAYOUT = tuple_type((AbiType("uint", 8, (), 1), AbiType("address", 20, (), 1), AbiType("uint", 256, (), 1)))


def settlements(make: Maker) -> Table:
    """Return every end of some orders, with what is billed, due, slashed and paid out."""
    kind = tuple_type((struct_type(OrderPreimage),))
    orders = [make.preimage() for _ in range(PREIMAGES)]
    table: Table = {"preimages": [hex_of(encode(kind, (to_abi(order),))) for order in orders]}
    rows: list[dict[str, Any]] = []
    for number, order in enumerate(orders):
        for state, phase in ENDS:
            rows.append({"order": number} | settlement(make, order, state, phase))
    return table | {name: [row[name] for row in rows] for name in rows[0]}


def settlement(make: Maker, order: OrderPreimage, state: OrderState, phase: Phase) -> dict[str, Any]:
    """Return one row: what goes in, and all that must come out."""
    pick = make.random.choice
    params = Params(pick([0, 1, 250, 1000]), pick([0, 1, 1000, 5000]), 1, make.data(20))
    most = order.terms.windows.max_seconds
    reported, elapsed = (pick([0, 1, most, most + 1, make.random.randrange(2 * most + 1)]) for _ in range(2))
    units = pick([0, 1, 2000])
    seconds, billed = bill(order.terms, state, phase, reported=reported, units=units, elapsed=elapsed)
    frozen = Frozen(state, phase, seconds, billed)
    sums = settle(order, params, frozen)
    listed = [(item.index, item.receiver, item.amount) for item in payouts(order, params, frozen)]
    # abi.encode of a list: the offset of its one member, then the list.
    paid = encode(tuple_type((list_of(PAYOUT),)), (listed,))
    return {
        "state": int(state),
        "phase": int(phase),
        "fee_bps": params.fee_bps,
        "start_penalty_bps": params.start_penalty_bps,
        "treasury": hex_of(params.treasury),
        "reported": reported,
        "units": units,
        "elapsed": elapsed,
        "seconds_billed": seconds,
        "units_billed": billed,
        "deposit_required": str(deposit_required(order)),
        "start_penalty": str(start_penalty_down(order, params.start_penalty_bps)),
        "lock_required": str(lock_required(order, params.start_penalty_bps)),
        "compute_gross": str(sums.gross[0]),
        "inputs_gross": str(sum(sums.gross[1:])),
        "fees": str(sums.fees),
        "slashed": str(sums.slashed),
        "penalty": str(sums.penalty),
        "refund": str(sums.refund),
        "payouts": hex_of(keccak256(paid)),
    }


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
        "offers": hashes(make, OfferTerms, terms_hash),
        "policies": hashes(make, RuntimePolicy, runtime_policy_digest),
        "cvms": hashes(make, CvmKeys, cvm_id),
        "orders": digests(make, OrderTerms, order_book_domain),
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
    there = {path.name: path.read_text() for path in TARGET.glob("*.json")}
    stale = sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"vectors: stale: {', '.join(stale)}; run {sys.argv[0]} and commit", file=sys.stderr)
        return 1 if stale else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if name in texts:
            (TARGET / name).write_text(texts[name])
        else:
            (TARGET / name).unlink()
    print(f"vectors: {len(texts)} files, {len(stale)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
