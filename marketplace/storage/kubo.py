"""The RPC API of an IPFS node (kubo's, or of scripts/ipfs-node), as far as storage needs it.

`ipfshttpclient` for what it does well: small files added, pins. httpx for what it does not: blocks in bulk,
bodies that are not held in memory whole, ranges. What comes back is compared by whoever called.
"""

from __future__ import annotations

import json
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from marketplace.errors import BadInputError
from marketplace.storage.base import BlobNotFoundError, BlobUnreachableError, DishonestServerError
from marketplace.storage.cid import DAG_PB, Cid
from marketplace.storage.patience import Patience
from marketplace.storage.unixfs import LEAF_BYTES, MAX_BLOCK_BYTES, MAX_LINKS

if TYPE_CHECKING:
    import httpx

__all__ = ["Body", "Kubo"]

_PIECE: Final = 256 << 10
_MAX_ANSWER_BYTES: Final = 1 << 20
_ABSENT: Final = ("not here", "not found", "could not find", "no peer")
_BOUNDARY: Final = "cloister-7c1f0e2a9b"
_FIXED: Final = {
    "cid-version": "1",
    "raw-leaves": "true",
    "chunker": f"size-{LEAF_BYTES}",
    "max-file-links": str(MAX_LINKS),
}


class Kubo:
    """Calls to one node; safe to use from several threads."""

    def __init__(self, api: str, patience: Patience) -> None:
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
        self._lock = threading.Lock()

    def add_small(self, data: bytes) -> str:
        """Store a file of at most one leaf, pinned, and return the CID that the node gives it."""
        with self._small() as client:
            answer: Any = client.add_bytes(data, opts={**_FIXED, "pin": "true"})
        return str(answer)

    def pin(self, cid: Cid) -> None:
        """Keep everything below `cid` until it is unpinned; fetches what is missing."""
        with self._small() as client:
            client.pin.add(str(cid))

    def unpin(self, cid: Cid) -> None:
        """Let everything below `cid` go at the node's next collection; no error if it was not pinned."""
        import ipfshttpclient

        with self._small() as client:
            try:
                client.pin.rm(str(cid))
            except ipfshttpclient.exceptions.ErrorResponse as error:
                if "not pinned" not in str(error):
                    raise

    def pins(self) -> frozenset[str]:
        """Return the CIDs that are pinned."""
        with self._small() as client:
            answer: Any = client.pin.ls(type="recursive")
        return frozenset(str(cid) for cid in answer["Keys"])

    def put_blocks(self, codec: int, blocks: Sequence[bytes | memoryview]) -> None:
        """Store blocks, unpinned, in one call.

        Raises:
            DishonestServerError: the node gives one of them another name than its bytes have.
        """
        name = "dag-pb" if codec == DAG_PB else "raw"
        query = {"cid-codec": name, "mhtype": "sha2-256", "pin": "false"}
        headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
        with self._errors("block/put"):
            response = self._http.post("block/put", params=query, content=_form(blocks), headers=headers)
        keys = [answer.get("Key") for answer in _lines(response)]
        expected = [str(Cid.of(codec, block)) for block in blocks]
        if keys != expected:
            got = next((key for key, want in zip(keys, expected, strict=False) if key != want), len(keys))
            raise DishonestServerError(
                f"{self._api}: got CID {got} for a block, expected {expected[0]}",
                hint="this node does not store what it is given; use another one",
            )

    def has_block(self, cid: Cid) -> bool:
        """Whether the node itself has this block."""
        with self._errors("block/stat"):
            response = self._http.post("block/stat", params={"arg": str(cid), "offline": "true"})
        return bool(response.status_code == 200)

    def block(self, cid: Cid) -> bytes:
        """Return a block, from the node or a peer of it, compared with its name.

        Raises:
            BlobNotFoundError, BlobUnreachableError.
            DishonestServerError: other bytes.
        """
        with self._body("block/get", {"arg": str(cid)}) as body:
            data = bytearray()
            for piece in body:
                data += piece
                if len(data) > MAX_BLOCK_BYTES:
                    break
        if Cid.of(cid.codec, bytes(data)) != cid:
            got = f"{len(data)} bytes with CID {Cid.of(cid.codec, bytes(data))}"
            raise DishonestServerError(f"{self._api}: got {got}, expected {cid}", hint="use another node")
        return bytes(data)

    def cat(self, cid: Cid, offset: int, length: int) -> Body:
        """Return bytes of a file on their way; not compared with anything here."""
        return Body(self, {"arg": str(cid), "offset": str(offset), "length": str(length)})

    def call(self, name: str, **query: str) -> list[dict[str, Any]]:
        """Return the lines that some other command answers; for set-up, tests and people."""
        with self._errors(name):
            response = self._http.post(name, params=query)
        return _lines(response)

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

    @contextmanager
    def _small(self) -> Iterator[Any]:
        """Give a client of `ipfshttpclient`; its errors come out as ours."""
        # It passes an argument that urllib3 ignores; both are pinned, so nobody needs to hear of it.
        warnings.filterwarnings("ignore", message="The 'strict' parameter", category=FutureWarning)
        import ipfshttpclient

        kind = "ip4" if self._parts.hostname and self._parts.hostname.replace(".", "").isdigit() else "dns"
        port = self._parts.port or (443 if self._parts.scheme == "https" else 80)
        address = f"/{kind}/{self._parts.hostname}/tcp/{port}/{self._parts.scheme}"
        client = ipfshttpclient.Client(address, timeout=self._patience.answer_s)
        try:
            yield client
        except ipfshttpclient.exceptions.ErrorResponse as error:
            raise self.refused("pin or add", str(error)) from error
        except ipfshttpclient.exceptions.Error as error:
            raise self.unreachable("pin or add", error) from error
        finally:
            client.close()

    @contextmanager
    def _body(self, name: str, query: dict[str, str]) -> Iterator[Iterator[bytes]]:
        with self._errors(name), self._http.stream("POST", name, params=query) as response:
            if response.status_code != 200:
                response.read()
                raise self.refused(name, _message(response.content))
            yield response.iter_raw()

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
        made = BlobNotFoundError if absent else BlobUnreachableError
        return made(
            f"IPFS node {self._api}, {name}: got {said[:200]!r}, expected success",
            hint="connect it to a node that has the blob, or use another location" if absent else "try again",
        )


