"""Tensors by name out of sealed files (docs/protocol.md section 3.3)."""

from __future__ import annotations

import contextlib
import json

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from enclave_runtime.sealed.ranges import MemorySource
from enclave_runtime.sealed.reader import SealedReader
from enclave_runtime.sealed.tensors import MAX_HEADER_BYTES, SealedTensors, Tensor
from enclave_runtime.wire.errors import WireError
from tests.fakes.sealed_bytes import KEY, SMALL, Flaky, bytes_of, sealed_stream


class Plain:
    """Content that is not sealed: the header's rules do not depend on it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def read_at(self, offset: int, buffer: memoryview) -> int:
        return MemorySource(self.data).read_at(offset, buffer)


def file_of(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


HEADER = {
    "__metadata__": {"format": "pt"},
    "b": {"dtype": "BF16", "shape": [2, 3 * SMALL], "data_offsets": [8, 8 + 12 * SMALL]},
    "a": {"dtype": "F64", "shape": [], "data_offsets": [0, 8]},
    "none": {"dtype": "U8", "shape": [0, 7], "data_offsets": [8, 8]},
}
DATA = bytes_of(8 + 12 * SMALL)


def test_reads_one_tensor_by_its_segments() -> None:
    stream, info = sealed_stream(file_of(HEADER, DATA))
    source = Flaky(stream)
    with SealedReader(source, info, KEY) as reader:
        tensors = SealedTensors(reader)
        assert [tensor.name for tensor in tensors] == ["a", "none", "b"]
        assert len(tensors) == 3
        assert tensors.metadata == {"format": "pt"}
        assert tensors["b"] == Tensor("b", "BF16", (2, 3 * SMALL), reader.size - 12 * SMALL, 12 * SMALL)
        assert bytes(tensors.read("a")) == DATA[:8]
        assert bytes(tensors.read("none")) == b""
        assert not any(offset > 3 * SMALL for offset, _ in source.reads[2:])
        view = memoryview(bytearray(12 * SMALL))
        tensors.read_into("b", view)
        assert bytes(view) == DATA[8:]
        with pytest.raises(ValueError, match="expected 8"):
            tensors.read_into("a", view)
        with pytest.raises(KeyError):
            tensors.read("c")


def test_agrees_with_the_formats_own_library() -> None:
    whole = numpy.arange(700, dtype=numpy.float16).reshape(7, 100)
    tensors = SealedTensors(Plain(save({"w": whole, "b": numpy.ones(3)})))
    assert (tensors["w"].dtype, tensors["w"].shape) == ("F16", (7, 100))
    read = numpy.frombuffer(tensors.read("w"), dtype=numpy.float16).reshape(tensors["w"].shape)
    assert numpy.array_equal(read, whole)


def one(**changes: object) -> dict[str, object]:
    return {"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4], **changes}}


TWICE = b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},' + json.dumps(one()).encode()[1:]


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\x00" * 7,
        b"\x00" * 8,
        (1 << 63).to_bytes(8, "little"),
        (MAX_HEADER_BYTES + 1).to_bytes(8, "little") + b"{}",
        file_of(b"[]"),
        file_of(b"\xff\xfe"),
        file_of(b"{"),
        file_of(b"[" * 100_000),
        file_of(TWICE, b"abcd"),
        file_of(b'{"a":NaN}'),
        file_of({"a": 1}),
        file_of({"__metadata__": {"a": 1}}),
        file_of({"__metadata__": []}),
        file_of(one(dtype="U9"), b"abcd"),
        file_of(one(dtype=["U8"]), b"abcd"),
        file_of(one(shape=[5]), b"abcd"),
        file_of(one(shape=[-4]), b"abcd"),
        file_of(one(shape=[True, 4]), b"abcd"),
        file_of(one(shape="4"), b"abcd"),
        file_of(one(shape=[1 << 64, 0]), b"abcd"),
        file_of(one(shape=[1] * 17 + [4]), b"abcd"),
        file_of(one(data_offsets=[4, 0]), b"abcd"),
        file_of(one(data_offsets=[0, 4, 4]), b"abcd"),
        file_of(one(data_offsets=[1, 5]), b"abcde"),
        file_of(one(extra=1), b"abcd"),
        file_of(one(), b"abc"),
        file_of(one(), b"abcde"),
        file_of(one() | {"b": one()["a"]}, b"abcd"),
    ],
)
def test_refuses_other_headers(file: bytes) -> None:
    with pytest.raises(WireError):
        SealedTensors(Plain(file))


@given(header=st.binary(max_size=60), tail=st.binary(max_size=8))
def test_random_headers_raise_only_our_error(header: bytes, tail: bytes) -> None:
    with contextlib.suppress(WireError):
        SealedTensors(Plain(file_of(header, tail)))
