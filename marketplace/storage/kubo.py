"""The RPC API of an IPFS node (kubo's, or of scripts/ipfs-node), as far as storage needs it.

`ipfshttpclient` for what it does well: small files added, pins. httpx for blocks, alone and in bulk. Ranges
of files come over `wire.Connection`, into the reader's memory. What comes back is compared by whoever called.
"""

from __future__ import annotations

import json
import ssl
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from marketplace.errors import BadInputError
from marketplace.storage.base import (
    BlobNotFoundError,
    BlobUnreachableError,
    Chunk,
    DishonestServerError,
    StorageError,
)
from marketplace.storage.body import HttpRun, read_answer
from marketplace.storage.cid import DAG_PB, Cid
from marketplace.storage.httphead import Head, Target
from marketplace.storage.network import NetworkPolicy, resolve
from marketplace.storage.patience import SYSTEM, Patience, Shell
from marketplace.storage.retry import within
from marketplace.storage.unixfs import LEAF_BYTES, MAX_BLOCK_BYTES, MAX_LINKS
from marketplace.storage.wire import Connection

if TYPE_CHECKING:
    import httpx

__all__ = ["PUSH_AGAIN", "Kubo"]

PUSH_AGAIN: Final = (
    "this node keeps other bytes than the name says: use another one; its owner mends it with "
    "`cloister author push FILE --verify`"
)
_PIECE: Final = 256 << 10
_MAX_ANSWER_BYTES: Final = 1 << 20
_MAX_MESSAGE_BYTES: Final = 4096
_ABSENT: Final = ("not here", "not found", "could not find", "no peer")
_BOUNDARY: Final = "cloister-7c1f0e2a9b"
_FIXED: Final = {
    "cid-version": "1",
    "raw-leaves": "true",
    "chunker": f"size-{LEAF_BYTES}",
    "max-file-links": str(MAX_LINKS),
}


T = TypeVar("T")


class _RefusedError(BlobUnreachableError):
    """The node answered, with an error."""