class Body:
    """The body of one `cat`, read piece by piece by one thread."""

    def __init__(self, kubo: Kubo, query: dict[str, str]) -> None:
        self._context = kubo._body("cat", query)
        self._pieces = self._context.__enter__()
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        """Fill the beginning of `buffer`; 0 at the end.

        Raises:
            BlobUnreachableError: cut off or stalled.
        """
        if not self._rest:
            try:
                self._rest = memoryview(next(self._pieces, b""))
            except BaseException as error:
                # The block that `_context` guards: it turns the library's errors into ours.
                self._context.__exit__(type(error), error, error.__traceback__)
                raise
        got = min(len(buffer), len(self._rest))
        buffer[:got] = self._rest[:got]
        self._rest = self._rest[got:]
        return got

    def close(self) -> None:
        """Give up what did not come yet."""
        self._context.__exit__(None, None, None)


def _form(blocks: Sequence[bytes | memoryview]) -> Iterator[bytes]:
    """Give the bytes of a form with one file for each block, in pieces that are not copied again."""
    for block in blocks:
        head = 'Content-Disposition: form-data; name="file"; filename="block"'
        kind = "Content-Type: application/octet-stream"
        yield f"--{_BOUNDARY}\r\n{head}\r\n{kind}\r\n\r\n".encode("ascii")
        view = memoryview(block)
        for at in range(0, len(view), _PIECE):
            yield bytes(view[at : at + _PIECE])
        yield b"\r\n"
    yield f"--{_BOUNDARY}--\r\n".encode("ascii")


def _lines(response: httpx.Response) -> list[dict[str, Any]]:
    data = response.content
    if response.status_code != 200:
        raise BlobUnreachableError(
            f"IPFS node, {response.request.url.path}: got {_message(data)[:200]!r}, expected success"
        )
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
