"""Order terms and everything that an order id commits to (twin of contracts/types/Orders.sol, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from enclave_runtime.wire.eip712 import Domain, hash_struct, typed_digest
from enclave_runtime.wire.hashes import keccak256, tagged
from enclave_runtime.wire.offers import OfferTerms
from enclave_runtime.wire.scalars import (
    U8,
    U16,
    U32,
    U40,
    U64,
    U128,
    U256,
    Address,
    Bytes32,
    Bytes32s,
)

__all__ = [
    "NO_INPUT",
    "TERMINAL_SEQUENCE",
    "ComputeRef",
    "Holdback",
    "InputRef",
    "OrderPreimage",
    "OrderStart",
    "OrderTerms",
    "Outcome",
    "Phase",
    "Receipt",
    "ReportSummary",
    "RuntimePolicy",
    "Stop",
    "Windows",
    "config_digest",
    "inputs_root",
    "order_book_domain",
    "order_id",
    "runtime_policy_digest",
]

NO_INPUT = 255
"""`ReportSummary.attributable_input` when no input is at fault."""
TERMINAL_SEQUENCE = 0xFFFFFFFF
"""The sequence that every terminal summary carries (section 6.8)."""


class Phase(IntEnum):
    """NONE until start, SETUP until the IntegrityReport is on chain, then ENGINE."""

    NONE = 0
    SETUP = 1
    ENGINE = 2


class Outcome(IntEnum):
    """What a signed summary claims; NONE marks a checkpoint."""

    NONE = 0
    COMPLETED = 1
    FAILED = 2
    HOST = 3
    LAPSED = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class ComputeRef:
    """The compute offer of an order, pinned by terms hash."""

    offer: U64
    version: U32
    terms_hash: Bytes32


@dataclass(frozen=True, slots=True)
class InputRef:
    """One input of an order, pinned by terms hash; `lease` is zero where the order pays its price."""

    offer: U64
    version: U32
    terms_hash: Bytes32
    lease: Bytes32


@dataclass(frozen=True, slots=True)
class Windows:
    """Deadlines of an order, all in seconds (section 6.2)."""

    accept_within: U32
    start_within: U32
    setup_seconds: U32
    keys_within: U32
    load_within: U32
    max_seconds: U32
    grace: U32


@dataclass(frozen=True, slots=True)
class Holdback:
    """What of the compute price waits for the client's receipt: basis points, and seconds (section 6.9)."""

    bps: U16 = 0
    window: U32 = 0


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """The preimage of an order id; see the Solidity twin for each member."""

    client: Address
    payer: Address
    token: Address
    compute: ComputeRef
    inputs: tuple[InputRef, ...]
    config_digest: Bytes32
    result_key_digest: Bytes32
    access_key_digest: Bytes32
    runtime_policy_digest: Bytes32
    place_before: U40
    windows: Windows
    max_units: U64
    holdback: Holdback
    delivery: U8
    delivery_digest: Bytes32
    max_fee_bps: U16
    deposit: U128
    salt: Bytes32


@dataclass(frozen=True, slots=True)
class RuntimePolicy:
    """Which runtimes a client accepts; its struct hash is in the order's terms."""

    trust_classes: Bytes32s
    tee_mask: U256
    measurements: Bytes32s
    worst_tcb: U8


@dataclass(frozen=True, slots=True)
class OrderPreimage:
    """Terms with the offer terms that they pin: compute, and one per input in order."""

    terms: OrderTerms
    compute: OfferTerms
    inputs: tuple[OfferTerms, ...]


@dataclass(frozen=True, slots=True)
class OrderStart:
    """What the accepted CVM signs to start an order."""

    order_id: Bytes32
    cvm_id: Bytes32
    inputs_root: Bytes32


@dataclass(frozen=True, slots=True)
class ReportSummary:
    """What a CVM signs for checkpoints, refusals and reports (section 8)."""

    order_id: Bytes32
    cvm_id: Bytes32
    phase: U8
    sequence: U32
    outcome: U8
    attributable_input: U8
    inputs_root: Bytes32
    result_digest: Bytes32
    statement_digest: Bytes32
    seconds_used: U32
    units_used: U64


@dataclass(frozen=True, slots=True)
class Stop:
    """What the client signs to end an order early."""

    order_id: Bytes32


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the client signs when it has its result (section 6.9)."""

    order_id: Bytes32


def order_book_domain(chain_id: int, order_book: bytes) -> Domain:
    """Return the EIP-712 domain under which order ids, starts, summaries and stops are made."""
    return Domain("Cloister OrderBook", "1", chain_id, order_book)


def order_id(domain: Domain, terms: OrderTerms) -> bytes:
    """Return the order id, 32 bytes: what the client signs and every party names (section 2)."""
    return typed_digest(domain, terms)


def inputs_root(inputs: tuple[InputRef, ...]) -> bytes:
    """Return keccak256(abi.encode(inputs)), as the contract recomputes it."""
    words = [(32).to_bytes(32, "big"), len(inputs).to_bytes(32, "big")]
    for item in inputs:
        words += [
            item.offer.to_bytes(32, "big"),
            item.version.to_bytes(32, "big"),
            item.terms_hash,
            item.lease,
        ]
    return keccak256(b"".join(words))


def runtime_policy_digest(policy: RuntimePolicy) -> bytes:
    """Return the struct hash of `policy`, 32 bytes."""
    return hash_struct(policy)


def config_digest(config: bytes, salt: bytes) -> bytes:
    """Return the salted digest of an engine's configuration, 32 bytes.

    Args:
        config: the exact bytes that the engine will read.
        salt: 32 random bytes that travel with the configuration.
    """
    return tagged("config/v1", salt, config)
