"""The JSON-RPC client against nodes that stall, break, lie and flood (protocol section 10)."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from marketplace.chain import rpc as rpc_module
from marketplace.chain.rpc import Rpc, hex_data, hex_int
from marketplace.errors import BadInputError, RpcError, UnreachableError
from tests.fakes.scripted_rpc import Reply, results, serve


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_module.time, "sleep", lambda seconds: None)


def echo(method: str, params: list[Any]) -> Any:
    return [method, params]


def test_calls_and_batches_come_back_in_order() -> None:
    def shuffled(body: Any) -> Any:
        answer = results(echo)(body)
        return answer[::-1] if isinstance(answer, list) else answer

    with serve(shuffled) as node:
        rpc = Rpc(node.url)
        assert rpc.call("a", 1, {"b": 2}) == ["a", [1, {"b": 2}]]
        assert rpc.batch([("x", ()), ("y", (1,))]) == [["x", []], ["y", [1]]]
        assert rpc.batch([]) == [] and len(node.seen) == 2


def test_one_connection_serves_many_calls() -> None:
    with serve(results(echo)) as node:
        rpc = Rpc(node.url)
        for _ in range(5):
            rpc.call("a")
        rpc.close()
        rpc.call("a")
    assert len(node.seen) == 6


def test_a_node_that_fails_for_a_while_is_asked_again() -> None:
    answers = iter([Reply(503), Reply(0), Reply(429)])

    def flaky(body: Any) -> Any:
        for reply in answers:
            raise reply
        return results(echo)(body)

    with serve(flaky) as node:
        assert Rpc(node.url, retries=3).call("a") == ["a", []]
    assert len(node.seen) == 4


def test_a_node_that_never_answers_is_unreachable_and_its_token_stays_secret() -> None:
    def broken(body: Any) -> Any:
        raise Reply(0)

    with serve(broken) as node:
        rpc = Rpc(node.url, retries=1)
        with pytest.raises(UnreachableError, match="2 times") as gone:
            rpc.call("a")
    assert "secret" not in str(gone.value) + repr(rpc)
    with pytest.raises(UnreachableError) as refused:
        Rpc(node.url, retries=0, timeout_s=30).call("a")
    assert "secret" not in str(refused.value)


def test_a_stalling_node_is_left_after_the_time_out() -> None:
    release = threading.Event()

    def stall(body: Any) -> Any:
        release.wait(60)
        return None

    with serve(stall) as node:
        with pytest.raises(UnreachableError, match="TimeoutError"):
            Rpc(node.url, retries=0, timeout_s=0.1).call("a")
        assert not release.is_set(), "it was left before it answered"
        release.set()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1", b"[" * 100_000, b"\xff\xfe"])
def test_an_answer_that_is_not_json_is_refused(body: bytes) -> None:
    def html(_: Any) -> Any:
        raise Reply(200, body)

    with serve(html) as node, pytest.raises(UnreachableError, match="not JSON"):
        Rpc(node.url).call("a")


@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b"{}", b'[{"id":7,"result":1}]', b'{"id":0}'])
def test_an_answer_that_is_no_response_is_refused(body: bytes) -> None:
    def other(_: Any) -> Any:
        raise Reply(200, body)

    with serve(other) as node, pytest.raises(UnreachableError, match="no JSON-RPC response"):
        Rpc(node.url).call("a")


def test_a_flood_is_cut_off() -> None:
    flood = serve(results(lambda *_: "x" * 5000))
    with flood as node, pytest.raises(UnreachableError, match="above 1000 bytes"):
        Rpc(node.url, max_response_bytes=1000).call("a")
    assert len(node.seen) == 1


@pytest.mark.parametrize("where", ["0xabcd", {"data": "0xabcd"}, {"data": {"x": 1}}, "0xzz", None, 5])
def test_revert_data_is_found_where_nodes_put_it(where: Any) -> None:
    node_of = serve(results(lambda *_: {"code": 3, "message": "reverted", "data": where}))
    with node_of as node, pytest.raises(RpcError) as error:
        Rpc(node.url).call("eth_call")
    expected = b"\xab\xcd" if "abcd" in str(where) else b""
    assert (error.value.code, error.value.data, error.value.method) == (3, expected, "eth_call")


def test_one_failing_call_of_a_batch_does_not_hide_the_others() -> None:
    def half(method: str, params: list[Any]) -> Any:
        return {"code": -32000, "message": "no"} if method == "bad" else 1

    with serve(results(half)) as node:
        first, second = Rpc(node.url).batch_raw([("good", ()), ("bad", ())])
        assert first == 1 and isinstance(second, RpcError)
        with pytest.raises(RpcError, match="bad: the node answered error -32000"):
            Rpc(node.url).batch([("good", ()), ("bad", ())])


def test_user_and_password_travel_in_the_header_only() -> None:
    with serve(results(echo)) as node:
        url = node.url.replace("http://", "http://me:pa%40ss@")
        rpc = Rpc(url)
        rpc.call("a")
    assert node.headers[0]["authorization"] == "Basic bWU6cGFAc3M="
    assert "pa" not in repr(rpc)


@pytest.mark.parametrize("url", ["", "ws://x", "ipc:/x", "file:///etc/passwd", "http://"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(BadInputError, match="RPC URL"):
        Rpc(url)


def test_quantities_and_data_of_a_lying_node() -> None:
    assert hex_int("0x10") == 16 and hex_data("0x01ff") == b"\x01\xff"
    for value in (None, 1, "x", {}):
        with pytest.raises(UnreachableError):
            hex_int(value)
    for value in (None, "01", "0x1", "0xzz", 5):
        with pytest.raises(UnreachableError):
            hex_data(value)
