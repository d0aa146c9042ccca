"""An order of engine, dataset A and dataset B, as a broker meets it, and a chain view in the test's hands."""

from __future__ import annotations

from dataclasses import dataclass, field

from coincurve import PrivateKey

from enclave_runtime.wire.eip712 import Domain
from enclave_runtime.wire.hashes import sha256
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price, terms_hash
from enclave_runtime.wire.orders import (
    ComputeRef,
    Holdback,
    InputRef,
    OrderPreimage,
    OrderTerms,
    Phase,
    Windows,
    order_book_domain,
)
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from enclave_runtime.wire.signatures import address_of
from marketplace.domain.order_state import OrderState
from marketplace.domain.release import OrderView
from marketplace.errors import UnreachableError

__all__ = ["CLIENT", "DOMAIN", "NOW", "SELLER", "FakeChain", "named", "offer_terms", "order_preimage"]

NOW = 1_800_000_000
DOMAIN: Domain = order_book_domain(31337, b"\x0b" * 20)
CLIENT = b"\xc1" * 20
SELLER = b"\x99" * 20
_TOKEN = b"\x70" * 20


def named(name: str) -> bytes:
    """Return 32 bytes that stand for a digest of `name`."""
    return sha256(name.encode())


def offer_terms(name: str, kind: OfferKind, grant_key: bytes = ZERO_ADDRESS) -> OfferTerms:
    """Return terms of an offer called `name`, 5 token units per order."""
    content = kind is not OfferKind.COMPUTE
    return OfferTerms(
        kind=int(kind),
        token=_TOKEN,
        price=Price(fixed_price=5),
        payees=(Payee(SELLER, 10_000),),
        manifest_digest=named(f"{name} manifest") if content else ZERO32,
        content_digest=named(f"{name} content") if content else ZERO32,
        grant_key=grant_key,
        royalty_bps=0,
        lineage=ZERO32,
        restrictions=ZERO32,
    )


def order_preimage(
    grant_key: PrivateKey | bytes, *, salt: int = 1, other: str = "dataset B"
) -> OrderPreimage:
    """Return engine, dataset A (whose grants `grant_key`, or a group's address, signs) and `other`."""
    owner = grant_key if isinstance(grant_key, bytes) else address_of(grant_key)
    compute = offer_terms("compute", OfferKind.COMPUTE)
    inputs = (
        offer_terms("engine", OfferKind.ENGINE, b"\xee" * 20),
        offer_terms("dataset A", OfferKind.DATASET, owner),
        offer_terms(other, OfferKind.DATASET, b"\xbb" * 20),
    )
    refs = tuple(InputRef(number, 1, terms_hash(item), ZERO32) for number, item in enumerate(inputs, start=2))
    terms = OrderTerms(
        client=CLIENT,
        payer=CLIENT,
        token=_TOKEN,
        compute=ComputeRef(1, 1, terms_hash(compute)),
        inputs=refs,
        config_digest=named("config"),
        result_key_digest=named("result key"),
        access_key_digest=ZERO32,
        runtime_policy_digest=named("runtime policy"),
        place_before=NOW + 600,
        windows=Windows(60, 60, 300, 300, 300, 3600, 600),
        max_units=0,
        holdback=Holdback(),
        delivery=0,
        delivery_digest=ZERO32,
        max_fee_bps=500,
        deposit=10_000,
        salt=salt.to_bytes(32, "big"),
    )
    return OrderPreimage(terms, compute, inputs)


@dataclass
class FakeChain:
    """A `marketplace.keybroker.views.ChainView` whose truth is set by hand."""

    finals: dict[bytes, OrderView] = field(default_factory=dict)
    heads: dict[bytes, OrderView] = field(default_factory=dict)
    operators: dict[bytes, bytes] = field(default_factory=dict)
    sellers: dict[int, bytes] = field(default_factory=dict)
    time: int = NOW
    down: bool = False

    def run(self, order_id: bytes, cvm_id: bytes, operator: bytes) -> None:
        """Make the order RUNNING with this CVM, finalized."""
        view = OrderView(OrderState.RUNNING, Phase.SETUP, cvm_id)
        self.finals[order_id] = self.heads[order_id] = view
        self.operators[cvm_id] = operator

    def final(self, order_id: bytes) -> OrderView:
        """Return the finalized order."""
        return self._look(self.finals, order_id)

    def head(self, order_id: bytes) -> OrderView:
        """Return the order at the head."""
        return self._look(self.heads, order_id)

    def operator(self, cvm_id: bytes) -> bytes | None:
        """Return the registered operator."""
        self._check_up()
        return self.operators.get(cvm_id)

    def seller(self, offer: int) -> bytes:
        """Return who listed the offer: the owner, unless the test says otherwise."""
        self._check_up()
        return self.sellers.get(offer, SELLER)

    def now(self) -> int:
        """Return the time of the head."""
        self._check_up()
        return self.time

    def _look(self, table: dict[bytes, OrderView], order_id: bytes) -> OrderView:
        self._check_up()
        return table.get(order_id, OrderView(OrderState.NONE, Phase.NONE, ZERO32))

    def _check_up(self) -> None:
        if self.down:
            raise UnreachableError("no node")
