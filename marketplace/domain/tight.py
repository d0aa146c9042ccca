"""Orders and offers as tight bytes (protocol 6.1; twin of OrderCodec.sol and OfferCodec.sol).

What is hashed stays the EIP-712 struct; what travels in calldata and events is the same members, big endian,
without the zeros that fill ABI words. Every member has its place and width, and the length says how many
there are of what repeats: each value has exactly one encoding. Whether it makes sense is not looked at here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from enclave_runtime.wire.eip712 import hash_struct
from enclave_runtime.wire.errors import WireError
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.offers import OfferTerms, Payee, Price
from enclave_runtime.wire.orders import (
    ComputeRef,
    Holdback,
    InputRef,
    OrderPreimage,
    OrderTerms,
    RuntimePolicy,
    Windows,
)
from enclave_runtime.wire.scalars import ZERO32

__all__ = [
    "EXTRA_BYTES",
    "HEAD_BYTES",
    "INPUT_BYTES",
    "MAX_INPUTS",
    "MAX_PAYEES",
    "ORDER_BYTES",
    "PAYEE_BYTES",
    "decode_calls",
    "decode_head",
    "decode_order",
    "decode_payees",
    "encode_calls",
    "encode_claim",
    "encode_head",
    "encode_heads",
    "encode_order",
    "encode_payees",
    "encode_policy",
    "order_size",
    "payees_hash",
    "split_heads",
]

ORDER_BYTES: Final = 300
"""The part of an order before its inputs."""
INPUT_BYTES: Final = 44
EXTRA_BYTES: Final = 32
"""What most orders lack, behind the inputs: the access key's digest first, then the leases."""
HEAD_BYTES: Final = 241
"""An offer's terms but its token, which the order names, and its payees, which are there by hash."""
PAYEE_BYTES: Final = 22
MAX_INPUTS: Final = 16
_EXTRAS_BYTES: Final = 3
_SERVED_BIT: Final = MAX_INPUTS
MAX_PAYEES: Final = 8


def encode_order(terms: OrderTerms) -> bytes:
    """Return the bytes of an order's terms: 300, 44 for each input, and 32 for each extra.

    Raises:
        WireError: a member outside its width, not 1 to 16 inputs, or reserved members that are not zero.
    """
    _check_count("order", len(terms.inputs), MAX_INPUTS)
    if terms.delivery or terms.delivery_digest != ZERO32:
        raise WireError("order: got a delivery, expected zero: it is reserved, and has no bytes")
    compute, windows = terms.compute, terms.windows
    leases = [item.lease for item in terms.inputs]
    served = terms.access_key_digest != ZERO32
    extras = sum((lease != ZERO32) << place for place, lease in enumerate(leases)) | served << _SERVED_BIT
    return b"".join(
        (
            *(_data(item, 20) for item in (terms.client, terms.payer, terms.token)),
            *(_uint(compute.offer, 8), _uint(compute.version, 4), _data(compute.terms_hash, 32)),
            *(_data(item, 32) for item in (terms.config_digest, terms.result_key_digest)),
            _data(terms.runtime_policy_digest, 32),
            _uint(terms.place_before, 5),
            *(_uint(item, 4) for item in (windows.accept_within, windows.start_within)),
            *(_uint(item, 4) for item in (windows.setup_seconds, windows.keys_within)),
            *(_uint(item, 4) for item in (windows.load_within, windows.max_seconds, windows.grace)),
            *(_uint(terms.max_units, 8), _uint(terms.holdback.bps, 2), _uint(terms.holdback.window, 4)),
            *(_uint(terms.max_fee_bps, 2), _uint(terms.deposit, 16), _data(terms.salt, 32)),
            _uint(extras, _EXTRAS_BYTES),
            *(_input(item) for item in terms.inputs),
            *(_data(item, 32) for item in (terms.access_key_digest, *leases) if item != ZERO32),
        )
    )


