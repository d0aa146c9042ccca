"""The content digest: shape, binding, golden values (docs/protocol.md section 3.2)."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise

import blake3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enclave_runtime.sealed import labels
from enclave_runtime.sealed.tree import (
    NO_SALT,
    SEGMENT_BYTES,
    Algorithm,
    LeafList,
    TreeDigest,
    TreeHasher,
    check_geometry,
    content_digest,
    leaf,
    segment_count,
)
from enclave_runtime.wire.errors import WireError

SMALL = 1 << 10


def digest_of(data: bytes, algorithm: Algorithm = Algorithm.BLAKE3, segment: int = SMALL) -> TreeDigest:
    hasher = TreeHasher(algorithm, segment)
    hasher.update(data)
    return hasher.finish()


def rfc6962(leaves: list[bytes]) -> bytes:
    """The definition, word by word: split at the largest power of two below n."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + rfc6962(leaves[:k]) + rfc6962(leaves[k:])).digest()


def test_labels_are_all_different() -> None:
    assert len(set(labels.ALL_TAGS)) == len(labels.ALL_TAGS)
    steps = [value for name, value in vars(labels).items() if name.startswith("STEP_")]
    assert len(set(steps)) == len(steps)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 33])
def test_tree_has_the_shape_of_rfc_6962(count: int) -> None:
    data = random.Random(count).randbytes(count * SMALL - 7)
    segments = [data[i : i + SMALL] for i in range(0, len(data), SMALL)]
    leaves = [hashlib.sha256(b"\x00" + blake3.blake3(s).digest()).digest() for s in segments]
    listed = LeafList(Algorithm.BLAKE3, SMALL, len(data))
    for index in random.Random(1).sample(range(count), count):
        listed[index] = leaf(Algorithm.BLAKE3, segments[index])
    assert listed.top() == rfc6962(leaves)
    assert listed.digest() == digest_of(data)


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(0, 6 * SMALL),
    cuts=st.lists(st.integers(0, 6 * SMALL), max_size=6),
    algorithm=st.sampled_from(Algorithm),
)
def test_pieces_of_any_size_give_one_digest(length: int, cuts: list[int], algorithm: Algorithm) -> None:
    data = random.Random(length).randbytes(length)
    hasher = TreeHasher(algorithm, SMALL)
    edges = [0, *sorted(min(c, length) for c in cuts), length]
    for start, end in pairwise(edges):
        hasher.update(memoryview(data)[start:end])
    assert hasher.finish() == digest_of(data, algorithm)


def test_empty_content_is_one_empty_segment() -> None:
    assert segment_count(SMALL, 0) == 1
    listed = LeafList(Algorithm.BLAKE3, SMALL, 0)
    listed[0] = leaf(Algorithm.BLAKE3, b"")
    assert listed.digest() == digest_of(b"")


def test_whole_segments_have_no_empty_tail() -> None:
    assert segment_count(SMALL, 2 * SMALL) == 2
    assert segment_count(SMALL, 2 * SMALL + 1) == 3


def test_digest_binds_algorithm_segment_size_length_and_salt() -> None:
    data = bytes(3 * SMALL)
    base = digest_of(data).content_digest(NO_SALT)
    others = {
        digest_of(data, Algorithm.SHA256).content_digest(NO_SALT),
        digest_of(data, segment=2 * SMALL).content_digest(NO_SALT),
        digest_of(data + b"\x00").content_digest(NO_SALT),
        digest_of(data).content_digest(b"\x01" * 32),
    }
    assert base not in others
    assert len(others) == 4


def test_content_digest_spelled_out() -> None:
    """Each byte by hand, so that another implementation can start from this test."""
    data = b"x" * (SMALL + 1)
    first, second = (
        hashlib.sha256(b"\x00" + blake3.blake3(part).digest()).digest()
        for part in (data[:SMALL], data[SMALL:])
    )
    top = hashlib.sha256(b"\x01" + first + second).digest()

    def field(value: bytes) -> bytes:
        return len(value).to_bytes(8, "big") + value

    size, length = SMALL.to_bytes(8, "big"), len(data).to_bytes(8, "big")
    tree = b"cloister:sealed-tree/v1\x00" + field(b"blake3") + field(size) + field(length) + field(top)
    root = hashlib.sha256(tree).digest()
    content = b"cloister:content/v1\x00" + field(b"blake3") + field(length) + field(root) + field(NO_SALT)
    assert digest_of(data).content_digest(NO_SALT) == hashlib.sha256(content).digest()


def test_golden_digests() -> None:
    """Fixed for ever: offers on chain carry them. Made once by this code, which the tests above check."""
    assert SEGMENT_BYTES == 1048576
    data = bytes(range(256)) * 10_000
    cases = {
        (Algorithm.BLAKE3, b""): GOLDEN[0],
        (Algorithm.SHA256, b""): GOLDEN[1],
        (Algorithm.BLAKE3, data): GOLDEN[2],
        (Algorithm.SHA256, data): GOLDEN[3],
    }
    for (algorithm, content), expected in cases.items():
        tree = digest_of(content, algorithm, SEGMENT_BYTES)
        assert tree.content_digest(NO_SALT).hex() == expected


GOLDEN = (
    "8b9e974a27c1f19d8e847687213d1165bc792ddb5dbdaf1e2b0d7746f8b64de5",
    "42beb3ccd65521744a09ceacb8a44c6cf52e5b66aa51661bc9da4f7ca2d10a41",
    "06e68f1e7b8eae51559bb399f83cf7707f0d87cd2b9b671de826b7c5191aefc3",
    "d5b3bae39803fd38c5782b81c47d434c7d3dc0a17cf6d04adc7db5ba0d5b9001",
)


@pytest.mark.parametrize("segment", [0, 1, 1000, 1 << 9, 1 << 23, -1024, 1 << 63])
def test_refuses_segment_sizes_outside_the_format(segment: int) -> None:
    with pytest.raises(WireError, match="segment size"):
        check_geometry(segment, 0)


@pytest.mark.parametrize("length", [-1, (1 << 44) + 1, 1 << 63])
def test_refuses_lengths_outside_the_format(length: int) -> None:
    with pytest.raises(WireError, match="content length"):
        LeafList(Algorithm.BLAKE3, SMALL, length)


def test_refuses_wrong_sizes() -> None:
    with pytest.raises(WireError, match="leaf list"):
        LeafList(Algorithm.BLAKE3, SMALL, SMALL).load(bytes(64))
    with pytest.raises(WireError, match="salt"):
        content_digest(Algorithm.BLAKE3, 0, bytes(32), bytes(31))
    with pytest.raises(IndexError):
        LeafList(Algorithm.BLAKE3, SMALL, SMALL)[1] = bytes(32)
