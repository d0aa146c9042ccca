"""Pages for keys: locked, zeroed, out of dumps (docs/protocol.md section 5.3)."""

from __future__ import annotations

import copy
import os
import pickle
import re
from pathlib import Path

import pytest

from enclave_runtime.sealed.locked import LockedBuffer, LockedBufferErasedError, wipe

SECRET = bytes(range(32))


def test_holds_bytes_and_zeroes_them() -> None:
    buffer = LockedBuffer.holding(SECRET)
    view = buffer.view()
    assert bytes(view) == SECRET and len(buffer) == 32
    kept = view[:16]
    buffer.erase()
    assert bytes(kept) == bytes(16)
    buffer.erase()
    with pytest.raises(LockedBufferErasedError):
        buffer.view()


def test_erases_at_the_end_of_its_block_even_after_an_error() -> None:
    buffer = LockedBuffer(8)
    with pytest.raises(RuntimeError), buffer:
        raise RuntimeError
    with pytest.raises(LockedBufferErasedError):
        buffer.view()


def test_kernel_says_that_the_page_is_locked_and_not_dumped() -> None:
    with LockedBuffer(32) as buffer:
        if not buffer.locked:
            pytest.skip("this process may lock no memory (RLIMIT_MEMLOCK is 0)")
        text = Path("/proc/self/smaps").read_text()
        address = buffer._address
        for part in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text):
            first, last = (int(word, 16) for word in part.split(" ", 1)[0].split("-"))
            if first <= address < last:
                flags = part.rpartition("VmFlags:")[2].split()
                assert {"lo", "dd"} <= set(flags), flags  # locked, do not dump
                return
        raise AssertionError("the page is not in /proc/self/smaps")


def test_child_sees_zeros() -> None:
    with LockedBuffer.holding(SECRET) as buffer:
        child = os.fork()
        if not child:
            os._exit(0 if bytes(buffer.view()) == bytes(32) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert bytes(buffer.view()) == SECRET


def test_is_not_copied_printed_or_empty() -> None:
    with LockedBuffer.holding(SECRET) as buffer:
        for action in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                action(buffer)
        assert SECRET.hex() not in repr(buffer)
    with pytest.raises(ValueError, match="at least one"):
        LockedBuffer(0)


def test_wipes_any_buffer_in_place() -> None:
    data = bytearray(SECRET)
    wipe(memoryview(data)[4:8])
    assert data[:12] == SECRET[:4] + bytes(4) + SECRET[8:12]
    wipe(data)
    assert data == bytes(32)
