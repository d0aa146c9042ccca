"""Terms as the tight bytes that calls carry: a third implementation beside Solidity and `wire`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from eth_abi import encode
from eth_abi.packed import encode_packed
from eth_utils import keccak

__all__ = ["Offer", "Price", "calls", "heads", "order", "payees", "policy", "proof"]

ZERO: Final = b"\x00" * 32
NOBODY: Final = "0x" + "00" * 20
_PAYEE: Final = keccak(text="Payee(address account,uint16 bps)")


@dataclass(frozen=True)
class Price:
    """What an offer asks; amounts in the token's smallest unit, times in seconds."""

    fixed: int
    per_hour: int
    min_seconds: int
    per_unit: int

    def amount(self, seconds: int, units: int) -> int:
        """Return the gross due of `seconds` and `units`."""
        return self.fixed + self.per_hour * max(seconds, self.min_seconds) // 3600 + self.per_unit * units

    def lock(self, grace: int) -> int:
        """Return the stake that an unleased input of this price needs."""
        return self.fixed - (-self.per_hour * self.min_seconds // 3600) - (-self.per_hour * grace // 3600)


@dataclass
class Offer:
    """One offer for sale, of one payee; `id` is the registry's, version always 1."""

    kind: int
    payee: Any
    price: Price
    id: int = 0
    terms_hash: bytes = ZERO

    def head(self) -> bytes:
        """Return the 241 bytes of everything but token and payees."""
        content = ZERO if self.kind == 4 else keccak(text=f"digest {self.kind} {self.payee.address}")
        grant_key = NOBODY if self.kind == 4 else self.payee.address
        price = (self.price.fixed, self.price.per_hour, self.price.per_unit, self.price.min_seconds, 0, 0, 0)
        row = keccak(encode(["bytes32", "address", "uint16"], [_PAYEE, self.payee.address, 10_000]))
        return encode_packed(
            ["uint8", "uint128", "uint128", "uint128", "uint32", "uint32", "uint16", "uint16"],
            [self.kind, *price],
        ) + encode_packed(
            ["bytes32", "bytes32", "bytes32", "address", "bytes32", "bytes32"],
            [keccak(row), content, content, grant_key, ZERO, ZERO],
        )

    def listing(self, token: Any, bps: int = 10_000) -> bytes:
        """Return what OfferRegistry.list takes: token, head, payees, and where the manifest lies."""
        return (
            encode_packed(["address"], [token.address])
            + self.head()
            + encode_packed(["address", "uint16"], [self.payee.address, bps])
            + b"ipfs://manifest"
        )


def payees(offer: Offer) -> bytes:
    """Return the packed list of an offer's payees."""
    return encode_packed(["address", "uint16"], [offer.payee.address, 10_000])


def heads(offers: list[Offer]) -> bytes:
    """Return the heads of an order's offers, compute first."""
    return b"".join(offer.head() for offer in offers)


def order(
    people: tuple[Any, Any, Any],
    offers: list[Offer],
    digests: list[bytes],
    numbers: dict[str, Any],
    salt: bytes,
) -> bytes:
    """Return an order's bytes.

    Args:
        people: client, payer and token, each with an `address`.
        offers: compute first, then the inputs.
        digests: of configuration, result key, access key and runtime policy.
        numbers: the other members by name; windows as a list of seven.
    """
    compute, *inputs = offers
    packed = encode_packed(["address"] * 3, [who.address for who in people])
    packed += encode_packed(["uint64", "uint32", "bytes32"], [compute.id, 1, compute.terms_hash])
    config, result_key, access_key, policy_digest = digests
    packed += config + result_key + policy_digest + encode_packed(["uint40"], [numbers["place_before"]])
    packed += encode_packed(["uint32"] * 7, numbers["windows"])
    packed += encode_packed(["uint64", "uint16", "uint32"], [numbers["max_units"], *numbers["holdback"]])
    packed += encode_packed(["uint16", "uint128"], [numbers["max_fee_bps"], numbers["deposit"]]) + salt
    # Bit 16 for an access key; none of these inputs has a lease.
    served = access_key != ZERO
    packed += encode_packed(["uint24"], [served << 16])
    for item in inputs:
        packed += encode_packed(["uint64", "uint32", "bytes32"], [item.id, 1, item.terms_hash])
    return packed + (access_key if served else b"")


def proof(number: int, offer: Offer) -> bytes:
    """Return what a claim of offer `number` brings beside the order."""
    return bytes([number, 1]) + offer.head() + payees(offer)


def calls(items: list[bytes]) -> bytes:
    """Return the calls of a batch, each behind its length."""
    return b"".join(len(item).to_bytes(2, "big") + item for item in items)


def policy(classes: list[bytes], mask: int, measurements: list[bytes], worst: int) -> bytes:
    """Return a runtime policy's bytes."""
    packed = encode_packed(["uint256", "uint8", "uint8"], [mask, worst, len(classes)])
    return packed + b"".join(classes) + b"".join(measurements)
