"""An order as the chain keeps it, and the preimage that its id commits to (protocol sections 2 and 6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from enclave_runtime.wire.cvm import TcbStatus, root_set_hash
from enclave_runtime.wire.cvm import TeeKind as TeeNumber
from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.errors import RefusedError
from enclave_runtime.wire.offers import BPS, OfferKind, terms_hash
from enclave_runtime.wire.orders import (
    OrderPreimage,
    OrderTerms,
    Phase,
    RuntimePolicy,
    Windows,
    order_id,
    runtime_policy_digest,
)
from enclave_runtime.wire.scalars import U32, U40, U128, ZERO32, ZERO_ADDRESS
from marketplace.domain.order_state import OrderState
from marketplace.domain.pricing import Params, least_deposit
from marketplace.errors import BadInputError

__all__ = [
    "MAX_INPUTS",
    "REST_BIT",
    "Extra",
    "Hold",
    "OrderRecord",
    "OrderView",
    "check_order",
    "check_policy",
    "check_preimage",
    "runtime_policy",
]

MAX_INPUTS: Final = 16
REST_BIT: Final = 17
"""The bit of `OrderRecord.claimed` that stands for refund, fees, penalty and what a contest burned."""


class Hold(IntEnum):
    """What became of the part of the compute price that waits for the client (section 6.9)."""

    PENDING = 0
    RELEASED = 1
    CONTESTED = 2


@dataclass(frozen=True, slots=True)
class Extra:
    """What an order has beside its word once it was funded otherwise than in full, or stopped.

    Attributes:
        added: token units that were paid in after placing.
        removed: token units that the payer took out before the end.
        limit: most seconds that deposit and additions pay for.
        warn_below: fewer funded seconds than this, and a checkpoint says so.
        stopped_at: Unix time of the client's stop; zero where there was none.
    """

    added: U128 = 0
    removed: U128 = 0
    limit: U32 = 0
    warn_below: U32 = 0
    stopped_at: U40 = 0


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """The stored facts of an order; all zero and state NONE where the chain knows no such order.

    Attributes:
        order_id: 32 bytes.
        cvm_id: the CVM named at accept, 32 bytes; zero before.
        since: Unix time, by state. PLACED: of placing. ACCEPTED: last second at which it may start. RUNNING
            and STOPPING: of start. Ended: of the end.
        last_proof: seconds from start to the last proof; of an EXPIRED order those that inputs are due for.
        sequence: of the last checkpoint; zero after the end.
        seconds_used: proven so far; in a terminal state, the billed ones.
        units_used: proven so far; in a terminal state, the billed ones.
        params_version: which set of shares holds; zero before accept.
        cvm: number of the CVM in CvmRegistry; zero before accept.
        lock: token units of the provider's stake that the order locks.
        claimed: after the end: bit k where offer k (0 compute) was claimed, bit 17 where the rest was.
        drawn: something was claimed while the order ran.
        struck: its CVM was punished for two words where one is possible.
        events: how many events the order had.
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
    cvm: int = 0
    lock: int = 0
    claimed: int = 0
    hold: Hold = Hold.PENDING
    drawn: bool = False
    struck: bool = False
    events: int = 0
    extra: Extra = Extra()

    def limit(self, windows: Windows) -> int:
        """Return the most seconds that are paid: maxSeconds, or fewer where the deposit funds fewer."""
        return min(windows.max_seconds, self.extra.limit) if self.extra.limit else windows.max_seconds

    def is_claimed(self, offer: int) -> bool:
        """Return whether an ended order's offer `offer` (0 compute) has had all it is due."""
        return self.state.terminal and bool(self.claimed >> offer & 1)

    @property
    def rest_claimed(self) -> bool:
        """Return whether refund, fees and penalty of an ended order were credited."""
        return self.state.terminal and bool(self.claimed >> REST_BIT & 1)


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
    _check_rent(preimage)
    check_policy(policy)
    digest = runtime_policy_digest(policy)
    if digest != terms.runtime_policy_digest:
        raise BadInputError("runtime policy digest", terms.runtime_policy_digest.hex(), digest.hex())
    if terms.place_before <= now:
        raise BadInputError("placeBefore", terms.place_before, f"later than chain time {now}")
    if params.fee_bps > terms.max_fee_bps:
        raise BadInputError("max fee", f"{terms.max_fee_bps} bps", f"at least the current {params.fee_bps}")
    least = least_deposit(preimage)
    if terms.deposit < least:
        raise BadInputError("deposit", terms.deposit, f"at least {least} token units")


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
    reserved = {"delivery": terms.delivery, "delivery digest": terms.delivery_digest != ZERO32}
    for name, value in reserved.items():
        if value:
            raise BadInputError(name, "a value", "none: it is reserved")
    for name, account in (("client", terms.client), ("payer", terms.payer)):
        if account == ZERO_ADDRESS:
            raise BadInputError(name, "the zero address", "an account")
    held = terms.holdback
    if held.bps > BPS or bool(held.bps) is not bool(held.window):
        raise BadInputError(
            "holdback", f"{held.bps} bps for {held.window} s", f"0 and 0, or at most {BPS} bps for a while"
        )


def _check_windows(terms: OrderTerms, params: Params) -> None:
    windows = terms.windows
    for name in ("grace", "keys_within"):
        value = getattr(windows, name)
        if value < params.min_grace:
            raise BadInputError(name, f"{value} s", f"at least {params.min_grace} s")
    for name in ("accept_within", "start_within", "setup_seconds", "load_within", "max_seconds"):
        if getattr(windows, name) == 0:
            raise BadInputError(name, "0 s", "at least 1 s")


def _check_rent(preimage: OrderPreimage) -> None:
    """No order asks for more seconds than an offer rents at most."""
    wanted = preimage.terms.windows.max_seconds
    for number, offer in enumerate((preimage.compute, *preimage.inputs)):
        most = offer.price.max_seconds
        if most and wanted > most:
            name = "compute" if number == 0 else f"input {number - 1}"
            raise BadInputError("max_seconds", f"{wanted} s", f"at most {most} s: the longest rent of {name}")


def _kind(kind: int) -> str:
    return OfferKind(kind).name.lower() if kind in set(OfferKind) else f"kind {kind}"
