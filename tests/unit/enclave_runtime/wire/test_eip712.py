"""Our EIP-712 hashing against an independent implementation (eth-account)."""

from eth_account.messages import encode_typed_data
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.wire import codec, eip712, orders
from enclave_runtime.wire.offers import OfferTerms, Payee, Price
from enclave_runtime.wire.orders import (
    ComputeRef,
    Holdback,
    InputRef,
    OrderTerms,
    ReportSummary,
    RuntimePolicy,
    Windows,
)

b32 = st.binary(min_size=32, max_size=32)
addr = st.binary(min_size=20, max_size=20)


def uint(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


prices = st.builds(
    Price,
    fixed_price=uint(128),
    per_hour=uint(128),
    min_seconds=uint(32),
    per_unit=uint(128),
    revenue_bps=uint(16),
)
offers = st.builds(
    OfferTerms,
    kind=uint(8),
    token=addr,
    price=prices,
    manifest_digest=b32,
    content_digest=b32,
    grant_key=addr,
    payees=st.lists(st.builds(Payee, account=addr, bps=uint(16)), max_size=3).map(tuple),
    royalty_bps=uint(16),
    lineage=b32,
    restrictions=b32,
)
terms = st.builds(
    OrderTerms,
    client=addr,
    payer=addr,
    token=addr,
    compute=st.builds(ComputeRef, offer=uint(64), version=uint(32), terms_hash=b32),
    inputs=st.lists(
        st.builds(InputRef, offer=uint(64), version=uint(32), terms_hash=b32, lease=b32), max_size=3
    ).map(tuple),
    config_digest=b32,
    result_key_digest=b32,
    access_key_digest=b32,
    runtime_policy_digest=b32,
    place_before=uint(40),
    windows=st.builds(Windows, *[uint(32)] * 7),
    max_units=uint(64),
    holdback=st.builds(Holdback, bps=uint(16), window=uint(32)),
    delivery=uint(8),
    delivery_digest=b32,
    max_fee_bps=uint(16),
    deposit=uint(128),
    salt=b32,
)
policies = st.builds(
    RuntimePolicy, trust_classes=st.lists(b32, max_size=3).map(tuple), tee_mask=uint(256),
    measurements=st.lists(b32, max_size=3).map(tuple), worst_tcb=uint(8),
)  # fmt: skip


def typed(domain: eip712.Domain, struct: object) -> bytes:
    """Return the digest that eth-account computes for the same struct."""
    types: dict[str, list[dict[str, str]]] = {}

    def collect(cls: type) -> None:
        types[cls.__name__] = [{"name": f.name, "type": f.sol} for f in eip712.sol_fields(cls)]
        for field in eip712.sol_fields(cls):
            if field.struct:
                collect(field.struct)

    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return [plain(item) for item in value]
        if hasattr(value, "__dataclass_fields__"):
            return {f.name: plain(getattr(value, f.name)) for f in eip712.sol_fields(type(value))}
        return value

    def camel(name: str) -> str:
        head, *rest = name.split("_")
        return head + "".join(part.capitalize() for part in rest)

    collect(type(struct))
    types = {k: [{"name": camel(m["name"]), "type": m["type"]} for m in v] for k, v in types.items()}

    def rename(value: object) -> object:
        if isinstance(value, dict):
            return {camel(k): rename(v) for k, v in value.items()}
        return [rename(item) for item in value] if isinstance(value, list) else value

    message = encode_typed_data(
        domain_data={
            "name": domain.name, "version": domain.version, "chainId": domain.chain_id,
            "verifyingContract": "0x" + domain.verifying_contract.hex(),
        },
        message_types=types, message_data=rename(plain(struct)),
    )  # fmt: skip
    return bytes(keccak(b"\x19\x01" + message.header + message.body))


@given(terms, uint(64), addr)
def test_order_id_equals_eth_account(value: OrderTerms, chain_id: int, book: bytes) -> None:
    domain = orders.order_book_domain(chain_id, book)
    assert orders.order_id(domain, value) == typed(domain, value)


@given(st.one_of(offers, policies))
def test_struct_digests_equal_eth_account(value: object) -> None:
    domain = eip712.Domain("n", "1", 1, b"\x01" * 20)
    assert eip712.typed_digest(domain, value) == typed(domain, value)


@given(st.one_of(offers, terms, policies))
def test_json_round_trip(value: object) -> None:
    assert codec.from_json(type(value), codec.to_json(value)) == value


def test_summary_round_trip() -> None:
    summary = ReportSummary(b"\1" * 32, b"\2" * 32, 2, 1, 0, 255, b"\3" * 32, b"\0" * 32, b"\4" * 32, 7, 0)
    assert codec.from_json(ReportSummary, codec.to_json(summary)) == summary
