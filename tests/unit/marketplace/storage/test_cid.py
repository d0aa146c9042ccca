"""Names of IPFS: computed here, with fixed parameters, and the same as other implementations compute.

Golden names come from scripts/ipfs-node (ipfs-unixfs-importer 15.4.0, CIDv1, raw leaves, 1 MiB, 1024 links);
tests/integration/storage compares further ones with a running node.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.errors import BadInputError
from marketplace.storage import unixfs
from marketplace.storage.base import BlobCorruptError
from marketplace.storage.cid import DAG_PB, RAW, Cid
from marketplace.storage.unixfs import LEAF_BYTES, Tree, parse_node

EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


def name_of(data: bytes) -> tuple[str, list[bytes]]:
    tree, blocks = Tree(), []
    for at in range(0, max(1, len(data)), LEAF_BYTES):
        leaf = data[at : at + LEAF_BYTES]
        blocks += [block for _, block in tree.add_leaf(Cid.of(RAW, leaf), len(leaf))]
    root, rest = tree.finish()
    return str(root), [*blocks, *(block for _, block in rest)]


@pytest.mark.parametrize(("data", "name"), [(b"", EMPTY), (b"hello world", HELLO)])
def test_names_small_files_as_ipfs_does(data: bytes, name: str) -> None:
    assert name_of(data) == (name, [])


def test_names_a_tree_as_the_node_does() -> None:
    name, (block,) = name_of(bytes(200_000_000))
    assert name == "bafybeiayda7rw63wssh5r2ftpjrcorexz7s4tkbbnifq6ytbcdp7zkb6ry"
    node = parse_node(block)
    assert node.content_bytes == 200_000_000
    assert len(node.links) == 191
    assert {link.cid for link in node.links[:-1]} == {Cid.of(RAW, bytes(LEAF_BYTES))}


@pytest.mark.parametrize(("leaves", "levels"), [(1, 0), (2, 1), (4, 1), (5, 2), (16, 2), (17, 3), (64, 3)])
def test_a_tree_has_as_many_levels_as_it_needs(
    leaves: int, levels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unixfs, "MAX_LINKS", 4)
    tree, blocks, leaf = Tree(), [], Cid(RAW, bytes(32))
    for _ in range(leaves):
        blocks += list(tree.add_leaf(leaf, LEAF_BYTES))
    root, rest = tree.finish()
    by_name = dict([*blocks, *rest])
    depth, cid = 0, root
    while cid.codec == DAG_PB:
        node = parse_node(by_name[cid])
        assert len(node.links) <= 4
        assert cid != root or node.content_bytes == leaves * LEAF_BYTES
        depth, cid = depth + 1, node.links[0].cid
    assert depth == levels


def test_a_tree_without_leaves_is_nothing() -> None:
    with pytest.raises(ValueError, match="got no leaf"):
        Tree().finish()


def test_parses_both_versions() -> None:
    old = Cid.parse("QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG")  # the welcome text of IPFS
    assert old.codec == DAG_PB
    assert Cid.parse(str(old)) == old
    assert Cid.from_bytes(old.to_bytes()) == old
    assert Cid.from_bytes(b"\x12\x20" + old.digest) == old


@given(st.binary(max_size=100), st.sampled_from([RAW, DAG_PB]))
def test_text_and_bytes_go_both_ways(data: bytes, codec: int) -> None:
    cid = Cid.of(codec, data)
    assert cid.digest == hashlib.sha256(data).digest()
    assert Cid.parse(str(cid)) == cid == Cid.from_bytes(cid.to_bytes())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        EMPTY.upper(),
        EMPTY[:-1],
        EMPTY + "a",
        EMPTY[:-1] + "v",  # other unused bits: a second name for the same bytes
        "z" + EMPTY[1:],
        EMPTY.replace("bafkrei", "bafyrei"),  # dag-cbor
        "Qm" + "0" * 44,
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbd",
        "Qm" + "z" * 44,
        "é" * 59,
    ],
)
def test_refuses_other_names(text: str) -> None:
    with pytest.raises(BadInputError, match="CID"):
        Cid.parse(text)


@pytest.mark.parametrize("data", [b"", b"\x01\x55\x12\x20", b"\x01\x71\x12\x20" + bytes(32), b"\x00" * 36])
def test_refuses_other_links(data: bytes) -> None:
    with pytest.raises(BlobCorruptError):
        Cid.from_bytes(data)


@given(st.binary(max_size=300))
def test_refuses_other_blocks_and_nothing_else_happens(data: bytes) -> None:
    with suppress(BlobCorruptError):
        parse_node(data)


@given(st.data())
def test_refuses_damaged_blocks_or_reads_them(data: st.DataObject) -> None:
    _, (block,) = name_of(bytes(3 * LEAF_BYTES))
    damaged = bytearray(block)
    place = data.draw(st.integers(0, len(block) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    with suppress(BlobCorruptError):
        parse_node(bytes(damaged))
    with suppress(BlobCorruptError):
        parse_node(bytes(block[:place]))


def test_refuses_sizes_that_do_not_fit_together() -> None:
    _, (block,) = name_of(bytes(2 * LEAF_BYTES))
    wrong = block.replace(b"\x18\x80\x80\x80\x01", b"\x18\x81\x80\x80\x01")
    assert wrong != block
    with pytest.raises(BlobCorruptError, match="a file of 2097153 bytes"):
        parse_node(wrong)