def decode_order(data: bytes) -> OrderTerms:
    """Return the terms in the bytes of an order.

    Raises:
        WireError: another length than that of an order with 1 to 16 inputs and the extras that it names, or
            an extra that is zero: these terms have shorter bytes.
    """
    extras = int.from_bytes(data[ORDER_BYTES - _EXTRAS_BYTES : ORDER_BYTES], "big")
    count, over = divmod(len(data) - ORDER_BYTES - EXTRA_BYTES * extras.bit_count(), INPUT_BYTES)
    if over or not 1 <= count <= MAX_INPUTS:
        raise WireError(
            f"order: got {len(data)} bytes, expected {ORDER_BYTES}, 1 to 16 times {INPUT_BYTES}, "
            f"and {EXTRA_BYTES} for each extra"
        )
    behind = [
        data[at : at + EXTRA_BYTES] for at in range(ORDER_BYTES + INPUT_BYTES * count, len(data), EXTRA_BYTES)
    ]
    if extras >> _SERVED_BIT + 1 or (extras & (1 << _SERVED_BIT) - 1) >> count or ZERO32 in behind:
        raise WireError(
            f"order: got extras {extras:#x}, expected leases of its inputs and an access key, none zero"
        )
    access_key = behind.pop(0) if extras >> _SERVED_BIT else ZERO32
    leases = [behind.pop(0) if extras >> place & 1 else ZERO32 for place in range(count)]
    take = _Reader(data)
    return OrderTerms(
        client=take.data(20),
        payer=take.data(20),
        token=take.data(20),
        compute=ComputeRef(take.uint(8), take.uint(4), take.data(32)),
        config_digest=take.data(32),
        result_key_digest=take.data(32),
        access_key_digest=access_key,
        runtime_policy_digest=take.data(32),
        place_before=take.uint(5),
        windows=Windows(*(take.uint(4) for _ in range(7))),
        max_units=take.uint(8),
        holdback=Holdback(take.uint(2), take.uint(4)),
        delivery=0,
        delivery_digest=ZERO32,
        max_fee_bps=take.uint(2),
        deposit=take.uint(16),
        salt=take.data(32 + _EXTRAS_BYTES)[:32],
        inputs=tuple(InputRef(take.uint(8), take.uint(4), take.data(32), lease) for lease in leases),
    )


def order_size(data: bytes, inputs: int) -> int:
    """Return how many of the bytes in `data` are those of an order with `inputs` inputs that stands first.

    Raises:
        WireError: fewer than an order begins with.
    """
    if len(data) < ORDER_BYTES:
        raise WireError(f"order: got {len(data)} bytes, expected at least {ORDER_BYTES}")
    extras = int.from_bytes(data[ORDER_BYTES - _EXTRAS_BYTES : ORDER_BYTES], "big")
    return ORDER_BYTES + INPUT_BYTES * inputs + EXTRA_BYTES * extras.bit_count()


def encode_payees(payees: Sequence[Payee]) -> bytes:
    """Return account and bps of each receiver, 22 bytes each.

    Raises:
        WireError: a member outside its width, or not 1 to 8 payees.
    """
    _check_count("payees", len(payees), MAX_PAYEES)
    return b"".join(_data(item.account, 20) + _uint(item.bps, 2) for item in payees)


def decode_payees(data: bytes) -> tuple[Payee, ...]:
    """Return the receivers in a packed list.

    Raises:
        WireError: not 1 to 8 whole payees.
    """
    count, over = divmod(len(data), PAYEE_BYTES)
    if over or not 1 <= count <= MAX_PAYEES:
        raise WireError(f"payees: got {len(data)} bytes, expected 1 to {MAX_PAYEES} times {PAYEE_BYTES}")
    take = _Reader(data)
    return tuple(Payee(take.data(20), take.uint(2)) for _ in range(count))


def payees_hash(payees: Sequence[Payee]) -> bytes:
    """Return the EIP-712 hash of a list of payees, 32 bytes, as the terms hash and a head contain it."""
    return keccak256(b"".join(hash_struct(item) for item in payees))


def encode_policy(policy: RuntimePolicy) -> bytes:
    """Return a runtime policy: TEE mask 32, worst status 1, number of classes 1, classes, measurements.

    Raises:
        WireError: a member outside its width, or more than 255 trust classes.
    """
    return b"".join(
        (
            *(_uint(policy.tee_mask, 32), _uint(policy.worst_tcb, 1), _uint(len(policy.trust_classes), 1)),
            *(_data(item, 32) for item in (*policy.trust_classes, *policy.measurements)),
        )
    )


def encode_head(terms: OfferTerms) -> bytes:
    """Return an offer's terms without token, payees by hash: 241 bytes.

    Raises:
        WireError: a member outside its width.
    """
    price = terms.price
    return b"".join(
        (
            _uint(terms.kind, 1),
            *(_uint(item, 16) for item in (price.fixed_price, price.per_hour, price.per_unit)),
            *(_uint(item, 4) for item in (price.min_seconds, price.max_seconds)),
            *(_uint(price.revenue_bps, 2), _uint(terms.royalty_bps, 2), payees_hash(terms.payees)),
            *(_data(item, 32) for item in (terms.manifest_digest, terms.content_digest)),
            *(_data(terms.grant_key, 20), _data(terms.lineage, 32), _data(terms.restrictions, 32)),
        )
    )


