"""A JSON-RPC server that answers as a test's function says, over real HTTP: slow, broken or lying."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Reply", "ScriptedRpc", "results", "serve"]


class Reply(Exception):  # noqa: N818 - not an error: it ends a handler with a bare HTTP answer
    """Raised by a handler to answer with a bare HTTP status and body, or to hang up (status 0)."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        super().__init__(status)
        self.status, self.body = status, body


class ScriptedRpc:
    """What the server has seen, and where it is."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1?token=secret"
        self.seen: list[Any] = []
        self.headers: list[dict[str, str]] = []


def results(answer: Callable[[str, list[Any]], Any]) -> Callable[[Any], Any]:
    """Return a handler that answers each call with `answer(method, params)`, batches too."""

    def handle(body: Any) -> Any:
        def one(call: dict[str, Any]) -> dict[str, Any]:
            value = answer(call["method"], call["params"])
            if isinstance(value, dict) and set(value) <= {"code", "message", "data"} and "code" in value:
                return {"jsonrpc": "2.0", "id": call["id"], "error": value}
            return {"jsonrpc": "2.0", "id": call["id"], "result": value}

        return [one(call) for call in body] if isinstance(body, list) else one(body)

    return handle


@contextmanager
def serve(handle: Callable[[Any], Any]) -> Iterator[ScriptedRpc]:
    """Run a server until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            script.seen.append(body)
            script.headers.append({key.lower(): value for key, value in self.headers.items()})
            try:
                status, data = 200, json.dumps(handle(body)).encode()
            except Reply as reply:
                if reply.status == 0:
                    self.close_connection = True
                    return
                status, data = reply.status, reply.body
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script = ScriptedRpc(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
