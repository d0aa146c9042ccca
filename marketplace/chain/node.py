"""One node's view of one market: contract calls and paged logs, before they mean anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from enclave_runtime.wire.codec import hex_of
from enclave_runtime.wire.errors import WireError
from marketplace.chain.artifacts import contract
from marketplace.chain.deployments import Deployment
from marketplace.chain.refusals import refusal_from
from marketplace.chain.rpc import Rpc, hex_data, hex_int, to_quantity
from marketplace.errors import BadInputError, RpcError, UnreachableError

__all__ = ["Log", "Node"]

ADDRESSES: Final = {
    "Authority": "authority",
    "OfferRegistry": "offer_registry",
    "ProviderRegistry": "provider_registry",
    "CvmRegistry": "cvm_registry",
    "ReferenceValues": "reference_values",
    "CertifierQuorum": "certifier_quorum",
    "OrderBook": "order_book",
    "LeaseBook": "lease_book",
    "TestToken": "token",
}
"""Which member of a deployment holds which contract."""
MAX_SPAN: Final = 50_000
"""The most blocks that one eth_getLogs asks for; opBNB's nodes take no more."""


@dataclass(frozen=True, slots=True)
class Log:
    """One event as a node gave it, undecoded.

    Attributes:
        block: number of the block.
        index: place in the block.
        tx_hash: 0x-hex.
    """

    address: bytes
    topics: list[bytes]
    data: bytes
    block: int
    index: int
    tx_hash: str


class Node:
    """Calls and logs of the contracts of one deployment.

    Attributes:
        confirmations: how many blocks behind the head logs are read; 0 reads up to the head.
    """

    def __init__(self, rpc: Rpc, deployment: Deployment, *, confirmations: int = 0) -> None:
        """Take a connection; asks nothing yet."""
        self.rpc = rpc
        self.deployment = deployment
        self.confirmations = confirmations

    def check_chain(self) -> None:
        """Refuse a node of another chain than the deployment's, or one that has no such contracts.

        Raises:
            BadInputError: names what was got and expected.
            ChainError: the node gives no usable answer.
        """
        book = hex_of(self.deployment.order_book)
        chain_id, code = self.rpc.batch([("eth_chainId", ()), ("eth_getCode", (book, "latest"))])
        if hex_int(chain_id) != self.deployment.chain_id:
            raise BadInputError("chain id of the node", hex_int(chain_id), self.deployment.chain_id)
        if code in ("0x", None):
            raise BadInputError("OrderBook", f"no code at {book}", "the market's contracts on this chain")

    def address(self, name: str) -> bytes:
        """Return where the contract called `name` stands."""
        address: bytes = getattr(self.deployment, ADDRESSES[name])
        return address

    def view(self, name: str, function: str, *arguments: Any, at: str | int = "latest") -> Any:
        """Return what a view function returns.

        Args:
            at: "latest", "finalized", "safe" or a block number.
        Raises:
            ContractRefusal: it reverted.
            ChainError: the node gives no usable answer.
        """
        return self.views([(name, function, arguments)], at=at)[0]

    def views(
        self, calls: Sequence[tuple[str, str, Sequence[Any]]], *, at: str | int = "latest"
    ) -> list[Any]:
        """Return what several view functions return, in one round trip; see `view`."""
        block = to_quantity(at) if isinstance(at, int) else at
        requests = []
        for name, function, arguments in calls:
            data = contract(name).functions[function].call(*arguments)
            to = hex_of(self.address(name))
            requests.append(("eth_call", ({"to": to, "data": hex_of(data)}, block)))
        answers = self.rpc.batch_raw(requests) if requests else []
        return [
            _returned(name, function, answer)
            for (name, function, _), answer in zip(calls, answers, strict=True)
        ]

    def head(self) -> int:
        """Return the number of the newest block."""
        return hex_int(self.rpc.call("eth_blockNumber"))

    def now(self, at: str | int = "latest") -> int:
        """Return a block's time, Unix seconds: chain time, which services go by."""
        return self.times([at])[0]

    def times(self, blocks: Sequence[str | int]) -> list[int]:
        """Return the times of several blocks, Unix seconds, in one round trip."""
        names = [to_quantity(block) if isinstance(block, int) else block for block in blocks]
        answers = self.rpc.batch([("eth_getBlockByNumber", (name, False)) for name in names]) if names else []
        return [_timestamp(answer) for answer in answers]

    def logs(
        self,
        name: str,
        topics: Sequence[bytes | Sequence[bytes] | None],
        *,
        from_block: int | None = None,
        to_block: int | None = None,
    ) -> Iterator[Log]:
        """Yield the logs of one contract in order, asking for as many blocks at once as the node likes.

        Args:
            topics: per place one topic, a choice of several, or None for any.
            from_block: first block; None means the deployment's.
            to_block: last block; None means the head less `confirmations`.
        Raises:
            ChainError: the node gives no usable answer.
        """
        start = self.deployment.block if from_block is None else from_block
        end = self.head() - self.confirmations if to_block is None else to_block
        span = cap = MAX_SPAN
        wanted = {"address": hex_of(self.address(name)), "topics": [_topic(item) for item in topics]}
        while start <= end:
            stop = min(end, start + span - 1)
            try:
                found = self.rpc.call(
                    "eth_getLogs",
                    wanted | {"fromBlock": to_quantity(start), "toBlock": to_quantity(stop)},
                )
            except (RpcError, UnreachableError) as error:
                # "Too many results", "range too wide", an answer too large: each node has its own words.
                if span == 1 or not _may_shrink(error):
                    raise
                span = cap = max(1, span // 2)
                continue
            yield from _read_logs(found, self.address(name))
            # What was too much stays out of reach for a while; a sparse stretch lets it grow again.
            cap = min(MAX_SPAN, cap + cap // 16 + 1)
            start, span = stop + 1, min(cap, span * 2)


def _may_shrink(error: Exception) -> bool:
    text = str(error).lower()
    return any(
        word in text
        for word in ("range", "limit", "too many", "exceed", "large", "above", "timeout", "-32005")
    )


def _returned(name: str, function: str, answer: Any) -> Any:
    if isinstance(answer, RpcError):
        raise refusal_from(answer, call=f"{name}.{function}")
    try:
        return contract(name).functions[function].returned(hex_data(answer))
    except WireError as error:
        raise UnreachableError(
            f"{name}.{function}: the node's answer is not the contract's",
            hint="check that the deployment file belongs to this chain",
        ) from error


def _topic(item: bytes | Sequence[bytes] | None) -> str | list[str] | None:
    if item is None:
        return None
    return hex_of(item) if isinstance(item, bytes) else [hex_of(one) for one in item]


def _timestamp(block: Any) -> int:
    if not isinstance(block, dict):
        raise UnreachableError("a node does not know a block that it should have")
    return hex_int(block.get("timestamp"))


def _read_logs(found: Any, address: bytes) -> Iterator[Log]:
    if not isinstance(found, list):
        raise UnreachableError("eth_getLogs: a node sent something else than a list")
    for item in found:
        if not isinstance(item, dict) or not isinstance(item.get("topics"), list):
            raise UnreachableError("eth_getLogs: a node sent something else than logs")
        log = Log(
            address=hex_data(item.get("address")),
            topics=[hex_data(topic) for topic in item["topics"]],
            data=hex_data(item.get("data")),
            block=hex_int(item.get("blockNumber")),
            index=hex_int(item.get("logIndex")),
            tx_hash=str(item.get("transactionHash")),
        )
        if log.address == address and not item.get("removed"):
            yield log
