"""The six rules of royalty tables, and that no order of parents changes what anybody is owed."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.offers import OfferKind, OfferTerms, Payee, Price
from marketplace.domain.royalty import (
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_ROYALTY_BPS,
    Parent,
    Royalty,
    decode_table,
    encode_table,
    lineage,
    parent_of,
    royalty_table,
)
from marketplace.errors import BadInputError

A, B, C = b"a" * 20, b"b" * 20, b"c" * 20
ALL = 10_000


def accounts(count: int) -> list[bytes]:
    return [index.to_bytes(20, "big") for index in range(1, count + 1)]


@st.composite
def any_parent(draw: st.DrawFn) -> Parent:
    cuts = sorted(draw(st.sets(st.integers(1, ALL - 1), max_size=2)))
    shares = [high - low for low, high in pairwise([0, *cuts, ALL])]
    payees = tuple(Payee(draw(st.sampled_from((A, B, C))), share) for share in shares)
    entry = st.builds(Royalty, st.sampled_from((A, B, C)), st.integers(1, 2000), st.integers(1, MAX_DEPTH))
    bps = draw(st.integers(0, MAX_ROYALTY_BPS))
    return Parent(bps, payees, tuple(draw(st.lists(entry, max_size=4))))


def test_last_payee_gets_the_rest() -> None:
    parent = Parent(333, (Payee(A, 3333), Payee(B, 3333), Payee(C, 3334)))
    assert royalty_table([parent]) == (Royalty(A, 110, 1), Royalty(B, 110, 1), Royalty(C, 113, 1))


def test_share_that_rounds_to_nothing_leaves_no_entry() -> None:
    assert royalty_table([Parent(1, (Payee(A, ALL - 1), Payee(B, 1)))]) == (Royalty(B, 1, 1),)


def test_tables_go_one_generation_deeper_until_they_end() -> None:
    table = royalty_table([Parent(100, (Payee(A, ALL),))])
    for depth in range(1, MAX_DEPTH + 1):
        assert table == (Royalty(A, 100, depth),)
        table = royalty_table([Parent(0, (Payee(B, ALL),), table)])
    assert table == ()


def test_shares_of_one_account_meet_at_one_depth_only() -> None:
    old = (Royalty(A, 300, 3),)
    first, second = Parent(1, (Payee(A, ALL),), old), Parent(2, (Payee(A, ALL),))
    assert royalty_table([first, second]) == (Royalty(A, 3, 1), Royalty(A, 300, 4))


def test_more_than_half_is_scaled_down() -> None:
    parent = Parent(5000, (Payee(A, ALL),), (Royalty(B, 2500, 1),))
    assert royalty_table([parent]) == (Royalty(A, 3333, 1), Royalty(B, 1666, 2))
    parent = Parent(5000, (Payee(A, ALL),), (Royalty(B, 1, 1),))
    assert royalty_table([parent]) == (Royalty(A, 4999, 1),)


def test_more_than_24_entries_are_refused() -> None:
    parents = [Parent(1, (Payee(account, ALL),)) for account in accounts(MAX_ENTRIES)]
    assert len(royalty_table(parents)) == MAX_ENTRIES
    assert len(royalty_table([*parents, parents[0]])) == MAX_ENTRIES
    with pytest.raises(BadInputError, match="25 entries"):
        royalty_table([*parents, Parent(1, (Payee(A, ALL),))])


def test_no_parents_owe_nothing() -> None:
    assert royalty_table([]) == ()
    assert encode_table(()) == b""


def test_engines_ask_nothing() -> None:
    def terms(kind: OfferKind) -> OfferTerms:
        zero = bytes(32)
        return OfferTerms(int(kind), A, Price(), (Payee(A, ALL),), zero, zero, A, 250, zero, zero)

    asked = {kind: parent_of(terms(kind)).royalty_bps for kind in OfferKind}
    assert asked[OfferKind.MODEL] == asked[OfferKind.DATASET] == 250
    assert asked[OfferKind.ENGINE] == asked[OfferKind.COMPUTE] == 0


def test_lineage_is_the_hash_of_order_and_table() -> None:
    table = encode_table((Royalty(A, 1, 1),))
    assert lineage(b"o" * 32, table) == keccak256(b"o" * 32 + keccak256(table))


@pytest.mark.parametrize("size", [1, 22, 24, 25 * 23])
def test_other_lengths_are_no_table(size: int) -> None:
    with pytest.raises(BadInputError, match="royalty table"):
        decode_table(bytes(size))


@settings(max_examples=50)
@given(st.lists(any_parent(), max_size=6), st.randoms())
def test_any_order_of_parents_owes_the_same(parents: list[Parent], random: Random) -> None:
    table = royalty_table(parents)
    shuffled = list(parents)
    random.shuffle(shuffled)
    assert set(royalty_table(shuffled)) == set(table)
    assert decode_table(encode_table(table)) == table
    asked = sum(
        parent.royalty_bps + sum(entry.bps for entry in parent.table if entry.depth < MAX_DEPTH)
        for parent in parents
    )
    total = sum(entry.bps for entry in table)
    assert total <= min(asked, MAX_ROYALTY_BPS)
    assert total == asked or total > MAX_ROYALTY_BPS - MAX_ENTRIES
