"""Hypothesis strategies for the structs of the protocol: bounded as the registries bound them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from enclave_runtime.wire.cvm import CvmKeys
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price, terms_hash
from enclave_runtime.wire.orders import (
    ComputeRef,
    Holdback,
    InputRef,
    OrderPreimage,
    OrderTerms,
    ReportSummary,
    RuntimePolicy,
    Windows,
)
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.domain.order_state import TRANSITIONS
from marketplace.domain.pricing import Params, deposit_required

__all__ = [
    "addresses",
    "any_states",
    "cvm_keys",
    "frozen_states",
    "offers",
    "order_terms",
    "params",
    "payees",
    "policies",
    "preimages",
    "prices",
    "summaries",
    "uint",
    "words",
]

words = st.binary(min_size=32, max_size=32)
digests = words.filter(lambda value: value != ZERO32)
addresses = st.binary(min_size=20, max_size=20).filter(lambda value: value != ZERO_ADDRESS)
MAX_PRICE = 10**24


def uint(bits: int) -> st.SearchStrategy[int]:
    """Return integers of `bits` bits, the edges among them often."""
    top = 2**bits - 1
    return st.one_of(st.integers(0, top), st.sampled_from([0, 1, top]))


def amounts() -> st.SearchStrategy[int]:
    """Return prices as people set them, odd ones that round badly among them."""
    return st.one_of(st.sampled_from([0, 1, 3, 7, 3599, 3601]), st.integers(0, MAX_PRICE))


@st.composite
def payees(draw: st.DrawFn) -> tuple[Payee, ...]:
    """Return 1 to 8 payees whose shares make 10 000."""
    cuts = sorted(draw(st.lists(st.integers(1, 9_999), max_size=7, unique=True)))
    edges = [0, *cuts, 10_000]
    return tuple(Payee(draw(addresses), high - low) for low, high in pairwise(edges))


def prices() -> st.SearchStrategy[Price]:
    """Return prices without a revenue share, which is reserved."""
    return st.builds(
        Price,
        fixed_price=amounts(),
        per_hour=amounts(),
        min_seconds=st.one_of(st.sampled_from([0, 1, 60]), st.integers(0, 10**6)),
        max_seconds=st.just(0),
        per_unit=st.integers(0, 10**12),
        revenue_bps=st.just(0),
    )


@st.composite
def offers(draw: st.DrawFn, kind: OfferKind | None = None, token: bytes | None = None) -> OfferTerms:
    """Return terms that OfferRegistry would list."""
    chosen = kind or draw(st.sampled_from([item for item in OfferKind if item]))
    is_compute = chosen is OfferKind.COMPUTE
    return OfferTerms(
        kind=int(chosen),
        token=token or draw(addresses),
        price=draw(prices()),
        payees=draw(payees()),
        manifest_digest=ZERO32 if is_compute else draw(digests),
        content_digest=ZERO32 if is_compute else draw(digests),
        grant_key=ZERO_ADDRESS if is_compute else draw(addresses),
        royalty_bps=0,
        lineage=ZERO32,
        restrictions=ZERO32,
    )


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    """Return windows from a second to years."""
    return Windows(*[draw(st.one_of(st.integers(1, 7200), st.integers(1, 2**31))) for _ in range(7)])


@st.composite
def order_terms(draw: st.DrawFn) -> OrderTerms:
    """Return any terms whose members fit their types: for hashes, not for life."""
    extras = st.one_of(st.just(ZERO32), words)
    refs = st.builds(InputRef, offer=uint(64), version=uint(32), terms_hash=words, lease=extras)
    return OrderTerms(
        client=draw(addresses),
        payer=draw(addresses),
        token=draw(addresses),
        compute=ComputeRef(draw(uint(64)), draw(uint(32)), draw(words)),
        inputs=tuple(draw(st.lists(refs, min_size=1, max_size=4))),
        config_digest=draw(words),
        result_key_digest=draw(words),
        access_key_digest=draw(extras),
        runtime_policy_digest=draw(words),
        place_before=draw(uint(40)),
        windows=Windows(*[draw(uint(32)) for _ in range(7)]),
        max_units=draw(uint(64)),
        holdback=Holdback(draw(uint(16)), draw(uint(32))),
        delivery=0,  # reserved, and without bytes
        delivery_digest=ZERO32,
        max_fee_bps=draw(uint(16)),
        deposit=draw(uint(128)),
        salt=draw(words),
    )


@st.composite
def preimages(draw: st.DrawFn, max_inputs: int = 4) -> OrderPreimage:
    """Return a whole order with a deposit that is enough, or some more than that."""
    token = draw(addresses)
    compute = draw(offers(OfferKind.COMPUTE, token))
    content = st.sampled_from([OfferKind.MODEL, OfferKind.DATASET])
    inputs = [draw(offers(OfferKind.ENGINE, token))]
    inputs += [draw(offers(draw(content), token)) for _ in range(draw(st.integers(0, max_inputs - 1)))]
    client = draw(addresses)
    terms = OrderTerms(
        client=client,
        payer=client,
        token=token,
        compute=ComputeRef(1, 1, terms_hash(compute)),
        inputs=tuple(
            InputRef(i + 2, 1, terms_hash(item), draw(st.sampled_from([ZERO32, ZERO32, b"\x1e" * 32])))
            for i, item in enumerate(inputs)
        ),
        config_digest=draw(words),
        result_key_digest=draw(words),
        access_key_digest=draw(st.sampled_from([ZERO32, b"\xac" * 32])),
        runtime_policy_digest=draw(words),
        place_before=draw(uint(40)),
        windows=draw(windows()),
        max_units=draw(st.one_of(st.just(0), st.integers(0, 10**6))),
        holdback=Holdback(draw(st.sampled_from([0, 1, 1000, 10_000])), 3600),
        delivery=0,
        delivery_digest=ZERO32,
        max_fee_bps=10_000,
        deposit=0,
        salt=draw(words),
    )
    bare = OrderPreimage(terms, compute, tuple(inputs))
    deposit = deposit_required(bare) + draw(st.one_of(st.just(0), st.integers(0, 10**18)))
    fields = {name: getattr(terms, name) for name in OrderTerms.__slots__}
    return OrderPreimage(OrderTerms(**{**fields, "deposit": deposit}), compute, tuple(inputs))


params = st.builds(
    Params,
    fee_bps=st.one_of(st.sampled_from([0, 1, 250, 1000]), st.integers(0, 1000)),
    start_penalty_bps=st.one_of(st.sampled_from([0, 1, 5000]), st.integers(0, 5000)),
    min_grace=st.integers(1, 86_400),
    treasury=addresses,
)

frozen_states = st.sampled_from(sorted({(to, phase) for to, phase in TRANSITIONS.values() if to.terminal}))
"""Every terminal state with every phase that the contract can freeze it in."""

any_states = st.sampled_from(sorted(set(TRANSITIONS.values())))
"""Every state that an order can be in, with every phase."""

policies = st.builds(
    RuntimePolicy,
    trust_classes=st.lists(words, max_size=4).map(tuple),
    tee_mask=uint(256),
    measurements=st.lists(words, max_size=4).map(tuple),
    worst_tcb=uint(8),
)

summaries = st.builds(
    ReportSummary,
    order_id=words,
    cvm_id=words,
    phase=uint(8),
    sequence=uint(32),
    outcome=uint(8),
    attributable_input=uint(8),
    inputs_root=words,
    result_digest=words,
    statement_digest=words,
    seconds_used=uint(32),
    units_used=uint(64),
)

cvm_keys = st.builds(CvmKeys, signer=addresses, hpke=words, statement=words, tls=words)