def decode_head(head: bytes, token: bytes, payees: bytes) -> OfferTerms:
    """Return the terms of an offer from its head, its token, and its payees' bytes.

    Raises:
        WireError: a wrong length, or payees that are not those whose hash is in the head.
    """
    if len(head) != HEAD_BYTES or len(token) != 20:
        raise WireError(f"offer head: got {len(head)} and {len(token)} bytes, expected {HEAD_BYTES} and 20")
    receivers, take = decode_payees(payees), _Reader(head)
    kind, fixed_price, per_hour, per_unit = (take.uint(size) for size in (1, 16, 16, 16))
    min_seconds, max_seconds, revenue_bps, royalty_bps = (take.uint(size) for size in (4, 4, 2, 2))
    pinned = take.data(32)
    if payees_hash(receivers) != pinned:
        raise WireError(f"payees: they hash to {payees_hash(receivers).hex()}, the head has {pinned.hex()}")
    return OfferTerms(
        kind=kind,
        token=token,
        price=Price(fixed_price, per_hour, min_seconds, max_seconds, per_unit, revenue_bps),
        payees=receivers,
        manifest_digest=take.data(32),
        content_digest=take.data(32),
        grant_key=take.data(20),
        royalty_bps=royalty_bps,
        lineage=take.data(32),
        restrictions=take.data(32),
    )


def encode_heads(preimage: OrderPreimage) -> bytes:
    """Return the heads of all offers of an order, compute first.

    Raises:
        WireError: as `encode_head`.
    """
    return b"".join(encode_head(offer) for offer in (preimage.compute, *preimage.inputs))


def encode_claim(number: int, terms: OfferTerms, lineage: bytes = b"") -> bytes:
    """Return what a claim of offer `number` (0 compute, i + 1 input i) brings beside the order.

    Args:
        lineage: of a derived model: its order id, then its royalty table.
    Raises:
        WireError: as `encode_head` and `encode_payees`.
    """
    payees = encode_payees(terms.payees)
    return _uint(number, 1) + _uint(len(terms.payees), 1) + encode_head(terms) + payees + lineage


def encode_calls(calls: Sequence[bytes]) -> bytes:
    """Return the calls of a batch, one behind the other, each behind its length in two bytes.

    Raises:
        WireError: a call of 64 KiB or more.
    """
    return b"".join(_uint(len(call), 2) + call for call in calls)


def decode_calls(data: bytes) -> tuple[bytes, ...]:
    """Return the calls of a batch.

    Raises:
        WireError: the last one is cut.
    """
    calls, at = [], 0
    while at < len(data):
        begin = at + 2
        at = begin + int.from_bytes(data[begin - 2 : begin], "big")
        calls.append(data[begin:at])
    if at > len(data):
        raise WireError(f"batch: got {len(data)} bytes, expected {at} for its last call")
    return tuple(calls)


def split_heads(data: bytes) -> tuple[bytes, ...]:
    """Return the heads of an order one by one, compute first.

    Raises:
        WireError: not 2 to 17 whole heads.
    """
    count, over = divmod(len(data), HEAD_BYTES)
    if over or not 2 <= count <= MAX_INPUTS + 1:
        raise WireError(
            f"offer heads: got {len(data)} bytes, expected 2 to {MAX_INPUTS + 1} times {HEAD_BYTES}"
        )
    return tuple(data[at : at + HEAD_BYTES] for at in range(0, len(data), HEAD_BYTES))


class _Reader:
    """Takes members one after the other from bytes whose length was checked."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def data(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        self._at += size
        return taken

    def uint(self, size: int) -> int:
        return int.from_bytes(self.data(size), "big")


def _input(item: InputRef) -> bytes:
    return _uint(item.offer, 8) + _uint(item.version, 4) + _data(item.terms_hash, 32)


def _check_count(name: str, count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise WireError(f"{name}: got {count} of them, expected 1 to {most}")


def _data(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise WireError(f"member: got {len(value)} bytes, expected {size}")
    return value


def _uint(value: int, size: int) -> bytes:
    if not 0 <= value < 1 << 8 * size:
        raise WireError(f"member: got {value}, expected {8 * size} bits")
    return value.to_bytes(size, "big")