class Kubo:
    """Calls to one node; safe to use from several threads."""

    def __init__(self, api: str, patience: Patience, shell: Shell = SYSTEM) -> None:
        """Take the address of the API, such as `http://127.0.0.1:5001`.

        Raises:
            BadInputError: something else.
        """
        parts = urlsplit(api)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise BadInputError("IPFS API", repr(api[:80]), "http://HOST:PORT")
        self._api = api.rstrip("/")
        self._parts = parts
        self._patience = patience
        self._shell = shell

    def add_small(self, data: bytes) -> str:
        """Store a file of at most one leaf, pinned, and return the CID that the node gives it."""
        options = {**_FIXED, "pin": "true"}
        return str(self._small("add", lambda client: client.add_bytes(data, opts=options), len(data)))

    def pin(self, cid: Cid) -> None:
        """Keep everything below `cid` until it is unpinned; fetches what is missing."""
        self._small("pin/add", lambda client: client.pin.add(str(cid)))

    def unpin(self, cid: Cid) -> None:
        """Let everything below `cid` go at the node's next collection; no error if it was not pinned."""
        try:
            self._small("pin/rm", lambda client: client.pin.rm(str(cid)))
        except _RefusedError as error:
            if "not pinned" not in str(error):
                raise

    def pins(self) -> frozenset[str]:
        """Return the CIDs that are pinned."""
        answer = self._small("pin/ls", lambda client: client.pin.ls(type="recursive"))
        return frozenset(str(cid) for cid in answer["Keys"])

    def put_blocks(self, codec: int, blocks: Sequence[tuple[Cid, Chunk]]) -> None:
        """Store blocks, unpinned, in one call.

        Args:
            blocks: with their names, which the node has to find too.
        Raises:
            DishonestServerError: the node gives one of them another name than its bytes have.
        """
        name = "dag-pb" if codec == DAG_PB else "raw"
        query = {"cid-codec": name, "mhtype": "sha2-256", "pin": "false"}
        form = _form([block for _, block in blocks])
        headers = {
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
            "Content-Length": str(sum(map(len, form))),  # else each piece would be wrapped up as a chunk
        }

        def asked() -> tuple[int, bytes]:
            with (
                self._errors("block/put"),
                self._http.stream(
                    "POST", "block/put", params=query, content=map(bytes, form), headers=headers
                ) as response,
            ):
                return response.status_code, b"".join(_bounded(response.iter_raw()))

        status, data = self._in_time("block/put", asked, int(headers["Content-Length"]))
        if status != 200:
            raise self.refused("block/put", _message(data))
        keys = [answer.get("Key") for answer in _lines(data)]
        expected = [str(cid) for cid, _ in blocks]
        if keys != expected:
            got = next((key for key, want in zip(keys, expected, strict=False) if key != want), len(keys))
            raise DishonestServerError(
                f"{self._api}: got CID {got} for a block, expected {expected[0]}",
                hint="this node does not store what it is given; use another one",
            )

    def has_block(self, cid: Cid) -> bool:
        """Whether the node itself has this block."""
        try:
            self._ask("block/stat", {"arg": str(cid), "offline": "true"})
        except (BlobNotFoundError, _RefusedError):
            return False
        return True

    def keeps(self, cid: Cid) -> bool | None:
        """Whether the node's own bytes of a block are what its name says; None where it has none.

        A node that cannot read what it has, or finds by itself that it is wrong, does not keep it.
        """
        try:
            data = self._ask("block/get", {"arg": str(cid), "offline": "true"}, MAX_BLOCK_BYTES)
        except BlobNotFoundError:
            return None
        except _RefusedError:
            return False
        return Cid.of(cid.codec, data) == cid

    def remove_block(self, cid: Cid) -> None:
        """Remove a block that nothing pins; no error if it is not there.

        Raises:
            StorageError: the node says why not.
        """
        for answer in self.call("block/rm", arg=str(cid), force="true"):
            if answer.get("Error"):
                raise StorageError(
                    f"IPFS node {self._api}, block/rm: got {str(answer['Error'])[:200]!r}, expected success"
                )

    def block(self, cid: Cid) -> bytes:
        """Return a block, from the node or a peer of it, compared with its name.

        Raises:
            BlobNotFoundError, BlobUnreachableError.
            DishonestServerError: other bytes.
        """
        data = self._ask("block/get", {"arg": str(cid)}, MAX_BLOCK_BYTES)
        if Cid.of(cid.codec, data) != cid:
            got = f"{len(data)} bytes with CID {Cid.of(cid.codec, data)}"
            raise DishonestServerError(f"{self._api}: got {got}, expected {cid}", hint=PUSH_AGAIN)
        return data

    def cat(self, cid: Cid, offset: int, length: int) -> HttpRun:
        """Return `length` bytes of a file from `offset` on, which it must have; nobody compared them yet.

        Raises:
            BlobNotFoundError, BlobUnreachableError.
            DishonestServerError: no plain body.
        """
        connection, _ = self._answered("cat", {"arg": str(cid), "offset": offset, "length": length})
        return HttpRun(connection, length, self._name_of("cat"), self._patience, self._shell)

    def _ask(self, name: str, query: Mapping[str, object], limit: int = _MAX_ANSWER_BYTES) -> bytes:
        """Return what a command answers, at most `limit` bytes.

        Raises:
            BlobNotFoundError, BlobUnreachableError.
            DishonestServerError: more bytes, or no plain body.
        """
        connection, head = self._answered(name, query)
        with closing(connection):
            return read_answer(connection, head, limit, self._name_of(name), self._patience, self._shell)

    def _answered(self, name: str, query: Mapping[str, object]) -> tuple[Connection, Head]:
        """Return the connection of a command that succeeded, and the head that was read from it."""
        connection = self._connect(name)
        try:
            head = connection.ask(self._question(name, query))
            if head.status != 200:
                rest = _rest(connection, self._patience, self._shell, self._name_of(name))
                raise self.refused(name, _message(rest))
            if not head.is_plain:
                raise DishonestServerError(
                    f"{self._name_of(name)}: got a body in chunks or compressed, expected the plain bytes, "
                    "as HTTP/1.0 has them",
                    hint="does a proxy stand before the node? name the node itself in [storage.ipfs] api",
                )
        except BaseException:
            connection.close()
            raise
        return connection, head

    def _name_of(self, name: str) -> str:
        return f"IPFS node {self._api}, {name}"

    def _connect(self, name: str) -> Connection:
        target = Target.of(self._api)
        try:
            addresses = resolve(target.host, target.port, NetworkPolicy(anywhere=True))
            return Connection.open(target, addresses, self._tls, self._patience, self._shell)
        except BlobUnreachableError as error:
            raise self.unreachable(name, error) from error

    def _question(self, name: str, query: Mapping[str, object]) -> bytes:
        lines = (
            # A node does not know the length of what it streams. To 1.1 it would send chunks; the tree says
            # where the bytes end, and so they come plain, into the reader's memory.
            f"POST /api/v0/{name}?{urlencode(query)} HTTP/1.0",
            f"Host: {Target.of(self._api).authority}",
            "User-Agent: cloister",
            "Content-Length: 0",
            "",
            "",
        )
        return "\r\n".join(lines).encode("ascii")

    @cached_property
    def _tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self._parts.scheme == "https" else None

    def call(self, name: str, **query: str) -> list[dict[str, Any]]:
        """Return the lines that some other command answers; for set-up, tests and people."""
        return _lines(self._ask(name, query))

    def close(self) -> None:
        """Close the connections."""
        if "_http" in self.__dict__:
            self._http.close()

    @cached_property
    def _http(self) -> httpx.Client:
        import httpx

        how = self._patience
        timeout = httpx.Timeout(how.stall_s, connect=how.connect_s, read=max(how.stall_s, how.answer_s))
        return httpx.Client(base_url=f"{self._api}/api/v0/", timeout=timeout, trust_env=False)

    def _small(self, name: str, ask: Callable[[Any], Any], sent_bytes: int = 0) -> Any:
        """Return what a call of `ipfshttpclient` returns; its errors come out as ours."""
        # It passes an argument that urllib3 ignores; both are pinned, so nobody needs to hear of it.
        warnings.filterwarnings("ignore", message="The 'strict' parameter", category=FutureWarning)
        import ipfshttpclient

        kind = "ip4" if self._parts.hostname and self._parts.hostname.replace(".", "").isdigit() else "dns"
        port = self._parts.port or (443 if self._parts.scheme == "https" else 80)
        address = f"/{kind}/{self._parts.hostname}/tcp/{port}/{self._parts.scheme}"

        def asked() -> Any:
            with closing(ipfshttpclient.Client(address, timeout=self._patience.answer_s)) as client:
                return ask(client)

        try:
            return self._in_time(name, asked, sent_bytes)
        except ipfshttpclient.exceptions.ErrorResponse as error:
            raise self.refused(name, str(error)) from error
        except ipfshttpclient.exceptions.Error as error:
            raise self.unreachable(name, error) from error

    def _in_time(self, name: str, ask: Callable[[], T], sent_bytes: int) -> T:
        seconds = self._patience.longest_answer_s + sent_bytes / self._patience.slowest_bytes_s
        return within(seconds, ask, self._name_of(name))

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.HTTPError as error:
            raise self.unreachable(name, error) from error

    def unreachable(self, name: str, error: Exception) -> BlobUnreachableError:
        """Return the error for a node that does not answer."""
        return BlobUnreachableError(
            f"IPFS node {self._api}, {name}: got {type(error).__name__} ({error}), expected an answer",
            hint="is it running? kubo, or scripts/ipfs-node/start; its address is in [storage.ipfs] api",
        )

    def refused(self, name: str, said: str) -> BlobNotFoundError | BlobUnreachableError:
        """Return the error for a node that answers with one."""
        absent = any(word in said for word in _ABSENT)
        made = BlobNotFoundError if absent else _RefusedError
        return made(
            f"IPFS node {self._api}, {name}: got {said[:200]!r}, expected success",
            hint="connect it to a node that has the blob, or use another location" if absent else "try again",
        )


