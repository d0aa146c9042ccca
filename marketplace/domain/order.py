"""An order as the chain keeps it, and the preimage that its id commits to (protocol sections 2 and 6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enclave_runtime.wire.cvm import TcbStatus, root_set_hash
from enclave_runtime.wire.cvm import TeeKind as TeeNumber
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import OfferKind, terms_hash
from enclave_runtime.wire.orders import (
    OrderPreimage,
    OrderTerms,
    Phase,
    RuntimePolicy,
    order_id,
    runtime_policy_digest,
)
from enclave_runtime.wire.scalars import ZERO32
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import Params, deposit_required
from marketplace.errors import BadInputError

__all__ = [
    "MAX_INPUTS",
    "OrderRecord",
    "OrderView",
    "check_order",
    "check_policy",
    "check_preimage",
    "runtime_policy",
]

MAX_INPUTS: Final = 16


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """The stored facts of an order; all zero and state NONE where the chain knows no such order.

    Attributes:
        order_id: 32 bytes.
        cvm_id: the CVM named at accept, 32 bytes; zero before.
        since: Unix time of placing, acceptance or start, whichever came last.
        last_proof: Unix time of the last accepted checkpoint, or of start.
        sequence: of the last accepted checkpoint.
        seconds_used: proven so far; in a terminal state, the billed ones.
        units_used: proven so far; in a terminal state, the billed ones.
        params_version: which set of shares holds; zero before accept.
    """

    order_id: bytes
    state: OrderState
    phase: Phase
    cvm_id: bytes
    since: int
    last_proof: int
    sequence: int
    seconds_used: int
    units_used: int
    params_version: int


@dataclass(frozen=True, slots=True)
class OrderView:
    """What a key broker needs of an order, as a node shows it at one block."""

    state: OrderState
    phase: Phase
    cvm_id: bytes


def runtime_policy(
    trust_classes: frozenset[str],
    tees: frozenset[TeeNumber],
    measurements: frozenset[bytes],
    worst_tcb: TcbStatus = TcbStatus.UP_TO_DATE,
) -> RuntimePolicy:
    """Return the policy whose digest an order's terms carry, in one canonical order of members.

    Args:
        trust_classes: ids of root sets, such as "intel"; "dev:" ones are SIMULATED and only ever count
            where they are named here.
        tees: accepted kinds.
        measurements: accepted measurements, 32 bytes each.
        worst_tcb: the worst accepted level.
    Raises:
        BadInputError: a part that accepts nothing.
    """
    mask = sum(1 << kind for kind in tees)
    classes = tuple(sorted(root_set_hash(name) for name in trust_classes))
    policy = RuntimePolicy(classes, mask, tuple(sorted(measurements)), int(worst_tcb))
    check_policy(policy)
    return policy


def check_policy(policy: RuntimePolicy) -> None:
    """Refuse a runtime policy that accepts nothing.

    Raises:
        BadInputError: names the empty part.
    """
    parts = {
        "trust classes": policy.trust_classes,
        "TEE kinds": policy.tee_mask,
        "measurements": policy.measurements,
        "worst TCB status": policy.worst_tcb,
    }
    for name, value in parts.items():
        if not value:
            raise BadInputError(f"runtime policy, {name}", "nothing", "at least one accepted value")


def check_preimage(domain: Domain, expected: bytes, preimage: OrderPreimage) -> None:
    """Walk from the order id to every offer's terms, by hash.

    Args:
        domain: of the OrderBook.
        expected: the order id, 32 bytes.
    Raises:
        RefusedError: names the first hash that differs.
    """
    terms = preimage.terms
    got = order_id(domain, terms)
    if got != expected:
        raise RefusedError("order.id", got.hex(), expected.hex())
    if len(preimage.inputs) != len(terms.inputs):
        raise RefusedError("order.inputs", len(preimage.inputs), len(terms.inputs))
    named = [("order.compute-terms", preimage.compute, terms.compute.terms_hash)]
    for number, (offer, ref) in enumerate(zip(preimage.inputs, terms.inputs, strict=True)):
        named.append((f"order.input-terms.{number}", offer, ref.terms_hash))
    for name, offer, pinned in named:
        digest = terms_hash(offer)
        if digest != pinned:
            raise RefusedError(name, digest.hex(), pinned.hex())


def check_order(preimage: OrderPreimage, policy: RuntimePolicy, params: Params, *, now: int) -> None:
    """Refuse an order that OrderBook would refuse at `place`, or that no provider could ever accept.

    Args:
        now: chain time, in seconds.
    Raises:
        BadInputError: names the member, what it is and what it must be.
    """
    terms = preimage.terms
    _check_kinds(preimage)
    _check_tokens(preimage)
    _check_reserved(terms)
    _check_windows(terms, params)
    check_policy(policy)
    digest = runtime_policy_digest(policy)
    if digest != terms.runtime_policy_digest:
        raise BadInputError("runtime policy digest", terms.runtime_policy_digest.hex(), digest.hex())
    if terms.place_before <= now:
        raise BadInputError("placeBefore", terms.place_before, f"later than chain time {now}")
    if params.fee_bps > terms.max_fee_bps:
        raise BadInputError("max fee", f"{terms.max_fee_bps} bps", f"at least the current {params.fee_bps}")
    required = deposit_required(preimage)
    if terms.deposit < required:
        raise BadInputError("deposit", terms.deposit, f"at least {required} token units")


def _check_kinds(preimage: OrderPreimage) -> None:
    terms = preimage.terms
    if not 1 <= len(terms.inputs) <= MAX_INPUTS:
        raise BadInputError("inputs", f"{len(terms.inputs)} of them", f"1 to {MAX_INPUTS}")
    if len({item.offer for item in terms.inputs}) != len(terms.inputs):
        raise BadInputError("inputs", "one offer twice", "each offer once")
    if preimage.compute.kind != OfferKind.COMPUTE:
        raise BadInputError("compute", _kind(preimage.compute.kind), "a compute offer")
    for number, offer in enumerate(preimage.inputs):
        wanted = {OfferKind.ENGINE} if number == 0 else {OfferKind.MODEL, OfferKind.DATASET}
        if offer.kind not in wanted:
            names = " or ".join(sorted(kind.name.lower() for kind in wanted))
            raise BadInputError(f"input {number}", _kind(offer.kind), f"{names}: exactly one engine, first")


def _check_tokens(preimage: OrderPreimage) -> None:
    token = preimage.terms.token
    for number, offer in enumerate((preimage.compute, *preimage.inputs)):
        if offer.token != token:
            name = "compute" if number == 0 else f"input {number - 1}"
            raise BadInputError(
                f"token of {name}",
                "0x" + offer.token.hex(),
                "0x" + token.hex(),
                hint="all offers of one order must be priced in one token",
            )


def _check_reserved(terms: OrderTerms) -> None:
    reserved = {
        "holdback": terms.holdback.bps or terms.holdback.window,
        "delivery": terms.delivery,
        "delivery digest": terms.delivery_digest != ZERO32,
        "access key digest": terms.access_key_digest != ZERO32,
        "lease": any(item.lease != ZERO32 for item in terms.inputs),
    }
    for name, value in reserved.items():
        if value:
            raise BadInputError(name, "a value", "none: it is reserved")
    if terms.payer != terms.client:
        raise BadInputError("payer", "0x" + terms.payer.hex(), "the client itself, for now")


def _check_windows(terms: OrderTerms, params: Params) -> None:
    windows = terms.windows
    for name in ("grace", "keys_within"):
        value = getattr(windows, name)
        if value < params.min_grace:
            raise BadInputError(name, f"{value} s", f"at least {params.min_grace} s")
    for name in ("accept_within", "start_within", "setup_seconds", "load_within", "max_seconds"):
        if getattr(windows, name) == 0:
            raise BadInputError(name, "0 s", "at least 1 s")


def _kind(kind: int) -> str:
    return OfferKind(kind).name.lower() if kind in set(OfferKind) else f"kind {kind}"
