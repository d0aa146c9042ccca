"""A chain node that knows only what a test tells it, over real JSON-RPC: it may lie, lag or be warped."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.scalars import ZERO32, ZERO_ADDRESS
from marketplace.chain.abicodec import encode
from marketplace.chain.artifacts import contract
from marketplace.chain.deployments import Deployment
from marketplace.domain.order_state import OrderState
from tests.fakes.order_world import DOMAIN, NOW, SELLER

__all__ = ["DEPLOYMENT", "RpcNode"]


def _at(number: int) -> bytes:
    return bytes([number]) * 20


DEPLOYMENT = Deployment(
    chain_id=DOMAIN.chain_id,
    block=0,
    authority=_at(1),
    offer_registry=_at(2),
    provider_registry=_at(3),
    cvm_registry=_at(4),
    reference_values=_at(5),
    certifier_quorum=_at(6),
    order_book=DOMAIN.verifying_contract,
    lease_book=_at(8),
    token=_at(7),
)


@dataclass
class RpcNode:
    """Serves orders, CVMs and one seller of all offers at the head and in the finalized block.

    Attributes:
        orders: order id -> (CVM id, state), at the head.
        final: the same in the finalized block; None: as at the head.
        operators: CVM id -> operator.
        time: chain time, Unix seconds.
    """

    orders: dict[bytes, tuple[bytes, OrderState]] = field(default_factory=dict)
    final: dict[bytes, tuple[bytes, OrderState]] | None = None
    operators: dict[bytes, bytes] = field(default_factory=dict)
    revoked: set[bytes] = field(default_factory=set)
    time: int = NOW
    chain_id: int = DEPLOYMENT.chain_id
    _numbered: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # one packet per answer
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answer: Any = (
                    [node.answer(one) for one in asked] if isinstance(asked, list) else node.answer(asked)
                )
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def run(self, order_id: bytes, cvm_id: bytes, operator: bytes) -> None:
        """Make the order RUNNING with this CVM."""
        self.orders[order_id] = (cvm_id, OrderState.RUNNING)
        self.operators[cvm_id] = operator

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Return the JSON-RPC response to one request."""
        method, params = asked["method"], asked["params"]
        results: dict[str, Any] = {
            "eth_chainId": hex(self.chain_id),
            "eth_getCode": "0x60",
            "eth_blockNumber": "0x10",
            "eth_getBlockByNumber": {"number": "0x10", "timestamp": hex(self.time)},
        }
        result = results[method] if method in results else self._call(params)
        return {"jsonrpc": "2.0", "id": asked["id"], "result": result}

    def _call(self, params: list[Any]) -> str:
        data = bytes.fromhex(params[0]["data"][2:])
        selector, key = data[:4], data[4:36]
        order = contract("OrderBook").functions["getOrder"]
        if selector == order.selector:
            table = self.final if params[1] == "finalized" and self.final is not None else self.orders
            cvm_id, state = table.get(key, (ZERO32, OrderState.NONE))
            cvm = self._number(cvm_id)
            values = (int(state), 1, 0, False, False, self.time, 0, 0, 0, 0, 0, 1, cvm, 0, 3, (0, 0, 0, 0, 0))
            return hex_of(encode(order.outputs, (values,)))
        seller = contract("OfferRegistry").functions["ownerOf"]
        if selector == seller.selector:
            return hex_of(encode(seller.outputs, (SELLER,)))
        registry = contract("CvmRegistry").functions
        if selector == registry["cvmIdAt"].selector:
            number = int.from_bytes(key, "big")
            return hex_of(self._numbered[number - 1] if 0 < number <= len(self._numbered) else ZERO32)
        if selector == registry["indexOf"].selector:
            return hex_of(encode(registry["indexOf"].outputs, (self._number(key),)))
        facts = registry["factsOf"]
        assert selector == facts.selector
        operator = self.operators.get(key, ZERO_ADDRESS)
        known = operator != ZERO_ADDRESS
        signer = b"\x51" * 20 if known else ZERO_ADDRESS
        tee = 1 if known else 0
        found = (signer, self.time + 3600, tee, tee, key in self.revoked, operator, ZERO32, ZERO32)
        return hex_of(encode(facts.outputs, (found,)))

    def _number(self, cvm_id: bytes) -> int:
        """Return a CVM's number, given when it is first asked for."""
        if cvm_id == ZERO32:
            return 0
        if cvm_id not in self._numbered:
            self._numbered.append(cvm_id)
        return self._numbered.index(cvm_id) + 1
