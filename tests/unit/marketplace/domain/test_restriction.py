"""Lists of who may order, their one word, and proofs of membership."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.wire.hashes import keccak256
from enclave_runtime.wire.scalars import ZERO32
from marketplace.domain.restriction import MAX_MEMBERS, Restrictions
from marketplace.errors import BadInputError

CLIENT, ENGINE, RUNTIME = b"c" * 20, b"e" * 32, b"r" * 32


def climb(node: bytes, siblings: list[bytes]) -> bytes:
    for sibling in siblings:
        node = keccak256(min(node, sibling) + max(node, sibling))
    return node


def test_empty_lists_are_no_restriction() -> None:
    nobody_left_out = Restrictions()
    assert nobody_left_out.digest() == ZERO32
    assert nobody_left_out.proof(CLIENT, ENGINE, RUNTIME) == b""


def test_empty_list_beside_others_has_a_root_of_zero() -> None:
    proof = Restrictions(engines=(ENGINE,)).proof(CLIENT, ENGINE, RUNTIME)
    assert proof[:32] == proof[64:96] == ZERO32
    assert proof[32:64] != ZERO32
    assert proof[96:] == bytes(3)


def test_one_value_has_another_leaf_in_each_list() -> None:
    engines = Restrictions(engines=(ENGINE,)).proof(CLIENT, ENGINE, ENGINE)
    runtimes = Restrictions(runtimes=(ENGINE,)).proof(CLIENT, ENGINE, ENGINE)
    assert engines[32:64] != runtimes[64:96]


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("client", (b"x" * 20, ENGINE, RUNTIME)),
        ("engine", (CLIENT, b"x" * 32, RUNTIME)),
        ("runtime", (CLIENT, ENGINE, b"x" * 32)),
    ],
)
def test_who_is_not_in_its_list_is_named(name: str, who: tuple[bytes, bytes, bytes]) -> None:
    allowed = Restrictions((CLIENT,), (ENGINE,), (RUNTIME,))
    with pytest.raises(BadInputError, match=name):
        allowed.proof(*who)


def test_members_of_another_size_are_refused() -> None:
    with pytest.raises(BadInputError, match="19 bytes"):
        Restrictions(clients=(b"c" * 19,))
    with pytest.raises(BadInputError, match="20 bytes"):
        Restrictions(runtimes=(CLIENT,))


def test_too_many_members_are_refused() -> None:
    with pytest.raises(BadInputError, match="allowed clients"):
        Restrictions(clients=(CLIENT,) * (MAX_MEMBERS + 1))


@settings(max_examples=40)
@given(st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=20), st.data())
def test_every_member_climbs_to_the_root_in_any_order_of_the_list(
    clients: list[bytes], data: st.DataObject
) -> None:
    allowed = Restrictions(clients=tuple(clients))
    assert allowed.digest() == Restrictions(clients=tuple(data.draw(st.permutations(clients)))).digest()
    member = data.draw(st.sampled_from(clients))
    proof = allowed.proof(member, ENGINE, RUNTIME)
    assert keccak256(proof[:96]) == allowed.digest()
    tag = keccak256(b"Cloister restriction client")
    leaf = keccak256(keccak256(tag + bytes(12) + member))
    siblings = [proof[at : at + 32] for at in range(99, len(proof), 32)]
    assert len(siblings) == proof[96]
    assert climb(leaf, siblings) == proof[:32]
