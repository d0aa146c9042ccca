"""Asking a vendor's service one question within bounds: time, size, one host, no redirect, no compression.

The whole exchange has a time limit, not each byte of it: a service that trickles holds nobody up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from marketplace.collateral.base import CollateralUnavailableError

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = ["Answer", "Question", "SilentError", "Web"]

_MAX_CHAIN_CHARS = 1 << 14
"""Of an issuer chain in a header; Intel's have 2 kB."""
_HINTS = {
    404: "the vendor does not know it: a new platform, driver or firmware, or none of this vendor's",
    429: "the vendor limits how often one address may ask: keep the cache folder, or use a bundle (file:)",
}


class SilentError(CollateralUnavailableError):
    """The service does not answer now: asking it again at once would be no use."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request.

    Attributes:
        url: where, in full.
        limit: longest body that is taken, in bytes.
        post: what to send in a POST, with its content type; None for a GET.
        chain_headers: header with the issuer chain (URL-encoded PEM), by the names that it goes by.
    """

    url: str
    limit: int
    post: tuple[str, bytes] | None = None
    chain_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came; nobody believes it yet.

    Attributes:
        body: the body.
        chain: issuer chain from a header, PEM; empty where none was asked for.
    """

    body: bytes = field(repr=False)
    chain: str = field(default="", repr=False)


class Web:
    """Asks services; safe to use from several threads, each exchange on a connection of its own."""

    def __init__(self, *, longest_s: float = 15.0) -> None:
        """Take the most seconds that one exchange may last."""
        self._longest_s = longest_s
        self._tls: ssl.SSLContext | None = None

    def ask(self, question: Question) -> Answer:
        """Return the answer with status 200.

        Raises:
            SilentError: none in time, cut, no connection, or the service says that it cannot now.
            CollateralUnavailableError: oversize, another status, or a redirect.
        """
        import httpx

        try:
            return asyncio.run(self._exchange(question))
        except TimeoutError as error:
            raise SilentError(
                f"{question.url}: got no whole answer in {self._longest_s:g} s", hint="try again later"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SilentError(
                f"{question.url}: {type(error).__name__}: {str(error)[:200]}",
                hint="can this machine reach the vendor? Else use a bundle (file:)",
            ) from error

    async def _exchange(self, question: Question) -> Answer:
        import httpx

        if self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        kind, content = question.post or ("", None)
        # No compression: a few bytes of it could become all of this machine's memory.
        headers = {"Accept-Encoding": "identity"} | ({"Content-Type": kind} if kind else {})
        client = httpx.AsyncClient(
            timeout=self._longest_s, follow_redirects=False, trust_env=False, verify=self._tls
        )
        method = "GET" if content is None else "POST"
        async with (
            asyncio.timeout(self._longest_s),
            client as http,
            http.stream(method, question.url, content=content, headers=headers) as response,
        ):
            _check_head(question.url, response)
            body = await _limited(response.aiter_raw(), question)
            return Answer(body, _chain(question, response.headers))


def _check_head(url: str, response: httpx.Response) -> None:
    status = response.status_code
    if response.is_redirect:
        to = response.headers.get("location", "nowhere")[:120]
        raise CollateralUnavailableError(
            f"{url}: got a redirect to {to!r}, expected an answer from the host that was asked",
            hint="name the service's own address in the settings",
        )
    if status != 200:
        kind = SilentError if status == 429 or status >= 500 else CollateralUnavailableError
        raise kind(f"{url}: got status {status}, expected 200", hint=_HINTS.get(status, "try again later"))
    if response.headers.get("content-encoding", "identity") != "identity":
        raise CollateralUnavailableError(f"{url}: got a compressed answer, expected a plain one")


async def _limited(chunks: AsyncIterable[bytes], question: Question) -> bytes:
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > question.limit:
            raise CollateralUnavailableError(
                f"{question.url}: got more than {question.limit} bytes, expected at most so many"
            )
    return bytes(data)


def _chain(question: Question, headers: Mapping[str, str]) -> str:
    if not question.chain_headers:
        return ""
    for name in question.chain_headers:
        if value := headers.get(name, ""):
            chain = unquote(value) if len(value) <= _MAX_CHAIN_CHARS else ""
            if not (chain and chain.isascii()):
                break
            return chain
    raise CollateralUnavailableError(
        f"{question.url}: got no issuer chain of at most {_MAX_CHAIN_CHARS} characters,"
        f" expected header {question.chain_headers[0]}"
    )
