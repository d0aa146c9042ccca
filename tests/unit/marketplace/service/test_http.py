"""The HTTP shell: bounded input, one answer per kind of error (marketplace.service.http)."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from enclave_runtime.wire.canonical import JsonObject
from enclave_runtime.wire.errors import RefusedError, WireError
from marketplace.errors import BadInputError, NotFoundError, UnreachableError
from marketplace.service.errors import BusyError
from marketplace.service.http import Answer, Shell
from marketplace.service.limits import RateLimit
from marketplace.service.logs import ServiceLog
from tests.fakes.asgi import AppClient

SECRET = "correct horse battery staple"
FAILURES: dict[str, Exception] = {
    "refused": RefusedError("challenge", "this", "that"),
    "wire": WireError("hex: got something else"),
    "input": BadInputError("port", "x", "a number"),
    "missing": NotFoundError("no such order"),
    "busy": BusyError("full", retry_after_s=7),
    "chain": UnreachableError("no answer from http://user:password@node"),
    "crash": RuntimeError(SECRET),
}


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def client(stream: io.StringIO) -> AppClient:
    def echo(body: JsonObject) -> Answer:
        return Answer(body, 202)

    def fail(body: JsonObject) -> Answer:
        raise FAILURES[str(body["how"])]

    shell = Shell(
        "test",
        health=lambda: {"extra": 1},
        log=ServiceLog("test", stream),
        rate=RateLimit(lambda: 0.0, per_minute=60, burst=40),
        max_body_bytes=1000,
    )
    shell.post("/echo", echo)
    shell.post("/fail", fail)
    shell.get("/get", lambda: Answer({"got": True}))
    return AppClient(shell.app)


def test_answers_health_and_handlers(client: AppClient) -> None:
    assert client.get("/healthz").json() == {"ok": True, "service": "test", "extra": 1}
    assert client.get("/get").json() == {"got": True}
    answer = client.post("/echo", content=b'{ "b": [1, null], "a": "x" }')
    assert (answer.status_code, answer.json()) == (202, {"a": "x", "b": [1, None]})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"nonsense", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[1]", "expected an object"),
        (b'{"a":1,"a":2}', "duplicate"),
        (b'{"a":1.5}', "expected an integer"),
        (b'{"a":NaN}', "expected an integer"),
        (b'{"a":Infinity}', "expected an integer"),
        (b'{"a":9007199254740992}', "beyond"),
        (b'{"a":' + b"9" * 900 + b"}", "beyond"),
        (b'{"\xc3\xa9":1}', "ASCII"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", "nesting"),
        (b'{"a":' * 160 + b"1" + b"}" * 160, "nesting"),
    ],
)
def test_refuses_json_with_two_readings_or_beyond_limits(client: AppClient, body: bytes, words: str) -> None:
    answer = client.post("/echo", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_refuses_a_body_too_large_by_length_and_by_stream(client: AppClient) -> None:
    assert client.post("/echo", content=b"x" * 1001).status_code == 413

    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 100

    assert client.post("/echo", content=parts()).status_code == 413
    assert client.post("/echo", content=b"{}", headers={"content-length": "-5"}).status_code == 413


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("refused", 403),
        ("wire", 400),
        ("input", 400),
        ("missing", 404),
        ("busy", 429),
        ("chain", 503),
        ("crash", 500),
    ],
)
def test_gives_each_error_its_status(client: AppClient, how: str, status: int) -> None:
    answer = client.post("/fail", json={"how": how})
    assert answer.status_code == status
    if how == "refused":
        assert answer.json() == {"refusal": {"step": "challenge", "got": "this", "expected": "that"}}
    if how == "busy":
        assert answer.headers["retry-after"] == "7"


def test_neither_answer_nor_log_tells_what_an_unexpected_error_said(
    client: AppClient, stream: io.StringIO
) -> None:
    for how in ("crash", "chain"):
        assert "horse" not in client.post("/fail", json={"how": how}).text
    logged = stream.getvalue()
    assert "horse" not in logged and "password" not in logged
    lines = [json.loads(line) for line in logged.splitlines()]
    assert [line["class"] for line in lines] == ["RuntimeError", "UnreachableError"]


def test_unknown_paths_and_methods_get_the_same_form(client: AppClient) -> None:
    assert client.get("/nothing").json()["error"]["kind"] == "not-found"
    assert client.get("/echo").status_code == 405
    assert client.get("/docs").status_code == client.get("/openapi.json").status_code == 404


def test_an_address_that_asks_too_often_is_told_when_to_come_back(client: AppClient) -> None:
    statuses = [client.get("/get").status_code for _ in range(45)]
    assert statuses == [200] * 40 + [429] * 5
    assert client.get("/healthz").status_code == 200


def test_rate_refills_and_forgets_the_longest_silent_caller() -> None:
    now = [0.0]
    rate = RateLimit(lambda: now[0], per_minute=60, burst=2, callers=2)
    for _ in range(2):
        rate.take("a")
    with pytest.raises(BusyError):
        rate.take("a")
    now[0] = 1.0
    rate.take("a")
    rate.take("b")
    rate.take("c")
    assert set(rate._buckets) == {"b", "c"}
    RateLimit(lambda: 0.0, per_minute=0).take("a")
