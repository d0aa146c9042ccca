from hypothesis import given
from hypothesis import strategies as st

from enclave_runtime.engines.logs import LogBuffer


@given(chunks=st.lists(st.binary(max_size=40), max_size=12), cap=st.integers(1, 60))
def test_keeps_both_ends_and_counts_the_rest(chunks, cap):
    log, whole = LogBuffer(cap), b"".join(chunks)
    for chunk in chunks:
        log.write(chunk)
    if len(whole) <= cap:
        assert (log.value(), log.dropped) == (whole, 0)
        return
    assert log.dropped == len(whole) - cap
    head, tail = whole[: cap // 2], whole[len(whole) - (cap - cap // 2) :]
    assert log.value() == head + f"\n[... {log.dropped} bytes of log dropped ...]\n".encode() + tail