def _form(blocks: Sequence[Chunk]) -> list[Chunk]:
    """Return the pieces of a form with one file for each block."""
    pieces: list[Chunk] = []
    for block in blocks:
        head = 'Content-Disposition: form-data; name="file"; filename="block"'
        kind = "Content-Type: application/octet-stream"
        pieces.append(f"--{_BOUNDARY}\r\n{head}\r\n{kind}\r\n\r\n".encode("ascii"))
        view = memoryview(block)
        pieces += (view[at : at + _PIECE] for at in range(0, len(view), _PIECE))
        pieces.append(b"\r\n")
    pieces.append(f"--{_BOUNDARY}--\r\n".encode("ascii"))
    return pieces


def _rest(connection: Connection, patience: Patience, shell: Shell, where: str) -> bytes:
    """Return what follows the head of an answer that is not what was asked for, its beginning at least."""
    data = memoryview(bytearray(_MAX_MESSAGE_BYTES))
    filled, run = 0, HttpRun(connection, len(data), where, patience, shell)
    with suppress(BlobUnreachableError):  # it ends before the buffer does
        while got := run.readinto(data[filled:]):
            filled += got
    return bytes(data[:filled])


def _bounded(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Give the beginning of an answer: what says more than that is no answer of a node."""
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        if done > _MAX_ANSWER_BYTES:
            return


def _lines(data: bytes) -> list[dict[str, Any]]:
    try:
        values = [json.loads(line) for line in data[:_MAX_ANSWER_BYTES].splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise DishonestServerError("IPFS node: got no JSON, expected lines of it") from error
    return [value for value in values if isinstance(value, dict)]


def _message(data: bytes) -> str:
    try:
        value = json.loads(data[:_MAX_ANSWER_BYTES])
    except (ValueError, RecursionError):
        return data[:200].decode("utf-8", "replace")
    return str(value.get("Message", "")) if isinstance(value, dict) else ""
