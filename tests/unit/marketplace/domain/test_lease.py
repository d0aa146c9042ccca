"""Leases to the last unit, and the vectors that hold contract and twin together (protocol section 6.6)."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.eip712 import Domain, encode_type, hash_struct
from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.offers import Payee
from marketplace.domain.lease import (
    MAX_SECONDS,
    Lease,
    LeaseTerms,
    collect_down,
    earned_down,
    end_after,
    lease_bytes,
    lease_id,
    lease_seconds,
    payees_bytes,
    payees_hash,
    recall_after,
    refund_up,
    terms_bytes,
    terms_id,
)
from marketplace.errors import BadInputError

VECTORS = Path(__file__).parents[3] / "conformance" / "vectors" / "leases" / "histories.json"
OWNER, CO_AUTHOR, LAST = b"\xa1" * 20, b"\xa2" * 20, b"\xa3" * 20
LESSEE, PAYER = b"\xc1" * 20, b"\xc2" * 20
DOMAIN = Domain("Cloister LeaseBook", "1", 31337, b"\x1e" * 20)
PAYEES = (Payee(OWNER, 3333), Payee(CO_AUTHOR, 3333), Payee(LAST, 3334))


def terms(price: int = 1_000_003, period: int = 1000, *, minimum: int = 100) -> LeaseTerms:
    return LeaseTerms(
        offer=7 << 32 | 3 << 28 | 1,
        version=2,
        terms_hash=keccak256(b"terms of the version"),
        token=b"\x70" * 20,
        price_per_period=price,
        period_seconds=period,
        max_periods=3,
        places=2,
        notice_seconds=300,
        min_seconds=minimum,
        max_fee_bps=1000,
        payees_hash=payees_hash(PAYEES),
        salt=b"\x05" * 32,
    )


def test_bytes_have_the_lengths_and_places_of_the_contract() -> None:
    lease = Lease(terms_id(DOMAIN, terms()), LESSEE, PAYER, 9)
    data = lease_bytes(terms(), lease)
    assert len(terms_bytes(terms())) == 161
    assert data == terms_bytes(terms()) + LESSEE + PAYER + (9).to_bytes(8, "big")
    assert len(data) == 209
    assert data[44:64] == b"\x70" * 20
    assert payees_bytes(PAYEES) == b"".join(p.account + p.bps.to_bytes(2, "big") for p in PAYEES)


def test_ids_differ_in_every_member() -> None:
    first = terms_id(DOMAIN, terms())
    leases = [Lease(first, LESSEE, PAYER, 1), Lease(first, PAYER, PAYER, 1), Lease(first, LESSEE, LESSEE, 1)]
    leases += [Lease(first, LESSEE, PAYER, 2), Lease(terms_id(DOMAIN, terms(1)), LESSEE, PAYER, 1)]
    assert len({lease_id(DOMAIN, lease) for lease in leases}) == len(leases)
    assert encode_type(Lease) == "Lease(bytes32 terms,address lessee,address payer,uint64 salt)"


def test_whole_periods_cost_their_price_exactly() -> None:
    assert [earned_down(terms(7, 3), seconds) for seconds in (0, 1, 2, 3, 6)] == [0, 2, 4, 7, 14]


def test_lease_seconds_counts_what_is_paid_ahead_of_the_running_period() -> None:
    assert lease_seconds(terms(), 3) == 3000
    assert lease_seconds(terms(), 1, rest=2999) == 1000
    for periods, rest in ((0, 0), (4, 0), (1, 3000)):
        with pytest.raises(BadInputError, match="periods"):
            lease_seconds(terms(), periods, rest=rest)
    with pytest.raises(BadInputError, match=str(MAX_SECONDS)):
        lease_seconds(terms(1, (1 << 32) - 1), 1)


def test_ends_wait_for_the_least_time_the_notice_and_running_orders() -> None:
    assert end_after(terms(), 40) == 100
    assert end_after(terms(), 500) == 500
    assert recall_after(terms(), 50) == 350
    assert recall_after(terms(), 50, held=900) == 900
    with pytest.raises(BadInputError, match="less than 1000"):
        refund_up(terms(), 1000, 1000)


@given(st.data())
@settings(max_examples=50)
def test_refund_and_income_are_what_was_paid(data: st.DataObject) -> None:
    asked = terms(data.draw(st.integers(0, (1 << 128) - 1)), data.draw(st.integers(1, 10**9)))
    paid = data.draw(st.integers(1, 3)) * asked.period_seconds
    lasts = data.draw(st.integers(0, paid))
    stops = sorted(data.draw(st.lists(st.integers(0, lasts), max_size=5)))
    fee_bps = data.draw(st.integers(0, 1000))
    total, before = 0, 0
    for until in stops:
        income = collect_down(asked, PAYEES, fee_bps, before=before, until=until, over=False)
        assert all(share >= 0 for share in (income.fee, *income.shares))
        total, before = total + income.fee + sum(income.shares), until
    last = collect_down(asked, PAYEES, fee_bps, before=before, until=lasts, over=True)
    total += last.fee + sum(last.shares)
    refund = refund_up(asked, paid, lasts) if lasts < paid else 0
    assert total + refund == earned_down(asked, paid)


def test_vectors_are_what_the_twin_says() -> None:
    """The same file is replayed on the contract by tests/contracts/forge/leases/vectors.t.sol."""
    assert json.loads(VECTORS.read_text()) == vectors()


def vectors() -> dict[str, object]:
    """Return 100 histories as columns: a collection, an early end, a second collection."""
    rng = random.Random(6)
    rows = [history(rng) for _ in range(100)]
    columns: dict[str, object] = {name: [str(row[name]) for row in rows] for name in rows[0]}
    columns["termsHash"] = "0x" + hash_struct(terms()).hex()
    columns["termsBytes"] = "0x" + terms_bytes(terms()).hex()
    return columns


def history(rng: random.Random) -> dict[str, int]:
    price = rng.choice((rng.randrange(30), rng.randrange(1 << 40), rng.randrange(1 << 128), (1 << 128) - 1))
    period = rng.choice((1 + rng.randrange(40), 1 + rng.randrange(100_000), 86_400))
    asked = terms(price, period, minimum=0)
    periods = 1 + rng.randrange(3)
    paid = periods * period
    ended = rng.randrange(paid)
    first = rng.randrange(ended + 1)
    fee_bps = rng.choice((0, 1, 250, 1000))
    one = 1 + rng.randrange(9998)
    two = 1 + rng.randrange(9999 - one)
    payees = (Payee(OWNER, one), Payee(CO_AUTHOR, two), Payee(LAST, 10_000 - one - two))
    half = collect_down(asked, payees, fee_bps, before=0, until=first, over=False)
    full = collect_down(asked, payees, fee_bps, before=0, until=ended, over=True)
    row = {"price": price, "period": period, "periods": periods, "ended": ended, "first": first}
    row |= {"feeBps": fee_bps, "bpsOne": one, "bpsTwo": two, "refund": refund_up(asked, paid, ended)}
    for name, income in (("half", half), ("full", full)):
        row[f"{name}Fee"] = income.fee
        row |= {
            f"{name}{who}": share for who, share in zip(("One", "Two", "Last"), income.shares, strict=True)
        }
    return row
